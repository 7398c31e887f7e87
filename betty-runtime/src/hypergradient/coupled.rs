//! Levels that depend on each other: their reduced systems are those of an equilibrium, and not symmetric.

use super::reduced::Reduced;
use super::response::Solve;
use super::{
    Blocks, Budget, Direction, Gmres, HypergradientError, HypergradientMethod, ProductError, Response, Solved,
};
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::{GmresOptions, LinearOperator, flexible_gmres};

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

    /// Counts the solve of the block of a level, whose method takes so much where nothing beside the level depends on it; and what a
    /// guess leaves, if there is one, is one product.
    pub(super) fn count_pivot(
        &mut self,
        method: &dyn HypergradientMethod,
        (level, lower): (usize, &[usize]),
        own: &[usize],
        direction: Direction,
        (b, budget): (&Vector, Budget),
        guess: usize,
    ) -> Result<Vector, HypergradientError> {
        let measured = Budget { products: guess, reads: guess as f64 };
        if !method.needs_symmetry() || !self.is_coupled(level, own, lower, direction, b)? {
            let Budget { products, reads } = budget;
            let budget = Budget { products: products + measured.products, reads: reads + measured.reads };
            return self.count_reduced(method, (level, lower), direction, (b, budget));
        }
        let prepared = Budget { products: COUPLED, reads: 0.0 };
        self.repeated(prepared, |response| response.count_reduced(method, (level, own), direction, (b, budget)))?;
        let options = coupled(method);
        let Budget { products, reads } = Gmres { options, warm_start: false }.budget(0).unwrap_or_default();
        let budget = Budget { products: products + measured.products, reads: reads + measured.reads };
        self.repeated(budget, |response| Ok(Reduced { response, level, lower, direction }.apply(b)?))
    }

    /// The block of a level that depends on others which depend on it. The reduced system is that of an equilibrium and not
    /// symmetric, but its part with the others held fixed is: the method solves that part, and so prepares each iteration of
    /// generalised minimal residuals on the whole. They are flexible: a method that ends early answers with no linear map of what
    /// it is given.
    pub(super) fn coupled_pivot(
        &mut self,
        (level, lower): (usize, &[usize]),
        own: &[usize],
        direction: Direction,
        (b, guess): (&Vector, Option<Vector>),
        method: &dyn HypergradientMethod,
    ) -> Result<Solved, HypergradientError> {
        let prepare = |system: &mut Reduced<'_>, v: &Vector| -> Result<Vector, ProductError> {
            let solved = system.response.solve_reduced(method, (level, own), direction, v, None);
            Ok(solved.map_err(ProductError::below)?.x)
        };
        let mut system = Reduced { response: self, level, lower, direction };
        Ok(flexible_gmres(&mut system, prepare, b, guess, &coupled(method))?.into())
    }
}

/// Most iterations of generalised minimal residuals for levels that depend on each other; with an exact method for the parts, as
/// many as their coupling has dimensions are enough.
const COUPLED: usize = 30;

fn coupled(method: &dyn HypergradientMethod) -> GmresOptions {
    GmresOptions { iterations: COUPLED, restart: COUPLED, tolerance: f64::EPSILON, damping: method.damping() }
}
