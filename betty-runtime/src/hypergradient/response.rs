//! Best responses of any depth, differentiated: one linear system for everything below a level, solved level by level.
//!
//! Below a level `s` stand the variables `Y`: the parameters of every stop of its sweep and, for stops with stops of their
//! own, the multipliers of those (see [`Lagrangian`](crate::derivatives::Lagrangian)). Their conditions `F(Y) = 0` are
//! derivatives of the stops' Lagrangians `ℓ_r`. Two systems with `J = ∂F/∂Y` are all that is ever needed:
//!
//! ```text
//! adjoint:  Jᵀ m = v      v: how the loss of s changes with Y;  then −⟨m, ∂F/∂θ_s⟩ is the indirect gradient
//! tangent:  J δ = c       δ: how Y moves when its conditions move
//! ```
//!
//! Both are solved by block elimination, lowest stop first. The pivot of stop `r` is its *reduced Hessian*: how the total
//! gradient of `r` changes with `θ_r` while everything that answers to `r` answers. The method of `r` solves it, and sees
//! only products; each product of a nested stop solves the systems below it, with the methods of the stops there. For a
//! stop with nothing below, the pivot is the Hessian of its loss, and nothing of this costs anything.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::best_response::{Answer, BestResponse};
use super::reduced::{Reduced, ReducedHessian};
use super::{Blocks, HypergradientError, ProductError, SolveReport};
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::LinearOperator;

/// Which of the two systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `Jᵀ`: unknowns belong to conditions, equations to variables.
    Adjoint,
    /// `J`: unknowns belong to variables, equations to conditions.
    Tangent,
}

impl Direction {
    fn other(self) -> Self {
        match self {
            Direction::Adjoint => Direction::Tangent,
            Direction::Tangent => Direction::Adjoint,
        }
    }
}

/// The best responses of several levels.
#[derive(Default)]
pub struct Response {
    pub(super) stops: BTreeMap<usize, BestResponse>,
    reports: BTreeMap<usize, SolveReport>,
    failed: Option<usize>,
    /// What the pivots that are asked for from outside start from, and then what they came to.
    solutions: BTreeMap<usize, Vector>,
}

impl Response {
    /// Adds a level; its own stops are there already.
    pub fn add(&mut self, level: usize, stop: BestResponse) {
        self.stops.insert(level, stop);
        self.reports.insert(level, SolveReport::default());
    }

    /// What the solves took so far, for every level.
    pub fn reports(&self) -> &BTreeMap<usize, SolveReport> {
        &self.reports
    }

    /// Reports a level whose steps were gone through outside of the system.
    pub fn went_through(&mut self, level: usize, steps: usize) {
        self.report(level).products += steps;
    }

    /// The level whose method failed, after an error.
    pub fn failed(&self) -> Option<usize> {
        self.failed
    }

    /// Gives the methods that want it a solution to start from, level by level.
    pub fn start_from(&mut self, solutions: BTreeMap<usize, Vector>) {
        self.solutions = solutions;
    }

    /// The blocks of the levels whose methods want to start from them at the next step.
    pub fn take_solutions(&mut self) -> BTreeMap<usize, Vector> {
        std::mem::take(&mut self.solutions)
    }

    /// Solves the system of `levels`, each after its own stops, for this right-hand side.
    ///
    /// Blocks are named by the variable, also where they belong to the condition that determines it.
    ///
    /// # Errors
    /// [`HypergradientError`] when a method cannot solve its pivot, or a product cannot be formed.
    pub fn solve(
        &mut self,
        levels: &[usize],
        direction: Direction,
        right: &Blocks,
    ) -> Result<Blocks, HypergradientError> {
        self.eliminate(levels, direction, right, true)
    }

    /// As [`solve`](Self::solve); `is_first` for the solves that one asked for from outside rests on, not for those that
    /// form products or correct others.
    fn eliminate(
        &mut self,
        levels: &[usize],
        direction: Direction,
        right: &Blocks,
        is_first: bool,
    ) -> Result<Blocks, HypergradientError> {
        let Some((&level, lower)) = levels.split_last() else { return Ok(Blocks::default()) };
        let variable = Variable::Level(level);
        let mut x = self.respond(level, lower, direction, None, right, is_first)?;
        let mut b = right.only(|of| of == variable);
        b = b.plus(-1.0, self.apply(direction, &x, &[variable])?);
        let Some(b) = b.take(variable) else { return Ok(x) };
        let pivot = self.pivot(level, lower, direction, &b, is_first)?;
        x = x.plus(1.0, self.respond(level, lower, direction, Some(&pivot), &Blocks::default(), false)?);
        x.set(variable, pivot);
        Ok(x)
    }

