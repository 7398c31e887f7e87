//! What a level keeps of its steps, so that hypergradients can go through them.

use std::cell::RefCell;
use std::rc::Rc;

use super::basis::StepsBasis;
use super::carried::TOGETHER;
use super::kept::{KeptSteps, Needed};
use super::reads::Reads;
use super::replays::{Replayed, Replays, UpperLoss};
use super::step::{Restart, Step};
use super::tangents::Tangents;
use super::update::Update;
use crate::distributed::Ranks;
use crate::execute::Cost;
use crate::hypergradient::{Blocks, HypergradientError, Mode, ProductCost, Trajectory};

/// What the parts of going through steps take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    /// Second derivatives of the level's Lagrangian.
    pub(crate) product: ProductCost,
    /// Whether the first step goes on from parameters that are differentiated too; otherwise it takes no product with its own Hessian.
    pub(crate) goes_on: bool,
    /// An optimizer update.
    pub(crate) update: Cost,
    /// A gradient of the level's loss.
    pub(crate) gradient: Cost,
    /// A loss of the level above.
    pub(crate) loss: Cost,
}

/// The record of a level's steps.
#[derive(Clone)]
pub(crate) enum Record {
    Steps(Rc<RefCell<KeptSteps>>),
    Tangents(Rc<RefCell<Tangents>>),
    Replays(Rc<RefCell<Replays>>),
}

impl Record {
    pub(crate) fn new(level: usize, update: &Rc<Update>, mode: Mode) -> Self {
        fn shared<T>(record: T) -> Rc<RefCell<T>> {
            Rc::new(RefCell::new(record))
        }
        let update = Rc::clone(update);
        match mode {
            Mode::Reverse { unroll, truncate, memory } => {
                Self::Steps(shared(KeptSteps::new(level, update, unroll, truncate, memory)))
            }
            Mode::Forward(directions) => Self::Tangents(shared(Tangents::new(level, update, directions))),
            Mode::Replay { directions, distance } => {
                Self::Replays(shared(Replays::new(level, update, directions, distance)))
            }
        }
    }

    /// What is kept now, apart from what will be.
    pub(crate) fn copied(&self) -> Self {
        fn copy<T: Clone>(record: &Rc<RefCell<T>>) -> Rc<RefCell<T>> {
            Rc::new(RefCell::clone(record))
        }
        match self {
            Self::Steps(steps) => Self::Steps(copy(steps)),
            Self::Tangents(tangents) => Self::Tangents(copy(tangents)),
            Self::Replays(replays) => Self::Replays(copy(replays)),
        }
    }

    /// A level above begins to wait for the next steps, wherever they begin.
    pub(crate) fn begin(&self) {
        match self {
            // The last steps are differentiated, whoever waited for them.
            Self::Steps(_) => {}
            Self::Tangents(_) | Self::Replays(_) => self.forget(),
        }
    }

    /// The level starts again.
    pub(crate) fn restart(&self, start: Restart) {
        match self {
            Self::Steps(steps) => steps.borrow_mut().restart(start),
            Self::Tangents(tangents) => tangents.borrow_mut().restart(start.from),
            Self::Replays(replays) => replays.borrow_mut().restart(start.from),
        }
    }

    /// The level goes back to where this was kept of its steps; levels that its tangents follow do not.
    pub(crate) fn go_back_to(&self, place: &Self) {
        if let (Self::Tangents(tangents), Self::Tangents(place)) = (self, place) {
            tangents.borrow_mut().go_back_to(place.borrow().clone());
        }
    }

    /// Whether directions are followed or displaced.
    pub(crate) fn has_directions(&self) -> bool {
        !matches!(self, Self::Steps(_))
    }

    /// The directions, if there are any, are divided among ranks, or among none.
    pub(crate) fn divide(&self, ranks: Option<Rc<Ranks>>) {
        match self {
            Self::Steps(_) => {}
            Self::Tangents(tangents) => tangents.borrow_mut().directions.among(ranks),
            Self::Replays(replays) => replays.borrow_mut().directions.among(ranks),
        }
    }

    /// Lets go of everything.
    pub(crate) fn forget(&self) {
        match self {
            Self::Steps(steps) => steps.borrow_mut().forget(),
            Self::Tangents(tangents) => tangents.borrow_mut().clear(),
            Self::Replays(replays) => replays.borrow_mut().restart(None),
        }
    }

    /// What the steps depend on.
    pub(crate) fn reads(&self) -> Reads {
        match self {
            Self::Steps(steps) => steps.borrow().reads(),
            Self::Tangents(tangents) => tangents.borrow().reads.clone(),
            Self::Replays(replays) => replays.borrow().reads(),
        }
    }

    /// Whether derivatives lead to where the steps began.
    pub(crate) fn reaches_start(&self) -> bool {
        match self {
            Self::Steps(steps) => steps.borrow().reaches_start(),
            Self::Tangents(_) | Self::Replays(_) => true,
        }
    }

