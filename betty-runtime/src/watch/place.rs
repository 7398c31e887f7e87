//! Where a run is, as its events tell.

use crate::Event;

/// Where a run is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Completed iterations.
    pub(super) completed: u64,
    /// Whether something was told of the iteration after those.
    has_begun: bool,
    /// Whether a run is going on; hypergradients are told of between runs, too, when somebody asks for one.
    pub(super) is_running: bool,
}

impl Place {
    /// Takes note of an event.
    pub(super) fn hear(&mut self, event: &Event<'_>) {
        match *event {
            Event::Started { iteration, .. } => {
                *self = Place { completed: iteration, is_running: true, has_begun: false }
            }
            Event::Resumed { iteration } | Event::Iteration { iteration } => {
                (self.completed, self.has_begun) = (iteration, false);
            }
            Event::Ended { iteration, .. } => *self = Place { completed: iteration, ..Place::default() },
            _ => self.has_begun |= self.is_running && is_within(event),
        }
    }

    /// The iteration that an event belongs to, if it belongs to a run, after it was taken note of.
    pub(super) fn of(&self, event: &Event<'_>) -> u64 {
        match event {
            // An observer warns of what it has just been told.
            Event::Warning(_) => self.completed + u64::from(self.has_begun),
            _ => self.completed + u64::from(is_within(event) && (self.is_running || is_of_step(event))),
        }
    }

    /// Whether an event is to be recorded by somebody who records every `every` iterations.
    pub(super) fn is_due(&self, event: &Event<'_>, every: u64) -> bool {
        self.is_running && self.of(event).is_multiple_of(every)
    }
}

/// Whether an event tells of a step.
fn is_of_step(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Step { .. }
            | Event::Solved { .. }
            | Event::Hypergradient { .. }
            | Event::Parts { .. }
            | Event::Unfinished { .. }
            | Event::Runaway { .. }
    )
}

/// Whether it comes up within an iteration, which is not completed.
fn is_within(event: &Event<'_>) -> bool {
    is_of_step(event)
        || matches!(
            event,
            Event::Rounding { .. }
                | Event::ZeroEdge { .. }
                | Event::OneByOne { .. }
                | Event::LastRead { .. }
                | Event::Costly { .. }
                | Event::Retraced { .. }
                | Event::Unverified { .. }
        )
}
