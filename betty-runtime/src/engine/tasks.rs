//! All tasks of one step at once: their batches drawn, and what they came to taken over.

use std::rc::Rc;

use super::gathered::Gathered;
use super::host::Host;
use super::run::Run;
use super::untold::{Known, KnownStep};
use crate::derivatives::{LossFound, TasksFound};
use crate::error::EngineError;
use crate::event::Event;
use crate::program::{Metrics, Round, Seeded};

impl Run {
    /// The mean gradient of level `k` over all tasks of a step, with the levels below where the last task leaves them.
    /// Nothing if one computation does not serve all tasks; batches that were drawn for it are given back by the caller.
    pub(super) fn evaluate_together(&mut self, host: &mut dyn Host, k: usize) -> Result<Option<Gathered>, EngineError> {
        let evaluated = self.evaluate_own_together(host, k);
        match self.takers(k) {
            Some(ranks) if !matches!(evaluated, Ok(None)) => {
                self.join_tasks(k, &ranks, evaluated.map(Option::unwrap_or_default)).map(Some)
            }
            _ => evaluated,
        }
    }

    /// The same for the tasks that are taken here.
    fn evaluate_own_together(&mut self, host: &mut dyn Host, k: usize) -> Result<Option<Gathered>, EngineError> {
        let lower = self.program.schedule.levels[k].lower;
        if lower.iter().any(|&level| self.iterations < self.program.levels[level].config.warmup as u64) {
            return Ok(None);
        }
        let (mut rounds, own) = self.draw_tasks(host, k)?;
        if !self.program.prepare_together(host, k, &rounds, &own)? {
            return Ok(None);
        }
        let schedulers: Vec<_> = lower.iter().map(|&level| self.program.levels[level].schedulers.clone()).collect();
        for round in &mut rounds {
            self.program.plan_round(round, own.len());
        }
        let numbers = self.own_tasks(k);
        let taken: Vec<Round> = rounds.iter().map(|round| round.of_tasks(&numbers)).collect();
        let own_taken: Vec<Seeded> = numbers.iter().map(|&task| own[task].clone()).collect();
        let of_rates = rounds.iter().map(|round| self.unread_rates(round.level, &self.program.learned(round.level)));
        match self.program.find_together(k, &taken, &own_taken, of_rates.collect()) {
            Ok(found) => Ok(Some(self.take_over(host, k, (rounds, own), found))),
            Err(error) => {
                // No step was taken.
                for (&level, of_level) in lower.iter().zip(schedulers) {
                    self.program.levels[level].schedulers = of_level;
                }
                Err(error)
            }
        }
    }

    /// The batches of all tasks.
    fn draw_tasks(&mut self, host: &mut dyn Host, k: usize) -> Result<(Vec<Round>, Vec<Seeded>), EngineError> {
        let count = self.program.levels[k].config.tasks;
        let lower = self.program.schedule.levels[k].lower.iter();
        let rounds = lower.map(|&level| self.draw_round(host, level, count)).collect::<Result<_, _>>()?;
        let own = (0..count).map(|_| self.draw(host, k)).collect::<Result<_, _>>()?;
        Ok((rounds, own))
    }

    fn draw_round(&mut self, host: &mut dyn Host, number: usize, count: usize) -> Result<Round, EngineError> {
        let level = &self.program.levels[number];
        let (unroll, each) = (level.config.unroll, level.evaluations());
        let step_of = |index: usize| (index / each % unroll) as u64;
        let drawn = (0..count * unroll * each).map(|index| self.draw_for(host, number, step_of(index)));
        let drawn = drawn.collect::<Result<Vec<_>, _>>()?;
        let task = |batches: &[Seeded]| batches.chunks(each).map(<[Seeded]>::to_vec).collect();
        let batches = drawn.chunks(unroll * each).map(task).collect();
        let mut round = Round::new(number, self.program.starts_from(number), batches);
        // As if one task went after the other.
        let begun = |task: usize| self.turns.taken[number] + (task * unroll) as u64;
        let level = &self.program.levels[number];
        round.starts = (0..count).filter_map(|task| level.drawn(self.start_seed(number, begun(task)))).collect();
        Ok(round)
    }

    /// Lets the steps of a level pass that another rank takes in one task.
    fn pass_round(&mut self, level: usize) {
        let steps = self.program.levels[level].config.unroll as u64;
        self.turns.taken[level] += steps;
        self.program.levels[level].steps += steps;
    }

    /// Puts the levels below where the last task left them, and tells what happened in the order of the tasks.
    fn take_over(
        &mut self,
        host: &mut dyn Host,
        k: usize,
        (rounds, own): (Vec<Round>, Vec<Seeded>),
        found: TasksFound,
    ) -> Gathered {
        let TasksFound { gradient, square_norm, tasks, reached, beside, .. } = found;
        let mut gathered = Gathered::default();
        (gathered.norm, gathered.gradients) = (square_norm.sqrt(), vec![gradient]);
        gathered.reads = self.program.reads_of_tasks(k, &rounds, &own);
        let share = 1.0 / tasks.len() as f64;
        let learned = |(round, read): (&Round, Vec<Vec<f64>>)| {
            let level = &self.program.levels[round.level];
            if read.is_empty() { None } else { level.update.learned().mean_rates(&read, 0..level.config.unroll) }
        };
        let learned: Vec<_> = rounds.iter().zip(beside).map(learned).collect();
        let numbers = self.own_tasks(k);
        let mut tasks = tasks.into_iter();
        for task in 0..own.len() {
            let Some(found) = numbers.contains(&task).then(|| tasks.next()).flatten() else {
                rounds.iter().for_each(|round| self.pass_round(round.level));
                continue;
            };
            for ((round, learned), steps) in rounds.iter().zip(&learned).zip(found.lower) {
                for (step, found) in steps.into_iter().enumerate() {
                    let (loss, metrics) = means(found.losses);
                    self.turns.taken[round.level] += 1;
                    let level = &mut self.program.levels[round.level];
                    level.steps += 1;
                    let (level, number, gradient_norm) = (round.level, level.steps, found.square_norm.sqrt());
                    let learned = learned.as_ref().map(|rates| rates[step]);
                    let learning_rate = learned.or(round.rates[task][step].base).unwrap_or_default();
                    let looks_ahead = false;
                    let step =
                        KnownStep { level, step: number, loss, metrics, gradient_norm, learning_rate, looks_ahead };
                    self.say(host, Known::Step(step));
                }
            }
            for round in &rounds {
                let levels = &self.program.levels;
                let (name, through) = (levels[k].name, levels[round.level].name);
                let products = round.batches[task].len();
                let told = move |tell: &mut dyn FnMut(&Event<'_>)| {
                    tell(&Event::Hypergradient { level: k, name, through, products, residual: None });
                };
                self.say(host, Known::Event(Box::new(told)));
            }
            gathered.loss += share * found.upper.loss;
            gathered.metrics.add(found.upper.metrics);
        }
        for (round, (parameters, states)) in rounds.into_iter().zip(reached) {
            self.program.stand_after(round, parameters, states);
        }
        self.program.levels[k].last = own.into_iter().next_back().into_iter().collect();
        self.stale = true;
        gathered
    }
}

/// The mean loss and metrics of one step.
fn means(losses: Vec<LossFound>) -> (f64, Vec<(Rc<str>, f64)>) {
    let count = losses.len() as f64;
    let mut metrics = Metrics::default();
    let mut sum = 0.0;
    for found in losses {
        sum += found.loss;
        metrics.add(found.metrics);
    }
    (sum / count, metrics.means())
}
