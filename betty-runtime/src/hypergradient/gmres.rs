//! The system solved by generalised minimal residuals, which does not ask for symmetry.
//!
//! Saad and Schultz, *GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear systems*, 1986. The
//! derivative of a stationarity condition that is no gradient of one loss, of a game between levels say, is not symmetric.

use super::{HypergradientError, HypergradientMethod, Solved, System};
use crate::execute::Vector;
use crate::linalg::{GmresOptions, gmres};

/// `(H + damping·I) q = v` by generalised minimal residuals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gmres {
    /// Iterations, size of the basis, relative tolerance and damping.
    pub options: GmresOptions,
}

impl HypergradientMethod for Gmres {
    fn name(&self) -> &'static str {
        "gmres"
    }

    fn solve(&self, system: &mut System<'_>, v: &Vector) -> Result<Solved, HypergradientError> {
        let solution = gmres(system, v, None, &self.options)?;
        Ok(solution.into())
    }
}