    /// Whether there is nothing to go through.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Steps(steps) => steps.borrow().is_empty(),
            Self::Tangents(tangents) => tangents.borrow().is_empty(),
            Self::Replays(replays) => replays.borrow().is_empty(),
        }
    }

    /// Takes note of a step that is about to be taken; `above` are the parameters of the levels that the steps are
    /// differentiated in, and `needed` what is needed besides the last steps. Nothing is changed by an error.
    pub(crate) fn add(&self, step: Step, above: Blocks, needed: &Needed) -> Result<(), HypergradientError> {
        match self {
            Self::Steps(steps) => steps.borrow_mut().record(step, needed),
            Self::Tangents(tangents) => tangents.borrow_mut().record(&step, &above, &needed.answers)?,
            Self::Replays(replays) => replays.borrow_mut().record(step, above),
        }
        Ok(())
    }

    /// How many directions are followed, by all ranks together, if the steps depend on so many parameters above; 0 if none are.
    pub(crate) fn directions(&self, above: usize) -> Result<usize, HypergradientError> {
        match self {
            Self::Steps(_) => Ok(0),
            Self::Tangents(tangents) => tangents.borrow().directions.count(above),
            Self::Replays(replays) => replays.borrow().directions.count(above),
        }
    }

    /// How many of them one rank follows at the most, and what it takes to put together what they come to.
    fn own_directions(&self, above: usize) -> (usize, Cost) {
        let count = self.directions(above).unwrap_or(0);
        match self {
            Self::Steps(_) => (0, Cost::NONE),
            Self::Tangents(tangents) => tangents.borrow().directions.share(count),
            Self::Replays(replays) => replays.borrow().directions.share(count),
        }
    }

    /// How many bytes are kept, if the level's parameters and the states of its optimizers have so many.
    pub(crate) fn bytes(&self, parameters: usize, states: usize, above: usize) -> usize {
        match self {
            Self::Steps(steps) => steps.borrow().capacity() * (2 * parameters + states),
            Self::Tangents(_) => self.own_directions(above).0 * (parameters + states),
            Self::Replays(_) => 2 * parameters + states,
        }
    }

    /// What one hypergradient takes that goes through `rounds` times `unroll` steps, each along the mean of `each` gradients, and
    /// that has `above` entries: products, all work, and numbers read from the device.
    pub(crate) fn cost(
        &self,
        (rounds, unroll): (usize, usize),
        each: usize,
        above: usize,
        parts: &Parts,
    ) -> (usize, Cost, f64) {
        let unroll = rounds * unroll;
        let Parts { product: ProductCost { point, own, mixed, .. }, goes_on, update, gradient, loss } = *parts;
        let (directions, told) = self.own_directions(above);
        let (directions, each) = (directions as f64, each as f64);
        match self {
            Self::Steps(steps) => {
                let steps = steps.borrow().looked_back(rounds) as f64;
                let inner = if goes_on { steps } else { steps - 1.0 };
                let products = own * (inner * each) + (mixed + point) * (steps * each);
                let cost = products + update * (2.0 * steps);
                (steps as usize, cost, 0.0)
            }
            Self::Tangents(_) => {
                let products = unroll as f64 * directions;
                // So many go through one computation.
                let together = directions / (directions / TOGETHER as f64).ceil().max(1.0);
                let mut cost = (own + mixed) * products * each + update * (2.0 * products);
                cost.kernels /= together;
                (products as usize, cost + point * unroll as f64 * each + told, directions.min(1.0))
            }
            Self::Replays(_) => {
                let runs = 2.0 * directions;
                let steps = runs * unroll as f64;
                (0, update * steps + (gradient * steps * each + loss * runs) + told, directions.min(1.0))
            }
        }
    }

    /// Whether a level above has to give its loss.
    pub(crate) fn needs_loss(&self) -> bool {
        matches!(self, Self::Replays(_))
    }

    /// The steps of the last rounds as one function, if they can be.
    pub(crate) fn basis(&self, rounds: usize) -> Option<StepsBasis> {
        match self {
            Self::Steps(steps) => Some(steps.borrow().basis(rounds)),
            Self::Tangents(_) | Self::Replays(_) => None,
        }
    }

    /// What the hypergradient of a level above, which has this loss, goes through.
    pub(crate) fn trajectory(&self, level: usize, loss: Option<&Rc<UpperLoss>>) -> Option<Box<dyn Trajectory>> {
        Some(match self {
            Self::Steps(steps) => Box::new(Rc::clone(steps)),
            Self::Tangents(tangents) => Box::new(Rc::clone(tangents)),
            Self::Replays(replays) => Box::new(Replayed { level, replays: Rc::clone(replays), loss: Rc::clone(loss?) }),
        })
    }
}
