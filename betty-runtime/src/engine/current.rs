//! Where a run stands, for observers that want to look: the program with its current parameters, and a checkpoint.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Deref;

use super::host::{Look, Present, Standing};
use crate::checkpoint::Checkpoint;
use crate::error::CheckpointError;
use crate::event::{Facts, Warning};
use crate::execute::ReadError;
use crate::program::Pull;

/// The program as it is now: reads like a `&P`. Parameters are put into its modules when it is first looked at, so that an
/// observer that looks away costs nothing.
pub struct Current<'a, P> {
    program: OnceCell<&'a P>,
    unseen: Cell<Option<&'a mut (dyn Look + 'a)>>,
    run: &'a dyn Standing,
    warnings: RefCell<Vec<Warning>>,
}

impl<'a, P> Current<'a, P> {
    pub(super) fn new<'b: 'a>(present: &'a mut Present<'b>) -> Self {
        let (run, warnings) = (present.run, RefCell::default());
        Current { program: OnceCell::new(), run, unseen: Cell::new(Some(present)), warnings }
    }

    /// What the run is a run of: what a record of it begins with.
    pub fn facts(&self) -> Facts<'_> {
        self.run.facts()
    }

    /// How the weight decay of a level pulls at its parameters, if there is one that steps go along.
    pub(crate) fn pull(&self, level: usize) -> Result<Option<Pull>, ReadError> {
        Pull::of(self.run.levels(), level)
    }

    /// Tells everybody of something that a person who supervises the run should know, as [`Event::Warning`](crate::Event::Warning),
    /// once this observer has answered. Warnings in answer to a warning are not told.
    pub fn warn(&self, warning: Warning) {
        self.warnings.borrow_mut().push(warning);
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.warnings.into_inner()
    }

    /// Where the run stands now, to be saved: what was best so far, for instance. With a validation function, its state is that
    /// of after the iteration at [`Event::Validation`](crate::Event::Validation), and of before at
    /// [`Event::Iteration`](crate::Event::Iteration).
    ///
    /// # Errors
    /// [`CheckpointError`] as [`Engine::checkpoint`](crate::Engine::checkpoint), and [`CheckpointError::WithinIteration`] while an
    /// iteration is in hand.
    pub fn checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        self.run.save()
    }
}

impl<P: 'static> Deref for Current<'_, P> {
    type Target = P;

    fn deref(&self) -> &P {
        self.program.get_or_init(|| {
            let program = self.unseen.take().and_then(|present| present.program().downcast_ref());
            program.expect("an engine has observers of its own program, which are shown it once")
        })
    }
}