    /// The block of `level`'s own parameters, from its reduced system.
    fn pivot(
        &mut self,
        level: usize,
        lower: &[usize],
        direction: Direction,
        b: &Vector,
        is_first: bool,
    ) -> Result<Vector, HypergradientError> {
        let method = match &self.stops[&level].answer {
            Answer::Stationary { method, .. } => Rc::clone(method),
            // The condition `θ − Θ(…) = 0` changes with θ as θ does.
            Answer::Steps { .. } => return Ok(b.clone()),
        };
        let keeps = is_first && method.keeps_solution();
        let guess = if keeps { self.solutions.remove(&level) } else { None };
        let own: Vec<usize> = lower.iter().copied().filter(|stop| self.stops[&level].below.contains(stop)).collect();
        let solved = if method.needs_symmetry() && self.is_coupled(level, &own, lower, direction, b)? {
            self.coupled_pivot(level, &own, lower, direction, b, &*method)
        } else {
            method.solve(&mut Reduced { response: self, level, lower, direction }, b, guess)
        };
        match solved {
            Ok(solved) => {
                if keeps {
                    self.solutions.insert(level, solved.x.clone());
                }
                self.report(level).residual = solved.residual;
                Ok(solved.x)
            }
            Err(error) => {
                // The deepest failure is the first one to come by.
                self.failed.get_or_insert(level);
                Err(error.innermost())
            }
        }
    }

    /// All blocks of `level` and `lower` but that of `level`'s own parameters, which is given: they solve the equations of
    /// all variables but those parameters.
    pub(super) fn respond(
        &mut self,
        level: usize,
        lower: &[usize],
        direction: Direction,
        own: Option<&Vector>,
        right: &Blocks,
        is_first: bool,
    ) -> Result<Blocks, HypergradientError> {
        let given: Blocks = own.map(|own| (Variable::Level(level), own.clone())).into_iter().collect();
        match direction {
            // No level below knows this level's multipliers, so in the adjoint system they come first, …
            Direction::Adjoint => {
                let rest = self.multipliers(level, direction, &given, right)?;
                let y = self.lower(lower, direction, &given.plus(1.0, rest.clone()), right, is_first)?;
                Ok(rest.plus(1.0, y))
            }
            // … and in the tangent system last.
            Direction::Tangent => {
                let y = self.lower(lower, direction, &given, right, is_first)?;
                let rest = self.multipliers(level, direction, &given.plus(1.0, y.clone()), right)?;
                Ok(rest.plus(1.0, y))
            }
        }
    }

    /// The blocks of `lower`, when `known` are given.
    fn lower(
        &mut self,
        lower: &[usize],
        direction: Direction,
        known: &Blocks,
        right: &Blocks,
        is_first: bool,
    ) -> Result<Blocks, HypergradientError> {
        let rows: Vec<Variable> = lower.iter().flat_map(|&stop| self.variables(stop)).collect();
        let right = right.only(|variable| rows.contains(&variable));
        let right = right.plus(-1.0, self.apply(direction, known, &rows)?);
        if right.is_zero() { Ok(right) } else { self.eliminate(lower, direction, &right, is_first) }
    }

    /// The blocks of `level`'s multipliers, when `known` are given: a system of the other direction, below `level`.
    fn multipliers(
        &mut self,
        level: usize,
        direction: Direction,
        known: &Blocks,
        right: &Blocks,
    ) -> Result<Blocks, HypergradientError> {
        let stop = &self.stops[&level];
        let (below, own) = (Rc::clone(&stop.below), Rc::clone(&stop.own));
        let multipliers: Vec<Variable> = self.variables(level).skip(1).collect();
        let pairs = || multipliers.iter().copied().zip(own[1..].iter().copied());
        // ∂²ℓ/∂Y∂μ = −(∂F/∂Y)ᵀ
        let right = self.apply(direction, known, &multipliers)?.plus(-1.0, right.only(|of| multipliers.contains(&of)));
        if right.is_zero() {
            return Ok(right);
        }
        let solution = self.eliminate(&below, direction.other(), &right.renamed(pairs()), false)?;
        Ok(solution.renamed(pairs().map(|(multiplier, variable)| (variable, multiplier))))
    }

    /// The reduced Hessian of a level: how its total gradient changes with its parameters, its stops answering.
    pub fn reduced(&mut self, level: usize) -> impl LinearOperator<Vector = Vector, Error = ProductError> {
        let below = self.stops.get(&level).map_or_else(|| Rc::from([]), |stop| Rc::clone(&stop.below));
        ReducedHessian { response: self, level, below }
    }

