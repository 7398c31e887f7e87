//! What of a program's work each of several ranks takes.

use super::host::Host;
use super::multilevel::Multilevel;
use super::run::Run;
use super::train::Engine;
use crate::config::SolverConfig;
use crate::distributed::{DistributedError, Split};
use crate::error::{EngineError, ShardError};
use crate::program::{Level, Program, check_replicated};
use crate::steps::Record;

/// Why work is not split otherwise where products are put together last.
const NOT_BOTH: &str = "`sync_last` is for shares of examples; leave one of the two away";

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

    /// Lets ranks find every hypergradient each on its own examples, and put them together at the end, in one message however many
    /// products a solve forms: the weighted mean of what each would have alone, which is **not** the hypergradient of the joined batch.
    /// The bias is as large as Hessians of shares differ: a few percent to a fifth where it was measured. `verify_hypergradient` tells
    /// it. For links that are too slow for a message a product; direct gradients, and with them the steps of levels that nothing is
    /// below, stay exact. Warm starts of solves are each rank's own, and a checkpoint has those of the first.
    ///
    /// # Errors
    /// [`ShardError::NotLast`] for methods that go through steps, conditions, and programs without a hypergradient, and, of a question
    /// or a run, where a loss is formed of [sums over ranks](crate::distributed::sum) or moves running statistics;
    /// [`DistributedError::Late`] when the engine has resumed, run, or answered a question before.
    pub fn sync_last(mut self) -> Result<Self, EngineError> {
        if self.run.split != Split::Examples {
            return Err(ShardError::NotSplit { split: self.run.split.name(), reason: NOT_BOTH.into() }.into());
        }
        if let Some(refused) = self.run.program.why_not_apart() {
            return Err(refused.into());
        }
        if self.run.has_begun {
            return Err(DistributedError::Late.into());
        }
        self.run.program.syncs_last = true;
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
        self.program.takers = ranks_of(Split::Tasks);
        for steps in self.program.levels.iter().filter_map(|level| level.trajectory.as_ref()) {
            steps.divide(directions.clone());
        }
    }

    /// Whether the program's work can be split in this way.
    pub(super) fn check_split(&self, split: Split) -> Result<(), ShardError> {
        let refused = |reason: &str| Err(ShardError::NotSplit { split: split.name(), reason: reason.into() });
        let mut records = self.program.levels.iter().filter_map(|level| level.trajectory.as_ref());
        if self.program.syncs_last && split != Split::Examples {
            return refused(NOT_BOTH);
        }
        match split {
            Split::Directions if !records.any(Record::has_directions) => refused(
                "no level of the program follows any: give one `hypergradient: forward_gradient`, `evolution` or `forward`, or \
                 split the work by examples",
            ),
            Split::Tasks => self.why_no_tasks().map_or(Ok(()), |reason| refused(&reason)),
            Split::Directions | Split::Examples => Ok(()),
        }
    }

    /// Why ranks cannot take whole tasks each, if they cannot.
    fn why_no_tasks(&self) -> Option<String> {
        let Program { schedule, levels, methods, .. } = &self.program;
        let [root] = *schedule.roots else {
            return Some("no level stands above all others; split it by examples".to_owned());
        };
        let (name, tasks) = (levels[root].name, levels[root].config.tasks);
        if tasks == 1 {
            return Some(format!("level `{name}` has one task in each step; give it `tasks`, or split it by examples"));
        }
        if let Some(size) = self.ranks.as_ref().map(|ranks| ranks.size()).filter(|&size| size > tasks) {
            return Some(format!(
                "level `{name}` has {tasks} tasks in each step for {size} ranks; give it one for each at least"
            ));
        }
        let goes_on = |level: &&Level| !level.config.start.begins_anew();
        if let Some(level) = levels.iter().filter(|level| level.number != root).find(goes_on) {
            return Some(format!(
                "level `{}` goes on from one task to the next; let each begin anew, by `start: initial` or at another level",
                level.name
            ));
        }
        let keeps = |level: &&Level| {
            let method = methods[level.number].as_ref().is_some_and(|method| method.keeps_solution());
            let solve = level.config.solve.is_some_and(|solve| match solve {
                SolverConfig::Joint(config) => config.warm_start,
                SolverConfig::Inexact(config) => config.warm_start,
            });
            method || solve
        };
        if let Some(level) = levels.iter().find(keeps) {
            return Some(format!(
                "solves start from those of the task before; set `warm_start` of the method of level `{}`, or of its `solve`, to \
                 `false`",
                level.name
            ));
        }
        let reads = levels.iter().find(|level| self.data.read_program(level.number))?;
        Some(format!(
            "the batches of level `{}` depend on the program as it is when they are drawn, which is another one on each rank",
            reads.name
        ))
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
