//! Which matrix it is that the method of a level solves with.

use super::Direction;

/// A matrix that the method of a level solves with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Matrix {
    pub(super) level: usize,
    /// The levels that answer to it, of the reduced Hessian; none of the level's own part, in which nothing answers.
    pub(super) answering: Option<Vec<usize>>,
    /// None of a symmetric matrix, which is its own transpose.
    pub(super) direction: Option<Direction>,
}

impl Matrix {
    /// Whether it says how anything of this level changes.
    pub(super) fn is_about(&self, level: usize) -> bool {
        self.level == level || self.answering.as_ref().is_some_and(|levels| levels.contains(&level))
    }
}
