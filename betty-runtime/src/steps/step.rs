//! One step of a level, with all that it takes to take it again and to differentiate it.

use std::cell::RefCell;
use std::rc::Rc;

use super::rates::LearningRates;
use super::reads::{Moves, Reads};
use super::update::{Before, Update};
use crate::derivatives::{Curvature, GradientProgram, Point, Variable};
use crate::distributed::DistributedError;
use crate::execute::{Sum, Value, Vector};
use crate::hypergradient::{BestResponse, Blocks, HypergradientMethod, Response};
use crate::trace::AnyBatch;

/// The Lagrangian of one level at a point: the mean of those on several batches.
#[derive(Clone)]
pub(crate) struct Condition {
    pub(crate) level: usize,
    /// One at least. The parameters of the level stand at the same places among the inputs of each.
    pub(crate) batches: Vec<OnBatch>,
    /// How its best response is differentiated; none for the level whose step it is.
    pub(crate) method: Option<Rc<dyn HypergradientMethod>>,
    pub(crate) below: Rc<[usize]>,
}

/// The Lagrangian of a level on one batch of each level that it is made of.
#[derive(Clone)]
pub(crate) struct OnBatch {
    pub(crate) curvature: Rc<RefCell<Curvature>>,
    pub(crate) inputs: Vec<Value>,
    pub(crate) seed: u64,
}

impl Condition {
    pub(crate) fn stop(&self) -> BestResponse {
        let at = |on: &OnBatch| (Rc::clone(&on.curvature), Point::new(on.inputs.clone(), on.seed));
        BestResponse::averaged(self.method.clone(), self.batches.iter().map(at).collect(), Rc::clone(&self.below))
    }

    /// Which of the level's parameters a step moves on any of the batches.
    pub(crate) fn moved(&self) -> Vec<bool> {
        Curvature::moved_on(self.batches.iter().map(|on| &*on.curvature))
    }
}

/// How the gradient of a step came about on one batch.
#[derive(Clone)]
pub(crate) struct Evaluation {
    /// How much all levels together had done before it.
    pub(crate) time: u64,
    pub(crate) batch: Rc<AnyBatch>,
    /// The level's stops, and the level itself last.
    pub(crate) conditions: Vec<Condition>,
    /// The level's loss and direct gradient.
    pub(crate) program: Rc<GradientProgram>,
    /// The inputs of the program.
    pub(crate) inputs: Vec<Value>,
    /// Where the level's own parameters stand among them, and among the inputs of its condition.
    pub(crate) own: Rc<[(usize, usize)]>,
    /// The levels below whose steps it rests on, with the time of the first of those, where that began at steps before.
    pub(crate) begun: Rc<[(usize, u64)]>,
    /// Where the parameters of other levels stand among them: the level, which of its parameters, and the place.
    pub(crate) above: Rc<[(usize, usize, usize)]>,
    /// What the gradient depends on.
    pub(crate) reads: Rc<Reads>,
}

/// A level goes on from other parameters than those that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restart {
    /// How much all levels together had done before it.
    pub(crate) time: u64,
    /// The level whose parameters they are; none for parameters that depend on nothing.
    pub(crate) from: Option<usize>,
    /// Since when the steps are undone, if it goes back to its own parameters and states of that time.
    pub(crate) undone: Option<u64>,
}

/// One step.
#[derive(Clone)]
pub(crate) struct Step {
    /// How much all levels together had done before it.
    pub(crate) time: u64,
    /// How the level started before it, unless it goes on from the step before.
    pub(crate) start: Option<Restart>,
    /// One evaluation for each batch whose gradients were averaged.
    pub(crate) evaluations: Vec<Evaluation>,
    pub(crate) rates: LearningRates,
    /// The tensors that learned numbers were made of.
    pub(crate) learned: Vec<Value>,
    /// Which parameters it moves.
    pub(crate) moves: Moves,
    /// What the step was taken from, unless it shall be computed again.
    pub(crate) before: Option<Before>,
}

/// The mean of several gradients, summed in order.
pub(crate) fn mean(gradients: impl Iterator<Item = Vector>, count: usize) -> Vector {
    let mut sum = Sum::default();
    gradients.for_each(|gradient| sum.add(gradient));
    if count > 1 {
        sum.scale(1.0 / count as f64);
    }
    sum.total()
}

