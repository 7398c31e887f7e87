//! Numbers with which a solver succeeds where it failed.

use std::fmt;

/// Damping that is no rounding error in single precision, relative to the largest eigenvalue; an eigenvalue
/// this little below 0 is no reason for damping, either.
pub(super) const ROOM: f64 = 1e-3;

/// What to change in a solver's options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remedy {
    /// The damping that makes the operator positive definite, where it is not.
    pub damping: Option<f64>,
    /// The length of steps that converge under that damping, where the given one does not.
    pub step_size: Option<f64>,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(damping) = self.damping {
            write!(f, "raise the damping to {damping:.1e}")?;
        }
        match self.step_size {
            Some(step_size) if self.damping.is_some() => write!(f, " and lower step_size to {step_size:.1e}"),
            Some(step_size) => write!(f, "lower step_size to {step_size:.1e}"),
            None => Ok(()),
        }
    }
}
