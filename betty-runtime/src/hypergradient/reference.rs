//! What the other methods are judged by: as exact as it gets, with a residual that is measured.

use std::rc::Rc;

use super::{DenseSolve, Gmres, HypergradientError, HypergradientMethod, Solved, System};
use crate::execute::Vector;
use crate::linalg::{DenseOptions, GmresOptions, InnerProductSpace, MinresOptions, SolveError, dense, minres};

/// Up to how many unknowns the whole matrix is formed.
const DENSE: usize = 1000;
/// The most iterations in a row, and how often more follow on what is left.
const ITERATIONS: usize = 500;
const RUNS: usize = 3;
/// Vectors that are kept.
const RESTART: usize = 100;
/// Relative residual that is small enough.
const TOLERANCE: f64 = 1e-10;

/// The most exact method there is for this many unknowns, without damping.
#[must_use]
pub(crate) fn reference(unknowns: usize) -> Rc<dyn HypergradientMethod> {
    Rc::new(if unknowns <= DENSE { Reference::Elimination } else { Reference::MinimalResidual })
}

/// The most exact method there is for this many unknowns of a system that is not symmetric, without damping.
#[must_use]
pub(crate) fn reference_without_symmetry(unknowns: usize) -> Rc<dyn HypergradientMethod> {
    if unknowns <= DENSE {
        return Rc::new(DenseSolve { options: DenseOptions { damping: 0.0, limit: DENSE } });
    }
    let options = GmresOptions { iterations: RUNS * ITERATIONS, restart: RESTART, tolerance: TOLERANCE, damping: 0.0 };
    Rc::new(Gmres { options, warm_start: false })
}

/// `H q = v` without damping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reference {
    /// By elimination, or by minimal residuals where `H` has no inverse.
    Elimination,
    /// By minimal residuals.
    MinimalResidual,
}

impl HypergradientMethod for Reference {
    fn name(&self) -> &'static str {
        match self {
            Reference::Elimination => "dense",
            Reference::MinimalResidual => "minres",
        }
    }

    fn solve(&self, system: &mut System<'_>, v: &Vector, _guess: Option<Vector>) -> Result<Solved, HypergradientError> {
        if *self == Reference::Elimination {
            match dense(system, v, &DenseOptions { damping: 0.0, limit: DENSE }) {
                // Unknowns that the loss does not depend on make it so, and do not matter.
                Err(SolveError::Singular { .. }) => {}
                Ok(solution) if solution.outcome.residual >= 1.0 => {}
                solved => return Ok(solved?.into()),
            }
        }
        minimal_residual(system, v)
    }

    fn needs_symmetry(&self) -> bool {
        *self == Reference::MinimalResidual
    }
}

/// Minimal residuals, and once more on what rounding has left.
fn minimal_residual(system: &mut System<'_>, v: &Vector) -> Result<Solved, HypergradientError> {
    let options = MinresOptions { iterations: ITERATIONS, tolerance: TOLERANCE, damping: 0.0 };
    let (mut best, mut residual) = (None, 1.0);
    for _ in 0..RUNS {
        let solution = match minres(system, v, best.clone(), &options) {
            Ok(solution) => solution,
            // There is no solution, and nothing better than what has been found.
            Err(SolveError::Singular { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        let now = solution.outcome.residual;
        let goes_on = now < 0.5 * residual && now > TOLERANCE;
        if now < residual {
            (best, residual) = (Some(solution.x), now);
        }
        if !goes_on {
            break;
        }
    }
    Ok(Solved { x: best.unwrap_or_else(|| v.zero()), residual: Some(residual) })
}
