//! What prepares one loop over everything below a level: block elimination with the method of each level on its own part.
//!
//! The whole Jacobian is worse conditioned than any part of it: where a level's Hessian `H` enters the conditions of those
//! above, the system is about as ill-conditioned as `H²`, and minimal residuals take that many iterations. Elimination
//! with the reduced Hessians for pivots would be the solution. With the levels' own Hessians `∂²ℓᵣ/∂θᵣ² + δᵣI` in their place it
//! is close to it as far as levels depend little on how those below answer, and takes one solve for each condition, in which
//! every product is one of a single loss:
//!
//! ```text
//! x_rest = (the same, lower levels and multipliers)⁻¹ v_rest        θ: solve (∂²ℓ/∂θ² + δI) x_θ = v_θ − J_θ,rest x_rest
//! ```
//!
//! What `x_θ` does to the rest is left out, so that this is a block triangular preconditioner: with exact reduced Hessians two
//! iterations would be left (Murphy, Golub and Wathen, *A note on preconditioning for indefinite linear systems*, 2000). As
//! methods stop by iterations or tolerances of their own it is another one each time, which flexible generalised minimal
//! residuals allow. A level without curvature of its own is left as it is: the loop finds its part.

use std::rc::Rc;

use super::response::Solve;
use super::{Blocks, Direction, HypergradientError, ProductError, Response};
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::{InnerProductSpace, LinearOperator, SolveError};

impl Response {
    /// About the solution of the adjoint system of these levels.
    pub(super) fn prepare(&mut self, levels: &[usize], right: &Blocks) -> Result<Blocks, HypergradientError> {
        self.eliminate(levels, Direction::Adjoint, right, Solve::Preparing)
    }

    /// About `(∂²ℓ/∂θ² + δI)⁻¹·b` for the Lagrangian of a level and those of its own parameters that move, by the level's method.
    pub(super) fn own_part(
        &mut self,
        level: usize,
        direction: Direction,
        b: &Vector,
    ) -> Result<Vector, HypergradientError> {
        if self.unprepared.contains(&level) {
            return Ok(b.clone());
        }
        let method = Rc::clone(&self.stops[&level].method);
        if self.count.is_some() {
            let budget = method.budget(self.unknowns_of(level)).unwrap_or_default();
            return self.count_own(&*method, level, direction, (b, budget));
        }
        match self.solve_own(&*method, level, direction, b) {
            Ok(solved) => Ok(solved.x),
            // There is no curvature, or some of it points downwards.
            Err(HypergradientError::Solve(
                SolveError::NotPositiveDefinite { .. } | SolveError::Singular { .. } | SolveError::Diverged { .. },
            )) => {
                self.unprepared.insert(level);
                Ok(b.clone())
            }
            Err(error) => Err(error),
        }
    }
}

/// The second derivative of a level's Lagrangian in those of the level's own parameters that move, or how its own condition changes
/// with them.
pub(super) struct Own<'r> {
    pub(super) response: &'r mut Response,
    pub(super) level: usize,
    pub(super) direction: Direction,
}

impl LinearOperator for Own<'_> {
    type Vector = Vector;
    type Error = ProductError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ProductError> {
        let Own { response, level, direction } = self;
        response.report(*level).products += 1;
        let own = Variable::Level(*level);
        let moving = Blocks::from_iter([(own, response.whole_of(*level, x.clone()))]);
        let mut product = response.apply(*direction, &moving, &[own]).map_err(ProductError::below)?;
        Ok(product.take(own).map_or_else(|| x.zero(), |product| response.part_of(*level, &product)))
    }
}
