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
//! Steps that are gone through stand beside the system: they take one cotangent and send it on, once
//! (`substitution.rs`). What is left is solved by one loop over everything ([`Joint`]) or by block elimination, lowest stop
//! first, exactly or [no more exactly than needed](Inexact). The pivot of stop `r` is its *reduced Hessian*: how the total
//! gradient of `r` changes with `θ_r` while everything that answers to `r` answers. The method of `r` solves it, and sees
//! only products; each product of a nested stop solves the systems below it, with the methods of the stops there. For a
//! stop with nothing below, the pivot is the Hessian of its loss, and nothing of this costs anything.

use std::collections::{BTreeMap, BTreeSet};

use super::best_response::{Answer, Stationary, Steps};
use super::count::Count;
use super::matrix::Matrix;
use super::{BestResponse, Blocks, Inexact, Joint, SolveReport, SystemPreconditioner};
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::Exactness;

/// How systems are solved, where it is not by exact nested solves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Solver {
    /// By one loop over each part.
    Joint(Joint),
    /// By nested solves that are no more exact than needed.
    Inexact(Inexact),
}

/// Which solve of a level's system it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Solve {
    /// One that was asked for from outside, or that such a one rests on: it may start from the solution of the step before.
    Outermost,
    /// One that forms a product, or corrects another.
    Nested,
    /// One that only prepares a loop over the whole system: see `preparation.rs`.
    Preparing,
    /// One that may leave a residual: see `inexact.rs`.
    Inexact(Inexact, Residual),
}

/// What a solve may leave of its right-hand side: so much, and this part of its norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Residual {
    pub(super) most: f64,
    pub(super) part: f64,
}

impl Residual {
    pub(super) fn at_most(most: f64) -> Self {
        Residual { most, part: f64::INFINITY }
    }
}

impl Solve {
    /// What a solve is that this one rests on.
    pub(super) fn within(self) -> Self {
        match self {
            Solve::Outermost | Solve::Nested => Solve::Nested,
            Solve::Preparing | Solve::Inexact(..) => self,
        }
    }
}

/// The best responses of several levels.
#[derive(Default)]
pub struct Response {
    pub(super) stops: BTreeMap<usize, Stationary>,
    /// Steps that have not been gone through yet, …
    pub(super) steps: BTreeMap<usize, Steps>,
    /// … and what those that have been sent on.
    pub(super) sent: BTreeMap<usize, Blocks>,
    pub(super) solver: Option<Solver>,
    /// What solves take, where they are only gone through: see `count.rs`.
    pub(super) count: Option<Count>,
    /// What methods keep of the matrices that they solved with.
    pub(super) kept: BTreeMap<Matrix, SystemPreconditioner>,
    /// Levels whose own part their method could not solve while a loop was prepared.
    pub(super) unprepared: BTreeSet<usize>,
    /// How exact the products of levels have to be, as far as their solves have found out.
    pub(super) exactness: BTreeMap<usize, Exactness>,
    /// Whether an inexact solve used up its iterations.
    pub(super) used_up: bool,
    pub(super) reports: BTreeMap<usize, SolveReport>,
    pub(super) failed: Option<usize>,
    /// What the outermost solves start from, and then what they came to.
    pub(super) solutions: Blocks,
}

impl Response {
    /// Adds a level; its own stops are there already.
    pub fn add(&mut self, level: usize, stop: BestResponse) {
        self.kept.retain(|matrix, _| !matrix.is_about(level));
        match stop.0 {
            Answer::Stationary(stop) => drop(self.stops.insert(level, stop)),
            Answer::Steps(steps) => drop(self.steps.insert(level, steps)),
        }
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

    /// Gives the methods that want it a solution to start from, variable by variable.
    pub fn start_from(&mut self, solutions: Blocks) {
        self.solutions = solutions;
    }

    /// The blocks that methods want to start from at the next step.
    pub fn take_solutions(&mut self) -> Blocks {
        std::mem::take(&mut self.solutions)
    }

    /// The parameters of a level and its multipliers.
    pub(super) fn variables(&self, level: usize) -> impl Iterator<Item = Variable> + use<> {
        let conditions = self.stops.get(&level).map_or(1, |stop| stop.own.len());
        let multipliers = (1..conditions).map(move |index| Variable::Multiplier { of: level, index: index - 1 });
        std::iter::once(Variable::Level(level)).chain(multipliers)
    }

    /// Zeros that look like the block of a variable.
    pub(super) fn zeros(&self, variable: Variable) -> Vector {
        let stop = &self.stops[&variable.owner()];
        let like = match variable {
            Variable::Multiplier { index, .. } => stop.own[index + 1],
            Variable::Level(_) | Variable::Begun(_) => variable,
        };
        stop.batches.zeros(like)
    }

    /// What the last solve found for a variable, if it was kept and still fits.
    pub(super) fn last_solution(&mut self, variable: Variable) -> Option<Vector> {
        let found = self.solutions.take(variable)?;
        if found.looks_like(&self.zeros(variable)) { self.moving(variable, found) } else { None }
    }

    pub(super) fn report(&mut self, level: usize) -> &mut SolveReport {
        self.reports.entry(level).or_default()
    }
}