/// Which parameters of a level any of its steps moves.
pub(super) fn moved_by<'a>(steps: impl IntoIterator<Item = &'a Step>, update: &Update) -> Vec<bool> {
    let mut moved = vec![false; update.parameters()];
    for step in steps {
        moved.iter_mut().zip(step.moves.iter()).for_each(|(moved, moves)| *moved |= moves.is_some());
    }
    moved
}

impl Step {
    /// What the next step was taken from.
    ///
    /// # Errors
    /// [`DistributedError`] if other ranks do not give their share of its gradient.
    pub(crate) fn next(&self, update: &Update, before: Before, next: &Step) -> Result<Before, DistributedError> {
        let (parameters, states) = update.run(before, &self.rates, &self.moves);
        let gradients = next.evaluations.iter().map(|evaluation| evaluation.gradient(&parameters));
        let gradients = gradients.collect::<Result<Vec<_>, _>>()?;
        let gradient = mean(gradients.into_iter(), next.evaluations.len());
        Ok(Before { parameters, gradient, states, learned: next.learned.clone() })
    }
}

impl Evaluation {
    /// The seed that all ranks go by for what they draw together.
    ///
    /// # Errors
    /// [`DistributedError`] if other ranks do not answer.
    pub(crate) fn common_seed(&self) -> Result<u64, DistributedError> {
        self.program.common(self.seed())
    }

    /// Decides what is drawn on the batch.
    pub(crate) fn seed(&self) -> u64 {
        self.conditions.last().and_then(|condition| condition.batches.first()).map_or(0, |on| on.seed)
    }

    /// Lets go of the level's own parameters, which a step keeps by itself if at all.
    pub(crate) fn forget_own(&mut self) {
        let Some(condition) = self.conditions.last_mut() else { return };
        for &(at_program, at_condition) in self.own.iter() {
            let like = &self.inputs[at_program];
            let nothing = Value::zeros(&[1], like.dtype(), &like.device());
            self.inputs[at_program] = nothing.clone();
            condition.batches.iter_mut().for_each(|on| on.inputs[at_condition] = nothing.clone());
        }
    }

    /// The gradient at these parameters: the same program on the same inputs.
    fn gradient(&self, parameters: &Vector) -> Result<Vector, DistributedError> {
        self.gradient_on(self.inputs.clone(), parameters)
    }

    /// The gradient at these parameters, with parameters of levels above moved by `factor · by`.
    ///
    /// # Errors
    /// [`DistributedError`] if other ranks do not give their share.
    pub(crate) fn displaced_gradient(
        &self,
        parameters: &Vector,
        factor: f64,
        by: &Blocks,
    ) -> Result<Vector, DistributedError> {
        let mut inputs = self.inputs.clone();
        for &(level, index, at) in self.above.iter() {
            if let Some(by) = by.get(Variable::Level(level)) {
                let mut moved = Vector(vec![inputs[at].clone()]);
                moved.add_scaled(factor, &Vector(vec![by.0[index].clone()]));
                inputs[at] = moved.0.remove(0);
            }
        }
        self.gradient_on(inputs, parameters)
    }

    fn gradient_on(&self, mut inputs: Vec<Value>, parameters: &Vector) -> Result<Vector, DistributedError> {
        for (&(at, _), parameter) in self.own.iter().zip(&parameters.0) {
            inputs[at] = parameter.clone();
        }
        Ok(self.program.gradients(inputs, self.seed())?.into_iter().next().unwrap_or_default())
    }

    /// Second derivatives at these parameters.
    pub(crate) fn response(&self, parameters: &Vector) -> Response {
        let mut response = Response::default();
        let (Some(own), Some((_, below))) = (self.own_condition(parameters), self.conditions.split_last()) else {
            return response;
        };
        for condition in below {
            response.add(condition.level, condition.stop());
        }
        response.add(own.level, own.stop());
        response
    }

    /// The level's own condition, at these parameters.
    pub(crate) fn own_condition(&self, parameters: &Vector) -> Option<Condition> {
        let mut own = self.conditions.last()?.clone();
        for (&(_, at), parameter) in self.own.iter().zip(&parameters.0) {
            own.batches.iter_mut().for_each(|on| on.inputs[at] = parameter.clone());
        }
        Some(own)
    }
}
