//! Where a run stands, for observers that want to look: the program with its current parameters, and a checkpoint.

use std::cell::{Cell, OnceCell};
use std::ops::Deref;

use super::host::{Look, Present, Standing};
use crate::checkpoint::Checkpoint;
use crate::error::CheckpointError;

/// The program as it is now: reads like a `&P`. Parameters are put into its modules when it is first looked at, so that an
/// observer that looks away costs nothing.
pub struct Current<'a, P> {
    program: OnceCell<&'a P>,
    unseen: Cell<Option<&'a mut (dyn Look + 'a)>>,
    run: &'a dyn Standing,
}

impl<'a, P> Current<'a, P> {
    pub(super) fn new<'b: 'a>(present: &'a mut Present<'b>) -> Self {
        Current { program: OnceCell::new(), run: present.run, unseen: Cell::new(Some(present)) }
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
