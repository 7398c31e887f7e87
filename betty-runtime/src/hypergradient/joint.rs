//! Everything below a level as one linear system, solved by one loop.
//!
//! Block elimination ([`Response`]) solves the systems below a stop twice for every product with the stop's reduced Hessian,
//! so that iterations multiply from level to level. Here the unknowns are the multipliers `m` of all conditions at once, and
//! an iteration takes one product with the whole Jacobian `J = ∂F/∂Y`: one second derivative of a Lagrangian for each stop,
//! or a single one where the system is symmetric. What is solved is the same system, `Jᵀm = v`.
//!
//! **How many unknowns.** Below a level stand the parameters of each stop `r` of its sweep and `r`'s multipliers, one for each
//! variable below `r`: `n(r) = 1 + Σ n(q)` blocks over the stops `q` of `r`'s own sweep. A chain with `n` levels below has
//! `2ⁿ − 1`, a diamond 5, a level whose lower one does not read it back just one for each.
//!
//! **Where it is symmetric.** Rows of `J` are named by the variable that a condition determines, and in that order `J` is not
//! symmetric, even in a chain of three. Let one stop `t` stand above all others, that is, let the others be the stops of `t`'s
//! own sweep. Its Lagrangian `ℓ(θ, Y, μ) = C(θ, Y) − Σᵢ⟨Fᵢ(Y, θ), μᵢ⟩` then depends on nothing but the unknowns' variables
//! `θ`, `Y`, `μ` and on what stands above, and all conditions are its derivatives:
//!
//! ```text
//! ∂ℓ/∂θ = 0 determines θ,    ∂ℓ/∂Yᵢ = 0 determines μᵢ,    −∂ℓ/∂μᵢ = Fᵢ = 0 determines Yᵢ
//! ```
//!
//! So the rows of `J` are those of the Hessian `K` of `ℓ` in another order: with `P` the signed permutation that exchanges
//! each `Yᵢ` with its `μᵢ`, `(Px)_{Yᵢ} = x_{μᵢ}`, `(Px)_{μᵢ} = −x_{Yᵢ}`, `(Px)_θ = x_θ`, it is `K = P·J`, and as `P⁻¹ = Pᵀ`,
//!
//! ```text
//! Jᵀm = v   ⇔   K·z = v,   z = P·m
//! ```
//!
//! with a symmetric, in general indefinite `K`: minimal residuals solve it, one product an iteration. Stopped values change
//! nothing, since `K` is the Hessian of the function in which they are constants.
//!
//! It is *not* symmetric where several levels share a lower one directly below the level that asks: each of them has a
//! Lagrangian of its own, and no function has all their gradients for its own. Generalised minimal residuals solve that. Where
//! a level does not answer to what it reads, the system is block triangular: its parts are solved one after the other
//! (`parts.rs`), each symmetric or not by itself. Steps that are gone through are parts by themselves, and gone through once.
//!
//! **Conditioning.** `K` holds Hessians of lower levels in pairs, so it is about as ill-conditioned as their squares, and plain
//! minimal residuals take iterations by that number. Prepared by the levels' own methods (`preparation.rs`), flexible
//! generalised minimal residuals take a few for each level; products are formed by `K` all the same. Preconditioned by the
//! levels' preconditioners alone (`blockwise.rs`), minimal residuals keep a handful of vectors and take iterations in between.
//!
//! **Damping** stands where the nested solves have it. There it is added to the pivot of each stop `r`, `δᵣ` at `θᵣ`; and
//! multipliers solve a system of the other direction below their level, `−(∂F/∂Y)ᵀμ = …`, with the same pivots. So the damped
//! system is `J + diag(d)` with
//!
//! ```text
//! d(θᵣ) = δᵣ,    d(μᵣᵢ) = −d(the variable whose condition it multiplies)
//! ```
//!
//! and its re-paired form `K + P·diag(d)` has `−d(Yᵢ)` at `(μᵢ, Yᵢ)` and at `(Yᵢ, μᵢ)`: it stays symmetric.

