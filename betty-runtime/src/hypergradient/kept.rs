//! What methods keep of a matrix that several systems share.
//!
//! A hypergradient solves with one matrix again and again: for each product of a level above, in both directions, for each
//! cotangent that arrives, and in each iteration of a loop that the level's method prepares. The points of the levels stand still
//! meanwhile, so what a method learned of a matrix is as right the next time.

use std::rc::Rc;

use super::matrix::Matrix;
use super::preparation::Own;
use super::reduced::Reduced;
use super::{Budget, Direction, HypergradientError, HypergradientMethod, ProductError, Response, Solved};
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::LinearOperator;

impl Response {
    /// Solves with the reduced Hessian of a level, the levels of `lower` answering.
    pub(super) fn solve_reduced(
        &mut self,
        method: &dyn HypergradientMethod,
        (level, lower): (usize, &[usize]),
        direction: Direction,
        b: &Vector,
        guess: Option<Vector>,
    ) -> Result<Solved, HypergradientError> {
        let matrix = self.matrix(level, Some(lower), direction);
        let mut kept = self.kept.remove(&matrix);
        let system = &mut Reduced { response: self, level, lower, direction };
        let solved = method.solve_keeping(system, b, guess, &mut kept);
        kept.into_iter().for_each(|kept| drop(self.kept.insert(matrix.clone(), kept)));
        solved
    }

    /// Solves with the own part of a level, in which nothing answers.
    pub(super) fn solve_own(
        &mut self,
        method: &dyn HypergradientMethod,
        level: usize,
        direction: Direction,
        b: &Vector,
    ) -> Result<Solved, HypergradientError> {
        let matrix = self.matrix(level, None, direction);
        let mut kept = self.kept.remove(&matrix);
        let solved = method.solve_keeping(&mut Own { response: self, level, direction }, b, None, &mut kept);
        kept.into_iter().for_each(|kept| drop(self.kept.insert(matrix.clone(), kept)));
        solved
    }

    /// `P⁻¹·r` for the preconditioner of the own part of a level, in what moves of it; none if its method applies none.
    pub(super) fn precondition_own(
        &mut self,
        level: usize,
        direction: Direction,
        r: &Vector,
    ) -> Result<Option<Vector>, HypergradientError> {
        let method = Rc::clone(&self.stops[&level].method);
        let Some(preconditioning) = method.preconditioning() else { return Ok(None) };
        let matrix = self.matrix(level, None, direction);
        let kept = self.kept.remove(&matrix);
        let system = &mut Own { response: self, level, direction };
        let mut prepared = match kept {
            Some(prepared) => prepared,
            None => preconditioning.prepare(system, method.damping(), r)?,
        };
        let z = prepared.precondition(system, r)?;
        self.kept.insert(matrix, prepared);
        if z.looks_like(r) { Ok(Some(z)) } else { Err(ProductError::Preconditioner.into()) }
    }

    /// Counts a solve with the reduced Hessian of a level, which takes so much beside what is made once for the matrix.
    pub(super) fn count_reduced(
        &mut self,
        method: &dyn HypergradientMethod,
        (level, lower): (usize, &[usize]),
        direction: Direction,
        (b, budget): (&Vector, Budget),
    ) -> Result<Vector, HypergradientError> {
        let mut product = |response: &mut Response| Ok(Reduced { response, level, lower, direction }.apply(b)?);
        let matrix = self.matrix(level, Some(lower), direction);
        self.count_once(method, matrix, &mut product)?;
        self.repeated(budget, product)
    }

    /// Counts a solve with the own part of a level in the same way.
    pub(super) fn count_own(
        &mut self,
        method: &dyn HypergradientMethod,
        level: usize,
        direction: Direction,
        (b, budget): (&Vector, Budget),
    ) -> Result<Vector, HypergradientError> {
        let mut product = |response: &mut Response| Ok(Own { response, level, direction }.apply(b)?);
        let matrix = self.matrix(level, None, direction);
        self.count_once(method, matrix, &mut product)?;
        self.repeated(budget, product)
    }

    /// Counts what a method makes once for a matrix, at the level whose matrix it is: however often a solve is repeated, this is not.
    fn count_once(
        &mut self,
        method: &dyn HypergradientMethod,
        matrix: Matrix,
        product: &mut dyn FnMut(&mut Self) -> Result<Vector, HypergradientError>,
    ) -> Result<(), HypergradientError> {
        let level = matrix.level;
        let budget = method.preparation(self.unknowns_of(level));
        if budget == Budget::default() || !self.count.as_mut().is_some_and(|count| count.prepared.insert(matrix)) {
            return Ok(());
        }
        let (_, tally) = self.apart(|response| response.repeated(budget, product))?;
        if let Some(count) = &mut self.count {
            *count.by_level.entry(level).or_default() += tally;
        }
        Ok(())
    }

    fn matrix(&self, level: usize, answering: Option<&[usize]>, direction: Direction) -> Matrix {
        let stop = &self.stops[&level];
        // Second derivatives of one Lagrangian; not those of a fixed point, nor of an equilibrium with levels beside it.
        let is_symmetric = stop.own[0] == Variable::Level(level)
            && answering.is_none_or(|levels| levels.iter().all(|of| stop.below.contains(of)));
        let direction = (!is_symmetric).then_some(direction);
        Matrix { level, answering: answering.map(<[usize]>::to_vec), direction }
    }
}
