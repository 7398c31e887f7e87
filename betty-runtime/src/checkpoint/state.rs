//! What a checkpoint says besides tensors: counters, positions in the schedule, and whom it belongs to.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::error::CheckpointError;
use crate::event::Goal;
use crate::schedule::Schedule;
use crate::steps::LearningRates;

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunState {
    pub(crate) program: String,
    pub(crate) seed: u64,
    pub(crate) iterations: u64,
    pub(crate) validation: Option<ValidationState>,
    /// In order of declaration.
    pub(crate) levels: Vec<LevelState>,
}

/// Where one level stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LevelState {
    pub(crate) name: String,
    /// Names of the lower levels.
    pub(crate) lower: Vec<String>,
    /// For each lower level: the turns it had taken at this level's last turn.
    pub(crate) seen: Vec<u64>,
    pub(crate) steps: u64,
    /// Steps of the optimizer since the level last started.
    pub(crate) taken: u64,
    /// How many of these left each parameter alone; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rests: Vec<u64>,
    /// Steps since a level above last began to wait for them.
    #[serde(default)]
    pub(crate) awaited: u64,
    /// The learning rates of the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_rates: Option<RatesState>,
    pub(crate) turns: u64,
    pub(crate) batches: u64,
    /// Seed of the batch of the last step; it tells which one that was.
    pub(crate) last_seed: Option<u64>,
    pub(crate) optimizer: String,
    /// Optimizer states for each parameter.
    pub(crate) states: usize,
    /// What they are, if the optimizer says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) state_names: Vec<String>,
    pub(crate) scheduler: bool,
    /// How often that was asked, if where it stands follows from that. Files written before do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scheduler_steps: Option<u64>,
    /// The same of groups of parameters that have an optimizer of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<GroupState>,
    /// Whether it starts again at its first parameters, which are saved for that.
    pub(crate) initial: bool,
    /// The levels below whose systems start from the last solution, …
    #[serde(default)]
    pub(crate) solutions: Vec<usize>,
    /// … and whose multipliers do, of which condition each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) multipliers: Vec<(usize, usize)>,
}

/// The learning rates of a step, as bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RatesState {
    base: Option<u64>,
    each: Vec<u64>,
    row: usize,
}

impl From<&LearningRates> for RatesState {
    fn from(rates: &LearningRates) -> Self {
        let each = rates.each.iter().map(|rate| rate.to_bits()).collect();
        RatesState { base: rates.base.map(f64::to_bits), each, row: rates.row }
    }
}

impl RatesState {
    /// The rates, if there are so many that are not learned.
    pub(crate) fn rates(&self, count: usize) -> Option<LearningRates> {
        let each: Rc<[f64]> = self.each.iter().map(|&rate| f64::from_bits(rate)).collect();
        let base = self.base.map(f64::from_bits);
        let are_numbers = each.iter().chain(&base).all(|rate| rate.is_finite());
        (are_numbers && each.len() == count).then_some(LearningRates { base, each, row: self.row })
    }
}

/// What is saved of a group of parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupState {
    pub(crate) path: String,
    pub(crate) optimizer: String,
    /// Optimizer states for each parameter.
    pub(crate) states: usize,
    /// What they are, if the optimizer says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) state_names: Vec<String>,
    pub(crate) scheduler: bool,
    /// How often that was asked, if where it stands follows from that. Files written before do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scheduler_steps: Option<u64>,
}

/// What validation has seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ValidationState {
    /// Which value was the best. Files written before do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<Goal>,
    /// Iteration of the best call, and the bits of its value: JSON rounds, and has no infinities.
    pub(crate) best: Option<(u64, u64)>,
    pub(crate) without_improvement: u64,
}

/// Counters stay below it, so that none can wrap: a run of a million steps a second takes more than a hundred years to it.
const LIMIT: u64 = 1 << 52;

impl RunState {
    /// Refuses numbers that would make a run misbehave, and that none comes to.
    pub(crate) fn check(&self) -> Result<(), CheckpointError> {
        let best = self.validation.and_then(|validation| validation.best);
        let without_improvement = self.validation.map(|validation| validation.without_improvement);
        let mut counters = vec![
            ("the number of iterations".to_owned(), self.iterations),
            ("the iteration of the best validation".to_owned(), best.map_or(0, |(iteration, _)| iteration)),
            ("the number of validations without improvement".to_owned(), without_improvement.unwrap_or(0)),
        ];
        for level in &self.levels {
            let counts = [
                ("steps", level.steps),
                ("steps taken", level.taken),
                ("steps awaited", level.awaited),
                ("turns", level.turns),
                ("batches", level.batches),
            ];
            counters.extend(counts.map(|(of, count)| (format!("the number of {of} of level `{}`", level.name), count)));
            let of_groups = level.groups.iter().map(|group| group.scheduler_steps);
            let asked = of_groups.chain([level.scheduler_steps]).flatten().max().unwrap_or(0);
            counters.push((format!("the number of steps of a scheduler of level `{}`", level.name), asked));
            if let Some(&found) = level.rests.iter().find(|&&rests| rests > level.taken) {
                let what = format!("the number of steps of level `{}` that left a parameter alone", level.name);
                return Err(CheckpointError::Impossible { what, found });
            }
        }
        match counters.into_iter().find(|(_, count)| *count >= LIMIT) {
            Some((what, found)) => Err(CheckpointError::Impossible { what, found }),
            None => self.levels.iter().try_for_each(|level| self.check_below(level)),
        }
    }

