//! The second module of a loss, where there is one.

use burn::module::Module;

use crate::trace::{LevelModule, plain_data};

/// The place of a second module where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

/// A second module, or [`Nothing`]: implemented for every Burn module.
pub trait Second: Clone {
    /// The module, if there is one.
    fn module(&self) -> Option<&dyn LevelModule>;

    /// A hash of what a recording depends on of it besides tensors.
    fn plain(&self) -> u64;
}

impl Second for Nothing {
    fn module(&self) -> Option<&dyn LevelModule> {
        None
    }

    fn plain(&self) -> u64 {
        0
    }
}

impl<M: Module + 'static> Second for M {
    fn module(&self) -> Option<&dyn LevelModule> {
        Some(self)
    }

    fn plain(&self) -> u64 {
        plain_data(self)
    }
}