use super::best_response::Stationary;
use super::blockwise::Blockwise;
use super::inexact::ROUNDING;
use super::layout::Layout;
use super::response::Solver;
use super::{Blocks, Direction, HypergradientError, ProductError, Response, Unfinished};
use crate::config::JointConfig;
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::{
    GmresOptions, InnerProductSpace as _, LinearOperator, MinresOptions, flexible_gmres, gmres, minres,
    preconditioned_gmres, preconditioned_minres,
};

/// How everything below a level is solved together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Joint {
    /// The most iterations for each part of the system, one product with it each.
    pub iterations: usize,
    /// The most vectors kept where a part is not symmetric.
    pub restart: usize,
    /// Relative residual that is small enough.
    pub tolerance: f64,
    /// Whether to start from the solution of the step before.
    pub warm_start: bool,
    /// Whether each iteration is prepared by the methods of the levels: see `preparation.rs`.
    pub prepared: bool,
    /// Whether all levels are differentiated with the same parameters, so that one Lagrangian holds the conditions of others.
    pub at_one_point: bool,
}

impl From<JointConfig> for Joint {
    fn from(config: JointConfig) -> Self {
        let JointConfig { iterations, restart, tolerance, warm_start, prepare: prepared } = config;
        Joint { iterations, restart, tolerance, warm_start, prepared, at_one_point: true }
    }
}

impl Response {
    /// From now on, solves systems that are [asked for](Self::solve) part by part, all levels of a part in one loop. Methods
    /// of the levels have to form exact products; of what they do, nothing but their damping changes the answer.
    pub fn solve_jointly(&mut self, joint: Joint) {
        self.solver = Some(Solver::Joint(joint));
    }

