//! Who is told what happens in a run.

use std::collections::BTreeMap;

use super::event::{Event, Observer};
use super::usual::Usual;
use crate::panic::{Panic, caught};

/// The observers of a run, and what is known for their sake.
pub(super) struct Watch {
    pub(super) observers: Vec<Observer>,
    /// What the first observer said that panicked, until the run reports it.
    pub(super) panic: Option<Panic>,
    /// How large the hypergradients of each level usually are.
    pub(super) usual: Vec<Usual>,
    /// The residual of every solve of the last hypergradient through a level, where its method knows it.
    pub(super) residuals: BTreeMap<usize, Option<f64>>,
}

impl Watch {
    pub(super) fn new(levels: usize) -> Self {
        Watch { observers: Vec::new(), panic: None, usual: vec![Usual::default(); levels], residuals: BTreeMap::new() }
    }

    /// Tells all observers. A panic of one is an error of the run, once the iteration is whole.
    pub(super) fn emit(&mut self, event: &Event<'_>) {
        for observer in &mut self.observers {
            if let Err(panic) = caught(|| observer(event)) {
                self.panic.get_or_insert(panic);
            }
        }
    }
}
