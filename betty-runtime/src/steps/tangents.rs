//! The steps of a level, differentiated while they are taken: tangents that go along with its parameters.
//!
//! With a step `(θ′, σ′) = Φ(θ, g, σ)`, tangents move on by
//!
//! ```text
//! ġ = (∂g/∂θ)·θ̇ + (∂g/∂λ)·u,     (θ̇′, σ̇′) = ∂Φ·(θ̇, ġ, σ̇)
//! ```
//!
//! and nothing of the step is kept. Several directions `u` go together, as one computation. Levels below whose steps depend
//! on `u` as well can be followed in the same way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::carried::{Carried, Moving, gradients_along, together};
use super::divided::{Divided, Drawn};
use super::reads::Reads;
use super::step::{Step, mean, moved_by};
use super::update::{Before, Update};
use crate::derivatives::Variable;
use crate::execute::{Unread, Vector};
use crate::graph::differentiated;
use crate::hypergradient::{Blocks, Directions, HypergradientError, ProductError, Trajectory};
use crate::linalg::InnerProductSpace;

/// How a level's parameters have moved along directions of the parameters above since a level above began to wait.
#[derive(Clone)]
pub(crate) struct Tangents {
    level: usize,
    update: Rc<Update>,
    pub(crate) directions: Divided,
    /// What they were drawn from, once they were.
    drawn: Option<Drawn>,
    /// Since when: how much all levels together had done before.
    since: u64,
    /// Those that are followed here.
    carried: Vec<Carried>,
    /// Steps of the level that they have been carried along.
    steps: usize,
    /// The level whose parameters the first step is taken from.
    from: Option<usize>,
    /// How levels that are followed have started before anything moved.
    starts: BTreeMap<usize, Option<usize>>,
    /// Levels that are followed, where they looked ahead from.
    places: BTreeMap<usize, Vec<Carried>>,
    /// What the steps depend on.
    pub(crate) reads: Reads,
}

impl Tangents {
    pub(crate) fn new(level: usize, update: Rc<Update>, directions: Rc<dyn Directions>) -> Self {
        let (carried, starts, places) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let (directions, reads) = (Divided::whole(directions), Reads::default());
        let (drawn, since, steps, from) = (None, 0, 0, None);
        Tangents { level, update, directions, drawn, since, carried, steps, from, starts, places, reads }
    }

    /// Begins anew: nothing has moved, neither the level nor those that are followed.
    pub(crate) fn clear(&mut self) {
        self.carried.clear();
        self.drawn = None;
        self.starts.clear();
        self.places.clear();
        self.reads = Reads::default();
        (self.steps, self.from) = (0, None);
    }

    /// Begins anew at this time.
    pub(crate) fn clear_at(&mut self, time: u64) {
        self.clear();
        self.since = time;
    }

    /// When they last began anew.
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// The level itself starts again, at the parameters of a level if there is one. Those that are followed go on.
    pub(crate) fn restart(&mut self, from: Option<usize>) {
        (self.steps, self.from) = (0, from);
        self.carried.iter_mut().for_each(|carried| carried.start(self.level, from));
    }

