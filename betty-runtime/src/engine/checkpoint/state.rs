//! What a checkpoint says besides tensors: counters, positions in the schedule, and whom it belongs to.

use serde::{Deserialize, Serialize};

use crate::engine::schedule::Schedule;

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RunState {
    pub(super) program: String,
    pub(super) seed: u64,
    pub(super) iterations: u64,
    pub(super) validation: Option<ValidationState>,
    /// In order of declaration.
    pub(super) levels: Vec<LevelState>,
}

/// Where one level stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LevelState {
    pub(super) name: String,
    /// Names of the lower levels.
    pub(super) lower: Vec<String>,
    /// For each lower level: the turns it had taken at this level's last turn.
    pub(super) seen: Vec<u64>,
    pub(super) steps: u64,
    /// Steps of the optimizer since the level last started.
    pub(super) taken: u64,
    pub(super) turns: u64,
    pub(super) batches: u64,
    /// Seed of the batch of the last step; it tells which one that was.
    pub(super) last_seed: Option<u64>,
    pub(super) optimizer: String,
    /// Optimizer states for each parameter.
    pub(super) states: usize,
    pub(super) scheduler: bool,
    /// Whether it starts again at its first parameters, which are saved for that.
    pub(super) initial: bool,
    /// The levels below whose systems start from the last solution.
    #[serde(default)]
    pub(super) solutions: Vec<usize>,
}

/// What validation has seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct ValidationState {
    /// Iteration of the best call, and the bits of its value: JSON rounds, and has no infinities.
    pub(in crate::engine) best: Option<(u64, u64)>,
    pub(in crate::engine) without_improvement: u64,
}

impl RunState {
    /// The levels with their lower levels, for messages: `weights(model), model`.
    pub(super) fn outline(&self) -> String {
        outline(self.levels.iter().map(|level| (level.name.as_str(), level.lower.iter().map(String::as_str).collect())))
    }
}

/// As [`RunState::outline`].
pub(super) fn outline_of(schedule: &Schedule) -> String {
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
