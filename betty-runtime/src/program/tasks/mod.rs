//! All tasks of one step at once: rounds of the levels below, and the gradients after them, by one program.

mod inputs;
mod outcome;

use std::rc::Rc;

use super::Program;
use super::keys::TasksKey;
use super::news::News;
use super::numbers::advised;
use super::rates::Before;
use super::sample::Seeded;
use super::subject::LossFunctions;
use crate::config::{HypergradientConfig, LevelConfig, Start, one_by_one};
use crate::derivatives::{TaskSteps, Tasks, TasksFound, UnrolledSteps};
use crate::error::EngineError;
use crate::execute::{Cost, Origin, Unread, Value, Vector};
use crate::graph::differentiated;
use crate::steps::{LearningRates, Moves, Reads, Shape};

/// What one level below sees in all tasks.
pub(crate) struct Round {
    pub(crate) level: usize,
    /// Where the steps begin, if that is another level.
    pub(crate) from: Option<usize>,
    /// The parameters that each task begins at, where those are drawn.
    pub(crate) starts: Vec<Vector>,
    /// Batches by task, step and evaluation.
    pub(crate) batches: Vec<Vec<Vec<Seeded>>>,
    /// Learning rates by task and step.
    pub(crate) rates: Vec<Vec<LearningRates>>,
    /// What every step moves, the same in all tasks.
    moves: Vec<Moves>,
    /// The numbers of each step by task, for one task if they are the same for all, and step.
    numbers: Vec<Vec<Vec<Value>>>,
}

impl Round {
    /// The steps of a level in all tasks, on these batches by task, step and evaluation.
    pub(crate) fn new(level: usize, from: Option<usize>, batches: Vec<Vec<Vec<Seeded>>>) -> Self {
        Round { level, from, starts: Vec::new(), batches, rates: Vec::new(), moves: Vec::new(), numbers: Vec::new() }
    }

    /// The same for some of the tasks.
    pub(crate) fn of_tasks(&self, tasks: &[usize]) -> Self {
        fn some<T: Clone>(of: &[T], tasks: &[usize]) -> Vec<T> {
            tasks.iter().filter_map(|&task| of.get(task).cloned()).collect()
        }
        let numbers = if self.numbers.len() > 1 { some(&self.numbers, tasks) } else { self.numbers.clone() };
        Round {
            level: self.level,
            from: self.from,
            starts: some(&self.starts, tasks),
            batches: some(&self.batches, tasks),
            rates: some(&self.rates, tasks),
            moves: self.moves.clone(),
            numbers,
        }
    }

    /// Whether the numbers of a step differ from task to task.
    fn numbers_differ(&self) -> bool {
        self.rates.iter().any(|task| *task != self.rates[0])
    }
}

impl Program {
    /// Has the tasks of a level go one after the other where the method of a level below does not allow them together.
    pub(crate) fn part_tasks(&mut self) {
        let configs: Vec<&LevelConfig> = self.levels.iter().map(|level| &level.config).collect();
        let parted = (0..configs.len()).filter_map(|k| Some((k, one_by_one(&self.schedule, k, &configs)?)));
        for (level, lower) in parted.collect::<Vec<_>>() {
            self.levels[level].config.vectorize = false;
            let tasks = self.levels[level].config.tasks;
            let method = self.levels[lower].config.hypergradient.as_ref().filter(|_| tasks > 1);
            let method = method.map(HypergradientConfig::name);
            self.losses.news.extend(method.map(|method| News::OneByOne { level, lower, method, tasks }));
        }
    }

    /// Has observers told of levels that are taken for solutions of one of several tasks.
    pub(crate) fn tell_of_last_tasks(&mut self) {
        for (k, level) in self.levels.iter().enumerate() {
            let is_passed = (0..self.levels.len()).any(|above| self.schedule.answers_to(k, above));
            let method = level.config.hypergradient.as_ref().filter(|_| is_passed && level.trajectory.is_none());
            if let (Some(method), tasks @ 2..) = (method, level.config.tasks) {
                self.losses.news.push(News::LastTask { level: k, method: method.name(), tasks });
            }
        }
    }

