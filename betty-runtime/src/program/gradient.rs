//! The total gradient of a level: its direct gradient, and what comes up through the best responses below.

use std::rc::Rc;

use super::Program;
use super::context::{Context, Solutions};
use super::direct::Derivative;
use super::losses::gather;
use super::numbers::{Numbers, Parts, Told};
use super::passings::Passings;
use super::sample::{Sample, Seeded};
use crate::error::EngineError;
use crate::execute::{Unread, Value, Vector};
use crate::hypergradient::{Blocks, SolveReport};
use crate::steps::{Basis, Evaluation, Reads, Record, UpperLoss};
use crate::trace::{AnyBatch, LossInput};

/// The total gradient of a level at its current point.
#[derive(Clone, Debug)]
pub struct TotalGradient {
    /// The level's loss.
    pub loss: f64,
    /// What the loss function reports beside the loss: names and values.
    pub metrics: Vec<(Rc<str>, f64)>,
    /// The gradient, one tensor for each trainable parameter, in the module's order.
    pub gradient: Vector,
    /// Its norm.
    pub norm: f64,
}

/// The total gradient of a level, with numbers that have not been read yet.
pub(crate) struct Found {
    pub(crate) gradient: Vector,
    /// The level's running statistics after its forward pass: which of its leaves, and the value.
    pub(crate) statistics: Vec<(usize, Value)>,
    /// What the gradient depends on.
    pub(crate) reads: Rc<Reads>,
    pub(crate) numbers: Numbers,
    /// What it took to pass through each level below, and how well that was solved.
    pub(crate) reports: Vec<(usize, SolveReport)>,
    /// What the systems below were solved to, for methods that start from there at the next step.
    pub(crate) solutions: Solutions,
}

impl Program {
    /// Direct plus indirect gradient of level `k` on batches whose losses have been prepared, read and checked.
    ///
    /// # Errors
    /// [`EngineError`] when a number is not finite, or a method fails.
    pub(crate) fn total_gradient(
        &mut self,
        k: usize,
        sample: &Sample,
        passings: Passings,
    ) -> Result<TotalGradient, EngineError> {
        let found = self.find_gradient(k, sample, passings)?;
        self.total(k, found)
    }

    /// Reads the numbers of a total gradient of level `k`, and checks them.
    ///
    /// # Errors
    /// [`EngineError`] when one is not finite.
    pub(crate) fn total(&self, k: usize, found: Found) -> Result<TotalGradient, EngineError> {
        let Found { gradient, numbers, .. } = found;
        let Told { loss, metrics, norm, .. } = self.read_numbers(k, numbers)?;
        Ok(TotalGradient { loss, metrics, gradient, norm })
    }

    /// As [`total_gradient`](Self::total_gradient), with numbers that are to be read and checked.
    ///
    /// # Errors
    /// As [`total_gradient`](Self::total_gradient).
    pub(crate) fn find_gradient(
        &mut self,
        k: usize,
        sample: &Sample,
        passings: Passings,
    ) -> Result<Found, EngineError> {
        match self.apart_at(k) {
            None => self.gathered(k, sample, passings).map(|(found, ..)| found),
            Some(ranks) => {
                self.check_apart(k, sample)?;
                let found = ranks.apart(|| self.gathered(k, sample, passings))?.0;
                self.put_together(k, &ranks, &sample.own.0, found)
            }
        }
    }

    /// The direct gradient of level `k` alone, with numbers that are to be read and checked.
    ///
    /// # Errors
    /// As [`total_gradient`](Self::total_gradient).
    pub(crate) fn find_direct(&mut self, k: usize, (batch, seed): &Seeded) -> Result<Found, EngineError> {
        self.check_updates(k, batch)?;
        let Derivative { own: gradient, statistics, reads, mut numbers, .. } = self.launch(k, batch, *seed)?;
        if !self.schedule.levels[k].sweep.is_empty() {
            // What is known of the derivatives takes in those in what is below.
            numbers.total = Some(Unread::square_norm(&gradient));
        }
        let (reports, solutions) = (Vec::new(), Solutions::new());
        Ok(Found { gradient, statistics, reads: Rc::new(reads), numbers, reports, solutions })
    }

    /// As [`find_gradient`](Self::find_gradient), with all that it takes to differentiate it.
    ///
    /// # Errors
    /// As [`total_gradient`](Self::total_gradient).
    pub(crate) fn find_evaluation(
        &mut self,
        k: usize,
        sample: &Sample,
        passings: Passings,
    ) -> Result<(Found, Evaluation), EngineError> {
        let (found, mut context, multipliers) = self.gathered(k, sample, passings)?;
        let (batch, seed) = &sample.own;
        context.bases.set(k, Basis::Loss { batch: Rc::clone(batch), seed: *seed });
        let condition = self.condition(k, &mut context, multipliers)?;
        let at_loss: Vec<(usize, usize)> = self.places(k, batch, k).collect();
        let own = self.own_positions(k, &at_loss, &condition);
        let reached = self.schedule.reached_from(k).into_iter();
        let above = reached.flat_map(|of| self.places(k, batch, of).map(move |(index, at)| (of, index, at))).collect();
        let begun = context.bases.begun().collect();
        let evaluation = Evaluation {
            time: self.clock.now(),
            batch: Rc::clone(batch),
            conditions: context.conditions.into_iter().chain([condition]).collect(),
            program: Rc::clone(&found.numbers.program),
            inputs: found.numbers.inputs.clone(),
            own,
            begun,
            above,
            reads: Rc::clone(&found.reads),
        };
        Ok((found, evaluation))
    }

