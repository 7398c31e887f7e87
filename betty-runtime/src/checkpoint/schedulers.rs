//! The schedulers of a level in a checkpoint: the record of each, and after how many steps that was.

use burn::lr_scheduler::LrSchedulerRecord;
use burn::tensor::{Bytes, TensorData};

use super::archive::Archive;
use super::state::LevelState;
use crate::error::CheckpointError;
use crate::program::{Level, Scheduler, place};

/// The schedulers of a level's groups, where those stood that were saved.
pub(super) struct Schedulers {
    pub(super) restored: Vec<Option<Scheduler>>,
    /// Of which groups they have other numbers than those, and after how many steps they stand.
    pub(super) rescheduled: Vec<(String, u64)>,
}

impl Level {
    /// Adds the records of the schedulers.
    pub(super) fn save_schedulers(&self, archive: &mut Archive) -> Result<(), CheckpointError> {
        for (group, scheduler) in self.update.groups().iter().zip(&self.schedulers) {
            let Some(scheduler) = scheduler else { continue };
            let place = place(self.name, group.name.as_deref());
            let bytes = record_bytes(&place, scheduler)?;
            archive.insert(scheduler_name(&place), TensorData::new(bytes.clone(), [bytes.len()]))?;
        }
        Ok(())
    }

    /// Takes the records of the schedulers out of the archive; the groups are those that were saved. Answers which groups have a
    /// scheduler of other numbers than when they were saved, too, and after how many steps that stands.
    pub(super) fn restored_schedulers(
        &self,
        state: &LevelState,
        archive: &mut Archive,
    ) -> Result<Schedulers, CheckpointError> {
        let mut rescheduled = Vec::new();
        let restored = self.update.groups().iter().zip(&self.schedulers).map(|(group, scheduler)| {
            let own = (state.scheduler, state.scheduler_steps);
            let of_group = |path: &String| state.groups.iter().find(|saved| saved.path == *path);
            let of_group =
                |path| of_group(path).map_or((false, None), |saved| (saved.scheduler, saved.scheduler_steps));
            let (was_saved, steps) = group.name.as_ref().map_or(own, of_group);
            let place = place(self.name, group.name.as_deref());
            let Some((scheduler, saved)) = matched(&place, scheduler.as_ref(), was_saved, archive)? else {
                return Ok(None);
            };
            let restored = restored(&place, scheduler, &saved, steps, state.steps)?;
            if let Some(steps) = steps.filter(|_| bytes_of(&restored).is_none_or(|bytes| bytes != saved)) {
                rescheduled.push((place, steps));
            }
            Ok(Some(restored))
        });
        let restored = restored.collect::<Result<_, _>>()?;
        Ok(Schedulers { restored, rescheduled })
    }
}

/// A scheduler and the record of the one that was saved in its place, if there are both.
fn matched<'a>(
    place: &str,
    scheduler: Option<&'a Scheduler>,
    was_saved: bool,
    archive: &mut Archive,
) -> Result<Option<(&'a Scheduler, Vec<u8>)>, CheckpointError> {
    let scheduler = match (scheduler, was_saved) {
        (None, false) => return Ok(None),
        (Some(scheduler), true) => scheduler,
        (None, true) => return Err(other(place, "it was saved with one; give it to the engine first")),
        (Some(_), false) => {
            return Err(other(place, "it was saved without one; give it to the engine after resuming"));
        }
    };
    let tensor = scheduler_name(place);
    let saved = archive.tensors.remove(&tensor);
    let saved = saved.ok_or_else(|| CheckpointError::Missing { level: place.into(), tensor })?;
    Ok(Some((scheduler, saved.into_bytes().to_vec())))
}

/// A scheduler where one stood that has left this record, after so many steps if that follows from them.
///
/// Some records of Burn's hold numbers of the scheduler beside where it stands: how many steps are left, or the last rate. So the
/// steps are taken again, with the numbers of the scheduler that was given.
fn restored(
    place: &str,
    scheduler: &Scheduler,
    saved: &[u8],
    steps: Option<u64>,
    of_level: u64,
) -> Result<Scheduler, CheckpointError> {
    let record = LrSchedulerRecord::from_bytes(Bytes::from_bytes_vec(saved.to_vec()));
    let at_record = scheduler.at(record.map_err(|reason| other(place, &reason.to_string()))?);
    // A Burn scheduler ignores a record of another kind; then it says something else than what was saved.
    if record_bytes(place, &at_record)? != saved {
        return Err(other(place, "it is of another kind than the one it was saved with"));
    }
    Ok(match steps {
        Some(steps) => scheduler.after(steps),
        // Where steps do not tell all, or a file of before does not say how many there were, as many as the level took are worth a try.
        None => Some(scheduler.after(of_level))
            .filter(|after| bytes_of(after).is_some_and(|bytes| bytes == saved))
            .unwrap_or(at_record),
    })
}

/// How often a scheduler was asked, if that tells where it stands. One of the user's own may follow something else.
pub(super) fn steps_that_tell_all(scheduler: &Scheduler) -> Option<u64> {
    let steps = scheduler.steps()?;
    let (now, after) = (bytes_of(scheduler)?, bytes_of(&scheduler.after(steps))?);
    (now == after).then_some(steps)
}

fn bytes_of(scheduler: &Scheduler) -> Option<Vec<u8>> {
    Some(scheduler.record().into_bytes().ok()?.to_vec())
}

fn record_bytes(place: &str, scheduler: &Scheduler) -> Result<Vec<u8>, CheckpointError> {
    let bytes = scheduler.record().into_bytes();
    Ok(bytes.map_err(|reason| other(place, &reason.to_string()))?.to_vec())
}

fn other(place: &str, reason: &str) -> CheckpointError {
    CheckpointError::OtherScheduler { level: place.into(), reason: reason.into() }
}

fn scheduler_name(place: &str) -> String {
    format!("scheduler:{place}")
}