    /// Records the losses of all tasks; answers whether one computation serves them: not if the tasks differ in more than
    /// numbers, in the shapes of batches say, or because running statistics go from one to the next.
    ///
    /// # Errors
    /// As for [`prepare`](Self::prepare).
    pub(crate) fn prepare_together(
        &mut self,
        functions: &dyn LossFunctions,
        k: usize,
        rounds: &[Round],
        own: &[Seeded],
    ) -> Result<bool, EngineError> {
        let mut alike = own.iter().all(|(batch, _)| batch.signature() == own[0].0.signature());
        for round in rounds {
            let signatures = |task: &[Vec<Seeded>]| {
                task.iter().flatten().map(|(batch, _)| batch.signature().clone()).collect::<Vec<_>>()
            };
            let of_first = signatures(&round.batches[0]);
            alike &= round.batches.iter().all(|task| signatures(task) == of_first);
        }
        if let Some(ranks) = &self.losses.ranks {
            // Where the shares of one rank differ, all take the tasks one after the other.
            alike = !ranks.any(!alike)?;
        }
        if !alike {
            return Ok(false);
        }
        for round in rounds {
            for seeded in round.batches[0].iter().flatten() {
                self.record(functions, round.level, seeded)?;
                if self.losses.get(round.level, &seeded.0).moves_statistics() {
                    return Ok(false);
                }
            }
        }
        let first = &own[0];
        self.record(functions, k, first)?;
        Ok(!self.losses.get(k, &first.0).moves_statistics())
    }

    /// Asks the schedulers for the learning rates of a round in so many tasks, and says what its steps move.
    pub(crate) fn plan_round(&mut self, round: &mut Round, count: usize) {
        let moves = self.moves(round);
        let level = &mut self.levels[round.level];
        let unroll = level.config.unroll;
        let begun = level.steps;
        let mut of_step = |task: usize, step: usize| {
            let (steps, taken) = (begun + (task * unroll + step) as u64, step as u64);
            level.learning_rates_after(Before { steps, taken, awaited: taken })
        };
        round.rates = (0..count).map(|task| (0..unroll).map(|step| of_step(task, step)).collect()).collect();
        let told = if round.numbers_differ() { count } else { 1 };
        let of_task = |rates: &Vec<LearningRates>| {
            rates.iter().zip(&moves).map(|(rates, moves)| level.update.numbers(rates, moves).collect()).collect()
        };
        round.numbers = round.rates[..told].iter().map(of_task).collect();
        round.moves = moves;
    }

    /// Which parameters of a level every step of a round moves.
    fn moves(&self, round: &Round) -> Vec<Moves> {
        let mut taken = vec![0; self.levels[round.level].trainable.len()];
        let mut of_step = |batches: &Vec<Seeded>| -> Moves {
            let read = self.reads_of(round.level, batches.iter()).level(round.level, taken.len());
            taken.iter_mut().zip(&read).for_each(|(taken, &read)| *taken += u64::from(read));
            taken.iter().zip(read).map(|(&taken, read)| read.then_some(taken)).collect()
        };
        round.batches[0].iter().map(&mut of_step).collect()
    }

    /// What the gradient of level `k` over all tasks depends on.
    pub(crate) fn reads_of_tasks(&self, k: usize, rounds: &[Round], own: &[Seeded]) -> Reads {
        let mut reads = self.reads_of(k, own[..1].iter());
        for round in rounds {
            reads.add(&self.reads_of(round.level, round.batches[0].iter().flatten()));
            let update = &self.levels[round.level].update;
            for moves in &round.moves {
                let moved: Vec<bool> = moves.iter().map(Option::is_some).collect();
                reads.add(&update.reads(round.level, &moved, differentiated));
            }
        }
        self.reads_through(k, reads)
    }

