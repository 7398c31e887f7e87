//! Levels that depend on each other: their reduced systems are those of an equilibrium, and not symmetric.

use super::reduced::Reduced;
use super::response::Solve;
use super::{
    Blocks, Budget, Direction, Gmres, HypergradientError, HypergradientMethod, ProductError, Response, Solved,
};
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::{GmresOptions, LinearOperator, gmres};

impl Response {
    /// Whether levels of `lower` that are not stops of `level` itself answer to it all the same, through a level that both
    /// share.
    pub(super) fn is_coupled(
        &mut self,
        level: usize,
        own: &[usize],
        lower: &[usize],
        direction: Direction,
        along: &Vector,
    ) -> Result<bool, HypergradientError> {
        let peers: Vec<Variable> =
            lower.iter().filter(|peer| !own.contains(peer)).flat_map(|&peer| self.variables(peer)).collect();
        if peers.is_empty() {
            return Ok(false);
        }
        let mut x = self.respond(level, own, direction, Some(along), &Blocks::default(), Solve::Nested)?;
        x.set(Variable::Level(level), along.clone());
        Ok(!self.apply(direction, &x, &peers)?.is_zero())
    }

    /// Counts the solve of the block of a level, which takes so much where nothing beside the level depends on it.
    pub(super) fn count_pivot(
        &mut self,
        method: &dyn HypergradientMethod,
        (level, lower): (usize, &[usize]),
        own: &[usize],
        direction: Direction,
        (b, budget): (&Vector, Budget),
    ) -> Result<Vector, HypergradientError> {
        let solve = |response: &mut Response, lower: &[usize]| {
            response.count_reduced(method, (level, lower), direction, (b, budget))
        };
        if !method.needs_symmetry() || !self.is_coupled(level, own, lower, direction, b)? {
            return solve(self, lower);
        }
        solve(self, own)?;
        let options = GmresOptions { iterations: COUPLED, restart: COUPLED, tolerance: f64::EPSILON, damping: 0.0 };
        let budget = Gmres { options, warm_start: false }.budget(0).unwrap_or_default();
        let measured = Budget { products: budget.products + 1, ..budget };
        self.repeated(measured, |response| {
            Reduced { response, level, lower, direction }.apply(b)?;
            solve(response, own)
        })
    }

    /// The block of a level that depends on others which depend on it. The reduced system is that of an equilibrium and not
    /// symmetric, but its part with the others held fixed is: the method solves that part, and prepares with it the whole
    /// for generalised minimal residuals.
    pub(super) fn coupled_pivot(
        &mut self,
        level: usize,
        own: &[usize],
        lower: &[usize],
        direction: Direction,
        b: &Vector,
        method: &dyn HypergradientMethod,
    ) -> Result<Solved, HypergradientError> {
        let prepared = self.solve_reduced(method, (level, own), direction, b, None)?.x;
        let mut system = Prepared { response: self, level, own, lower, direction, method };
        let options = GmresOptions { iterations: COUPLED, restart: COUPLED, tolerance: f64::EPSILON, damping: 0.0 };
        Ok(gmres(&mut system, &prepared, None, &options)?.into())
    }
}

/// Most steps of generalised minimal residuals for levels that depend on each other; with an exact method for the parts, as
/// many as their coupling has dimensions are enough.
const COUPLED: usize = 30;

/// The reduced system of a level after its method has solved the part with the levels beside it held fixed.
struct Prepared<'r> {
    response: &'r mut Response,
    level: usize,
    own: &'r [usize],
    lower: &'r [usize],
    direction: Direction,
    method: &'r dyn HypergradientMethod,
}

impl LinearOperator for Prepared<'_> {
    type Vector = Vector;
    type Error = ProductError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ProductError> {
        let Prepared { response, level, own, lower, direction, method } = self;
        let (level, direction) = (*level, *direction);
        let mut product = Reduced { response, level, lower, direction }.apply(x)?;
        product.add_scaled(method.damping(), x);
        let solved = response.solve_reduced(*method, (level, own), direction, &product, None);
        Ok(solved.map_err(ProductError::below)?.x)
    }
}
