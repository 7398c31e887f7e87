//! What solves take, found by going their way without numbers.
//!
//! Which products a solve is made of depends on nothing but which variables depend on which, and on how many products each
//! method forms, which it [tells](HypergradientMethod::budget). So what will be solved is solved here by the same code, on
//! vectors without tensors (`counting.rs`): a product adds what its program takes, and a method is one product with its system, as
//! often as its budget says.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use super::batches::{Batches, Moving, known};
use super::matrix::Matrix;
use super::{Direction, Products};
use crate::derivatives::{Curvature, Variable};
use crate::execute::{Cost, Vector};
use crate::graph::GraphError;

/// What something takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cost: Cost,
    /// Transfers from the device.
    pub(crate) reads: f64,
    /// Bytes held at once.
    pub(crate) peak: usize,
}

impl Tally {
    pub(super) fn times(self, times: usize) -> Self {
        Tally { cost: self.cost * times as f64, reads: self.reads * times as f64, ..self }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.cost += other.cost;
        self.reads += other.reads;
        self.peak = self.peak.max(other.peak);
    }
}

/// A nested solve: the levels, its direction, where its right-hand side is not zero, and whether it only prepares a loop.
pub(super) type Question = (Vec<usize>, Direction, Vec<Variable>, bool);

/// What has been counted so far.
#[derive(Default)]
pub(super) struct Count {
    /// The level whose outermost solve is gone through, …
    pub(super) at: Option<usize>,
    /// … and what it has taken.
    pub(super) tally: Tally,
    pub(super) by_level: BTreeMap<usize, Tally>,
    /// Levels at whose point a product was formed.
    pub(super) evaluated: BTreeSet<usize>,
    /// Differences that were formed, whose unmoved side is evaluated once.
    unmoved: BTreeSet<(usize, Vec<Variable>, Vec<Variable>)>,
    /// Matrices for which something was made that is made once.
    pub(super) prepared: BTreeSet<Matrix>,
    /// Nested solves that were gone through, and where their solutions are not zero.
    pub(super) known: BTreeMap<Question, (Tally, Vec<Variable>)>,
}

impl Count {
    /// Adds a product with the conditions of a level; answers the rows that are not zero.
    pub(super) fn product(
        &mut self,
        (level, products, is_mixed): (usize, Products, bool),
        batches: &Batches,
        moving: &Moving<'_>,
        rows: &[Variable],
    ) -> Result<Vec<(Variable, Vector)>, GraphError> {
        let variables = moving.iter().map(|&(variable, _)| variable).collect();
        let is_new = self.unmoved.insert((level, variables, rows.to_vec()));
        let mut found: Vec<Variable> = Vec::new();
        for (curvature, _) in &batches.0 {
            let curvature = &mut *curvature.borrow_mut();
            let (moving, rows) = known(curvature, moving, rows);
            let moving: Vec<Variable> = moving.into_iter().map(|(variable, _)| variable).collect();
            if !moving.is_empty() && !rows.is_empty() {
                let answers = self.on_batch((level, products, is_mixed, is_new), curvature, &moving, &rows)?;
                found.extend(answers.into_iter().filter(|row| !found.contains(row)).collect::<Vec<_>>());
            }
        }
        Ok(found.into_iter().map(|row| (row, Vector::default())).collect())
    }

    /// Adds a product on one batch, whose unmoved side is evaluated if it `is_new`; answers the rows that are not zero.
    fn on_batch(
        &mut self,
        (level, products, is_mixed, is_new): (usize, Products, bool, bool),
        curvature: &mut Curvature,
        moving: &[Variable],
        rows: &[Variable],
    ) -> Result<Vec<Variable>, GraphError> {
        let (cost, peak, answers) = match products {
            Products::Displaced { .. } => {
                let (unmoved, cost, peak) = curvature.displaced_cost(moving, rows)?;
                if is_new {
                    self.by_level.entry(level).or_default().cost += unmoved;
                }
                (cost, peak, curvature.displaced_rows(moving, rows)?)
            }
            Products::MixedDifference { .. } if is_mixed => {
                let (behind, ahead, peak) = curvature.displaced_cost(moving, rows)?;
                (behind + ahead, peak, curvature.displaced_rows(moving, rows)?)
            }
            Products::Exact | Products::MixedDifference { .. } => {
                let (cost, peak) = curvature.cost(moving, rows)?;
                let answers = curvature.rows(moving, rows)?;
                if !answers.is_empty() {
                    self.evaluated.insert(level);
                }
                (cost, peak, answers)
            }
        };
        *self.place(level) += Tally { cost, reads: 0.0, peak };
        Ok(answers)
    }

    /// Where something is counted that a level does.
    fn place(&mut self, level: usize) -> &mut Tally {
        match self.at {
            Some(_) => &mut self.tally,
            None => self.by_level.entry(level).or_default(),
        }
    }
}
