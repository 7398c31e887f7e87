//! All tasks of one step at once: rounds of the levels below, and the gradients after them, by one program.

mod inputs;
mod outcome;

use std::rc::Rc;

use super::advance::Evaluated;
use super::error::EngineError;
use super::ground::Shape;
use super::level::Seeded;
use super::numbers::advised;
use super::program::Multilevel;
use super::rates::LearningRates;
use super::reads::{Moves, Reads};
use super::train::Engine;
use crate::config::Start;
use crate::derivatives::{TaskSteps, Tasks, TasksFound, UnrolledSteps};
use crate::execute::{Cost, Origin, Value};

/// What one level below sees in all tasks.
struct Round {
    level: usize,
    /// Where the steps begin, if that is another level.
    from: Option<usize>,
    /// Batches by task, step and evaluation.
    batches: Vec<Vec<Vec<Seeded>>>,
    /// Learning rates by task and step.
    rates: Vec<Vec<LearningRates>>,
    /// What every step moves, the same in all tasks.
    moves: Vec<Moves>,
    /// The numbers of each step by task, for one task if they are the same for all, and step.
    numbers: Vec<Vec<Vec<Value>>>,
}

impl Round {
    /// Whether the numbers of a step differ from task to task.
    fn numbers_differ(&self) -> bool {
        self.rates.iter().any(|task| *task != self.rates[0])
    }
}

/// What decides which program there is: the level, the number of tasks, and what it and the levels below see in a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TasksKey {
    level: usize,
    count: usize,
    shapes: Vec<Shape>,
    numbers_differ: Vec<bool>,
}

impl<P: Multilevel> Engine<P> {
    /// The mean gradient of level `k` over all tasks of a step, with the levels below where the last task leaves them.
    /// Nothing if the tasks differ in more than numbers: in the shapes of batches, or because running statistics go from
    /// one to the next.
    pub(super) fn evaluate_together(
        &mut self,
        k: usize,
        losses: &mut [Option<f64>],
    ) -> Result<Option<Evaluated>, EngineError> {
        let lower = P::SCHEDULE.levels[k].lower;
        if lower.iter().any(|&level| self.iterations < self.levels[level].config.warmup as u64) {
            return Ok(None);
        }
        let (mut rounds, own) = self.draw_tasks(k)?;
        if !self.are_alike(k, &rounds, &own)? {
            self.give_back_all(k, rounds, own);
            return Ok(None);
        }
        let schedulers: Vec<_> = lower.iter().map(|&level| self.levels[level].scheduler.clone()).collect();
        for round in &mut rounds {
            let moves = self.moves(round);
            let level = &mut self.levels[round.level];
            let unroll = level.config.unroll;
            round.rates = own.iter().map(|_| (0..unroll).map(|_| level.learning_rates()).collect()).collect();
            let told = if round.numbers_differ() { own.len() } else { 1 };
            let of_task = |rates: &Vec<LearningRates>| {
                rates.iter().zip(&moves).map(|(rates, moves)| level.update.numbers(rates, moves).collect()).collect()
            };
            round.numbers = round.rates[..told].iter().map(of_task).collect();
            round.moves = moves;
        }
        match self.find_together(k, &rounds, &own) {
            Ok(found) => self.take_over(k, rounds, own, found, losses).map(Some),
            Err(error) => {
                // No step was taken.
                for (&level, scheduler) in lower.iter().zip(schedulers) {
                    self.levels[level].scheduler = scheduler;
                }
                Err(error)
            }
        }
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
    fn reads_of_tasks(&self, k: usize, rounds: &[Round], own: &[Seeded]) -> Reads {
        let mut reads = self.reads_of(k, own[..1].iter());
        rounds.iter().for_each(|round| reads.add(&self.reads_of(round.level, round.batches[0].iter().flatten())));
        self.reads_through(k, reads)
    }

    /// What the losses of a level on these batches depend on.
    fn reads_of<'b>(&self, level: usize, batches: impl Iterator<Item = &'b Seeded>) -> Reads {
        let mut reads = Reads::default();
        batches.for_each(|(batch, _)| reads.add(&Reads::of(self.losses.get(level, batch))));
        reads
    }

