//! One step: computed as a whole, read in one transfer, and taken if all that it leads to is finite.

use super::gathered::Gathered;
use super::host::Host;
use super::run::Run;
use super::untold::{Arrived, KnownStep, UnreadStep};
use crate::error::EngineError;
use crate::event::Event;
use crate::execute::{Unread, Value};
use crate::program::{Parts, Program, Taken};
use crate::steps::mean;

impl Run {
    /// One optimizer step of level `k`.
    pub(super) fn step(&mut self, host: &mut dyn Host, k: usize, mut gathered: Gathered) -> Result<(), EngineError> {
        self.tell_news(host);
        let stood = gathered.stood.take();
        let schedulers = self.program.levels[k].schedulers.clone();
        let solver = self.program.levels[k].config.solver;
        let stepped = self.guarded(k, |run| match solver {
            Some(solver) => run.solve_and_take(host, k, solver, gathered),
            None => run.compute_and_take(host, k, gathered),
        });
        if stepped.is_err() {
            self.program.levels[k].schedulers = schedulers;
            stood.into_iter().for_each(|stood| stood.restore(&mut self.program));
        }
        stepped
    }

    /// Computes a step, and takes it if it leads to finite numbers, or if that is read later.
    fn compute_and_take(&mut self, host: &mut dyn Host, k: usize, mut gathered: Gathered) -> Result<(), EngineError> {
        let mut numbers = std::mem::take(&mut gathered.numbers);
        let evaluations = std::mem::take(&mut gathered.evaluations);
        let (gradients, statistics) =
            (std::mem::take(&mut gathered.gradients), std::mem::take(&mut gathered.statistics));
        let count = gradients.len();
        let gradient = mean(gradients.into_iter(), count);
        let square_norm = if count > 1 { Unread::square_norm(&gradient) } else { Unread::Known(Vec::new()) };
        let learned = self.program.learned(k);
        let rates = self.program.levels[k].learning_rates();
        let rate = rates.base;
        let (row, of_rates) = (rates.row, self.unread_rates(k, &learned));
        let program = &mut self.program;
        let level = &mut program.levels[k];
        let moves = level.moves(&gathered.reads.level(k, gradient.0.len()));
        let kept = level.trajectory.is_some().then(|| gradient.clone());
        let moved = level.moved(gradient, learned.clone(), &rates, &moves);
        let finiteness = Program::finiteness(&moved, &statistics);
        let is_read = program.unread.is_none();
        let mut read_rates = Vec::new();
        if is_read {
            let others = std::iter::once(&finiteness).chain(&of_rates).cloned();
            let finiteness;
            match numbers.pop() {
                Some(numbers) => {
                    let (told, mut read) = program.read_with(k, numbers, others.collect())?;
                    gathered.add(told);
                    (finiteness, read_rates) = (read.remove(0), read);
                }
                None => {
                    let mut read = Unread::read_all(std::iter::once(square_norm.clone()).chain(others).collect())?;
                    let square_norm = read.remove(0);
                    gathered.norm = square_norm.first().map_or(gathered.norm, |square| square.sqrt());
                    (finiteness, read_rates) = (read.remove(0), read);
                }
            }
            if !finiteness.iter().all(|number| number.is_finite()) {
                program.check_moved(k, &moved, &statistics, gathered.norm, rate)?;
            }
        }
        if let Some(gradient) = kept {
            program.keep_step(k, Taken { gradient, evaluations, learned, rates: &rates, moves: &moves })?;
        }
        if is_read {
            gathered.loss /= count as f64;
            self.tell_of_coming(host, k, self.program.levels[k].steps + 1, &gathered);
        }
        let level = &mut self.program.levels[k];
        level.arrive(moved, rates, &moves);
        level.set_statistics(statistics);
        let mut arrived = self.arrived(k, rate, row);
        if is_read {
            arrived.learned = read_rates;
            self.tell_of_step(host, arrived, gathered);
            return Ok(());
        }
        let numbers = numbers.into_iter().map(Into::into).collect();
        let (known, batches) = (gathered, count);
        self.leave_unread(UnreadStep { arrived, numbers, known, batches, square_norm, finiteness, rates: of_rates });
        Ok(())
    }

    /// Level `k` has taken a step, at this rate, or one that was learned and is in this row.
    pub(super) fn arrived(&mut self, k: usize, rate: Option<f64>, row: usize) -> Arrived {
        self.stale = true;
        let level = &mut self.program.levels[k];
        level.stepped = Some(self.program.clock.tick());
        let (step, looks_ahead) = (level.steps, self.looks_ahead[k]);
        Arrived { level: k, step, looks_ahead, rate: rate.unwrap_or_default(), row, learned: Vec::new() }
    }

    /// Tells of a step that was read after it was taken.
    pub(super) fn tell_of_read(&mut self, host: &mut dyn Host, arrived: Arrived, gathered: Gathered) {
        self.tell_of_coming(host, arrived.level, arrived.step, &gathered);
        self.tell_of_step(host, arrived, gathered);
    }

    /// Tells what is told of a step before it is taken.
    fn tell_of_coming(&mut self, host: &mut dyn Host, k: usize, step: u64, gathered: &Gathered) {
        self.tell_of_runaway(host, k, step, gathered.norm);
        self.tell_of_parts(host, k, gathered.parts);
    }

    /// Tells of a step that was taken.
    pub(super) fn tell_of_step(&mut self, host: &mut dyn Host, arrived: Arrived, gathered: Gathered) {
        let Arrived { level: k, step, looks_ahead, rate, row, learned } = arrived;
        let numbers = self.program.levels[k].update.learned();
        let learned = if learned.is_empty() { None } else { numbers.mean_rates(&learned, row..row + 1) };
        let learning_rate = learned.map_or(rate, |rates| rates[0]);
        let Gathered { loss, metrics, norm: gradient_norm, .. } = gathered;
        let metrics = metrics.means();
        let step = KnownStep { level: k, step, loss, metrics, gradient_norm, learning_rate, looks_ahead };
        self.tell_of_known_step(host, step);
    }

    /// Tells what the gradient of a coming step is made of, if somebody asks.
    fn tell_of_parts(&mut self, host: &mut dyn Host, k: usize, parts: Option<Parts>) {
        if let Some(Parts { direct, indirect, cosine }) = parts {
            let name = self.program.levels[k].name;
            self.emit(host, &Event::Parts { level: k, name, direct, indirect, cosine });
        }
    }

    /// What the learned learning rate of level `k` is made of, if there is one and anybody to be told.
    pub(super) fn unread_rates(&self, k: usize, learned: &[Value]) -> Vec<Unread> {
        if self.watch.observers.is_empty() {
            return Vec::new();
        }
        self.program.levels[k].update.learned().unread_rates(learned)
    }
}
