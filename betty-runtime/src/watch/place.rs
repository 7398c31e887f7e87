//! Where a run is, as its events tell.

use crate::Event;

/// Where a run is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Completed iterations.
    pub(super) completed: u64,
    /// Whether a run is going on; hypergradients are told of between runs, too, when somebody asks for one.
    pub(super) is_running: bool,
}

impl Place {
    /// Takes note of an event.
    pub(super) fn hear(&mut self, event: &Event<'_>) {
        match *event {
            Event::Started { iteration, .. } => (self.completed, self.is_running) = (iteration, true),
            Event::Resumed { iteration } | Event::Iteration { iteration } => self.completed = iteration,
            Event::Ended { iteration, .. } => (self.completed, self.is_running) = (iteration, false),
            _ => {}
        }
    }

    /// The iteration that an event belongs to, if it belongs to a run, after it was taken note of.
    pub(super) fn of(&self, event: &Event<'_>) -> u64 {
        match event {
            // Those come up within an iteration, which is not completed.
            Event::Step { .. }
            | Event::Solved { .. }
            | Event::Hypergradient { .. }
            | Event::Parts { .. }
            | Event::Unfinished { .. }
            | Event::Runaway { .. } => self.completed + 1,
            _ => self.completed,
        }
    }

    /// Whether an event is to be recorded by somebody who records every `every` iterations.
    pub(super) fn is_due(&self, event: &Event<'_>, every: u64) -> bool {
        self.is_running && self.of(event).is_multiple_of(every)
    }
}
