//! Who is told what happens in a run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::host::Present;
use crate::error::{CheckpointError, DataError, EngineError};
use crate::event::{Event, Usual, Warning, log};
use crate::panic::{Panic, caught};

/// What somebody who was told something answers.
#[derive(Default)]
pub(super) struct Answer {
    /// To end the run after the iteration in hand.
    pub(super) stop: Option<Stop>,
    /// To tell everybody something.
    pub(super) tell: Vec<Told>,
    /// To end the run at once, with an error.
    pub(super) error: Option<EngineError>,
    /// To end the run after the iteration in hand, with an error.
    pub(super) failure: Option<DataError>,
    /// Whether a checkpoint could be written.
    pub(super) saved: Option<Result<(), CheckpointError>>,
}

/// What is told to everybody because somebody said so.
pub(super) enum Told {
    /// What validation came to.
    Validation { iteration: u64, value: f64, best: bool, metrics: Vec<(Rc<str>, f64)> },
    /// What an observer found.
    Warning(Warning),
}

impl Told {
    fn event(&self) -> Event<'_> {
        match self {
            &Told::Validation { iteration, value, best, ref metrics } => {
                Event::Validation { iteration, value, best, metrics }
            }
            Told::Warning(warning) => Event::Warning(warning),
        }
    }
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

/// After which iterations an [observer](crate::Observer) looks at the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Looks {
    /// After none.
    Never,
    /// After every so many iterations.
    Every(u64),
}

impl Looks {
    pub(super) fn is_due(self, iteration: u64) -> bool {
        matches!(self, Looks::Every(every) if iteration.is_multiple_of(every.max(1)))
    }
}

/// The observers of a run, and what is known for their sake.
#[derive(Default)]
pub(super) struct Watch {
    /// Those that the user has made.
    pub(super) observers: Vec<Listener>,
    /// When they look at the program.
    pub(super) looks: Vec<Looks>,
    /// Validation, what shows the progress of the run in hand, and what saves.
    pub(super) validation: Option<Listener>,
    pub(super) progress: Option<Listener>,
    pub(super) saver: Option<Listener>,
    /// What the first observer said that panicked, until the run reports it.
    pub(super) panic: Option<Panic>,
    /// The first error of validation, until the run reports it.
    pub(super) error: Option<EngineError>,
    /// The first error of an observer, until the run reports it.
    pub(super) failure: Option<DataError>,
    /// What became of the last checkpoint.
    pub(super) saved: Option<Result<(), CheckpointError>>,
    /// Whether validation ends the run, and why the first observer that does so ends it.
    pub(super) is_over: bool,
    pub(super) reason: Option<String>,
    /// Whether another rank logs what happens.
    pub(super) is_silent: bool,
    /// How large the hypergradients of each level usually are.
    pub(super) usual: Vec<Usual>,
    /// Levels, and those that are passed, whose common solve was told of as unfinished.
    pub(super) unfinished: BTreeSet<(usize, usize)>,
    /// The residual of every solve of the last hypergradient through a level, where its method knows it.
    pub(super) residuals: BTreeMap<usize, Option<f64>>,
}

impl Watch {
    pub(super) fn new(levels: usize) -> Self {
        Watch { usual: vec![Usual::default(); levels], ..Watch::default() }
    }

    /// Forgets what was answered before a run.
    pub(super) fn begin(&mut self) {
        (self.panic, self.error, self.failure, self.is_over, self.reason) = (None, None, None, false, None);
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
            self.failure = self.failure.take().or(answer.failure);
            self.saved = answer.saved.or(self.saved.take());
            for told in answer.tell {
                let mut more = self.tell(&told.event(), &mut present);
                if let Told::Warning(_) = told {
                    // Who warns of warnings would never end.
                    more.iter_mut().for_each(|answer| answer.tell.clear());
                }
                answers.extend(more);
            }
        }
        present.was_seen
    }

    fn tell(&mut self, event: &Event<'_>, present: &mut Present<'_>) -> VecDeque<Answer> {
        if !self.is_silent {
            log(event);
        }
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
