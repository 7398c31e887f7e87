//! Nested solves that are no more exact than the answer needs.
//!
//! Block elimination multiplies iterations from level to level, because every product of a level solves the systems below it
//! twice. It does not have to solve them well: in the loop over a level's reduced system, the error of a product with the
//! `k`-th vector enters the residual at the end times a coefficient that is at most the residual before that product over the
//! smallest singular value. So products may be the less exact the smaller the residual is. The solver tells how exact they have to be
//! ([`inexact_gmres`](crate::linalg::inexact_gmres) has the rule and its sources), and the systems below are solved to that, by the
//! same rule in turn.
//!
//! What the solver can tell is a part of a product; what the systems below are solved to is a part of their right-hand sides. The
//! one is larger than the other by as much as inverses below amplify: the solver finds that out from the residuals it
//! measures, and it is kept from solve to solve of a level ([`Exactness`]).
//!
//! What a part of the system may leave is counted in residuals, since these add up over the rows of `Jᵀm = v`: with `R` for
//! the whole, the rows of levels below and of multipliers are solved twice to `R/4`, before and after the level's own, and
//! those to `R/√2`. What answered below to the product that measures the residual of a level's own system is part of the
//! solution, so that nothing is solved again for it. In the end the residual of everything is measured by one product with the
//! system, and what is left above the tolerance is solved for once more; so the solution of the step before may be the first
//! answer. An answer that makes it larger is not taken: where nothing but zero is left, that is an error, and what lies in
//! between is told of.
//!
//! A level below which nothing answers to it is solved by minimal residuals, or by generalised ones if its method does not ask
//! for symmetry; every other one by flexible generalised minimal residuals, which bear products with errors and are
//! prepared by the level's method on its own Hessian, as in `preparation.rs`.

use super::response::{Residual, Solve, Solver};
use super::{Blocks, Direction, HypergradientError, ProductError, Response, Unfinished};
use crate::config::InexactConfig;
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::{
    Exactness, GmresOptions, InexactOperator, InnerProductSpace, LinearOperator, MinresOptions, Quantity, SolveError,
    gmres, inexact_gmres, minres,
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
    /// Whether to start from the solution of the step before.
    pub warm_start: bool,
    /// Whether the solves of levels that others answer to are prepared by the methods of the levels.
    pub prepared: bool,
}

impl From<InexactConfig> for Inexact {
    fn from(config: InexactConfig) -> Self {
        let InexactConfig { iterations, restart, tolerance, warm_start, prepare: prepared } = config;
        Inexact { iterations, restart, tolerance, warm_start, prepared }
    }
}

/// How often what is left of a system is solved for.
pub(super) const ROUNDS: usize = 4;

/// How many rounding units of its right-hand side a system leaves at least.
pub(super) const ROUNDING: f64 = 16.0;

