//! What a level keeps of its steps, so that hypergradients can go through them.

use std::cell::RefCell;
use std::rc::Rc;

use super::carried::TOGETHER;
use super::ground::StepsGround;
use super::reads::Reads;
use super::replays::{Replayed, Replays, UpperLoss};
use super::step::{Restart, Step};
use super::tangents::Tangents;
use super::trajectory::{Needed, Steps};
use super::update::Update;
use crate::hypergradient::{Blocks, HypergradientError, Mode, Trajectory};

/// What goes through the steps of a level cost, in the parts that it is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passes {
    /// Points at which second derivatives are evaluated, …
    pub(super) points: f64,
    /// … and products there.
    pub(super) products: f64,
    /// Gradients of the level's loss.
    pub(super) gradients: f64,
    /// Optimizer updates.
    pub(super) updates: f64,
    /// Losses of the level above.
    pub(super) losses: f64,
    /// Inner products.
    pub(super) inner: f64,
    /// How many products and updates one computation takes together.
    pub(super) together: f64,
}

impl Passes {
    /// Numbers read from the device.
    pub(super) fn reads(&self) -> f64 {
        self.losses + self.inner
    }
}

/// The record of a level's steps.
#[derive(Clone)]
pub(super) enum Record {
    Steps(Rc<RefCell<Steps>>),
    Tangents(Rc<RefCell<Tangents>>),
    Replays(Rc<RefCell<Replays>>),
}

impl Record {
    pub(super) fn new(level: usize, update: &Rc<Update>, mode: Mode) -> Self {
        fn shared<T>(record: T) -> Rc<RefCell<T>> {
            Rc::new(RefCell::new(record))
        }
        let update = Rc::clone(update);
        match mode {
            Mode::Reverse { unroll, truncate, memory } => {
                Self::Steps(shared(Steps::new(level, update, unroll, truncate, memory)))
            }
            Mode::Forward(directions) => Self::Tangents(shared(Tangents::new(level, update, directions))),
            Mode::Replay { directions, distance } => Self::Replays(shared(Replays::new(update, directions, distance))),
        }
    }

    /// What is kept now, apart from what will be.
    pub(super) fn copied(&self) -> Self {
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
    pub(super) fn begin(&self) {
        match self {
            // The last steps are differentiated, whoever waited for them.
            Self::Steps(_) => {}
            Self::Tangents(_) | Self::Replays(_) => self.restart(Restart::default()),
        }
    }

    /// The level starts again.
    pub(super) fn restart(&self, start: Restart) {
        match self {
            Self::Steps(steps) => steps.borrow_mut().restart(start),
            Self::Tangents(tangents) => tangents.borrow_mut().restart(start.from),
            Self::Replays(replays) => replays.borrow_mut().restart(start.from),
        }
    }

    /// Lets go of everything.
    pub(super) fn forget(&self) {
        match self {
            Self::Steps(steps) => steps.borrow_mut().forget(),
            Self::Tangents(_) | Self::Replays(_) => self.restart(Restart::default()),
        }
    }

    /// What the steps depend on.
    pub(super) fn reads(&self) -> Reads {
        match self {
            Self::Steps(steps) => steps.borrow().reads(),
            Self::Tangents(tangents) => tangents.borrow().reads.clone(),
            Self::Replays(replays) => replays.borrow().reads(),
        }
    }

    /// Whether there is nothing to go through.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Steps(steps) => steps.borrow().is_empty(),
            Self::Tangents(tangents) => tangents.borrow().is_empty(),
            Self::Replays(replays) => replays.borrow().is_empty(),
        }
    }

    /// Takes note of a step that is about to be taken; `above` are the parameters of the levels that the steps are
    /// differentiated in, and `needed` what is needed besides the last steps. Nothing is changed by an error.
    pub(super) fn add(&self, step: Step, above: Blocks, needed: &Needed) -> Result<(), HypergradientError> {
        match self {
            Self::Steps(steps) => steps.borrow_mut().record(step, needed),
            Self::Tangents(tangents) => tangents.borrow_mut().record(&step, &above, &needed.answers)?,
            Self::Replays(replays) => replays.borrow_mut().record(step, above),
        }
        Ok(())
    }

    /// How many directions are followed if the steps depend on so many parameters above; 0 if none are.
    pub(super) fn directions(&self, above: usize) -> Result<usize, HypergradientError> {
        match self {
            Self::Steps(_) => Ok(0),
            Self::Tangents(tangents) => tangents.borrow().directions.count(above),
            Self::Replays(replays) => replays.borrow().directions.count(above),
        }
    }

    /// How many vectors like the level's parameters are kept, an optimizer with `states` of them being part of it.
    pub(super) fn vectors(&self, states: usize, above: usize) -> usize {
        match self {
            Self::Steps(steps) => steps.borrow().capacity() * (2 + states),
            Self::Tangents(_) => self.directions(above).unwrap_or(0) * (1 + states),
            Self::Replays(_) => 2 + states,
        }
    }

    /// What one hypergradient takes, of which `steps` steps are part.
    pub(super) fn passes(&self, steps: usize, above: usize) -> Passes {
        let directions = self.directions(above).unwrap_or(0) as f64;
        let nothing = Passes { together: 1.0, ..Passes::default() };
        match self {
            Self::Steps(record) => {
                let steps = record.borrow().length() as f64;
                Passes { points: steps, products: steps, updates: 2.0 * steps, ..nothing }
            }
            Self::Tangents(_) => {
                let steps = steps as f64;
                let products = steps * directions;
                let together = directions / (directions / TOGETHER as f64).ceil().max(1.0);
                Passes { points: steps, products, updates: 2.0 * products, inner: directions, together, ..nothing }
            }
            Self::Replays(_) => {
                let (runs, steps) = (2.0 * directions, steps as f64);
                Passes { gradients: runs * steps, updates: runs * steps, losses: runs, inner: directions, ..nothing }
            }
        }
    }

    /// Whether a level above has to give its loss.
    pub(super) fn needs_loss(&self) -> bool {
        matches!(self, Self::Replays(_))
    }

    /// The steps of the last rounds as one function, if they can be.
    pub(super) fn ground(&self, rounds: usize) -> Option<StepsGround> {
        match self {
            Self::Steps(steps) => Some(steps.borrow().ground(rounds)),
            Self::Tangents(_) | Self::Replays(_) => None,
        }
    }

    /// What the hypergradient of a level above, which has this loss, goes through.
    pub(super) fn trajectory(&self, level: usize, loss: Option<&Rc<UpperLoss>>) -> Option<Box<dyn Trajectory>> {
        Some(match self {
            Self::Steps(steps) => Box::new(Rc::clone(steps)),
            Self::Tangents(tangents) => Box::new(Rc::clone(tangents)),
            Self::Replays(replays) => Box::new(Replayed { level, replays: Rc::clone(replays), loss: Rc::clone(loss?) }),
        })
    }
}
