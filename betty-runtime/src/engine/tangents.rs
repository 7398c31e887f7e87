//! The steps of a level, differentiated while they are taken: tangents that go along with its parameters.
//!
//! With a step `(θ′, σ′) = Φ(θ, g, σ)`, tangents move on by
//!
//! ```text
//! ġ = (∂g/∂θ)·θ̇ + (∂g/∂λ)·u,     (θ̇′, σ̇′) = ∂Φ·(θ̇, ġ, σ̇)
//! ```
//!
//! and nothing of the step is kept.

use std::cell::RefCell;
use std::rc::Rc;

use super::trajectory::{Step, mean};
use super::update::{Before, Update};
use crate::derivatives::Variable;
use crate::execute::{Value, Vector};
use crate::hypergradient::{Blocks, Directions, HypergradientError, ProductError, Response, Trajectory};
use crate::linalg::InnerProductSpace;

/// How a level's parameters have moved along directions of the parameters above since a level above began to wait.
pub(super) struct Tangents {
    level: usize,
    update: Rc<Update>,
    pub(super) directions: Rc<dyn Directions>,
    carried: Vec<Carried>,
    /// Steps that they have been carried along.
    steps: usize,
    /// The level whose parameters the first step is taken from.
    from: Option<usize>,
}

/// One direction, with the tangents that belong to it.
struct Carried {
    direction: Rc<Blocks>,
    parameters: Vector,
    states: Vec<Value>,
}

impl Tangents {
    pub(super) fn new(level: usize, update: Rc<Update>, directions: Rc<dyn Directions>) -> Self {
        Tangents { level, update, directions, carried: Vec::new(), steps: 0, from: None }
    }

    /// Begins anew, at the parameters of a level if there is one.
    pub(super) fn restart(&mut self, from: Option<usize>) {
        self.carried.clear();
        (self.steps, self.from) = (0, from);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// Takes the tangents through a step; `above` are the parameters that the steps depend on.
    pub(super) fn record(&mut self, step: &Step, above: &Blocks) -> Result<(), HypergradientError> {
        let Some(before) = &step.before else { return Ok(()) };
        let first = if self.is_empty() { self.first(step, before, above) } else { Vec::new() };
        let carried = if self.is_empty() { &first } else { &self.carried };
        let mut responses: Vec<Response> =
            step.evaluations.iter().map(|evaluation| evaluation.response(&before.parameters)).collect();
        let own = Variable::Level(self.level);
        let mut moved = Vec::with_capacity(carried.len());
        for Carried { direction, parameters, states } in carried {
            let mut moving = Blocks::clone(direction);
            moving.set(own, parameters.clone());
            let gradients: Result<Vec<Vector>, HypergradientError> = responses
                .iter_mut()
                .map(|at| Ok(at.gradient_along(self.level, &moving)?.unwrap_or_else(|| parameters.zero())))
                .collect();
            let gradient = mean(gradients?.into_iter(), responses.len());
            let (parameters, states) = (parameters.clone(), states.clone());
            let learned = self.update.learned().along(&before.learned, direction);
            let tangents = Before { parameters, gradient, states, learned };
            let pushed = self.update.push_forward(before.clone(), &step.rates, step.number, tangents);
            let (parameters, states) = pushed.map_err(ProductError::from)?;
            moved.push(Carried { direction: Rc::clone(direction), parameters, states });
        }
        self.carried = moved;
        self.steps += 1;
        Ok(())
    }

    /// The tangents of what the first step is taken from.
    fn first(&self, step: &Step, before: &Before, above: &Blocks) -> Vec<Carried> {
        let still = before.parameters.zero();
        let states = Vector(before.states.clone()).zero().0;
        let from = self.from.map(Variable::Level);
        let seed = step.evaluations.first().map_or(0, |evaluation| evaluation.seed());
        let carried = self.directions.draw(above, seed).into_iter().map(|direction| {
            let begun = from.and_then(|from| direction.get(from)).unwrap_or(&still).clone();
            Carried { direction: Rc::new(direction), parameters: begun, states: states.clone() }
        });
        carried.collect()
    }

    /// `weight · Σ_u (v·θ̇_u)·u`
    fn pull_back(&self, cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        let mut sent = Blocks::default();
        for Carried { direction, parameters, .. } in &self.carried {
            let along = self.directions.weight() * cotangent.dot(parameters)?;
            for &variable in into {
                if let Some(block) = direction.get(variable) {
                    sent.add(variable, along, block.clone());
                }
            }
        }
        Ok(sent)
    }
}

impl Trajectory for Rc<RefCell<Tangents>> {
    fn products(&self) -> usize {
        let tangents = self.borrow();
        tangents.steps * tangents.carried.len()
    }

    fn pull_back(&self, cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        self.borrow().pull_back(cotangent, into)
    }
}
