//! What a run did.

use std::rc::Rc;
use std::time::Duration;

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Iterations of this run.
    pub iterations: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Each level, in declaration order: name, steps taken in all, and the last loss seen in this run.
    pub levels: Vec<LevelReport>,
    /// Best value of the validation function and the iteration it was seen at, if there is one.
    pub best: Option<(u64, f64)>,
    /// Whether validation did not improve for long enough to stop before the end.
    pub stopped_early: bool,
    /// Whether it ended before its last iteration because [`stop_when`](crate::Engine::stop_when) or an
    /// [observer](crate::Engine::watch) said so.
    pub interrupted: bool,
    /// Why an observer wanted it to end, if one did: the first that said so.
    pub reason: Option<String>,
}

/// What a run did to one level.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelReport {
    /// The level's name.
    pub name: &'static str,
    /// Steps taken since the engine was made, without those that were undone.
    pub steps: u64,
    /// Loss at its last step in this run, if it took one.
    pub loss: Option<f64>,
    /// What the loss function reports beside the loss, at the level's last step.
    pub metrics: Vec<(Rc<str>, f64)>,
}