    /// Runs all tasks, and checks what they came to.
    fn find_together(&mut self, k: usize, rounds: &[Round], own: &[Seeded]) -> Result<TasksFound, EngineError> {
        let tasks = self.prepare_tasks(k, rounds, own)?;
        let inputs = || -> Vec<Value> {
            tasks.inputs().map(|(input, task, like)| self.task_input(input, task, like, rounds, own)).collect()
        };
        let found = tasks.run(inputs())?;
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

    /// The batches of all tasks, or none of them.
    fn draw_tasks(&mut self, k: usize) -> Result<(Vec<Round>, Vec<Seeded>), EngineError> {
        let count = self.levels[k].config.tasks;
        let mut rounds = Vec::new();
        for &level in P::SCHEDULE.levels[k].lower {
            match self.draw_round(level, count) {
                Ok(round) => rounds.push(round),
                Err(error) => {
                    self.give_back_all(k, rounds, Vec::new());
                    return Err(error);
                }
            }
        }
        match self.draw(k, count) {
            Ok(own) => Ok((rounds, own)),
            Err(error) => {
                self.give_back_all(k, rounds, Vec::new());
                Err(error)
            }
        }
    }

    fn draw_round(&mut self, level: usize, count: usize) -> Result<Round, EngineError> {
        let (unroll, each) = (self.levels[level].config.unroll, self.levels[level].evaluations());
        let drawn = self.draw(level, count * unroll * each)?;
        let task = |batches: &[Seeded]| batches.chunks(each).map(<[Seeded]>::to_vec).collect();
        let batches = drawn.chunks(unroll * each).map(task).collect();
        Ok(Round {
            level,
            from: self.starts_from(level),
            batches,
            rates: Vec::new(),
            moves: Vec::new(),
            numbers: Vec::new(),
        })
    }

    /// So many batches, or none.
    fn draw(&mut self, level: usize, count: usize) -> Result<Vec<Seeded>, EngineError> {
        let mut drawn = Vec::with_capacity(count);
        while drawn.len() < count {
            match self.next_batch(level) {
                Ok(batch) => drawn.push((batch, self.draw_seed(level))),
                Err(error) => {
                    self.give_back(level, drawn);
                    return Err(error);
                }
            }
        }
        Ok(drawn)
    }

    fn give_back_all(&mut self, k: usize, rounds: Vec<Round>, own: Vec<Seeded>) {
        rounds.into_iter().for_each(|round| self.give_back(round.level, round.batches.concat().concat()));
        self.give_back(k, own);
    }

    /// Puts batches back, the first one first.
    fn give_back(&mut self, level: usize, batches: Vec<Seeded>) {
        self.levels[level].batches -= batches.len() as u64;
        for (batch, _) in batches.into_iter().rev() {
            self.returned[level].push_front(batch);
        }
    }

    /// Whether one computation serves all tasks. All losses have been prepared after this.
    fn are_alike(&mut self, k: usize, rounds: &[Round], own: &[Seeded]) -> Result<bool, EngineError> {
        for round in rounds {
            let (first, others) = round.batches.split_first().expect("there is a task");
            let signatures = |task: &[Vec<Seeded>]| {
                task.iter().flatten().map(|(batch, _)| batch.signature().clone()).collect::<Vec<_>>()
            };
            let of_first = signatures(first);
            if others.iter().any(|task| signatures(task) != of_first) {
                return Ok(false);
            }
            for (batch, seed) in first.iter().flatten() {
                let loss = self.losses.prepare(&self.problem, &self.levels, round.level, batch, *seed)?;
                if loss.moves_statistics() {
                    return Ok(false);
                }
            }
        }
        let (first, seed) = &own[0];
        let loss = self.losses.prepare(&self.problem, &self.levels, k, first, *seed)?;
        Ok(!loss.moves_statistics() && own.iter().all(|(batch, _)| batch.signature() == first.signature()))
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
            lower.push(TaskSteps { steps, numbers_differ });
        }
        let device = self.levels[k].device();
        let tasks = Tasks::new(k, self.losses.get(k, &own[0].0), &lower, own.len(), &device)
            .map_err(|source| EngineError::Graph { level: P::SCHEDULE.levels[k].name.into(), source })?;
        Ok(self.losses.keep_tasks(key, tasks))
    }

    /// What the tasks of one step of level `k` take, on batches like these, and the bytes that they hold at once.
    pub(super) fn tasks_cost(&mut self, k: usize, points: &[Seeded]) -> Result<(Cost, usize), EngineError> {
        let count = self.levels[k].config.tasks;
        let round = |&level: &usize| {
            let steps =
                vec![vec![points[level].clone(); self.levels[level].evaluations()]; self.levels[level].config.unroll];
            Round {
                level,
                from: self.starts_from(level),
                batches: vec![steps; count],
                rates: vec![Vec::new(); count],
                moves: Vec::new(),
                numbers: Vec::new(),
            }
        };
        let rounds: Vec<Round> = P::SCHEDULE.levels[k].lower.iter().map(round).collect();
        Ok(self.prepare_tasks(k, &rounds, &vec![points[k].clone(); count])?.cost())
    }

    /// The level whose parameters the steps of this one begin at.
    pub(super) fn starts_from(&self, level: usize) -> Option<usize> {
        P::SCHEDULE.levels[level].start.filter(|_| self.levels[level].config.start == Start::From)
    }
}
