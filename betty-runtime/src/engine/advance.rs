//! The schedule, executed: turns of lower levels, starts, tasks, and steps.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::error::EngineError;
use super::event::Event;
use super::gradient::TotalGradient;
use super::level::Place;
use super::metrics::Metrics;
use super::program::Multilevel;
use super::rates::LearningRates;
use super::record::Record;
use super::step::{Evaluation, Step, mean};
use super::train::Engine;
use crate::config::{HypergradientConfig, LowerBatch, Start};
use crate::derivatives::Variable;
use crate::execute::{Value, Vector, mix};
use crate::linalg::InnerProductSpace;
use crate::trace::AnyBatch;

/// Gradients gathered for one step.
#[derive(Default)]
pub(super) struct Evaluated {
    /// Sum of the losses.
    pub(super) loss: f64,
    pub(super) metrics: Metrics,
    /// Norm of the last gradient.
    pub(super) norm: f64,
    pub(super) gradients: Vec<Vector>,
    evaluations: Vec<Evaluation>,
    /// What the level's running statistics have become.
    statistics: Vec<(usize, Value)>,
}

impl<P: Multilevel> Engine<P> {
    /// Turns of the lower levels as the schedule asks, then one turn of level `k`: a step, unless it is still warming up.
    ///
    /// Where lower levels look ahead, an error takes the whole turn back.
    pub(super) fn advance(&mut self, k: usize, losses: &mut [Option<f64>]) -> Result<(), EngineError> {
        let looks_ahead = |&lower: &usize| self.levels[lower].config.start == Start::LookAhead;
        if !self.is_warm(k) || !P::SCHEDULE.levels[k].lower.iter().any(looks_ahead) {
            return self.turn(k, losses);
        }
        let savepoint = self.save();
        let turned = self.turn(k, losses);
        self.settle(savepoint, turned)
    }

    fn turn(&mut self, k: usize, losses: &mut [Option<f64>]) -> Result<(), EngineError> {
        let mut places = BTreeMap::new();
        self.solve_and_step(k, losses, &mut places)?;
        self.levels[k].turns += 1;
        // Lower levels that looked ahead take their steps again, from where they stood, under the new parameters above.
        let looked_ahead: Vec<usize> = places.keys().copied().collect();
        for (lower, place) in places {
            self.levels[lower].go_back(place);
            self.levels[lower].looks_ahead = false;
        }
        self.take_again(&looked_ahead, losses)?;
        // Steps that were undone do not count for the next round.
        self.mark_seen(k);
        Ok(())
    }

    /// Whether level `k` takes steps by now.
    fn is_warm(&self, k: usize) -> bool {
        self.iterations >= self.levels[k].config.warmup as u64
    }

    fn take_again(&mut self, looked_ahead: &[usize], losses: &mut [Option<f64>]) -> Result<(), EngineError> {
        for &lower in looked_ahead {
            for _ in 0..self.levels[lower].config.unroll {
                self.advance(lower, losses)?;
            }
        }
        Ok(())
    }

    /// The step of level `k`, if it is warm, with all turns below that it waits for. `places` learns where those lower
    /// levels stood that only look ahead.
    fn solve_and_step(
        &mut self,
        k: usize,
        losses: &mut [Option<f64>],
        places: &mut BTreeMap<usize, Place>,
    ) -> Result<(), EngineError> {
        if !self.is_warm(k) {
            self.advance_lowers(k, losses, None)?;
            self.mark_seen(k);
            return Ok(());
        }
        if self.levels[k].config.vectorize
            && let Some(evaluated) = self.evaluate_together(k, losses)?
        {
            self.mark_seen(k);
            losses[k] = Some(self.step(k, evaluated)?);
            return Ok(());
        }
        let mut evaluated = Evaluated::default();
        for _ in 0..self.levels[k].config.tasks {
            self.advance_lowers(k, losses, Some(&mut *places))?;
            self.evaluate(k, &mut evaluated)?;
            self.mark_seen(k);
        }
        losses[k] = Some(self.step(k, evaluated)?);
        Ok(())
    }

