//! What solves take, found by going their way without numbers.
//!
//! Which products a solve is made of depends on nothing but which variables depend on which, and on how many products each
//! method forms, which it [tells](HypergradientMethod::budget). So what will be solved is solved here by the same code, on
//! vectors without tensors: a product adds what its program takes, and a method is one product with its system, as often as its budget says.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use super::response::Solve;
use super::{Blocks, Budget, Direction, HypergradientError, Products, Response, Trajectory};
use crate::derivatives::{Curvature, Variable};
use crate::execute::{Cost, Vector};
use crate::graph::GraphError;

/// What something takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cost: Cost,
    /// Numbers read from the device.
    pub(crate) reads: f64,
    /// Bytes held at once.
    pub(crate) peak: usize,
}

impl Tally {
    fn times(self, times: usize) -> Self {
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
    at: Option<usize>,
    /// … and what it has taken.
    tally: Tally,
    by_level: BTreeMap<usize, Tally>,
    /// Levels at whose point a product was formed.
    evaluated: BTreeSet<usize>,
    /// Differences that were formed, whose unmoved side is evaluated once.
    unmoved: BTreeSet<(usize, Vec<Variable>, Vec<Variable>)>,
    /// Nested solves that were gone through, and where their solutions are not zero.
    pub(super) known: BTreeMap<Question, (Tally, Vec<Variable>)>,
}

impl Count {
    /// Adds a product with the conditions of a level; answers the rows that are not zero.
    pub(super) fn product(
        &mut self,
        (level, products, is_mixed): (usize, Products, bool),
        curvature: &mut Curvature,
        moving: &[Variable],
        rows: &[Variable],
    ) -> Result<Vec<(Variable, Vector)>, GraphError> {
        let (cost, peak, answers) = match products {
            Products::Displaced { .. } => {
                let (unmoved, cost, peak) = curvature.displaced_cost(moving, rows)?;
                if self.unmoved.insert((level, moving.to_vec(), rows.to_vec())) {
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
        Ok(answers.into_iter().map(|row| (row, Vector::default())).collect())
    }

    /// Where something is counted that a level does.
    fn place(&mut self, level: usize) -> &mut Tally {
        match self.at {
            Some(_) => &mut self.tally,
            None => self.by_level.entry(level).or_default(),
        }
    }
}

impl Response {
    /// From now on, counts what solves take in the place of solving: right-hand sides are blocks without tensors.
    pub(crate) fn count(&mut self) {
        self.count = Some(Count::default());
    }

    /// What was counted since the last question, at the level of each outermost solve, and where points were evaluated.
    pub(crate) fn counted(&mut self) -> (BTreeMap<usize, Tally>, BTreeSet<usize>) {
        let Some(count) = &mut self.count else { return Default::default() };
        (std::mem::take(&mut count.by_level), count.evaluated.clone())
    }

    /// What `part` counts, apart from all else.
    pub(super) fn apart<T>(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<T, HypergradientError>,
    ) -> Result<(T, Tally), HypergradientError> {
        let before = self.count.as_mut().map(|count| std::mem::take(&mut count.tally)).unwrap_or_default();
        let found = part(self)?;
        let tally = self.count.as_mut().map(|count| std::mem::replace(&mut count.tally, before)).unwrap_or_default();
        Ok((found, tally))
    }

    /// Counts an outermost solve at a level.
    pub(super) fn at<T>(
        &mut self,
        level: usize,
        solve: impl FnOnce(&mut Self) -> Result<T, HypergradientError>,
    ) -> Result<T, HypergradientError> {
        let Some(count) = &mut self.count else { return solve(self) };
        let outer = count.at.replace(level);
        let (found, tally) = self.apart(solve)?;
        if let Some(count) = &mut self.count {
            count.at = outer;
            *count.by_level.entry(level).or_default() += tally;
        }
        Ok(found)
    }

    /// Counts so many products, and what is read beside them; answers what one of them does.
    pub(super) fn repeated<T: Default>(
        &mut self,
        Budget { products, reads }: Budget,
        product: impl FnOnce(&mut Self) -> Result<T, HypergradientError>,
    ) -> Result<T, HypergradientError> {
        let (found, mut tally) = match products {
            0 => Default::default(),
            _ => self.apart(product)?,
        };
        tally = tally.times(products);
        tally.reads += reads;
        if let Some(count) = &mut self.count {
            count.tally += tally;
        }
        Ok(found)
    }

    /// A nested solve that is gone through once, however often it is asked for.
    pub(super) fn known(
        &mut self,
        (levels, direction, solve): (&[usize], Direction, Solve),
        right: &Blocks,
        go: impl FnOnce(&mut Self) -> Result<Blocks, HypergradientError>,
    ) -> Result<Blocks, HypergradientError> {
        let question = (levels.to_vec(), direction, right.variables().collect(), solve == Solve::Preparing);
        let known = self.count.as_ref().and_then(|count| count.known.get(&question).cloned());
        let (tally, variables) = match known {
            Some(known) => known,
            None => {
                let (found, tally) = self.apart(go)?;
                (tally, found.variables().collect())
            }
        };
        if let Some(count) = &mut self.count {
            count.tally += tally;
            count.known.insert(question, (tally, variables.clone()));
        }
        Ok(variables.into_iter().map(|variable| (variable, Vector::default())).collect())
    }
}

/// Steps that are counted elsewhere.
pub(crate) struct CountedSteps;

impl Trajectory for CountedSteps {
    fn products(&self) -> usize {
        0
    }

    fn pull_back(self: Box<Self>, _cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        Ok(into.iter().map(|&variable| (variable, Vector::default())).collect())
    }
}