    /// What the losses of a level on these batches depend on.
    fn reads_of<'b>(&self, level: usize, batches: impl Iterator<Item = &'b Seeded>) -> Reads {
        let mut reads = Reads::default();
        batches.for_each(|(batch, _)| reads.add(&Reads::of(self.losses.get(level, batch))));
        reads
    }

    /// Runs all tasks, and checks what they came to; reads lists of other numbers in the same transfer.
    ///
    /// # Errors
    /// [`EngineError`] when a number is not finite.
    pub(crate) fn find_together(
        &mut self,
        k: usize,
        rounds: &[Round],
        own: &[Seeded],
        others: Vec<Vec<Unread>>,
    ) -> Result<TasksFound, EngineError> {
        let tasks = self.prepare_tasks(k, rounds, own)?;
        let inputs = || -> Vec<Value> {
            tasks.inputs().map(|(input, task, like)| self.task_input(input, task, like, rounds, own)).collect()
        };
        let found = tasks.run(inputs(), others)?;
        match self.check_tasks(k, rounds, &found) {
            Ok(()) => Ok(found),
            Err(EngineError::NonFinite { level, step, quantity, value, .. }) => {
                let origin = tasks.origin(&inputs()).ok().flatten().and_then(|origin| match origin {
                    Origin::Input(index) => tasks.inputs().nth(index).map(|(input, ..)| self.describe_input(input)),
                    made @ Origin::Operation { .. } => Some(advised(&made)),
                });
                Err(EngineError::NonFinite { level, step, quantity, value, origin })
            }
            Err(error) => Err(error),
        }
    }

    /// The program for tasks like these.
    fn prepare_tasks(&mut self, k: usize, rounds: &[Round], own: &[Seeded]) -> Result<Rc<Tasks>, EngineError> {
        let shape = |round: &Round| {
            let step = |step: &Vec<Seeded>| step.iter().map(|(batch, _)| batch.signature().clone()).collect();
            Shape::Steps { batches: round.batches[0].iter().map(step).collect(), from: round.from }
        };
        let numbers_differ: Vec<bool> = rounds.iter().map(Round::numbers_differ).collect();
        let shapes = std::iter::once(Shape::Loss(own[0].0.signature().clone())).chain(rounds.iter().map(shape));
        let key =
            TasksKey { level: k, count: own.len(), shapes: shapes.collect(), numbers_differ: numbers_differ.clone() };
        if let Some(known) = self.losses.tasks(&key) {
            return Ok(known);
        }
        let mut lower = Vec::with_capacity(rounds.len());
        for (round, numbers_differ) in rounds.iter().zip(numbers_differ) {
            let level = &self.levels[round.level];
            let of_step =
                |step: &Vec<Seeded>| step.iter().map(|(batch, _)| self.losses.get(round.level, batch)).collect();
            let steps = UnrolledSteps {
                level: round.level,
                trainable: &level.trainable,
                losses: round.batches[0].iter().map(of_step).collect(),
                update: level.update.graph(),
                from: round.from,
            };
            lower.push(TaskSteps { steps, numbers_differ, starts_differ: level.config.start == Start::Fresh });
        }
        let device = self.levels[k].device();
        let tasks = Tasks::new(k, self.losses.get(k, &own[0].0), &lower, own.len(), &device)
            .map_err(|source| EngineError::Graph { level: self.schedule.levels[k].name.into(), source })?;
        Ok(self.losses.keep_tasks(key, tasks))
    }

    /// What the tasks of one step of level `k` take, on batches like these, and the bytes that they hold at once.
    pub(super) fn tasks_cost(&mut self, k: usize, points: &[Seeded]) -> Result<(Cost, usize), EngineError> {
        let count = self.own_tasks(k);
        let round = |&level: &usize| {
            let steps =
                vec![vec![points[level].clone(); self.levels[level].evaluations()]; self.levels[level].config.unroll];
            Round { rates: vec![Vec::new(); count], ..Round::new(level, self.starts_from(level), vec![steps; count]) }
        };
        let rounds: Vec<Round> = self.schedule.levels[k].lower.iter().map(round).collect();
        Ok(self.prepare_tasks(k, &rounds, &vec![points[k].clone(); count])?.cost())
    }

    /// The level whose parameters the steps of this one begin at.
    pub(crate) fn starts_from(&self, level: usize) -> Option<usize> {
        self.schedule.levels[level].start.filter(|_| self.levels[level].config.start == Start::From)
    }
}
