//! The user's program as a run sees it, whatever its type: losses to be recorded, and modules that others look at.

use std::any::Any;

use super::multilevel::Multilevel;
use crate::program::{Level, LossFunctions};

/// A program.
pub(super) trait Host: LossFunctions {
    /// Puts the current parameters into the modules, and answers the program itself.
    fn at(&mut self, levels: &[Level]) -> &dyn Any;
}

impl<P: Multilevel> Host for P {
    fn at(&mut self, levels: &[Level]) -> &dyn Any {
        for (module, level) in self.modules_mut().into_iter().zip(levels) {
            module.assign(level.leaves.clone());
        }
        self
    }
}

/// The program where a run stands now, for whoever wants to look at it.
pub(super) struct Present<'a> {
    host: &'a mut dyn Host,
    levels: &'a [Level],
    /// Whether somebody did: the modules hold what the levels held then.
    pub(super) was_seen: bool,
}

impl<'a> Present<'a> {
    pub(super) fn new(host: &'a mut dyn Host, levels: &'a [Level]) -> Self {
        Present { host, levels, was_seen: false }
    }
}

/// Something that can be looked at once it is there.
pub(super) trait Look {
    /// The program with its current parameters.
    fn program(&mut self) -> &dyn Any;
}

impl Look for Present<'_> {
    fn program(&mut self) -> &dyn Any {
        self.was_seen = true;
        self.host.at(self.levels)
    }
}
