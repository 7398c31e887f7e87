//! What preconditions one loop over all levels: the preconditioner of each, for its parameters and for every multiplier of its
//! condition.
//!
//! In the whole system (`joint.rs`) a level's Hessian `H` stands where its parameters `θ` meet themselves, at the uppermost level,
//! or where they meet the multiplier `μ` of its condition. With the level's own preconditioner `P ≈ |H + δI|` for both of them,
//!
//! ```text
//! ⎡ A   −H ⎤        ⎡ P     ⎤⁻¹                        ⎡ P⁻½AP⁻½  ∓I ⎤
//! ⎣ −H   0 ⎦   by   ⎣     P ⎦      has the spectrum of ⎣ ∓I        0 ⎦
//! ```
//!
//! so that what is left of its condition is that of `A`, the curvature that the levels above see in `θ`, measured by `H`. All
//! blocks together are positive definite, as minimal residuals need it, and one matrix throughout a hypergradient, which flexible
//! methods would not need. Nothing iterates within an iteration, and no vector is kept for it.
//!
//! Solvers do not ask how long `P` is, and a Nyström approximation is one up to a factor. Between levels it counts: each `P` is
//! scaled by the length of `(H + δI)P⁻¹e` over that of `e`, for one vector `e`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::preparation::Own;
use super::{Blocks, Budget, Direction, HypergradientError, Response};
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::{Coordinates, LinearOperator};

/// The preconditioners of all levels, in one solve.
#[derive(Default)]
pub(super) struct Blockwise {
    /// What products with their inverses are scaled by, level by level.
    scales: BTreeMap<usize, f64>,
}

impl Blockwise {
    /// `P⁻¹·r`, block by block; blocks of levels without a preconditioner stay as they are.
    pub(super) fn precondition(
        &mut self,
        response: &mut Response,
        residual: Blocks,
    ) -> Result<Blocks, HypergradientError> {
        let block = |(variable, r): (Variable, Vector)| -> Result<_, HypergradientError> {
            Ok(match response.pivot_of(variable) {
                Some(pivot) => (variable, self.block(response, pivot, r)?),
                None => (variable, r),
            })
        };
        residual.into_iter().map(block).collect()
    }

    fn block(
        &mut self,
        response: &mut Response,
        (level, direction): (usize, Direction),
        r: Vector,
    ) -> Result<Vector, HypergradientError> {
        let part = response.part_of(level, &r);
        if part.0.is_empty() {
            return Ok(r);
        }
        let Some(mut z) = response.precondition_own(level, direction, &part)? else { return Ok(r) };
        let scale = match self.scales.get(&level) {
            Some(&scale) => scale,
            None => {
                let scale = response.scale(level, direction, &part)?;
                self.scales.insert(level, scale);
                scale
            }
        };
        z.scale(scale);
        Ok(response.whole_of(level, z))
    }
}

/// The fractional parts of its multiples lie everywhere between 0 and 1.
const GOLDEN: f64 = 1.618_033_988_749_895;

impl Response {
    /// Whether any of these levels has a preconditioner.
    pub(super) fn is_preconditioned(&self, levels: &[usize]) -> bool {
        levels.iter().any(|level| self.stops[level].method.preconditioning().is_some())
    }

    /// The level whose own part stands where a variable meets its condition or the variable of its condition, and whether it is the
    /// matrix that stands there or its transpose.
    fn pivot_of(&self, variable: Variable) -> Option<(usize, Direction)> {
        match variable {
            Variable::Level(level) => Some((level, Direction::Adjoint)),
            Variable::Multiplier { of, index } => {
                let (level, direction) = self.pivot_of(self.stops[&of].own[index + 1])?;
                Some((level, direction.other()))
            }
            Variable::Begun(_) => None,
        }
    }

    /// `‖e‖ / ‖(H + δI)P⁻¹e‖` for the own part `H` of a level, its preconditioner, and a vector `e` that looks like another one.
    fn scale(&mut self, level: usize, direction: Direction, like: &Vector) -> Result<f64, HypergradientError> {
        let entries = (1..=like.len()).map(|k| (k as f64 * GOLDEN).fract() - 0.5);
        let e = like.with_coordinates(&entries.collect::<Vec<_>>());
        let Some(z) = self.precondition_own(level, direction, &e)? else { return Ok(1.0) };
        let damping = self.stops[&level].method.damping();
        let mut product = Own { response: self, level, direction }.apply(&z)?;
        product.add_scaled(damping, &z);
        let scale = (e.dot(&e)? / product.dot(&product)?).sqrt();
        // Where there is no curvature, there is nothing to measure.
        Ok(if scale.is_finite() && scale > 0.0 { scale } else { 1.0 })
    }

    /// Counts what is found out about each of these levels before it preconditions.
    pub(super) fn count_preconditioners(&mut self, levels: &[usize]) -> Result<(), HypergradientError> {
        let variables = levels.iter().flat_map(|&level| self.variables(level));
        let pivots: BTreeSet<(usize, Direction)> = variables.filter_map(|variable| self.pivot_of(variable)).collect();
        let mut scaled = BTreeSet::new();
        for (level, direction) in pivots {
            let method = Rc::clone(&self.stops[&level].method);
            if method.preconditioning().is_some() {
                // The scale of a level is one product and two inner products.
                let scaling = if scaled.insert(level) { Budget { products: 1, reads: 2.0 } } else { Budget::default() };
                self.count_own(&*method, level, direction, (&Vector::default(), scaling))?;
            }
        }
        Ok(())
    }
}
