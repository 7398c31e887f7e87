//! Schedules of learning rates: there is a number that they multiply, and a start that they begin again at.

use super::{Begins, Numbers, Violation};

/// Why a level's schedule changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unscheduled {
    /// It begins again wherever the level begins anew, and the level goes on from where it was.
    NeverAnew,
    /// The learning rate is learned.
    Learned,
}

/// A schedule multiplies a number, and begins again where the level does.
pub(super) fn schedule(numbers: &Numbers) -> impl Iterator<Item = Violation> {
    let never = numbers.restarts_schedule && numbers.begins == Begins::Kept;
    let learned = numbers.schedules_learned;
    let broken = [never.then_some(Unscheduled::NeverAnew), learned.then_some(Unscheduled::Learned)];
    broken.into_iter().flatten().map(Violation::NotScheduled)
}