    /// A level has seen no more turns of a level below it than that has taken, and starts from solutions of levels there are.
    fn check_below(&self, level: &LevelState) -> Result<(), CheckpointError> {
        for (name, &seen) in level.lower.iter().zip(&level.seen) {
            let turns = self.levels.iter().find(|below| below.name == *name).map_or(0, |below| below.turns);
            if seen > turns {
                let what = format!("the number of turns of level `{name}` that level `{}` has seen", level.name);
                return Err(CheckpointError::Impossible { what, found: seen });
            }
        }
        let mut solved = level.solutions.iter().chain(level.multipliers.iter().map(|(of, _)| of));
        match solved.find(|stop| **stop >= self.levels.len()) {
            Some(&stop) => {
                let what = format!("a level whose system level `{}` has solved", level.name);
                Err(CheckpointError::Impossible { what, found: stop as u64 })
            }
            None => Ok(()),
        }
    }

    /// The levels with their lower levels, for messages: `weights(model), model`.
    pub(crate) fn outline(&self) -> String {
        outline(self.levels.iter().map(|level| (level.name.as_str(), level.lower.iter().map(String::as_str).collect())))
    }
}

/// As [`RunState::outline`].
pub(crate) fn outline_of(schedule: &Schedule) -> String {
    let lower_of = |lower: &'static [usize]| lower.iter().map(|&lower| schedule.levels[lower].name).collect();
    outline(schedule.levels.iter().map(|level| (level.name, lower_of(level.lower))))
}

fn outline<'a>(levels: impl Iterator<Item = (&'a str, Vec<&'a str>)>) -> String {
    let one = |(name, lower): (&str, Vec<&str>)| match lower.as_slice() {
        [] => format!("`{name}`"),
        lower => format!("`{name}` (above {})", lower.join(", ")),
    };
    levels.map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::archive::Archive;
    use crate::{Checkpoint, CheckpointError};

    fn state() -> RunState {
        let level = |name: &str, lower: &[&str], turns: u64| LevelState {
            name: name.into(),
            lower: lower.iter().map(|&name| name.into()).collect(),
            seen: lower.iter().map(|_| 12).collect(),
            steps: turns,
            taken: turns,
            rests: Vec::new(),
            awaited: 0,
            last_rates: None,
            turns,
            batches: turns,
            last_seed: Some(u64::MAX),
            optimizer: "sgd".into(),
            states: 0,
            state_names: Vec::new(),
            scheduler: false,
            scheduler_steps: None,
            groups: Vec::new(),
            initial: false,
            solutions: lower.iter().map(|_| 1).collect(),
            multipliers: Vec::new(),
        };
        let validation =
            ValidationState { goal: None, best: Some((4, f64::INFINITY.to_bits())), without_improvement: 0 };
        let levels = vec![level("weights", &["model"], 4), level("model", &[], 12)];
        RunState { program: "Cleaning".into(), seed: u64::MAX, iterations: 4, validation: Some(validation), levels }
    }

    /// A file with these counters, whose checksum fits.
    fn open(state: &RunState) -> Result<Checkpoint, CheckpointError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("run.safetensors");
        let state = serde_json::to_string(state).expect("JSON");
        std::fs::write(&file, Archive { state, ..Archive::default() }.encode()).expect("writable");
        Checkpoint::open(file)
    }

    #[test]
    fn counters_that_would_wrap_are_refused_by_name() {
        assert_eq!(open(&state()).expect("as a run writes it").iterations(), 4);
        type Counter = fn(&mut RunState) -> &mut u64;
        let changes: [(Counter, &str); 8] = [
            (|state| &mut state.iterations, "the number of iterations"),
            (|state| &mut state.levels[1].steps, "the number of steps of level `model`"),
            (|state| &mut state.levels[1].taken, "the number of steps taken of level `model`"),
            (|state| &mut state.levels[0].turns, "the number of turns of level `weights`"),
            (|state| &mut state.levels[1].batches, "the number of batches of level `model`"),
            (
                |state| &mut state.levels[0].seen[0],
                "the number of turns of level `model` that level `weights` has seen",
            ),
            (
                |state| &mut state.validation.as_mut().expect("some").without_improvement,
                "the number of validations without improvement",
            ),
            (
                |state| &mut state.validation.as_mut().expect("some").best.as_mut().expect("some").0,
                "the iteration of the best validation",
            ),
        ];
        for (counter, what) in changes {
            let mut forged = state();
            *counter(&mut forged) = u64::MAX;
            let error = open(&forged).expect_err(what).to_string();
            let says =
                format!("it says that {what} is {}, which no run comes to; it was not written by betty", u64::MAX);
            assert!(error.ends_with(&says), "{error}");
        }
    }

    #[test]
    fn what_a_level_has_seen_is_there() {
        let mut ahead = state();
        ahead.levels[0].seen[0] = 13;
        assert!(matches!(open(&ahead), Err(CheckpointError::InFile { reason, .. })
            if matches!(&*reason, CheckpointError::Impossible { found: 13, .. })));
        let mut elsewhere = state();
        elsewhere.levels[0].solutions = vec![2];
        let error = open(&elsewhere).expect_err("there are two levels").to_string();
        assert!(error.contains("a level whose system level `weights` has solved is 2"), "{error}");
    }
}
