//! Who is told what happens in a run.

use std::collections::{BTreeMap, VecDeque};

use super::event::Event;
use super::host::Present;
use super::log::log;
use super::usual::Usual;
use crate::error::{CheckpointError, EngineError};
use crate::panic::{Panic, caught};

/// What somebody who was told something answers.
#[derive(Default)]
pub(super) struct Answer {
    /// To end the run after the iteration in hand.
    pub(super) stop: Option<Stop>,
    /// To tell everybody something.
    pub(super) tell: Option<Event<'static>>,
    /// To end the run at once, with an error.
    pub(super) error: Option<EngineError>,
    /// Whether a checkpoint could be written.
    pub(super) saved: Option<Result<(), CheckpointError>>,
}

/// Why a run shall end.
pub(super) enum Stop {
    /// Validation did not improve.
    Early,
    /// An observer said so.
    Asked(String),
}

/// Who listens to [`Event`]s.
pub(super) type Listener = Box<dyn FnMut(&Event<'_>, &mut Present<'_>) -> Answer>;

/// The observers of a run, and what is known for their sake.
#[derive(Default)]
pub(super) struct Watch {
    /// Those that the user has made.
    pub(super) observers: Vec<Listener>,
    /// Validation, what shows the progress of the run in hand, and what saves.
    pub(super) validation: Option<Listener>,
    pub(super) progress: Option<Listener>,
    pub(super) saver: Option<Listener>,
    /// What the first observer said that panicked, until the run reports it.
    pub(super) panic: Option<Panic>,
    /// The first error, until the run reports it.
    pub(super) error: Option<EngineError>,
    /// What became of the last checkpoint.
    pub(super) saved: Option<Result<(), CheckpointError>>,
    /// Whether validation ends the run, and why the first observer that does so ends it.
    pub(super) is_over: bool,
    pub(super) reason: Option<String>,
    /// How large the hypergradients of each level usually are.
    pub(super) usual: Vec<Usual>,
    /// The residual of every solve of the last hypergradient through a level, where its method knows it.
    pub(super) residuals: BTreeMap<usize, Option<f64>>,
}

impl Watch {
    pub(super) fn new(levels: usize) -> Self {
        Watch { usual: vec![Usual::default(); levels], ..Watch::default() }
    }

    /// Forgets what was answered before a run.
    pub(super) fn begin(&mut self) {
        (self.panic, self.error, self.is_over, self.reason) = (None, None, false, None);
    }

    /// Tells everybody, and then what was answered to that. Answers whether somebody looked at the program.
    ///
    /// A panic of an observer is an error of the run, once the iteration is whole.
    pub(super) fn emit(&mut self, event: &Event<'_>, mut present: Present<'_>) -> bool {
        let mut answers = self.tell(event, &mut present);
        while let Some(answer) = answers.pop_front() {
            match answer.stop {
                Some(Stop::Early) => self.is_over = true,
                Some(Stop::Asked(reason)) => drop(self.reason.get_or_insert(reason)),
                None => {}
            }
            self.error = self.error.take().or(answer.error);
            self.saved = answer.saved.or(self.saved.take());
            if let Some(event) = answer.tell {
                answers.extend(self.tell(&event, &mut present));
            }
        }
        present.was_seen
    }

    fn tell(&mut self, event: &Event<'_>, present: &mut Present<'_>) -> VecDeque<Answer> {
        log(event);
        let mut answers = VecDeque::new();
        let own = self.validation.iter_mut().chain(&mut self.progress).chain(&mut self.saver);
        let observers = self.observers.iter_mut().chain(own);
        for listener in observers {
            match caught(|| listener(event, present)) {
                Ok(answer) => answers.push_back(answer),
                Err(panic) => drop(self.panic.get_or_insert(panic)),
            }
        }
        answers
    }
}
