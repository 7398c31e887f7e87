//! Solves that are gone through without numbers, to [count](Count) what they take.

use std::collections::{BTreeMap, BTreeSet};

use super::count::{Count, Tally};
use super::inexact::ROUNDS;
use super::response::{Residual, Solve};
use super::{
    Blocks, Budget, Direction, Gmres, HypergradientError, HypergradientMethod, Inexact, Joint, Minres, Response,
    Trajectory,
};
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::linalg::{GmresOptions, MinresOptions};

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

    /// Counts the solve of the levels of one part.
    pub(super) fn count_part(&mut self, joint: Joint, levels: &[usize]) -> Result<Blocks, HypergradientError> {
        let Some(&last) = levels.last() else { return Ok(Blocks::default()) };
        let Joint { iterations, restart, tolerance, warm_start, .. } = joint;
        let uppermost = self.uppermost(levels).filter(|_| joint.at_one_point);
        let rows: Vec<Variable> = levels.iter().flat_map(|&level| self.variables(level)).collect();
        let all: Blocks = rows.iter().map(|&row| (row, Vector::default())).collect();
        let mut budget = match uppermost {
            Some(_) if !joint.prepared => {
                let options = MinresOptions { iterations, tolerance, damping: 0.0 };
                Minres { options, warm_start: false }.budget(0).unwrap_or_default()
            }
            _ => {
                let options = GmresOptions { iterations, restart, tolerance, damping: 0.0 };
                Gmres { options, warm_start: false }.budget(0).unwrap_or_default()
            }
        };
        // What the last solution leaves is one product.
        budget.products += usize::from(warm_start);
        budget.reads += f64::from(u8::from(warm_start));
        let is_preconditioned = !joint.prepared && self.is_preconditioned(levels);
        self.report(last).products += budget.products;
        self.at(last, |response| {
            if is_preconditioned {
                response.count_preconditioners(levels)?;
            }
            response.repeated(budget, |response| match uppermost {
                Some(level) => response.hessian(level, &all, &rows),
                None => response.apply(Direction::Adjoint, &all, &rows),
            })?;
            if joint.prepared {
                let prepared = Budget { products: iterations, reads: 0.0 };
                response.repeated(prepared, |response| response.prepare(levels, &all))?;
            }
            Ok(all)
        })
    }

    /// Counts the most that rounds of inexact nested solves take.
    pub(super) fn count_rounds(
        &mut self,
        inexact: Inexact,
        levels: &[usize],
        right: &Blocks,
    ) -> Result<Blocks, HypergradientError> {
        let Some(&last) = levels.last() else { return Ok(Blocks::default()) };
        let rows: Vec<Variable> = levels.iter().flat_map(|&level| self.variables(level)).collect();
        // The lengths of the right-hand side, of this part of it, of what a start leaves, and of what each round does.
        let measured = rows.len() * (3 + ROUNDS);
        self.at(last, |response| {
            let rounds = Budget { products: ROUNDS, reads: measured as f64 };
            let x = response.repeated(rounds, |response| {
                let solve = Solve::Inexact(inexact, Residual::at_most(0.0));
                let x = response.eliminate(levels, Direction::Adjoint, right, solve)?;
                response.apply(Direction::Adjoint, &x, &rows)?;
                Ok(x)
            })?;
            if inexact.warm_start {
                response.apply(Direction::Adjoint, &x, &rows)?;
            }
            Ok(x)
        })
    }

    /// Counts the most that the solve of a level's block takes.
    pub(super) fn count_inexact_pivot(
        &mut self,
        inexact: Inexact,
        (level, lower): (usize, &[usize]),
        direction: Direction,
        b: &Vector,
    ) -> Result<Blocks, HypergradientError> {
        let Inexact { iterations, prepared, .. } = inexact;
        // Cycles may be as short as one iteration, and each ends with the residual; the right-hand side is measured twice before.
        let reads = 2 * iterations + 2;
        let budget = Budget { products: 2 * iterations, reads: reads as f64 };
        let solve = Solve::Inexact(inexact, Residual::at_most(0.0));
        let all =
            self.repeated(budget, |response| Ok(response.reduced_product((level, lower), direction, b, solve)?.0))?;
        if prepared && self.is_answered(level, lower, direction) {
            self.repeated(Budget { products: iterations, reads: 0.0 }, |response| {
                response.own_part(level, direction, b)
            })?;
        }
        Ok(all)
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