    /// The total gradient, with what was gathered for it, and the solution of the system below.
    fn gathered(
        &mut self,
        k: usize,
        sample: &Sample,
        passings: Passings,
    ) -> Result<(Found, Context, Blocks), EngineError> {
        let (batch, seed) = &sample.own;
        self.check_updates(k, batch)?;
        let Derivative { own, below, statistics, mut reads, mut numbers } = self.launch(k, batch, *seed)?;
        let mut gradient = own;
        let (mut context, mut multipliers) =
            (Context { is_apart: self.losses.are_apart(), ..Context::default() }, Blocks::default());
        let (mut reports, mut solutions) = (Vec::new(), Solutions::new());
        if !self.schedule.levels[k].sweep.is_empty() {
            self.read_direct(k, &mut numbers)?;
            context.loss = self.upper_loss(k, batch, *seed, &below)?;
            self.prepare_stops(k, sample, passings, &mut context)?;
            let (indirect, solution) = self.indirect(k, &mut context, &below)?;
            if self.tells_parts {
                numbers.parts = Some(Parts::unread(&gradient, indirect.as_ref()));
            }
            if let Some(indirect) = indirect {
                gradient.add_scaled(-1.0, &indirect);
            }
            reads = self.reads_through(k, Reads::both(&reads, &context.reads));
            numbers.total = Some(Unread::square_norm(&gradient));
            multipliers = solution;
            solutions = std::mem::take(&mut context.solutions);
            reports = context.response.reports().iter().map(|(&stop, &report)| (stop, report)).collect();
        }
        Ok((Found { gradient, statistics, reads: Rc::new(reads), numbers, reports, solutions }, context, multipliers))
    }

    /// Lets the next gradients start from these solutions.
    pub(crate) fn start_from(&mut self, solutions: Solutions) {
        solutions.into_iter().for_each(|(level, found)| self.levels[level].solutions = found);
    }

    /// What the total gradient of level `k` depends on, its loss and those below, and steps that it goes through, depending on
    /// `reads`: also on what those steps begin at, and on what decides where others come to rest.
    pub(crate) fn reads_through(&self, k: usize, mut reads: Reads) -> Reads {
        for stop in self.schedule.levels[k].sweep {
            let level = &self.levels[stop.level];
            match &level.trajectory {
                None if self.schedule.levels[stop.level].condition.is_none() => {
                    reads.add(&level.update.reads_at_rest());
                }
                None => {}
                Some(steps) if steps.reaches_start() => {
                    self.starts_from(stop.level).into_iter().for_each(|from| reads.begin_at(stop.level, from));
                }
                Some(_) => {}
            }
        }
        reads
    }

    /// The loss of level `k` as a function of what it reads of the levels below, if one of them needs it; `direct` is its
    /// derivative there.
    fn upper_loss(
        &mut self,
        k: usize,
        batch: &AnyBatch,
        seed: u64,
        direct: &Blocks,
    ) -> Result<Option<Rc<UpperLoss>>, EngineError> {
        let spec = &self.schedule.levels[k];
        let needs_loss = |level: &usize| self.levels[*level].trajectory.as_ref().is_some_and(Record::needs_loss);
        let stops: Vec<usize> = spec.sweep.iter().map(|stop| stop.level).filter(needs_loss).collect();
        if stops.is_empty() {
            return Ok(None);
        }
        let loss = self.losses.get_mut(k, batch);
        let program = loss.gradient(&[]).map_err(|source| EngineError::Graph { level: spec.name.into(), source })?;
        let inputs = gather(loss, &self.levels, batch);
        let places = stops.into_iter().map(|stop| (stop, self.places(k, batch, stop).collect())).collect();
        Ok(Some(Rc::new(UpperLoss { program, inputs, seed, places, direct: direct.clone() })))
    }

    /// Which parameters of level `of` are inputs of the loss of level `k`, and where they stand among them.
    pub(super) fn places(
        &self,
        k: usize,
        batch: &AnyBatch,
        of: usize,
    ) -> impl Iterator<Item = (usize, usize)> + use<'_> {
        let inputs = &self.losses.get(k, batch).trace().inputs;
        let at =
            move |leaf| inputs.iter().position(|&(source, _)| source == LossInput::Leaf { level: of, index: leaf });
        let parameters = self.levels[of].trainable.iter().enumerate();
        parameters.filter_map(move |(index, &leaf)| Some((index, at(leaf)?)))
    }

    /// The current values of the tensors that learned numbers of level `k`'s optimizer are made of.
    pub(crate) fn learned(&self, k: usize) -> Vec<Value> {
        let sources = self.levels[k].update.learned().sources();
        sources.map(|source| self.levels[source.level].leaves[source.leaf].clone()).collect()
    }
}