    /// Turns of the lower levels of `k` until each has taken as many as it shall. With `places`, those that look ahead begin
    /// where they stood when this was first called, and are found there.
    fn advance_lowers(
        &mut self,
        k: usize,
        losses: &mut [Option<f64>],
        mut places: Option<&mut BTreeMap<usize, Place>>,
    ) -> Result<(), EngineError> {
        for (i, &lower) in P::SCHEDULE.levels[k].lower.iter().enumerate() {
            if places.is_some() && self.has_lost_steps(lower) {
                self.seen[k][i] = self.levels[lower].turns;
            }
            if self.levels[lower].turns == self.seen[k][i] {
                self.levels[lower].begin_round();
                match (self.levels[lower].config.start, &mut places) {
                    (Start::Kept, _) | (Start::LookAhead, None) => {}
                    (Start::Initial, _) => self.levels[lower].restart(None),
                    (Start::From, _) => self.start_from(lower),
                    (Start::LookAhead, Some(places)) => match places.get(&lower) {
                        Some(place) => self.levels[lower].go_back(place.clone()),
                        None => {
                            places.insert(lower, self.levels[lower].place());
                            self.levels[lower].looks_ahead = true;
                        }
                    },
                }
            }
            let unroll = self.levels[lower].config.unroll as u64;
            while self.levels[lower].turns - self.seen[k][i] < unroll {
                self.advance(lower, losses)?;
            }
        }
        Ok(())
    }

    /// Whether hypergradients go through the steps of a level, but all are from before a checkpoint or an edit.
    fn has_lost_steps(&self, lower: usize) -> bool {
        let level = &self.levels[lower];
        self.is_warm(lower) && level.trajectory.as_ref().is_some_and(Record::is_empty)
    }

    /// Puts the parameters of the level that the program names in the place of those of `lower`.
    fn start_from(&mut self, lower: usize) {
        let pair = P::SCHEDULE.levels[lower].start.map(|from| self.levels.get_disjoint_mut([lower, from]));
        if let Some(Ok([level, from])) = pair {
            level.restart(Some(from));
        }
    }

    fn mark_seen(&mut self, k: usize) {
        for (i, &lower) in P::SCHEDULE.levels[k].lower.iter().enumerate() {
            self.seen[k][i] = self.levels[lower].turns;
        }
    }

    /// Gradients of level `k` on as many batches as are averaged at one place of the levels below.
    fn evaluate(&mut self, k: usize, evaluated: &mut Evaluated) -> Result<(), EngineError> {
        let record = self.levels[k].trajectory.is_some();
        for _ in 0..self.levels[k].config.accumulate {
            // Each batch goes on from the statistics that the one before left; they count once the step is taken.
            let before = self.levels[k].set_statistics(std::mem::take(&mut evaluated.statistics));
            let found = self.next_gradient(k, record);
            evaluated.statistics = self.levels[k].set_statistics(before);
            let (part, evaluation) = found?;
            evaluated.statistics.retain(|(index, _)| part.statistics.iter().all(|(newer, _)| newer != index));
            evaluated.statistics.extend(part.statistics);
            evaluated.loss += part.loss;
            evaluated.metrics.add(part.metrics);
            evaluated.norm = part.norm;
            evaluated.gradients.push(part.gradient);
            evaluated.evaluations.extend(evaluation);
        }
        Ok(())
    }

    /// One optimizer step of level `k`; answers the loss before it.
    fn step(&mut self, k: usize, evaluated: Evaluated) -> Result<f64, EngineError> {
        for (level, other) in std::mem::take(&mut self.losses.still) {
            let (name, other) = (self.levels[level].name, self.levels[other].name);
            tracing::warn!(
                "the loss of level `{name}` only adds what it reads of `{other}`, or reads only what stands still there, so that \
                 every hypergradient between them is zero"
            );
            self.emit(&Event::ZeroEdge { level, name, other });
        }
        for (level, difference) in std::mem::take(&mut self.losses.roundings) {
            let name = self.levels[level].name;
            self.emit(&Event::Rounding { level, name, difference });
        }
        let Evaluated { loss, metrics, mut norm, gradients, evaluations, statistics } = evaluated;
        let count = gradients.len();
        let loss = loss / count as f64;
        let gradient = mean(gradients.into_iter(), count);
        if count > 1 {
            norm = gradient.dot(&gradient)?.sqrt();
        }
        let learned = self.learned(k);
        let observed_rate = self.observed_rate(k, &learned)?;
        let rates = self.record(k, &gradient, evaluations, &learned)?;
        let level = &mut self.levels[k];
        level.step(gradient, learned, &rates);
        level.set_statistics(statistics);
        self.stale = true;
        let metrics = metrics.means();
        let event = Event::Step {
            level: k,
            name: level.name,
            step: level.steps,
            loss,
            metrics: &metrics,
            gradient_norm: norm,
            learning_rate: observed_rate.unwrap_or(rates.base),
            looks_ahead: level.looks_ahead,
        };
        self.emit(&event);
        self.levels[k].metrics = metrics;
        Ok(loss)
    }

