//! A program with its current parameters, for observers that want to look.

use std::cell::{Cell, OnceCell};
use std::ops::Deref;

use super::host::Look;

/// The program as it is now: reads like a `&P`. Parameters are put into its modules when it is first looked at, so that an
/// observer that looks away costs nothing.
pub struct Current<'a, P> {
    program: OnceCell<&'a P>,
    unseen: Cell<Option<&'a mut (dyn Look + 'a)>>,
}

impl<'a, P> Current<'a, P> {
    pub(super) fn new(present: &'a mut (dyn Look + 'a)) -> Self {
        Current { program: OnceCell::new(), unseen: Cell::new(Some(present)) }
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
