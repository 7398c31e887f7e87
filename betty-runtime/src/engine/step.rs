//! One step: computed as a whole, read in one transfer, and taken if all that it leads to is finite.

use std::ops::Range;

use super::advance::Gathered;
use super::host::Host;
use super::run::Run;
use crate::error::EngineError;
use crate::event::Event;
use crate::execute::Unread;
use crate::execute::Value;
use crate::program::{Parts, Program, Taken};
use crate::steps::mean;

impl Run {
    /// One optimizer step of level `k`; answers the loss before it.
    pub(super) fn step(&mut self, host: &mut dyn Host, k: usize, gathered: Gathered) -> Result<f64, EngineError> {
        self.tell_news(host);
        let schedulers = self.program.levels[k].schedulers.clone();
        let solver = self.program.levels[k].config.solver;
        let stepped = self.guarded(k, |run| match solver {
            Some(solver) => run.solve_and_take(host, k, solver, gathered),
            None => run.compute_and_take(host, k, gathered),
        });
        if stepped.is_err() {
            self.program.levels[k].schedulers = schedulers;
        }
        stepped
    }

    /// Computes a step, and takes it if it leads to finite numbers.
    fn compute_and_take(&mut self, host: &mut dyn Host, k: usize, mut gathered: Gathered) -> Result<f64, EngineError> {
        let (numbers, evaluations) = (gathered.numbers.take(), std::mem::take(&mut gathered.evaluations));
        let (gradients, statistics) =
            (std::mem::take(&mut gathered.gradients), std::mem::take(&mut gathered.statistics));
        let count = gradients.len();
        let gradient = mean(gradients.into_iter(), count);
        let square_norm = if count > 1 { Unread::square_norm(&gradient) } else { Unread::Known(Vec::new()) };
        let learned = self.program.learned(k);
        let rates = self.program.levels[k].learning_rates();
        let observed_rate = self.observed_rates(k, &learned, rates.row..rates.row + 1)?.map(|rates| rates[0]);
        let program = &mut self.program;
        let level = &mut program.levels[k];
        let moves = level.moves(&gathered.reads.level(k, gradient.0.len()));
        let kept = level.trajectory.is_some().then(|| gradient.clone());
        let moved = level.moved(gradient, learned.clone(), &rates, &moves);
        let finiteness = Program::finiteness(&moved, &statistics);
        let (square_norm, finiteness) = match numbers {
            Some(numbers) => {
                let (told, finiteness) = program.read_with(k, numbers, finiteness)?;
                gathered.add(told);
                (Vec::new(), finiteness)
            }
            None => Unread::read([square_norm, finiteness])?.into(),
        };
        let norm = square_norm.first().map_or(gathered.norm, |square| square.sqrt());
        let rate = rates.base;
        if !finiteness.iter().all(|number| number.is_finite()) {
            program.check_moved(k, &moved, &statistics, norm, rate)?;
        }
        if let Some(gradient) = kept {
            program.keep_step(k, Taken { gradient, evaluations, learned, rates: &rates, moves: &moves })?;
        }
        self.tell_of_runaway(host, k, norm);
        self.tell_of_parts(host, k, gathered.parts);
        let learning_rate = observed_rate.or(rates.base).unwrap_or_default();
        let level = &mut self.program.levels[k];
        level.arrive(moved, rates, &moves);
        level.set_statistics(statistics);
        let gathered = Gathered { loss: gathered.loss / count as f64, norm, ..gathered };
        Ok(self.taken(host, k, gathered, learning_rate))
    }

    /// Tells of a step that level `k` has taken; answers the loss before it.
    pub(super) fn taken(&mut self, host: &mut dyn Host, k: usize, gathered: Gathered, learning_rate: f64) -> f64 {
        self.stale = true;
        let Gathered { loss, metrics, norm, .. } = gathered;
        let metrics = metrics.means();
        let level = &mut self.program.levels[k];
        level.stepped = Some(self.program.clock.tick());
        let name = level.name;
        let event = Event::Step {
            level: k,
            name,
            step: level.steps,
            loss,
            metrics: &metrics,
            gradient_norm: norm,
            learning_rate,
            looks_ahead: self.looks_ahead[k],
        };
        self.emit(host, &event);
        self.program.levels[k].metrics = metrics;
        loss
    }

    /// Tells what the gradient of a coming step is made of, if somebody asks.
    fn tell_of_parts(&mut self, host: &mut dyn Host, k: usize, parts: Option<Parts>) {
        if let Some(Parts { direct, indirect, cosine }) = parts {
            let name = self.program.levels[k].name;
            self.emit(host, &Event::Parts { level: k, name, direct, indirect, cosine });
        }
    }

    /// The learned learning rate of each of these rows, if there is one and anybody to be told.
    pub(super) fn observed_rates(
        &self,
        k: usize,
        learned: &[Value],
        rows: Range<usize>,
    ) -> Result<Option<Vec<f64>>, EngineError> {
        if self.watch.observers.is_empty() {
            return Ok(None);
        }
        Ok(self.program.levels[k].update.learned().mean_rates(learned, rows)?)
    }
}