impl Solve {
    /// The solve of the rows of levels below, or of those of multipliers, before or after the level's own.
    pub(super) fn part(self) -> Self {
        match self {
            Solve::Inexact(inexact, Residual { most, part }) => {
                Solve::Inexact(inexact, Residual { most: 0.25 * most, part })
            }
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

    /// Solves the adjoint system of the levels of one part, up to a residual of `most`; `of` is what it is relative to.
    pub(super) fn solve_within(
        &mut self,
        inexact: Inexact,
        levels: &[usize],
        right: &Blocks,
        (most, of): (f64, f64),
    ) -> Result<Blocks, HypergradientError> {
        let right = right.only(|variable| levels.contains(&variable.owner()));
        if self.count.is_some() {
            return self.count_rounds(inexact, levels, &right);
        }
        let norm = norm(&right)?;
        // What rounding leaves of the largest numbers is no residual that could be solved for.
        let most = most.max(ROUNDING * rounding(&right) * norm);
        if norm <= most {
            return Ok(Blocks::default());
        }
        let rows: Vec<Variable> = levels.iter().flat_map(|&level| self.variables(level)).collect();
        let (mut x, mut rest, mut left) = (Blocks::default(), right.clone(), norm);
        if inexact.warm_start {
            let last: Blocks = rows.iter().filter_map(|&row| Some((row, self.last_solution(row)?))).collect();
            if !last.is_zero() {
                let of_last = right.clone().plus(-1.0, self.apply_damped(Direction::Adjoint, last.clone(), &rows)?);
                let left_of_last = self::norm(&of_last)?;
                if left_of_last < left {
                    (x, rest, left) = (last, of_last, left_of_last);
                }
            }
        }
        self.used_up = false;
        for _ in 0..ROUNDS {
            if left <= most {
                break;
            }
            let (before, known) = (left, self.exactness.clone());
            let solve = Solve::Inexact(inexact, Residual::at_most(most));
            let next = x.clone().plus(1.0, self.eliminate(levels, Direction::Adjoint, &rest, solve)?);
            let of_next = right.clone().plus(-1.0, self.apply_damped(Direction::Adjoint, next.clone(), &rows)?);
            let left_of_next = self::norm(&of_next)?;
            if left_of_next < left {
                (x, rest, left) = (next, of_next, left_of_next);
            }
            // What does not get smaller, with nothing learned about how exact products have to be, will not the next time.
            if left > 0.5 * before && known == self.exactness {
                break;
            }
        }
        let Inexact { iterations, tolerance, .. } = inexact;
        let unfinished = (left > most).then_some(Unfinished { iterations, tolerance, is_used_up: self.used_up });
        if let Some(unfinished) = unfinished.filter(|_| left >= norm) {
            self.failed = self.failed.or(levels.last().copied());
            return Err(HypergradientError::NotBetterThanZero(unfinished));
        }
        for &level in levels {
            let report = self.report(level);
            report.residual = Some(left / of);
            report.unfinished = unfinished.or(report.unfinished);
        }
        if inexact.warm_start {
            self.solutions = std::mem::take(&mut self.solutions).with(x.clone());
        }
        Ok(x)
    }

    /// What each of so many parts may leave of the whole system, and the norm that this is relative to.
    pub(super) fn share(inexact: Inexact, parts: usize, right: &Blocks) -> Result<(f64, f64), HypergradientError> {
        let of = norm(right)?;
        Ok((inexact.tolerance * of / (parts as f64).sqrt(), of))
    }

    /// How a system is solved for this right-hand side; not at all where 0 is good enough.
    pub(super) fn needed(&mut self, solve: Solve, right: &Blocks) -> Result<Option<Solve>, HypergradientError> {
        if right.is_zero() {
            return Ok(None);
        }
        let Solve::Inexact(inexact, Residual { most, part }) = solve else { return Ok(Some(solve)) };
        if let Some(count) = &mut self.count {
            count.tally.reads += right.variables().count() as f64;
            return Ok(Some(Solve::Inexact(inexact, Residual::at_most(0.0))));
        }
        let norm = norm(right)?;
        let most = most.min(part * norm);
        Ok((norm > most).then_some(Solve::Inexact(inexact, Residual::at_most(most))))
    }

    /// The block of `level`'s own parameters from its reduced system, which is that of those that move, and what answers to it.
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
        let b = &self.part_of(level, b);
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
        // More vectors than there are unknowns would be made of errors.
        let options = GmresOptions { iterations, restart: restart.min(b.len()), tolerance, damping };
        let known = self.exactness.get(&level).copied();
        let mut exactness = known.unwrap_or_else(|| Exactness::new(b.rounding()));
        let (last, all) = (Blocks::default(), Blocks::default());
        let mut system = Answered { response: self, inexact, level, lower, direction, most, last, all };
        let solved = if is_nested {
            let prepare = |system: &mut Answered<'_>, v: &Vector| match prepared {
                true => system.response.own_part(level, direction, v).map(Some).map_err(ProductError::below),
                false => Ok(None),
            };
            inexact_gmres(&mut system, prepare, b, &mut exactness, &options)
        } else if is_symmetric {
            minres(&mut system, b, None, &MinresOptions { iterations, tolerance, damping })
        } else {
            gmres(&mut system, b, None, &options)
        };
        let all = system.all;
        if is_nested {
            self.exactness.insert(level, exactness);
        }
        match solved {
            Ok(solution) => {
                let outcome = solution.outcome;
                self.used_up |= !outcome.converged && outcome.iterations >= iterations;
                Ok(if is_nested { all } else { Blocks::from_iter([(variable, self.whole_of(level, solution.x))]) })
            }
            Err(error) => {
                self.failed.get_or_insert(level);
                Err(HypergradientError::from(error).innermost())
            }
        }
    }

    /// Whether anything below a level, or beside it, answers to its parameters and is read back.
    pub(super) fn is_answered(&self, level: usize, lower: &[usize], direction: Direction) -> bool {
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
    /// What may be left of the rows below in the solution.
    most: f64,
    /// What was multiplied last to measure a residual, and what answered to it …
    last: Blocks,
    /// … and the same for the solution so far.
    all: Blocks,
}

impl Answered<'_> {
    fn product(&mut self, x: &Vector, residual: Residual) -> Result<(Blocks, Vector), ProductError> {
        let solve = Solve::Inexact(self.inexact, residual).part();
        self.response.reduced_product((self.level, self.lower), self.direction, x, solve)
    }
}

impl LinearOperator for Answered<'_> {
    type Vector = Vector;
    type Error = ProductError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ProductError> {
        Ok(self.product(x, Residual::at_most(self.most))?.1)
    }
}

impl InexactOperator for Answered<'_> {
    fn apply_within(&mut self, x: &Vector, accuracy: f64) -> Result<Vector, ProductError> {
        Ok(self.product(x, Residual { most: f64::INFINITY, part: accuracy })?.1)
    }

    fn measure(&mut self, x: &Vector, accuracy: f64) -> Result<Vector, ProductError> {
        let (all, product) = self.product(x, Residual { most: self.most, part: accuracy })?;
        self.last = all;
        Ok(product)
    }

    fn keep(&mut self) {
        self.all = std::mem::take(&mut self.last);
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

/// The rounding unit of the numbers of all blocks.
fn rounding(of: &Blocks) -> f64 {
    of.variables().filter_map(|variable| of.get(variable)).map(Vector::rounding).fold(0.0, f64::max)
}

/// A number that is part of a right-hand side.
fn finite(number: f64) -> Result<f64, HypergradientError> {
    match number.is_finite() {
        true => Ok(number),
        false => Err(SolveError::NotFinite { iteration: 0, quantity: Quantity::RightHandSide }.into()),
    }
}
