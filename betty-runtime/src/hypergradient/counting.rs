//! Solves that are gone through without numbers, to [count](Count) what they take.

use std::collections::{BTreeMap, BTreeSet};

use super::count::{Count, Tally};
use super::response::Solve;
use super::{Blocks, Budget, Direction, HypergradientError, Response, Trajectory};
use crate::derivatives::Variable;
use crate::execute::Vector;

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