    /// `(dg/dw)ᵀ·u` for each `w` of `into`, `g` being the total gradient of `level` with the answers of its stops moving
    /// along; what vanishes is left out.
    ///
    /// # Errors
    /// [`HypergradientError`] when a method cannot solve its pivot, or a product cannot be formed.
    pub fn change_of_gradient(
        &mut self,
        level: usize,
        u: &Vector,
        into: &[Variable],
    ) -> Result<Blocks, HypergradientError> {
        let below = Rc::clone(&self.stops[&level].below);
        let mut x = self.respond(level, &below, Direction::Adjoint, Some(u), &Blocks::default(), false)?;
        x.set(Variable::Level(level), u.clone());
        self.apply(Direction::Adjoint, &x, into)
    }

    /// The system times `x`: the equations named by `rows`, without those that vanish whatever `x` is.
    ///
    /// # Errors
    /// [`HypergradientError`] when a product cannot be formed.
    pub fn apply(&mut self, direction: Direction, x: &Blocks, rows: &[Variable]) -> Result<Blocks, HypergradientError> {
        let owners = |variables: &mut dyn Iterator<Item = Variable>| {
            let mut owners: Vec<usize> = variables.map(Variable::owner).collect();
            owners.sort_unstable();
            owners.dedup();
            owners
        };
        let owners = match direction {
            Direction::Adjoint => owners(&mut x.variables()),
            Direction::Tangent => owners(&mut rows.iter().copied()),
        };
        let mut sum = Blocks::default();
        for level in owners {
            // The conditions of a level are derivatives of its Lagrangian in its own variables; condition by condition they
            // are named by what they determine.
            let own = Rc::clone(&self.stops[&level].own);
            let named: Vec<(Variable, Variable)> = self.variables(level).zip(own.iter().copied()).collect();
            let products = match direction {
                Direction::Adjoint => {
                    let moving = named.iter().filter_map(|&(name, own)| Some((own, x.get(name)?))).collect();
                    self.product(level, moving, rows)?
                }
                Direction::Tangent => {
                    let asked = named.iter().filter(|(name, _)| rows.contains(name));
                    let asked: Vec<Variable> = asked.map(|&(_, own)| own).collect();
                    let moving = x.variables().filter_map(|variable| Some((variable, x.get(variable)?))).collect();
                    let name = |of: Variable| named.iter().find(|&&(_, own)| own == of).map(|&(name, _)| name);
                    let products = self.product(level, moving, &asked)?.into_iter();
                    products.filter_map(|(own, product)| Some((name(own)?, product))).collect()
                }
            };
            for (variable, product) in products {
                sum.add(variable, 1.0, product);
            }
        }
        Ok(sum)
    }

    /// How the conditions of one level change: second derivatives of its Lagrangian, or what stands in their place.
    fn product(
        &mut self,
        level: usize,
        mut moving: Vec<(Variable, &Vector)>,
        rows: &[Variable],
    ) -> Result<Vec<(Variable, Vector)>, HypergradientError> {
        let Some(stop) = self.stops.get_mut(&level) else { return Ok(Vec::new()) };
        let (method, curvature, point) = match &mut stop.answer {
            Answer::Stationary { method, curvature, point } => (method, &mut *curvature.borrow_mut(), point),
            Answer::Steps { trajectory, into, sent } => {
                let rows: Vec<Variable> = rows.iter().copied().filter(|row| into.contains(row)).collect();
                let Some(&(_, cotangent)) = moving.first().filter(|_| !rows.is_empty()) else { return Ok(Vec::new()) };
                // Its block is found once and does not change, so one pass over the steps serves all equations.
                let sent = match sent {
                    Some(sent) => sent,
                    None => {
                        self.reports.entry(level).or_default().products = trajectory.products();
                        sent.insert(trajectory.pull_back(cotangent, into)?)
                    }
                };
                let negative = |row| Some((row, sent.get(row)?.scaled(-1.0)));
                return Ok(rows.into_iter().filter_map(negative).collect());
            }
        };
        moving.retain(|&(variable, _)| curvature.depends_on(variable));
        let rows: Vec<Variable> = rows.iter().copied().filter(|&row| curvature.depends_on(row)).collect();
        if moving.is_empty() || rows.is_empty() {
            return Ok(Vec::new());
        }
        let own = &stop.own;
        let is_mixed = rows.iter().all(|row| !own.contains(row)) && moving.iter().all(|(of, _)| own.contains(of));
        method.products().form(curvature, point, &moving, &rows, is_mixed)
    }

    /// The parameters of a level and its multipliers.
    pub(super) fn variables(&self, level: usize) -> impl Iterator<Item = Variable> + use<> {
        let conditions = self.stops.get(&level).map_or(1, |stop| stop.own.len());
        let multipliers = (1..conditions).map(move |index| Variable::Multiplier { of: level, index: index - 1 });
        std::iter::once(Variable::Level(level)).chain(multipliers)
    }

    pub(super) fn report(&mut self, level: usize) -> &mut SolveReport {
        self.reports.entry(level).or_default()
    }
}
