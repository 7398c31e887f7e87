//! What the tasks came to: checked, taken over, and told.

use std::rc::Rc;

use super::super::advance::Evaluated;
use super::super::error::EngineError;
use super::super::event::Event;
use super::super::level::{Level, Moved, Seeded};
use super::super::metrics::Metrics;
use super::super::program::Multilevel;
use super::super::step::Restart;
use super::super::train::Engine;
use super::Round;
use crate::derivatives::{LossFound, TasksFound};
use crate::execute::Value;

impl<P: Multilevel> Engine<P> {
    /// Whether all numbers are finite, level by level.
    pub(super) fn check_tasks(&self, k: usize, rounds: &[Round], found: &TasksFound) -> Result<(), EngineError> {
        for task in &found.tasks {
            for (round, steps) in rounds.iter().zip(&task.lower) {
                for step in steps {
                    step.losses.iter().try_for_each(|of| self.check_finite(round.level, "loss", of.loss))?;
                    self.check_finite(round.level, "gradient", step.square_norm)?;
                }
            }
            self.check_finite(k, "loss", task.upper.loss)?;
        }
        self.check_finite(k, "hypergradient", found.square_norm)?;
        if found.finiteness.is_finite() {
            return Ok(());
        }
        for (place, (round, (parameters, states))) in rounds.iter().zip(&found.reached).enumerate() {
            let moved = Moved { parameters: parameters.clone(), states: states.clone() };
            let last = found.tasks.last().and_then(|task| task.lower[place].last());
            let rates = round.rates.last().and_then(|task| task.last());
            let rate = rates.and_then(|rates| rates.each.first().map(|_| rates.base));
            self.check_moved(round.level, &moved, &[], last.map_or(f64::NAN, |step| step.square_norm.sqrt()), rate)?;
        }
        Ok(())
    }

    /// Puts the levels below where the last task left them, and tells what happened in the order of the tasks.
    pub(super) fn take_over(
        &mut self,
        k: usize,
        rounds: Vec<Round>,
        own: Vec<Seeded>,
        found: TasksFound,
        losses: &mut [Option<f64>],
    ) -> Result<Evaluated, EngineError> {
        let TasksFound { gradient, square_norm, tasks, reached, .. } = found;
        let mut evaluated = Evaluated::default();
        (evaluated.norm, evaluated.gradients) = (square_norm.sqrt(), vec![gradient]);
        evaluated.reads = self.reads_of_tasks(k, &rounds, &own);
        let share = 1.0 / tasks.len() as f64;
        let learned = |round: &Round| self.observed_rate(round.level, &self.learned(round.level));
        let learned = rounds.iter().map(learned).collect::<Result<Vec<_>, _>>()?;
        for (task, found) in tasks.into_iter().enumerate() {
            for ((round, learned), steps) in rounds.iter().zip(&learned).zip(found.lower) {
                for (step, found) in steps.into_iter().enumerate() {
                    let (loss, metrics) = means(found.losses);
                    losses[round.level] = Some(loss);
                    let level = &mut self.levels[round.level];
                    level.steps += 1;
                    level.turns += 1;
                    let (name, step_number) = (level.name, level.steps);
                    self.emit(&Event::Step {
                        level: round.level,
                        name,
                        step: step_number,
                        loss,
                        metrics: &metrics,
                        gradient_norm: found.square_norm.sqrt(),
                        learning_rate: learned.unwrap_or(round.rates[task][step].base),
                        looks_ahead: false,
                    });
                    self.levels[round.level].metrics = metrics;
                }
            }
            for round in &rounds {
                let (name, through) = (self.levels[k].name, self.levels[round.level].name);
                let products = round.batches[task].len();
                self.emit(&Event::Hypergradient { level: k, name, through, products, residual: None });
            }
            evaluated.loss += share * found.upper.loss;
            evaluated.metrics.add(found.upper.metrics);
        }
        for (round, (parameters, states)) in rounds.into_iter().zip(reached) {
            let mut leaves = match round.from {
                Some(from) => self.levels[from].leaves.clone(),
                None => self.levels[round.level].initial.clone(),
            };
            let level = &mut self.levels[round.level];
            level.trainable.iter().zip(parameters.0).for_each(|(&index, value)| leaves[index] = value);
            level.stand(leaves, states, round);
        }
        self.levels[k].last = own.into_iter().next_back();
        self.stale = true;
        Ok(evaluated)
    }
}

impl Level {
    /// Stands where the last task of a round left it.
    fn stand(&mut self, leaves: Vec<Value>, states: Vec<Value>, round: Round) {
        (self.leaves, self.states) = (leaves, states);
        self.taken = self.config.unroll as u64;
        let rests = |parameter: usize| round.moves.iter().filter(|moves| moves[parameter].is_none()).count() as u64;
        self.rests = (0..self.rests.len()).map(rests).collect();
        self.set_last_rates(round.rates.into_iter().next_back().and_then(|task| task.into_iter().next_back()));
        self.last = round.batches.into_iter().flatten().flatten().next_back();
        if let Some(steps) = &self.trajectory {
            steps.restart(Restart::default());
        }
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
