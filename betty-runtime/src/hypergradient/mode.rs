//! The ways in which a method goes through the steps of a level, instead of solving a system.

use std::rc::Rc;

use super::Directions;

/// How a method goes through the steps of a level, and with that what the level keeps of them.
#[derive(Clone, Debug)]
pub enum Mode {
    /// In reverse: the last steps are kept.
    Reverse {
        /// How many are taken for a step above.
        unroll: usize,
        /// How many of them are differentiated; all of them if not given.
        truncate: Option<usize>,
        /// How many are kept whole; all of them if not given.
        memory: Option<usize>,
    },
    /// Forward: how the parameters move along directions of the upper parameters is carried along from step to step.
    Forward(Rc<dyn Directions>),
    /// Without derivatives: the steps since a level above began to wait are taken again from displaced upper parameters.
    Replay {
        /// Where to, and back.
        directions: Rc<dyn Directions>,
        /// How far along each direction.
        distance: f64,
    },
}
