//! The two systems that are ever solved: that of cotangents, and that of tangents.

/// Which of the two systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// `Jᵀ`: unknowns belong to conditions, equations to variables.
    Adjoint,
    /// `J`: unknowns belong to variables, equations to conditions.
    Tangent,
}

impl Direction {
    pub(super) fn other(self) -> Self {
        match self {
            Direction::Adjoint => Direction::Tangent,
            Direction::Tangent => Direction::Adjoint,
        }
    }
}
