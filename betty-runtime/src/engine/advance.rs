//! The schedule, executed: turns of lower levels, starts, tasks, and steps.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::error::EngineError;
use super::event::Event;
use super::gradient::Found;
use super::level::Place;
use super::metrics::Metrics;
use super::numbers::{Numbers, Told};
use super::program::Multilevel;
use super::rates::LearningRates;
use super::reads::{Moves, Reads};
use super::record::Record;
use super::step::{Evaluation, Step, mean};
use super::train::Engine;
use crate::config::{HypergradientConfig, LowerBatch, Start};
use crate::execute::{Unread, Value, Vector, mix};
use crate::panic::caught;
use crate::trace::AnyBatch;

/// Gradients gathered for one step.
#[derive(Default)]
pub(super) struct Evaluated {
    /// Sum of the losses.
    pub(super) loss: f64,
    pub(super) metrics: Metrics,
    /// Norm of the gradient, if it is one.
    pub(super) norm: f64,
    /// What is still to be read of the gradient, if it is one.
    numbers: Option<Numbers>,
    pub(super) gradients: Vec<Vector>,
    evaluations: Vec<Evaluation>,
    /// What the gradients depend on.
    pub(super) reads: Reads,
    /// What the level's running statistics have become.
    statistics: Vec<(usize, Value)>,
}

