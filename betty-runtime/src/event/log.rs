//! The observer that is always there: tells the log what should not be.

use super::Event;

/// Tells the log of an event, if that is something that the user should know of.
pub(crate) fn log(event: &Event<'_>) {
    if let Some(warning) = event.warning() {
        tracing::warn!(rule = warning.rule, level = warning.level, "{}; {}", warning.fact, warning.advice);
    }
}