    /// The level goes back to where it stood with these tangents, and those that are followed stay where they are.
    pub(crate) fn go_back_to(&mut self, mut place: Tangents) {
        if self.drawn.is_none() {
            // Nothing has moved since they last began, unless that was undone.
            if place.drawn.is_none() {
                place.since = self.since;
            }
            *self = place;
            return;
        }
        let is_of_now = place.since == self.since;
        self.steps = if is_of_now { place.steps } else { 0 };
        for (index, carried) in self.carried.iter_mut().enumerate() {
            let stood = place.carried.get_mut(index).filter(|_| is_of_now);
            match stood.and_then(|stood| stood.moving.remove(&self.level)) {
                Some(moving) => drop(carried.moving.insert(self.level, moving)),
                None => drop(carried.moving.remove(&self.level)),
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// Takes the tangents through a step; `above` are the parameters that the steps depend on.
    /// The answers of the levels `read` are kept.
    pub(crate) fn record(&mut self, step: &Step, above: &Blocks, read: &[usize]) -> Result<(), HypergradientError> {
        let update = Rc::clone(&self.update);
        self.take(self.level, &update, step, above, read)?;
        self.steps += 1;
        self.carried.iter_mut().for_each(|carried| carried.rounds.clear());
        Ok(())
    }

    /// The same for a step of a level that is followed.
    pub(crate) fn follow(
        &mut self,
        level: usize,
        update: &Update,
        step: &Step,
        above: &Blocks,
    ) -> Result<(), HypergradientError> {
        self.take(level, update, step, above, &[])
    }

    fn take(
        &mut self,
        level: usize,
        update: &Update,
        step: &Step,
        above: &Blocks,
        read: &[usize],
    ) -> Result<(), HypergradientError> {
        let Some(before) = &step.before else { return Ok(()) };
        let (drawn, mut carried) = match &self.drawn {
            Some(drawn) => (drawn.clone(), self.carried.clone()),
            None => self.draw(step, above)?,
        };
        for carried in &mut carried {
            let first = Self::first(level, before, carried);
            carried.moving.insert(level, first);
        }
        let mut gradients: Vec<Vec<Vector>> = vec![Vec::new(); carried.len()];
        for evaluation in &step.evaluations {
            let found = gradients_along(level, evaluation, before, &carried, read)?;
            for ((gradients, carried), (gradient, answers)) in gradients.iter_mut().zip(&mut carried).zip(found) {
                gradients.push(gradient);
                if level == self.level {
                    carried.answers = answers;
                }
            }
        }
        for (carried, gradients) in carried.iter_mut().zip(gradients) {
            let gradient = mean(gradients.into_iter(), step.evaluations.len());
            let count = carried.directions.each.len();
            let along = |index| Vector(update.learned().along(&before.learned, &carried.lane(level, index)));
            let learned = match before.learned.is_empty() {
                true => Vec::new(),
                false => Vector::stacked(&(0..count).map(along).collect::<Vec<_>>()).0,
            };
            let Moving { parameters, states } = carried.moving[&level].clone();
            let tangents = Before { parameters, gradient, states, learned };
            let pushed = update.push_forward(before.clone(), &step.rates, &step.moves, tangents, count);
            let (parameters, states) = pushed.map_err(ProductError::from)?;
            carried.moving.insert(level, Moving { parameters, states });
        }
        (self.carried, self.drawn) = (carried, Some(drawn));
        step.evaluations.iter().for_each(|evaluation| self.reads.add(&evaluation.reads));
        self.reads.add(&update.reads(level, &moved_by([step], update), differentiated));
        Ok(())
    }

    /// A level that is followed starts again, at the parameters of a level if there is one.
    pub(crate) fn start_again(&mut self, level: usize, from: Option<usize>) {
        if self.drawn.is_none() {
            self.starts.insert(level, from);
        }
        self.carried.iter_mut().for_each(|carried| carried.start(level, from));
    }

    /// A level that is followed begins a round.
    pub(crate) fn begin_round(&mut self, level: usize, time: u64) {
        for Carried { moving, rounds, .. } in &mut self.carried {
            rounds.entry(level).or_default().push((time, moving.get(&level).cloned()));
        }
    }

    /// A level that is followed looks ahead from here.
    pub(crate) fn mark(&mut self, level: usize) {
        self.places.insert(level, self.carried.clone());
    }

    /// A level that is followed goes back to where it looked ahead from.
    pub(crate) fn go_back(&mut self, level: usize) {
        let Some(place) = self.places.get(&level) else { return };
        for (index, carried) in self.carried.iter_mut().enumerate() {
            match place.get(index).and_then(|place| place.moving.get(&level)) {
                Some(moving) => drop(carried.moving.insert(level, moving.clone())),
                None => drop(carried.moving.remove(&level)),
            }
        }
    }

    /// Directions of what the first step depends on; nothing moves but what has started at the levels above.
    fn draw(&self, step: &Step, above: &Blocks) -> Result<(Drawn, Vec<Carried>), HypergradientError> {
        let seed = step.evaluations.first().map_or(Ok(0), |evaluation| evaluation.common_seed());
        let seed = seed.map_err(ProductError::from)?;
        let drawn = Drawn { like: above.clone(), seed };
        let carried = together(self.directions.own(&drawn)?).into_iter().map(|directions| Carried {
            directions: Rc::new(directions),
            moving: BTreeMap::new(),
            rounds: BTreeMap::new(),
            answers: Blocks::default(),
        });
        let mut carried: Vec<Carried> = carried.collect();
        for carried in &mut carried {
            self.from.into_iter().for_each(|from| carried.start(self.level, Some(from)));
            self.starts.iter().for_each(|(&level, &from)| carried.start(level, from));
        }
        Ok((drawn, carried))
    }

    /// The tangents of what a step of a level is taken from, which may be its first.
    fn first(level: usize, before: &Before, carried: &Carried) -> Moving {
        let count = carried.directions.each.len();
        let still = |like: &Vector| Vector::stacked(&vec![like.zero(); count]);
        let states = || still(&Vector(before.states.clone())).0;
        match carried.moving.get(&level) {
            Some(known) if known.states.len() == before.states.len() => known.clone(),
            Some(known) => Moving { parameters: known.parameters.clone(), states: states() },
            None => Moving { parameters: still(&before.parameters), states: states() },
        }
    }

    /// `weight · Σ_u Σ_r (v_r·ṙ_u)·u`, for cotangents `v_r` of the level and of levels that are followed or have answered.
    pub(crate) fn pull_back(&self, cotangents: &Blocks, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        let Some(drawn) = &self.drawn else { return Ok(Blocks::default()) };
        let along = |carried: &Carried, index: usize| -> Vec<Unread> {
            let parts = cotangents.variables().filter_map(|variable| {
                let followed = carried.moving.get(&variable.owner()).map(|moving| &moving.parameters);
                let moving = followed.or(carried.answers.get(variable))?;
                Some(cotangents.get(variable)?.dot_unread(&moving.lane(index)))
            });
            parts.flatten().collect()
        };
        let lanes = self.carried.iter().flat_map(|carried| {
            let along = &along;
            (0..carried.directions.each.len()).map(move |index| along(carried, index))
        });
        // Of all directions in one transfer.
        let slopes = Unread::read_sums(lanes.collect())?;
        let own = self.carried.iter().flat_map(|carried| &carried.directions.each);
        self.directions.combined(drawn, own, (slopes, 1.0), into)
    }

    /// Products that the steps of the level took here.
    pub(crate) fn products(&self) -> usize {
        self.steps * self.carried.iter().map(|carried| carried.directions.each.len()).sum::<usize>()
    }
}

impl Trajectory for Rc<RefCell<Tangents>> {
    fn products(&self) -> usize {
        self.borrow().products()
    }

    fn pull_back(self: Box<Self>, cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        let tangents = self.borrow();
        let cotangents = Blocks::from_iter([(Variable::Level(tangents.level), cotangent.clone())]);
        tangents.pull_back(&cotangents, into)
    }
}