    /// Solves the adjoint system of the levels of one part.
    pub(super) fn solve_part(
        &mut self,
        joint: Joint,
        levels: &[usize],
        right: &Blocks,
    ) -> Result<Blocks, HypergradientError> {
        let right = right.only(|variable| levels.contains(&variable.owner()));
        if right.is_zero() {
            return Ok(right);
        }
        if self.count.is_some() {
            return self.count_part(joint, levels);
        }
        let layout = self.layout(levels);
        let b = layout.join(&right);
        let guess = if joint.warm_start { self.last_solutions(&layout) } else { None };
        let Joint { iterations, restart, tolerance, .. } = joint;
        let uppermost = self.uppermost(levels).filter(|_| joint.at_one_point);
        let options = GmresOptions { iterations, restart, tolerance, damping: 0.0 };
        let (solved, products) = match uppermost {
            Some(level) if !joint.prepared => {
                let options = MinresOptions { iterations, tolerance, damping: 0.0 };
                let guess = guess.map(|guess| layout.join(&self.paired(level, guess)));
                let is_preconditioned = self.is_preconditioned(levels);
                let mut system = Repaired { response: self, level, layout, products: 0 };
                let solved = if is_preconditioned {
                    let mut blockwise = Blockwise::default();
                    let mut precondition = |system: &mut Repaired<'_>, r: &Vector| -> Result<Vector, ProductError> {
                        let residual = system.layout.split(r);
                        let z = blockwise.precondition(system.response, residual).map_err(ProductError::below)?;
                        Ok(system.layout.join(&z))
                    };
                    preconditioned_minres(&mut system, &mut precondition, &b, guess, &options)
                } else {
                    minres(&mut system, &b, guess, &options)
                };
                let Repaired { response, layout, products, .. } = system;
                let unpaired = |z: &Vector| response.unpaired(level, layout.split(z));
                (solved.map(|solution| (unpaired(&solution.x), solution.outcome)), products)
            }
            _ => {
                let direction = Direction::Adjoint;
                let guess = guess.map(|guess| layout.join(&guess));
                let mut system = Whole { response: self, uppermost, layout, direction, products: 0 };
                let mut blockwise = Blockwise::default();
                let mut prepare = |system: &mut Whole<'_>, v: &Vector| -> Result<Vector, ProductError> {
                    let right = system.layout.split(v);
                    let x = match joint.prepared {
                        true => system.response.prepare(levels, &right),
                        false => blockwise.precondition(system.response, right),
                    };
                    Ok(system.layout.join(&x.map_err(ProductError::below)?))
                };
                let solved = if joint.prepared {
                    flexible_gmres(&mut system, prepare, &b, guess, &options)
                } else if system.response.is_preconditioned(levels) {
                    preconditioned_gmres(&mut system, &mut prepare, &b, guess, &options)
                } else {
                    gmres(&mut system, &b, guess, &options)
                };
                (solved.map(|solution| (system.layout.split(&solution.x), solution.outcome)), system.products)
            }
        };
        let outcome = solved.as_ref().ok().map(|(_, outcome)| *outcome);
        let residual = outcome.map(|outcome| outcome.residual);
        // No rounding of the numbers allows for less.
        let least = ROUNDING * b.rounding();
        let is_unfinished = !joint.warm_start
            && outcome.is_some_and(|outcome| !outcome.converged && outcome.residual > least.max(tolerance));
        let is_used_up = outcome.is_some_and(|outcome| outcome.iterations >= iterations);
        let unfinished = Unfinished { iterations, tolerance, is_used_up };
        for &level in levels {
            let report = self.report(level);
            report.products += products;
            report.residual = residual.or(report.residual);
            report.unfinished = is_unfinished.then_some(unfinished).or(report.unfinished);
        }
        match solved {
            Ok((x, _)) => {
                if joint.warm_start {
                    self.solutions = std::mem::take(&mut self.solutions).with(x.clone());
                }
                Ok(x)
            }
            Err(error) => {
                self.failed = self.failed.or(levels.last().copied());
                Err(HypergradientError::from(error).innermost())
            }
        }
    }

    /// What the last solve found for these variables, if all of it was kept and still fits.
    fn last_solutions(&mut self, layout: &Layout) -> Option<Blocks> {
        layout.variables().map(|variable| Some((variable, self.last_solution(variable)?))).collect()
    }

    /// The Jacobian of the conditions of these levels, damped, or its transpose: on vectors of one block for each
    /// condition, [zero](Self::unknowns) for a start.
    pub fn whole(
        &mut self,
        levels: &[usize],
        direction: Direction,
    ) -> impl LinearOperator<Vector = Vector, Error = ProductError> {
        let layout = self.layout(levels);
        Whole { response: self, uppermost: None, layout, direction, products: 0 }
    }

    /// The same in the order in which it is symmetric, if the last of the levels stands above all others.
    pub fn repaired(&mut self, levels: &[usize]) -> Option<impl LinearOperator<Vector = Vector, Error = ProductError>> {
        let (level, layout) = (self.uppermost(levels)?, self.layout(levels));
        Some(Repaired { response: self, level, layout, products: 0 })
    }

    /// Zero for each condition of these levels.
    pub fn unknowns(&self, levels: &[usize]) -> Vector {
        self.layout(levels).join(&Blocks::default())
    }

    fn layout(&self, levels: &[usize]) -> Layout {
        let variables = levels.iter().flat_map(|&level| self.variables(level));
        Layout::new(variables.map(|variable| (variable, self.zeros(variable))))
    }

    /// The stop that stands above all others of a part, if one does, and its own condition is a derivative in its parameters: that
    /// of a fixed point is not.
    pub(super) fn uppermost(&self, levels: &[usize]) -> Option<usize> {
        let (&last, others) = levels.split_last()?;
        let Stationary { below, own, .. } = &self.stops[&last];
        if own[0] != Variable::Level(last) {
            return None;
        }
        (below.len() == others.len() && others.iter().all(|other| below.contains(other))).then_some(last)
    }

    /// What stands on the diagonal of the damped system at a variable.
    fn damping(&self, variable: Variable) -> f64 {
        match variable {
            Variable::Level(level) => self.stops[&level].method.damping(),
            Variable::Multiplier { of, index } => -self.damping(self.stops[&of].own[index + 1]),
            Variable::Begun(_) => 0.0,
        }
    }

    /// The damped system times `x`: the equations named by `rows`.
    pub(super) fn apply_damped(
        &mut self,
        direction: Direction,
        x: Blocks,
        rows: &[Variable],
    ) -> Result<Blocks, HypergradientError> {
        let mut product = self.apply(direction, &x, rows)?;
        for (variable, block) in x {
            let damping = self.damping(variable);
            if damping != 0.0 {
                product.add(variable, damping, block);
            }
        }
        Ok(product)
    }

    /// Each multiplier of `level`, with the variable whose condition it multiplies.
    fn pairs(&self, level: usize) -> Vec<(Variable, Variable)> {
        self.variables(level).zip(self.stops[&level].own.iter().copied()).skip(1).collect()
    }

    /// `(K + P·diag(d))·z` for the Lagrangian of `level`, `rows` being all variables of its part.
    pub(super) fn hessian(
        &mut self,
        level: usize,
        z: &Blocks,
        rows: &[Variable],
    ) -> Result<Blocks, HypergradientError> {
        let moving = rows.iter().filter_map(|&variable| Some((variable, z.get(variable)?))).collect();
        let mut product: Blocks = self.product(level, moving, rows)?.into_iter().collect();
        let mut damp = |row: Variable, column: Variable, damping: f64| {
            if let Some(block) = z.get(column).filter(|_| damping != 0.0) {
                product.add(row, damping, block.clone());
            }
        };
        let own = Variable::Level(level);
        damp(own, own, self.damping(own));
        for (multiplier, variable) in self.pairs(level) {
            let damping = -self.damping(variable);
            damp(multiplier, variable, damping);
            damp(variable, multiplier, damping);
        }
        Ok(product)
    }

    /// `P·x`: blocks of the system below and at `level`, as those of the re-paired one.
    fn paired(&self, level: usize, mut x: Blocks) -> Blocks {
        for (multiplier, variable) in self.pairs(level) {
            let (of_multiplier, of_variable) = (x.take(multiplier), x.take(variable));
            if let Some(block) = of_multiplier {
                x.set(variable, block);
            }
            if let Some(block) = of_variable {
                x.set(multiplier, block.scaled(-1.0));
            }
        }
        x
    }

    /// `Pᵀz`: blocks of the re-paired system below and at `level`, as those of the system.
    fn unpaired(&self, level: usize, mut z: Blocks) -> Blocks {
        for (multiplier, variable) in self.pairs(level) {
            let (of_multiplier, of_variable) = (z.take(multiplier), z.take(variable));
            if let Some(block) = of_multiplier {
                z.set(variable, block.scaled(-1.0));
            }
            if let Some(block) = of_variable {
                z.set(multiplier, block);
            }
        }
        z
    }
}

