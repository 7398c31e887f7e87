//! What turns out while losses are recorded, told to observers before the next step.

use super::event::Event;
use super::program::Multilevel;
use super::train::Engine;
use super::verification::Unverified;

/// Something that turned out about the loss of a level.
#[derive(Debug)]
pub(super) enum News {
    /// It was recorded again: how often by now, whether that was compared with Burn's autodiff, and what helps if it is often.
    Retraced { level: usize, count: u64, verified: bool, advice: Option<String> },
    /// It could not be compared with Burn's autodiff, after so many tries.
    Unverified { level: usize, tries: u32, reason: Unverified },
    /// How far a type of its own for products moves the gradient.
    Rounding { level: usize, difference: f64 },
    /// Nothing passes to another level, though it is read.
    ZeroEdge { level: usize, other: usize },
}

impl<P: Multilevel> Engine<P> {
    /// Tells observers, and the log what should not be.
    pub(super) fn tell_news(&mut self) {
        let names: Vec<&str> = self.levels.iter().map(|level| level.name).collect();
        for news in std::mem::take(&mut self.losses.news) {
            match news {
                News::Retraced { level, count, verified, advice } => {
                    if let Some(advice) = &advice {
                        tracing::warn!("{advice}");
                    }
                    let advice = advice.as_deref();
                    self.emit(&Event::Retraced { level, name: names[level], count, verified, advice });
                }
                News::Unverified { level, tries, reason } => {
                    let reason = reason.to_string();
                    self.emit(&Event::Unverified { level, name: names[level], tries, reason: &reason });
                }
                News::Rounding { level, difference } => {
                    self.emit(&Event::Rounding { level, name: names[level], difference });
                }
                News::ZeroEdge { level, other } => {
                    let (name, other) = (names[level], names[other]);
                    tracing::warn!(
                        "the loss of level `{name}` only adds what it reads of `{other}`, or reads only what stands still there, \
                         so that every hypergradient between them is zero"
                    );
                    self.emit(&Event::ZeroEdge { level, name, other });
                }
            }
        }
    }
}
