//! The observer that is always there: tells the log what should not be.

use super::event::Event;

/// Tells the log of an event, if that is something that the user should know of.
pub(crate) fn log(event: &Event<'_>) {
    match *event {
        Event::Retraced { advice: Some(advice), .. } => tracing::warn!("{advice}"),
        Event::ZeroEdge { name, other, .. } => tracing::warn!(
            "the loss of level `{name}` only adds what it reads of `{other}`, or reads only what stands still there, \
             so that every hypergradient between them is zero"
        ),
        Event::Runaway { name, step, norm, ratio, advice, .. } => tracing::warn!(
            "the hypergradient of level `{name}` runs away: its norm is {norm:.1e} at step {step}, {ratio:.0e} times as large as \
             usual; {advice}"
        ),
        Event::SaveFailed { iteration, reason, next, .. } => {
            tracing::warn!(iteration, next, reason, "a checkpoint could not be written");
        }
        _ => {}
    }
}