impl Evaluated {
    fn add(&mut self, Told { loss, metrics, norm }: Told) {
        self.loss += loss;
        self.metrics.add(metrics);
        self.norm = norm;
    }
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
            self.undo(lower, place);
            self.tell_leaders(lower, |tangents| tangents.go_back(lower));
            self.levels[lower].looks_ahead = false;
        }
        for _ in 0..self.levels[k].config.rounds {
            self.take_again(&looked_ahead, losses)?;
        }
        // Steps that were undone do not count for the next round.
        self.mark_seen(k);
        Ok(())
    }

    /// Level `lower`, which has looked ahead, goes back to where it stood.
    fn undo(&mut self, lower: usize, place: Place) {
        let read = self.needed(lower).across_starts.then(|| self.clock.tick());
        self.levels[lower].go_back(place, read);
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
            && let Some(evaluated) = self.guarded(k, |engine| engine.evaluate_together(k, losses))?
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

    /// Turns of the lower levels of `k`, round for round, until each has taken as many as it shall. With `places`, those that
    /// look ahead begin where they stood when this was first called, and are found there.
    fn advance_lowers(
        &mut self,
        k: usize,
        losses: &mut [Option<f64>],
        mut places: Option<&mut BTreeMap<usize, Place>>,
    ) -> Result<(), EngineError> {
        self.clock.wait(k);
        let rounds = 1..=self.levels[k].config.rounds as u64;
        let lowers = P::SCHEDULE.levels[k].lower.iter().copied().enumerate();
        for (round, (i, lower)) in rounds.flat_map(|round| lowers.clone().map(move |lower| (round, lower))) {
            if places.is_some() && self.has_lost_steps(lower) {
                self.seen[k][i] = self.levels[lower].turns;
            }
            if self.levels[lower].turns == self.seen[k][i] {
                self.levels[lower].begin_round();
                let now = self.clock.now();
                self.tell_leaders(lower, |tangents| tangents.begin_round(lower, now));
                match (self.levels[lower].config.start, &mut places) {
                    (Start::Kept, _) | (Start::LookAhead, None) => {}
                    (Start::Initial, _) => {
                        self.levels[lower].restart(None, self.clock.tick());
                        self.tell_leaders(lower, |tangents| tangents.start_again(lower, None));
                    }
                    (Start::From, _) => self.start_from(lower),
                    (Start::LookAhead, Some(places)) => match places.get(&lower) {
                        Some(place) => {
                            self.undo(lower, place.clone());
                            self.tell_leaders(lower, |tangents| tangents.go_back(lower));
                        }
                        None => {
                            self.tell_leaders(lower, |tangents| tangents.mark(lower));
                            places.insert(lower, self.levels[lower].place(self.clock.now()));
                            self.levels[lower].looks_ahead = true;
                        }
                    },
                }
            }
            let turns = round * self.levels[lower].config.unroll as u64;
            while self.levels[lower].turns - self.seen[k][i] < turns {
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
            level.restart(Some(from), self.clock.tick());
            let from = from.number;
            self.tell_leaders(lower, |tangents| tangents.start_again(lower, Some(from)));
        }
    }

    fn mark_seen(&mut self, k: usize) {
        self.clock.turn(k);
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
            let found = self.guarded(k, |engine| engine.next_gradient(k, record));
            evaluated.statistics = self.levels[k].set_statistics(before);
            let (part, evaluation) = found?;
            evaluated.statistics.retain(|(index, _)| part.statistics.iter().all(|(newer, _)| newer != index));
            evaluated.statistics.extend(part.statistics);
            evaluated.reads.add(&part.reads);
            evaluated.gradients.push(part.gradient);
            evaluated.evaluations.extend(evaluation);
            if self.levels[k].evaluations() == 1 {
                // Read once the step is computed, together with whether that is finite.
                evaluated.numbers = Some(part.numbers);
            } else {
                evaluated.add(self.read_numbers(k, part.numbers)?);
            }
        }
        Ok(())
    }

    /// One optimizer step of level `k`; answers the loss before it.
    fn step(&mut self, k: usize, evaluated: Evaluated) -> Result<f64, EngineError> {
        self.tell_news();
        let scheduler = self.levels[k].scheduler.clone();
        let stepped = self.guarded(k, |engine| engine.compute_and_take(k, evaluated));
        if stepped.is_err() {
            self.levels[k].scheduler = scheduler;
        }
        stepped
    }

    /// Computes a step, and takes it if it leads to finite numbers.
    fn compute_and_take(&mut self, k: usize, mut evaluated: Evaluated) -> Result<f64, EngineError> {
        let (numbers, evaluations) = (evaluated.numbers.take(), std::mem::take(&mut evaluated.evaluations));
        let (gradients, statistics) =
            (std::mem::take(&mut evaluated.gradients), std::mem::take(&mut evaluated.statistics));
        let count = gradients.len();
        let gradient = mean(gradients.into_iter(), count);
        let square_norm = if count > 1 { Unread::square_norm(&gradient) } else { Unread::Known(Vec::new()) };
        let learned = self.learned(k);
        let observed_rate = self.observed_rate(k, &learned)?;
        let level = &mut self.levels[k];
        let rates = level.learning_rates();
        let moves = level.moves(&evaluated.reads.level(k, gradient.0.len()));
        let kept = level.trajectory.is_some().then(|| gradient.clone());
        let moved = level.moved(gradient, learned.clone(), &rates, &moves);
        let finiteness = Self::finiteness(&moved, &statistics);
        let (square_norm, finiteness) = match numbers {
            Some(numbers) => {
                let (told, finiteness) = self.read_with(k, numbers, finiteness)?;
                evaluated.add(told);
                (Vec::new(), finiteness)
            }
            None => Unread::read([square_norm, finiteness])?.into(),
        };
        let norm = square_norm.first().map_or(evaluated.norm, |square| square.sqrt());
        let rate = rates.each.first().map(|_| rates.base);
        if !finiteness.iter().all(|number| number.is_finite()) {
            self.check_moved(k, &moved, &statistics, norm, rate)?;
        }
        if let Some(gradient) = kept {
            self.record(k, gradient, evaluations, learned, &rates, &moves)?;
        }
        self.watch(k, norm);
        let level = &mut self.levels[k];
        let (name, learning_rate) = (level.name, observed_rate.unwrap_or(rates.base));
        level.arrive(moved, rates, &moves);
        level.stepped = Some(self.clock.tick());
        level.set_statistics(statistics);
        self.stale = true;
        let (loss, metrics) = (evaluated.loss / count as f64, evaluated.metrics.means());
        let event = Event::Step {
            level: k,
            name,
            step: level.steps,
            loss,
            metrics: &metrics,
            gradient_norm: norm,
            learning_rate,
            looks_ahead: level.looks_ahead,
        };
        self.emit(&event);
        self.levels[k].metrics = metrics;
        Ok(loss)
    }

    /// Takes note of the step that level `k` is about to take, which is differentiated.
    fn record(
        &mut self,
        k: usize,
        gradient: Vector,
        evaluations: Vec<Evaluation>,
        learned: Vec<Value>,
        rates: &LearningRates,
        moves: &Moves,
    ) -> Result<(), EngineError> {
        let level = &self.levels[k];
        let Some(steps) = &level.trajectory else { return Ok(()) };
        let before = Some(level.before(gradient, learned.clone()));
        let (above, time, needed) = (self.parameters_of(self.depends_on(k)), self.clock.now(), self.needed(k));
        let moves = Rc::clone(moves);
        let step = Step { time, start: None, evaluations, rates: rates.clone(), learned, moves, before };
        let noted = self.lead(k, &step).and_then(|()| steps.add(step, above, &needed));
        noted.map_err(|source| EngineError::Method { level: level.name.into(), source: Box::new(source) })
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
    fn next_gradient(&mut self, k: usize, record: bool) -> Result<(Found, Option<Evaluation>), EngineError> {
        let batch = self.next_batch(k)?;
        let seed = self.draw_seed(k);
        let gradient = self.find_gradient(k, &batch, seed, record)?;
        self.levels[k].last = Some((batch, seed));
        Ok(gradient)
    }

    pub(super) fn next_batch(&mut self, k: usize) -> Result<Rc<AnyBatch>, EngineError> {
        let batch = match self.returned[k].pop_front() {
            Some(batch) => batch,
            None => Rc::new(self.stream_batch(k)?.with_numbers_on(&self.levels[k].device())),
        };
        self.levels[k].batches += 1;
        self.drawn.note(k, &batch);
        Ok(batch)
    }

    fn stream_batch(&mut self, k: usize) -> Result<AnyBatch, EngineError> {
        let level = || self.levels[k].name.to_owned();
        let stream = &mut self.streams[k];
        let next = caught(|| stream.next_batch());
        let next = next.unwrap_or_else(|panic| Err(format!("it panicked: {panic}").into()));
        match (next, self.levels[k].batches) {
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
