//! On what levels are differentiated: each on the batches that a step of it averages, or on steps.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Program;
use super::sample::{Sample, Seeded};
use crate::derivatives::Curvature;
use crate::error::EngineError;
use crate::steps::Basis;

/// On what levels are differentiated; a level's condition is the mean over several.
#[derive(Clone, Default)]
pub(super) struct Bases(BTreeMap<usize, Vec<Basis>>);

impl Bases {
    /// The losses of all levels below on the batches of a sample.
    pub(super) fn below(sample: &Sample) -> Self {
        let mut bases = Bases::default();
        sample.below.iter().for_each(|(&level, batches)| bases.set_losses(level, batches));
        bases
    }

    pub(super) fn set(&mut self, level: usize, basis: Basis) {
        self.0.insert(level, vec![basis]);
    }

    /// The loss of a level on all of these batches.
    pub(super) fn set_losses<'a>(&mut self, level: usize, batches: impl IntoIterator<Item = &'a Seeded>) {
        let basis = |(batch, seed): &Seeded| Basis::Loss { batch: Rc::clone(batch), seed: *seed };
        self.0.insert(level, batches.into_iter().map(basis).collect());
    }

    /// The first of those of a level; all look alike where it is a question of steps.
    pub(super) fn first(&self, level: usize) -> Option<&Basis> {
        self.0.get(&level)?.first()
    }

    pub(super) fn of(&self, level: usize) -> &[Basis] {
        self.0.get(&level).map_or(&[], Vec::as_slice)
    }

    /// The levels that are functions of steps which began where others ended, with the time of the first of those.
    pub(super) fn begun(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().filter_map(|(&level, bases)| Some((level, bases.first()?.steps()?.begun?)))
    }

    /// Bases of all levels, one of each: the Lagrangian of a level is linear in the losses that it is made of, and so it does not
    /// matter which are put together, if each is as often as the others of its level. `levels` are those of a Lagrangian.
    pub(super) fn together(&self, levels: &[usize]) -> Vec<BTreeMap<usize, Basis>> {
        let counts = levels.iter().map(|&level| self.of(level).len().max(1));
        let count = counts.fold(1, least_common_multiple);
        let one = |number: usize| {
            let of =
                |(&level, bases): (&usize, &Vec<Basis>)| Some((level, bases.get(number % bases.len().max(1))?.clone()));
            self.0.iter().filter_map(of).collect()
        };
        (0..count).map(one).collect()
    }
}

fn least_common_multiple(one: usize, other: usize) -> usize {
    let (mut divisor, mut rest) = (one, other);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    one / divisor * other
}

impl Program {
    /// The levels whose losses the Lagrangian of a level is made of.
    pub(super) fn levels_of_condition(&self, k: usize) -> Vec<usize> {
        let spec = &self.schedule.levels[k];
        let is_alone = self.levels[k].is_partial() || spec.condition.is_some();
        let stops = spec.sweep.iter().map(|stop| stop.level).filter(|_| !is_alone);
        std::iter::once(k).chain(stops).collect()
    }

    /// The Lagrangians of a level on all that its condition is the mean over.
    pub(super) fn curvatures(&mut self, k: usize, bases: &Bases) -> Result<Vec<Rc<RefCell<Curvature>>>, EngineError> {
        let together = bases.together(&self.levels_of_condition(k));
        let decaying = self.decaying(k, bases);
        let Program { schedule, levels, losses, .. } = self;
        let mut of = |bases: &BTreeMap<usize, Basis>| losses.prepare_curvature(schedule, levels, k, bases, &decaying);
        together.iter().map(&mut of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::least_common_multiple;

    #[test]
    fn every_batch_of_each_level_is_taken_equally_often() {
        for (one, other, both) in [(1, 1, 1), (1, 4, 4), (4, 6, 12), (3, 5, 15), (8, 4, 8)] {
            assert_eq!(least_common_multiple(one, other), both);
        }
    }
}
