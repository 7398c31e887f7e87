//! The steps of a level, kept to be taken again from displaced parameters of the levels above.
//!
//! A level above sees the difference that the displacement makes to its loss, not to derivatives of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::divided::{Divided, Drawn};
use super::reads::Reads;
use super::step::{Step, mean, moved_by};
use super::update::{Before, Update};
use super::widths::Widths;
use crate::derivatives::{GradientProgram, Variable, loss_in};
use crate::distributed::DistributedError;
use crate::execute::{Unread, Value, Vector};
use crate::graph::reachable;
use crate::hypergradient::{Blocks, Directions, HypergradientError, ProductError, Trajectory};

/// The steps of a level since a level above began to wait.
#[derive(Clone)]
pub(crate) struct Replays {
    level: usize,
    update: Rc<Update>,
    pub(crate) directions: Divided,
    /// How far the parameters above are moved along a direction, unless their numbers stand further apart.
    distance: f64,
    steps: Vec<Step>,
    /// What they look like.
    above: Blocks,
    /// The level whose parameters the first step is taken from.
    from: Option<usize>,
}

/// The loss of a level above, as a function of what it reads of the levels below.
pub(crate) struct UpperLoss {
    pub(crate) program: Rc<GradientProgram>,
    pub(crate) inputs: Vec<Value>,
    pub(crate) seed: u64,
    /// For each level below: which of its parameters, and where they stand among the inputs.
    pub(crate) places: BTreeMap<usize, Vec<(usize, usize)>>,
    /// Its derivatives in the parameters of the levels below.
    pub(crate) direct: Blocks,
}

/// What a level above needs of the replays of a level.
pub(crate) struct Replayed {
    pub(crate) level: usize,
    pub(crate) replays: Rc<RefCell<Replays>>,
    pub(crate) loss: Rc<UpperLoss>,
}

impl Replays {
    pub(crate) fn new(level: usize, update: Rc<Update>, directions: Rc<dyn Directions>, distance: f64) -> Self {
        let directions = Divided::whole(directions);
        Replays { level, update, directions, distance, steps: Vec::new(), above: Blocks::default(), from: None }
    }

    /// Begins anew, at the parameters of a level if there is one.
    pub(crate) fn restart(&mut self, from: Option<usize>) {
        self.steps.clear();
        self.from = from;
    }

    /// What the steps depend on: a difference is there where no derivative leads, too.
    pub(crate) fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        for evaluation in self.steps.iter().flat_map(|step| &step.evaluations) {
            reads.add(&evaluation.reads);
            reads.add(&Reads::moving(&evaluation.program));
        }
        reads.add(&self.update.reads(self.level, &moved_by(&self.steps, &self.update), reachable));
        reads
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Keeps a step; `above` are the parameters that the steps depend on.
    pub(crate) fn record(&mut self, mut step: Step, above: Blocks) {
        step.evaluations.iter_mut().for_each(|evaluation| evaluation.forget_own());
        // All others follow from the first.
        if !self.is_empty() {
            step.before = None;
        }
        self.steps.push(step);
        self.above = above;
    }

    /// Where the steps end, with the parameters above moved by `factor · by`.
    fn end(&self, factor: f64, by: &Blocks) -> Result<Vector, DistributedError> {
        let Some(begun) = self.steps.first().and_then(|step| step.before.as_ref()) else {
            return Ok(Vector::default());
        };
        let Before { mut parameters, mut states, .. } = begun.clone();
        let numbers = self.update.learned();
        if let Some(by) = self.from.and_then(|from| by.get(Variable::Level(from))) {
            parameters.add_scaled(factor, by);
        }
        for Step { evaluations, rates, learned, moves, .. } in &self.steps {
            let gradients = evaluations.iter().map(|evaluation| evaluation.displaced_gradient(&parameters, factor, by));
            let gradients = gradients.collect::<Result<Vec<_>, _>>()?;
            let gradient = mean(gradients.into_iter(), evaluations.len());
            let learned = numbers.displaced(learned, factor, by);
            let before = Before { parameters, gradient, states, learned };
            (parameters, states) = self.update.run(before, rates, moves);
        }
        Ok(parameters)
    }
}

impl UpperLoss {
    /// The loss with these parameters of one level below, first among numbers that nobody has read.
    fn at(&self, level: usize, parameters: &Vector) -> Result<Unread, HypergradientError> {
        let mut inputs = self.inputs.clone();
        for &(index, at) in self.places.get(&level).into_iter().flatten() {
            inputs[at] = parameters.0[index].clone();
        }
        Ok(self.program.launch(inputs, self.seed)?.status)
    }
}

impl Trajectory for Replayed {
    fn products(&self) -> usize {
        0
    }

    /// `weight · Σ_u (C₊ − C₋)/2d · u`, where `C` is the loss of the level above. What other levels below send down through
    /// the cotangent is no part of `C`; it counts with the difference of the parameters, as its first order.
    fn pull_back(self: Box<Self>, cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        let Replayed { level, loss, .. } = &*self;
        let replays = self.replays.borrow();
        let mut from_others = cotangent.clone();
        if let Some(direct) = loss.direct.get(Variable::Level(*level)) {
            from_others.add_scaled(-1.0, direct);
        }
        let above = replays.above.only(|variable| into.contains(&variable));
        let first = replays.steps.first().and_then(|step| step.evaluations.first());
        let seed = first.map_or(Ok(0), |first| first.common_seed()).map_err(ProductError::from)?;
        let end = |factor: f64, direction: &Blocks| replays.end(factor, direction).map_err(ProductError::from);
        let widths = Widths::new(above, replays.distance);
        let drawn = Drawn { like: widths.like(), seed };
        let own = replays.directions.own(&drawn)?;
        let mut unread = Vec::with_capacity(own.len() * (2 + from_others.0.len()));
        for direction in &own {
            let (times, by) = widths.along(direction);
            let (plus, minus) = (end(times, &by)?, end(-times, &by)?);
            unread.extend([loss.at(*level, &plus)?, loss.at(*level, &minus)?]);
            let mut moved = plus;
            moved.add_scaled(-1.0, &minus);
            unread.extend(from_others.dot_unread(&moved));
        }
        // Of all directions in one transfer.
        let mut read = Unread::read_all(unread)?.into_iter();
        let slope = |_: &Blocks| {
            let mut next_loss = || read.next().map_or(f64::NAN, |status| loss_in(&status));
            let change = next_loss() - next_loss();
            change + read.by_ref().take(from_others.0.len()).flatten().fold(0.0, |total, part| total + part)
        };
        let slopes: Vec<f64> = own.iter().map(slope).collect();
        Ok(widths.estimate(replays.directions.combined(&drawn, &own, (slopes, widths.apart()), into)?))
    }
}