    /// Takes note of the step that level `k` is about to take, if it is differentiated; answers its learning rates.
    fn record(
        &mut self,
        k: usize,
        gradient: &Vector,
        evaluations: Vec<Evaluation>,
        learned: &[Value],
    ) -> Result<LearningRates, EngineError> {
        let level = &mut self.levels[k];
        let scheduler = level.scheduler.clone();
        let rates = level.learning_rates();
        let level = &self.levels[k];
        let Some(steps) = &level.trajectory else { return Ok(rates) };
        let (before, number) = (Some(level.before(gradient.clone(), learned.to_vec())), level.next_number());
        let above = P::SCHEDULE.reached_from(k).into_iter();
        let above = above.map(|above| (Variable::Level(above), self.levels[above].parameters())).collect();
        let learned = learned.to_vec();
        match steps.add(Step { evaluations, rates: rates.clone(), learned, number, before }, above) {
            Ok(()) => Ok(rates),
            Err(source) => {
                let (level, source) = (level.name.into(), Box::new(source));
                self.levels[k].scheduler = scheduler;
                Err(EngineError::Method { level, source })
            }
        }
    }

    /// The current values of the tensors that learned numbers of level `k`'s optimizer are made of.
    pub(super) fn learned(&self, k: usize) -> Vec<Value> {
        let sources = self.levels[k].update.learned().sources();
        sources.map(|source| self.levels[source.level].leaves[source.leaf].clone()).collect()
    }

    /// The learned learning rate, if there is one and anybody to be told.
    pub(super) fn observed_rate(&self, k: usize, learned: &[Value]) -> Result<Option<f64>, EngineError> {
        if self.observers.is_empty() {
            return Ok(None);
        }
        Ok(self.levels[k].update.learned().mean_rate(learned)?)
    }

    /// The total gradient of level `k` on its next batch, which becomes the batch its best response is differentiated on.
    fn next_gradient(&mut self, k: usize, record: bool) -> Result<(TotalGradient, Option<Evaluation>), EngineError> {
        let batch = self.next_batch(k)?;
        let seed = self.draw_seed(k);
        let gradient = self.total_gradient(k, &batch, seed, record)?;
        self.levels[k].last = Some((batch, seed));
        Ok(gradient)
    }

    pub(super) fn next_batch(&mut self, k: usize) -> Result<Rc<AnyBatch>, EngineError> {
        let batch = match self.returned[k].pop_front() {
            Some(batch) => batch,
            None => Rc::new(self.stream_batch(k)?),
        };
        self.levels[k].batches += 1;
        self.drawn.note(k, &batch);
        Ok(batch)
    }

    fn stream_batch(&mut self, k: usize) -> Result<AnyBatch, EngineError> {
        let level = || self.levels[k].name.to_owned();
        match (self.streams[k].next_batch(), self.levels[k].batches) {
            (Ok(Some(batch)), _) => Ok(batch),
            (Ok(None), 0) => Err(EngineError::EmptyData { level: level() }),
            (Ok(None), batches) => Err(EngineError::OutOfData { level: level(), batches }),
            (Err(source), _) => Err(EngineError::Data { level: level(), source }),
        }
    }

    /// The batch and seed at which a lower level is differentiated: those of its last step, or fresh ones.
    pub(super) fn lower_batch(&mut self, k: usize) -> Result<(Rc<AnyBatch>, u64), EngineError> {
        let level = &self.levels[k];
        match (&level.last, level.config.hypergradient.as_ref().map(HypergradientConfig::batch)) {
            (Some(last), Some(LowerBatch::Last)) => Ok(last.clone()),
            (Some(last), _) if self.holds_batches => Ok(last.clone()),
            _ => Ok((self.next_batch(k)?, self.draw_seed(k))),
        }
    }

    /// A seed of its own for every batch that a level takes.
    pub(super) fn draw_seed(&self, k: usize) -> u64 {
        mix(mix(self.seed, k as u64), self.levels[k].batches)
    }
}
