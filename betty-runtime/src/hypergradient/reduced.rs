//! The reduced Hessian of a level: how its total gradient changes with its parameters while everything that answers to it
//! answers. This is the matrix that the level's method solves with, known by its products.

use std::rc::Rc;

use super::response::Solve;
use super::{Blocks, Direction, ProductError, Response};
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::{InnerProductSpace, LinearOperator};

/// The reduced Hessian of one level: what its method solves with.
pub(super) struct Reduced<'r> {
    pub(super) response: &'r mut Response,
    pub(super) level: usize,
    pub(super) lower: &'r [usize],
    pub(super) direction: Direction,
}

impl LinearOperator for Reduced<'_> {
    type Vector = Vector;
    type Error = ProductError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ProductError> {
        let Reduced { response, level, lower, direction } = self;
        let (_, product) = response.reduced_product((*level, lower), *direction, x, Solve::Nested)?;
        Ok(product)
    }
}

impl Response {
    /// How a level's condition changes along `x`, and how everything that answers to the level does; of the level's own
    /// parameters those that its method sees.
    pub(super) fn reduced_product(
        &mut self,
        (level, lower): (usize, &[usize]),
        direction: Direction,
        x: &Vector,
        solve: Solve,
    ) -> Result<(Blocks, Vector), ProductError> {
        let variable = Variable::Level(level);
        self.report(level).products += 1;
        let whole = self.whole_of(level, x.clone());
        let answer = self.respond(level, lower, direction, Some(&whole), &Blocks::default(), solve);
        let all = answer.map_err(ProductError::below)?.plus(1.0, Blocks::from_iter([(variable, whole)]));
        let mut product = self.apply(direction, &all, &[variable]).map_err(ProductError::below)?;
        Ok((all, product.take(variable).map_or_else(|| x.zero(), |product| self.part_of(level, &product))))
    }

    /// The reduced Hessian of a level: how its total gradient changes with its parameters, its stops answering. Of a condition that
    /// is no gradient it is not symmetric: the matrix in [`Direction::Tangent`], its transpose in [`Direction::Adjoint`]. It acts on
    /// what [moves](Self::part_of).
    pub fn reduced(
        &mut self,
        level: usize,
        direction: Direction,
    ) -> impl LinearOperator<Vector = Vector, Error = ProductError> {
        let below = self.stops.get(&level).map_or_else(|| Rc::from([]), |stop| Rc::clone(&stop.below));
        ReducedHessian { response: self, level, below, direction }
    }
}

/// The reduced Hessian of a level on its own.
struct ReducedHessian<'r> {
    response: &'r mut Response,
    level: usize,
    below: Rc<[usize]>,
    direction: Direction,
}

impl LinearOperator for ReducedHessian<'_> {
    type Vector = Vector;
    type Error = ProductError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ProductError> {
        let ReducedHessian { response, level, below, direction } = self;
        Reduced { response, level: *level, lower: below, direction: *direction }.apply(x)
    }
}