/// The damped Jacobian of one part of the system, or its transpose.
struct Whole<'r> {
    response: &'r mut Response,
    /// The level whose Lagrangian has all conditions for derivatives, if the transpose shall be formed by that.
    uppermost: Option<usize>,
    layout: Layout,
    direction: Direction,
    products: usize,
}

impl LinearOperator for Whole<'_> {
    type Vector = Vector;
    type Error = ProductError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ProductError> {
        let Whole { response, uppermost, layout, direction, products } = self;
        *products += 1;
        let x = layout.split(x);
        let rows: Vec<Variable> = layout.variables().collect();
        if let Some(level) = *uppermost {
            let z = response.paired(level, x);
            return Ok(layout.join(&response.hessian(level, &z, &rows).map_err(ProductError::below)?));
        }
        Ok(layout.join(&response.apply_damped(*direction, x, &rows).map_err(ProductError::below)?))
    }
}

/// The damped Hessian of the Lagrangian of the uppermost level of a part, in all variables of the part.
struct Repaired<'r> {
    response: &'r mut Response,
    level: usize,
    layout: Layout,
    products: usize,
}

impl LinearOperator for Repaired<'_> {
    type Vector = Vector;
    type Error = ProductError;

    fn apply(&mut self, z: &Vector) -> Result<Vector, ProductError> {
        let Repaired { response, level, layout, products } = self;
        *products += 1;
        let rows: Vec<Variable> = layout.variables().collect();
        Ok(layout.join(&response.hessian(*level, &layout.split(z), &rows).map_err(ProductError::below)?))
    }
}
