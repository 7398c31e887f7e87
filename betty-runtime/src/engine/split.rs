//! What of a program's work each of several ranks takes.

use super::host::Host;
use super::multilevel::Multilevel;
use super::run::Run;
use super::train::Engine;
use crate::distributed::{DistributedError, Split};
use crate::error::{EngineError, ShardError};
use crate::program::check_replicated;
use crate::steps::Record;

impl<P: Multilevel> Engine<P> {
    /// Says what of the work each rank takes; a share of the [examples](Split::Examples) if nothing is said. What a run comes to is the
    /// same, to rounding, however many ranks there are.
    ///
    /// # Errors
    /// [`ShardError::NotSplit`] where the program has nothing to split in this way, and [`DistributedError::Late`] when the engine
    /// has resumed, run, or answered a question before.
    pub fn split(mut self, split: Split) -> Result<Self, EngineError> {
        self.run.check_split(split)?;
        if self.run.has_begun {
            return Err(DistributedError::Late.into());
        }
        self.run.split = split;
        self.run.divide();
        Ok(self)
    }
}

impl Run {
    /// Tells everybody with whom to work, and on what.
    pub(super) fn divide(&mut self) {
        let ranks_of = |split: Split| self.ranks.clone().filter(|_| self.split == split);
        let (examples, directions) = (ranks_of(Split::Examples), ranks_of(Split::Directions));
        self.data.all_replicated = directions.is_some();
        self.data.ranks = examples.clone().or_else(|| directions.clone());
        self.program.losses.ranks = examples;
        for steps in self.program.levels.iter().filter_map(|level| level.trajectory.as_ref()) {
            steps.divide(directions.clone());
        }
    }

    /// Whether the program's work can be split in this way.
    fn check_split(&self, split: Split) -> Result<(), ShardError> {
        let refused = |reason: &str| Err(ShardError::NotSplit { split: split.name(), reason: reason.into() });
        let mut records = self.program.levels.iter().filter_map(|level| level.trajectory.as_ref());
        match split {
            Split::Directions if !records.any(Record::has_directions) => refused(
                "no level of the program follows any: give one `hypergradient: forward_gradient`, `evolution` or `forward`, or \
                 split the work by examples",
            ),
            Split::Directions | Split::Examples => Ok(()),
        }
    }

    /// Makes sure, once, that the streams of all ranks begin with the same batches where nobody shares their examples.
    pub(super) fn check_streams(&mut self, host: &mut dyn Host) -> Result<(), EngineError> {
        let Some(ranks) = self.ranks().filter(|_| self.split != Split::Examples && !self.draws_alike) else {
            return Ok(());
        };
        let mark = self.data.mark();
        let compared = (0..self.program.levels.len()).try_for_each(|k| {
            let (batch, _) = self.draw(host, k)?;
            check_replicated(&ranks, self.program.levels[k].name, &batch)
        });
        self.data.undo(mark);
        self.draws_alike = compared.is_ok();
        compared
    }
}
