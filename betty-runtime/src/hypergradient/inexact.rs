//! Nested solves that are no more exact than the answer needs.
//!
//! Block elimination multiplies iterations from level to level, because every product of a level solves the systems below it
//! twice. It does not have to solve them well: in the loop over a level's reduced system, the error of a product with the
//! `k`-th vector enters the residual at the end times a coefficient that is about as small as the residual was before that
//! product. So the first product is as exact as the answer, and the last ones may be wrong by a good part of themselves (Simoncini
//! and Szyld, *Theory of inexact Krylov subspace methods and applications to scientific computing*, 2003; van den Eshof and
//! Sleijpen, *Inexact Krylov subspace methods for linear systems*, 2004): the solver tells what is enough
//! ([`apply_within`](LinearOperator::apply_within)), and the systems below are solved to that, by the same rule in turn.
//!
//! What a part of the system may leave is counted in residuals, since these add up over the rows of `Jᵀm = v`: with `R` for
//! the whole, the rows of levels below and of multipliers are solved twice to `R/4`, before and after the level's own, and
//! those to `R/√2`. The product that measures the residual of a level's own system is as exact as that, and what answered to it
//! below is part of the solution, so that nothing is solved again for it. In the end the residual of everything is measured by
//! one product with the system, and what is left above the tolerance is solved for once more.
//!
//! A level below which nothing answers to it is solved by minimal residuals, or by generalised ones if its method does not ask
//! for symmetry; every other one by flexible generalised minimal residuals, which bear products with errors and are
//! prepared by the level's method on its own Hessian, as in `preparation.rs`.

use super::response::{Residual, Solve, Solver};
use super::{Blocks, Budget, Direction, Gmres, HypergradientError, HypergradientMethod, ProductError, Response};
use crate::config::InexactConfig;
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::{
    GmresOptions, InnerProductSpace, LinearOperator, MinresOptions, Quantity, SolveError, flexible_gmres, gmres, minres,
};

/// How everything below a level is solved by nested solves that are no more exact than needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inexact {
    /// The most iterations of each solve.
    pub iterations: usize,
    /// The most vectors kept of a solve.
    pub restart: usize,
    /// Residual of the whole system, relative to its right-hand side, that is small enough.
    pub tolerance: f64,
    /// Whether the solves of levels that others answer to are prepared by the methods of the levels.
    pub prepared: bool,
}

impl From<InexactConfig> for Inexact {
    fn from(config: InexactConfig) -> Self {
        let InexactConfig { iterations, restart, tolerance, prepare: prepared } = config;
        Inexact { iterations, restart, tolerance, prepared }
    }
}

/// How often what is left of a system is solved for.
const ROUNDS: usize = 4;

/// The most that an answer leaves of its system in a product.
const LOOSEST: f64 = 0.5;

impl Solve {
    /// The solve of the rows of levels below, or of those of multipliers, before or after the level's own.
    pub(super) fn part(self) -> Self {
        match self {
            Solve::Inexact(inexact, Residual::AtMost(most)) => Solve::Inexact(inexact, Residual::AtMost(0.25 * most)),
            other => other,
        }
    }
}

impl Response {
    /// From now on, solves systems that are [asked for](Self::solve) part by part, each by nested solves that are no more exact
    /// than the tolerance needs. Methods of the levels have to form exact products; of what they do, nothing but their damping
    /// changes the answer.
    pub fn solve_inexactly(&mut self, inexact: Inexact) {
        self.solver = Some(Solver::Inexact(inexact));
    }

    /// Solves the adjoint system of the levels of one part.
    pub(super) fn solve_within(
        &mut self,
        inexact: Inexact,
        levels: &[usize],
        right: &Blocks,
    ) -> Result<Blocks, HypergradientError> {
        let right = right.only(|variable| levels.contains(&variable.owner()));
        if let (Some(_), Some(&last)) = (&self.count, levels.last()) {
            let rounds = Budget { products: ROUNDS, reads: 0.0 };
            return self
                .at(last, |response| response.repeated(rounds, |response| response.go(inexact, levels, &right)));
        }
        let norm = norm(&right)?;
        if norm == 0.0 {
            return Ok(Blocks::default());
        }
        let rows: Vec<Variable> = levels.iter().flat_map(|&level| self.variables(level)).collect();
        let Inexact { iterations, tolerance, .. } = inexact;
        let most = tolerance.max(f64::EPSILON) * norm;
        let (mut x, mut rest, mut left) = (Blocks::default(), right.clone(), norm);
        for _ in 0..ROUNDS {
            let solve = Solve::Inexact(inexact, Residual::AtMost(most));
            x = x.plus(1.0, self.eliminate(levels, Direction::Adjoint, &rest, solve)?);
            rest = right.clone().plus(-1.0, self.apply_damped(Direction::Adjoint, x.clone(), &rows)?);
            let before = left;
            left = self::norm(&rest)?;
            // What does not get smaller is rounding errors, or has used up its iterations.
            if left <= most || left > 0.5 * before {
                break;
            }
        }
        for &level in levels {
            let report = self.report(level);
            report.residual = Some(left / norm);
            report.unfinished = (left > most).then_some((iterations, tolerance)).or(report.unfinished);
        }
        Ok(x)
    }

    /// Counts one round.
    fn go(&mut self, inexact: Inexact, levels: &[usize], right: &Blocks) -> Result<Blocks, HypergradientError> {
        let rows: Vec<Variable> = levels.iter().flat_map(|&level| self.variables(level)).collect();
        let solve = Solve::Inexact(inexact, Residual::AtMost(0.0));
        let x = self.eliminate(levels, Direction::Adjoint, right, solve)?;
        self.apply(Direction::Adjoint, &x, &rows)?;
        Ok(x)
    }

