//! The groups of a level's parameters in a checkpoint: which optimizer each has, and the record of its scheduler.

use burn::lr_scheduler::LrSchedulerRecord;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::tensor::{Bytes, TensorData};

use super::archive::Archive;
use super::state::{GroupState, LevelState};
use crate::error::CheckpointError;
use crate::program::{Level, place};

impl Level {
    /// What there is to say of the parameters that are in no group, and of each group.
    pub(super) fn save_groups(&self) -> (GroupState, Vec<GroupState>) {
        let (mut own, mut named) = (GroupState::default(), Vec::new());
        for (group, scheduler) in self.update.groups().iter().zip(&self.schedulers) {
            let state = GroupState {
                path: group.name.clone().unwrap_or_default(),
                optimizer: group.optimizer.name().into(),
                states: group.optimizer.states(),
                state_names: group.optimizer.state_names().into_iter().map(str::to_owned).collect(),
                scheduler: scheduler.is_some(),
            };
            match group.name {
                None => own = state,
                Some(_) => named.push(state),
            }
        }
        (own, named)
    }

    /// Refuses states of other optimizers.
    pub(super) fn check_groups(&self, state: &LevelState) -> Result<(), CheckpointError> {
        let (own, named) = self.save_groups();
        let saved_own = GroupState {
            path: String::new(),
            optimizer: state.optimizer.clone(),
            states: state.states,
            state_names: state.state_names.clone(),
            scheduler: state.scheduler,
        };
        let paths = [&named, &state.groups].into_iter().flatten().map(|group| group.path.as_str());
        let find = |groups: &[GroupState], path: &str| groups.iter().find(|group| group.path == path).cloned();
        let pairs = paths.map(|path| (Some(path), find(&state.groups, path), find(&named, path)));
        for (path, saved, running) in [(None, Some(saved_own), Some(own))].into_iter().chain(pairs) {
            let kind = |group: &Option<GroupState>| group.clone().map(|group| (group.optimizer, group.states));
            // Files written before do not say what the states are.
            let names = |group: &Option<GroupState>| group.clone().map(|group| group.state_names).unwrap_or_default();
            let is_named = !names(&saved).is_empty() && !names(&running).is_empty();
            if kind(&saved) != kind(&running) || (is_named && names(&saved) != names(&running)) {
                let level = place(self.name, path);
                return Err(CheckpointError::OtherOptimizer {
                    level,
                    saved: describe(saved),
                    running: describe(running),
                });
            }
        }
        Ok(())
    }

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

    /// Takes the records of the schedulers out of the archive; the groups are those that were saved.
    pub(super) fn restored_schedulers(
        &self,
        state: &LevelState,
        archive: &mut Archive,
    ) -> Result<Vec<Option<ModuleLrScheduler>>, CheckpointError> {
        let restored = self.update.groups().iter().zip(&self.schedulers).map(|(group, scheduler)| {
            let saved = match &group.name {
                None => state.scheduler,
                Some(name) => state.groups.iter().any(|saved| saved.path == *name && saved.scheduler),
            };
            restored(&place(self.name, group.name.as_deref()), scheduler.as_ref(), saved, archive)
        });
        restored.collect()
    }
}

fn restored(
    place: &str,
    scheduler: Option<&ModuleLrScheduler>,
    saved: bool,
    archive: &mut Archive,
) -> Result<Option<ModuleLrScheduler>, CheckpointError> {
    let scheduler = match (scheduler, saved) {
        (None, false) => return Ok(None),
        (Some(scheduler), true) => scheduler.clone(),
        (None, true) => return Err(other(place, "it was saved with one; give it to the engine first")),
        (Some(_), false) => {
            return Err(other(place, "it was saved without one; give it to the engine after resuming"));
        }
    };
    let tensor = scheduler_name(place);
    let saved = archive
        .tensors
        .remove(&tensor)
        .ok_or_else(|| CheckpointError::Missing { level: place.into(), tensor })?
        .into_bytes()
        .to_vec();
    let record = LrSchedulerRecord::from_bytes(Bytes::from_bytes_vec(saved.clone()));
    let scheduler = scheduler.load_record(record.map_err(|reason| other(place, &reason.to_string()))?);
    // A Burn scheduler ignores a record of another kind; then it says something else than what was saved.
    if record_bytes(place, &scheduler)? == saved {
        Ok(Some(scheduler))
    } else {
        Err(other(place, "it is of another kind than the one it was saved with"))
    }
}

fn record_bytes(place: &str, scheduler: &ModuleLrScheduler) -> Result<Vec<u8>, CheckpointError> {
    let bytes = scheduler.to_record().into_bytes();
    Ok(bytes.map_err(|reason| other(place, &reason.to_string()))?.to_vec())
}

fn other(place: &str, reason: &str) -> CheckpointError {
    CheckpointError::OtherScheduler { level: place.into(), reason: reason.into() }
}

fn scheduler_name(place: &str) -> String {
    format!("scheduler:{place}")
}

fn describe(group: Option<GroupState>) -> String {
    match group {
        Some(GroupState { optimizer, states, state_names, .. }) if !optimizer.is_empty() => {
            let names = if state_names.is_empty() { String::new() } else { format!(": {}", state_names.join(", ")) };
            format!("`{optimizer}` ({states} states for each parameter{names})")
        }
        _ => "no optimizer of its own".to_owned(),
    }
}
