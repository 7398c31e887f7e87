//! The user's program as a run sees it, whatever its type: losses to be recorded, and modules that others look at.

use std::any::Any;

use super::multilevel::Multilevel;
use crate::checkpoint::Checkpoint;
use crate::error::CheckpointError;
use crate::event::Facts;
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

/// Where a run stands.
pub(super) trait Standing {
    /// The levels with their current parameters.
    fn levels(&self) -> &[Level];

    /// What it is a run of.
    fn facts(&self) -> Facts<'_>;

    /// Whether this is the rank that speaks and writes for all.
    fn is_first(&self) -> bool;

    /// All of it, to be saved.
    ///
    /// # Errors
    /// [`CheckpointError`] as [`Engine::checkpoint`](crate::Engine::checkpoint), and [`CheckpointError::WithinIteration`] while an
    /// iteration is in hand.
    fn save(&self) -> Result<Checkpoint, CheckpointError>;
}

/// Where a run stands now, for whoever wants to look at it.
pub(super) struct Present<'a> {
    host: &'a mut dyn Host,
    pub(super) run: &'a dyn Standing,
    /// Whether somebody looked at the program: the modules hold what the levels held then.
    pub(super) was_seen: bool,
}

impl<'a> Present<'a> {
    pub(super) fn new(host: &'a mut dyn Host, run: &'a dyn Standing) -> Self {
        Present { host, run, was_seen: false }
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
        self.host.at(self.run.levels())
    }
}