    /// How a system is solved for this right-hand side; not at all where 0 is good enough.
    pub(super) fn needed(&self, solve: Solve, right: &Blocks) -> Result<Option<Solve>, HypergradientError> {
        if right.is_zero() {
            return Ok(None);
        }
        let Solve::Inexact(inexact, residual) = solve else { return Ok(Some(solve)) };
        if self.count.is_some() {
            return Ok(Some(Solve::Inexact(inexact, Residual::AtMost(0.0))));
        }
        let norm = norm(right)?;
        let most = match residual {
            Residual::AtMost(most) => most,
            Residual::Relative(part) => part * norm,
        };
        Ok((norm > most).then_some(Solve::Inexact(inexact, Residual::AtMost(most))))
    }

    /// The block of `level`'s own parameters from its reduced system, and what answers to it.
    pub(super) fn inexact_pivot(
        &mut self,
        inexact: Inexact,
        (level, lower): (usize, &[usize]),
        direction: Direction,
        b: &Vector,
        most: f64,
    ) -> Result<Blocks, HypergradientError> {
        let variable = Variable::Level(level);
        if self.count.is_some() {
            return self.count_inexact_pivot(inexact, (level, lower), direction, b);
        }
        let most = std::f64::consts::FRAC_1_SQRT_2 * most;
        let norm = finite(b.dot(b)?)?.sqrt();
        if norm <= most {
            return Ok(Blocks::default());
        }
        let method = &self.stops[&level].method;
        let (damping, is_symmetric) = (method.damping(), method.needs_symmetry());
        let is_nested = self.is_answered(level, lower, direction);
        let Inexact { iterations, restart, prepared, .. } = inexact;
        let tolerance = most / norm;
        let options = GmresOptions { iterations, restart, tolerance, damping };
        let mut system = Answered { response: self, inexact, level, lower, direction, most, all: Blocks::default() };
        let solved = if is_nested && prepared {
            let prepare = |system: &mut Answered<'_>, v: &Vector| {
                system.response.own_part(level, direction, v).map_err(ProductError::below)
            };
            flexible_gmres(&mut system, prepare, b, None, &options)
        } else if is_nested || !is_symmetric {
            gmres(&mut system, b, None, &options)
        } else {
            minres(&mut system, b, None, &MinresOptions { iterations, tolerance, damping })
        };
        let all = system.all;
        match solved {
            // The last product was the one that measured the residual of the solution.
            Ok(_) if is_nested => Ok(all),
            Ok(solution) => Ok(Blocks::from_iter([(variable, solution.x)])),
            Err(error) => {
                self.failed.get_or_insert(level);
                Err(HypergradientError::from(error).innermost())
            }
        }
    }

    /// Counts the most that the solve of a level's block takes.
    fn count_inexact_pivot(
        &mut self,
        inexact: Inexact,
        (level, lower): (usize, &[usize]),
        direction: Direction,
        b: &Vector,
    ) -> Result<Blocks, HypergradientError> {
        let Inexact { iterations, restart, tolerance, prepared } = inexact;
        let options = GmresOptions { iterations, restart, tolerance, damping: 0.0 };
        let budget = Gmres { options, warm_start: false }.budget(0).unwrap_or_default();
        let budget = Budget { products: iterations + iterations.div_ceil(restart.max(1)), ..budget };
        let solve = Solve::Inexact(inexact, Residual::AtMost(0.0));
        let all =
            self.repeated(budget, |response| Ok(response.reduced_product((level, lower), direction, b, solve)?.0))?;
        if prepared && self.is_answered(level, lower, direction) {
            self.repeated(Budget { products: iterations, reads: 0.0 }, |response| {
                response.own_part(level, direction, b)
            })?;
        }
        Ok(all)
    }

    /// Whether anything below a level, or beside it, answers to its parameters and is read back.
    fn is_answered(&self, level: usize, lower: &[usize], direction: Direction) -> bool {
        let answers = |&other: &usize| match direction {
            Direction::Adjoint => self.sends(level, other),
            Direction::Tangent => self.sends(other, level),
        };
        self.variables(level).nth(1).is_some() || lower.iter().any(answers)
    }
}

/// The reduced Hessian of a level, whose products are as exact as they have to be.
struct Answered<'r> {
    response: &'r mut Response,
    inexact: Inexact,
    level: usize,
    lower: &'r [usize],
    direction: Direction,
    /// What the product that measures the residual may leave of it.
    most: f64,
    /// What was multiplied last to measure a residual, and what answered to it.
    all: Blocks,
}

impl LinearOperator for Answered<'_> {
    type Vector = Vector;
    type Error = ProductError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ProductError> {
        let solve = Solve::Inexact(self.inexact, Residual::AtMost(self.most)).part();
        let (all, product) = self.response.reduced_product((self.level, self.lower), self.direction, x, solve)?;
        self.all = all;
        Ok(product)
    }

    fn apply_within(&mut self, x: &Vector, accuracy: f64) -> Result<Vector, ProductError> {
        let solve = Solve::Inexact(self.inexact, Residual::Relative(accuracy.min(LOOSEST)));
        Ok(self.response.reduced_product((self.level, self.lower), self.direction, x, solve)?.1)
    }
}

/// The norm of all blocks together.
fn norm(of: &Blocks) -> Result<f64, HypergradientError> {
    let mut square = 0.0;
    for variable in of.variables() {
        if let Some(block) = of.get(variable) {
            square += block.dot(block)?;
        }
    }
    Ok(finite(square)?.sqrt())
}

/// A number that is part of a right-hand side.
fn finite(number: f64) -> Result<f64, HypergradientError> {
    match number.is_finite() {
        true => Ok(number),
        false => Err(SolveError::NotFinite { iteration: 0, quantity: Quantity::RightHandSide }.into()),
    }
}
