//! On what a level is differentiated: a batch, or the steps that it took.

use std::rc::Rc;

use super::step::Step;
use crate::derivatives::StepInput;
use crate::execute::Value;
use crate::graph::Node;
use crate::trace::{AnyBatch, Signature};

/// On what a level is differentiated.
#[derive(Clone)]
pub(crate) enum Basis {
    /// Its loss on a batch, with a seed for what is drawn.
    Loss { batch: Rc<AnyBatch>, seed: u64 },
    /// The steps that led to its parameters, as one function of what they read.
    Steps(Rc<StepsBasis>),
}

/// The steps of a level, the first one first.
pub(crate) struct StepsBasis {
    /// The batches whose gradients each step averaged.
    pub(crate) batches: Vec<Vec<Rc<AnyBatch>>>,
    /// The level whose parameters the first step was taken from.
    pub(crate) from: Option<usize>,
    /// When the first step was taken, if it began where one before it ended and the derivative shall not end there.
    pub(crate) begun: Option<u64>,
    /// The steps, with the numbers of each; none for steps that are only thought of.
    pub(crate) taken: Vec<(Step, Vec<Value>)>,
}

/// What of it decides which graph there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    Loss(Signature),
    Steps { batches: Vec<Vec<Signature>>, from: Option<usize> },
}

impl Basis {
    pub(crate) fn shape(&self) -> Shape {
        match self {
            Basis::Loss { batch, .. } => Shape::Loss(batch.signature().clone()),
            Basis::Steps(steps) => {
                let of_step = |batches: &Vec<Rc<AnyBatch>>| batches.iter().map(|of| of.signature().clone()).collect();
                Shape::Steps { batches: steps.batches.iter().map(of_step).collect(), from: steps.from }
            }
        }
    }

    /// The seed of the level's loss; draws of steps have seeds of their own.
    pub(crate) fn seed(&self) -> u64 {
        match self {
            Basis::Loss { seed, .. } => *seed,
            Basis::Steps(_) => 0,
        }
    }

    /// The steps, where they are what is differentiated.
    pub(crate) fn steps(&self) -> Option<&StepsBasis> {
        match self {
            Basis::Loss { .. } => None,
            Basis::Steps(steps) => Some(steps),
        }
    }
}

impl StepsBasis {
    /// What step number `step` was taken with.
    pub(crate) fn value(&self, step: usize, of: StepInput, like: &Node) -> Value {
        let (taken, numbers) = &self.taken[step];
        let before = || taken.before.as_ref().expect("the first of the steps is kept whole");
        match of {
            StepInput::Parameter(index) => before().parameters.0[index].clone(),
            StepInput::State(index) => before().states[index].clone(),
            StepInput::Number(index) => numbers[index].clone(),
            StepInput::Loss { evaluation, input } => taken.evaluations[evaluation].inputs[input].clone(),
            StepInput::Draw { evaluation, draw, distribution } => {
                let seed = taken.evaluations[evaluation].seed();
                Value::draw(&like.shape, like.dtype, distribution, seed, draw, &numbers[0].device())
            }
        }
    }
}
