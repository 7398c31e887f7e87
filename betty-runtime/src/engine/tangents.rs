//! The steps of a level, differentiated while they are taken: tangents that go along with its parameters.
//!
//! With a step `(θ′, σ′) = Φ(θ, g, σ)`, tangents move on by
//!
//! ```text
//! ġ = (∂g/∂θ)·θ̇ + (∂g/∂λ)·u,     (θ̇′, σ̇′) = ∂Φ·(θ̇, ġ, σ̇)
//! ```
//!
//! and nothing of the step is kept. Several directions `u` go together, as one computation.

use std::cell::RefCell;
use std::rc::Rc;

use super::step::{Evaluation, Step, mean};
use super::update::{Before, Update};
use crate::derivatives::{Point, Variable};
use crate::execute::{Value, Vector};
use crate::hypergradient::{Blocks, Directions, HypergradientError, ProductError, Trajectory};
use crate::linalg::InnerProductSpace;

/// How many directions go together at the most: enough for few and large kernels, and no more than so many times the memory
/// of one product.
pub(super) const TOGETHER: usize = 8;

/// How a level's parameters have moved along directions of the parameters above since a level above began to wait.
#[derive(Clone)]
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

/// Some directions, with the tangents that belong to them along a leading dimension.
#[derive(Clone)]
struct Carried {
    directions: Rc<Together>,
    parameters: Vector,
    states: Vec<Value>,
}

/// Directions that have the same blocks.
struct Together {
    each: Vec<Blocks>,
    /// All of them, along a leading dimension.
    stacked: Blocks,
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
        let mut gradients: Vec<Vec<Vector>> = vec![Vec::new(); carried.len()];
        for evaluation in &step.evaluations {
            let found = self.gradients_along(evaluation, before, carried)?;
            gradients.iter_mut().zip(found).for_each(|(all, found)| all.push(found));
        }
        let mut moved = Vec::with_capacity(carried.len());
        for (Carried { directions, parameters, states }, gradients) in carried.iter().zip(gradients) {
            let gradient = mean(gradients.into_iter(), step.evaluations.len());
            let along = |direction: &Blocks| Vector(self.update.learned().along(&before.learned, direction));
            let learned = Vector::stacked(&directions.each.iter().map(along).collect::<Vec<_>>()).0;
            let tangents = Before { parameters: parameters.clone(), gradient, states: states.clone(), learned };
            let count = directions.each.len();
            let pushed = self.update.push_forward(before.clone(), &step.rates, step.number, tangents, count);
            let (parameters, states) = pushed.map_err(ProductError::from)?;
            moved.push(Carried { directions: Rc::clone(directions), parameters, states });
        }
        self.carried = moved;
        self.steps += 1;
        Ok(())
    }

    /// How the gradient on one batch moves along all directions.
    fn gradients_along(
        &self,
        evaluation: &Evaluation,
        before: &Before,
        carried: &[Carried],
    ) -> Result<Vec<Vector>, HypergradientError> {
        let own = Variable::Level(self.level);
        if evaluation.sites.len() > 1 {
            // Answers from below are found for one direction after the other.
            let mut response = evaluation.response(&before.parameters);
            let along = |carried: &Carried| {
                let lanes = carried.directions.each.iter().enumerate().map(|(index, direction)| {
                    let parameters = carried.parameters.lane(index);
                    let still = parameters.zero();
                    let mut moving = direction.clone();
                    moving.set(own, parameters);
                    Ok(response.gradient_along(self.level, &moving)?.unwrap_or(still))
                });
                Ok(Vector::stacked(&lanes.collect::<Result<Vec<_>, HypergradientError>>()?))
            };
            return carried.iter().map(along).collect();
        }
        let Some(site) = evaluation.own_site(&before.parameters) else { return Ok(Vec::new()) };
        let mut point = Point::new(site.inputs, site.seed);
        let mut curvature = site.curvature.borrow_mut();
        let along = |Carried { directions, parameters, .. }: &Carried| {
            let Together { each, stacked } = &**directions;
            let above = stacked.variables().filter_map(|of| Some((of, stacked.get(of)?)));
            let moving = above.chain([(own, parameters)]).filter(|&(of, _)| curvature.depends_on(of));
            let moving: Vec<(Variable, &Vector)> = moving.collect();
            let found = curvature.products(&mut point, &moving, &[own], each.len()).map_err(ProductError::from)?;
            Ok(found.into_iter().next().map_or_else(|| parameters.zero(), |(_, gradient)| gradient))
        };
        carried.iter().map(along).collect()
    }

    /// The tangents of what the first step is taken from.
    fn first(&self, step: &Step, before: &Before, above: &Blocks) -> Vec<Carried> {
        let seed = step.evaluations.first().map_or(0, |evaluation| evaluation.seed());
        let states = Vector(before.states.clone()).zero();
        let from = self.from.map(Variable::Level);
        let carried = together(self.directions.draw(above, seed)).into_iter().map(|directions| {
            let count = directions.each.len();
            let begun = from.and_then(|from| directions.stacked.get(from).cloned());
            let still = || Vector::stacked(&vec![before.parameters.zero(); count]);
            Carried {
                parameters: begun.unwrap_or_else(still),
                states: Vector::stacked(&vec![states.clone(); count]).0,
                directions: Rc::new(directions),
            }
        });
        carried.collect()
    }

    /// `weight · Σ_u (v·θ̇_u)·u`
    fn pull_back(&self, cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        let mut sent = Blocks::default();
        for Carried { directions, parameters, .. } in &self.carried {
            for (index, direction) in directions.each.iter().enumerate() {
                let along = self.directions.weight() * cotangent.dot(&parameters.lane(index))?;
                for &variable in into {
                    if let Some(block) = direction.get(variable) {
                        sent.add(variable, along, block.clone());
                    }
                }
            }
        }
        Ok(sent)
    }
}

/// Puts neighbours with the same blocks together, in parts of nearly the same size.
fn together(directions: Vec<Blocks>) -> Vec<Together> {
    let same = |a: &Blocks, b: &Blocks| a.variables().eq(b.variables());
    let groups = directions.chunk_by(same).flat_map(|group| {
        let parts = group.len().div_ceil(TOGETHER);
        group.chunks(group.len().div_ceil(parts))
    });
    let stack = |each: &[Blocks]| {
        let of = |variable| each.iter().filter_map(|direction| direction.get(variable).cloned()).collect::<Vec<_>>();
        let variables = each.first().into_iter().flat_map(Blocks::variables);
        let stacked = variables.map(|variable| (variable, Vector::stacked(&of(variable)))).collect();
        Together { each: each.to_vec(), stacked }
    };
    groups.map(stack).collect()
}

impl Trajectory for Rc<RefCell<Tangents>> {
    fn products(&self) -> usize {
        let tangents = self.borrow();
        tangents.steps * tangents.carried.iter().map(|carried| carried.directions.each.len()).sum::<usize>()
    }

    fn pull_back(&self, cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        self.borrow().pull_back(cotangent, into)
    }
}
