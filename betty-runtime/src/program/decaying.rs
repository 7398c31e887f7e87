//! Which parameters of a level decay: all that a step moves, be it that only levels below read them, or only some of the batches that
//! the step averages.

use std::collections::BTreeMap;

use super::bases::Bases;
use super::{Level, Program};
use crate::execute::ReadError;
use crate::graph::differentiated;
use crate::schedule::Schedule;
use crate::steps::{Basis, Reads};

/// For each level whose weight decay is part of its condition: which of its parameters decay.
pub(super) type Decaying = BTreeMap<usize, Vec<bool>>;

/// How the weight decay of a level pulls at its parameters where they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pull {
    /// `‖δθ‖`
    pub(crate) norm: f64,
    /// `½⟨θ, δθ⟩`
    pub(crate) penalty: f64,
}

impl Pull {
    /// That of level `k`, if steps of it go along its weight decay.
    ///
    /// # Errors
    /// [`ReadError`] if it cannot be read.
    pub(crate) fn of(levels: &[Level], k: usize) -> Result<Option<Self>, ReadError> {
        let level = &levels[k];
        let sources = level.update.learned().sources();
        let learned = sources.map(|source| levels[source.level].leaves[source.leaf].clone()).collect();
        let parameters = level.parameters();
        let Some(pull) = level.update.decay_gradient(&parameters, learned) else { return Ok(None) };
        Ok(Some(Pull { norm: pull.dot(&pull)?.sqrt(), penalty: 0.5 * pull.dot(&parameters)? }))
    }
}

impl Level {
    /// Whether the level's weight decay is part of its condition. Where steps are gone through, it is a part of each of them, and a
    /// fixed point is what its map makes of it.
    pub(super) fn rests_on_decay(&self, schedule: &Schedule) -> bool {
        let is_solved = self.trajectory.is_none() && schedule.levels[self.number].condition.is_none();
        is_solved && self.update.decay().is_some()
    }
}

impl Program {
    /// What decays where level `k` is differentiated on these bases, of it and of all that is below.
    pub(super) fn decaying(&self, k: usize, bases: &Bases) -> Decaying {
        let stops = self.schedule.levels[k].sweep.iter().map(|stop| stop.level);
        let resting = std::iter::once(k).chain(stops).filter(|&of| self.levels[of].rests_on_decay(&self.schedule));
        resting.map(|of| (of, self.moved_on(of, bases))).collect()
    }

    /// Which parameters of level `k` move by a step whose total gradient is formed on these bases.
    pub(super) fn moved_on(&self, k: usize, bases: &Bases) -> Vec<bool> {
        let stops = self.schedule.levels[k].sweep.iter().map(|stop| stop.level);
        let mut reads = Reads::default();
        for of in std::iter::once(k).chain(stops) {
            bases.of(of).iter().for_each(|basis| reads.add(&self.reads_on(of, basis)));
        }
        self.reads_through(k, reads).level(k, self.levels[k].trainable.len())
    }

    /// What the derivative of a level on one basis depends on.
    fn reads_on(&self, level: usize, basis: &Basis) -> Reads {
        match basis {
            Basis::Loss { batch, .. } => {
                let mut reads = Reads::of(self.losses.get(level, batch));
                if self.schedule.levels[level].condition.is_some() {
                    reads.add(&Reads::of(self.losses.map(level, batch)));
                }
                reads
            }
            Basis::Steps(steps) => {
                let mut reads = Reads::default();
                let batches = steps.batches.iter().flatten();
                batches.for_each(|batch| reads.add(&Reads::of(self.losses.get(level, batch))));
                let Level { update, trainable, .. } = &self.levels[level];
                let moved = reads.level(level, trainable.len());
                reads.add(&update.reads(level, &moved, differentiated));
                reads
            }
        }
    }
}
