//! What turned out while losses were recorded, told to observers before the next step.

use super::event::Event;
use super::run::Run;
use crate::program::News;

impl Run {
    /// Tells observers, and the log what should not be.
    pub(super) fn tell_news(&mut self) {
        let names: Vec<&str> = self.program.levels.iter().map(|level| level.name).collect();
        for news in std::mem::take(&mut self.program.losses.news) {
            news.log(&self.program.levels);
            match news {
                News::Retraced { level, count, verified, advice } => {
                    let advice = advice.as_deref();
                    self.watch.emit(&Event::Retraced { level, name: names[level], count, verified, advice });
                }
                News::Unverified { level, tries, reason } => {
                    let reason = reason.to_string();
                    self.watch.emit(&Event::Unverified { level, name: names[level], tries, reason: &reason });
                }
                News::Rounding { level, difference } => {
                    self.watch.emit(&Event::Rounding { level, name: names[level], difference });
                }
                News::ZeroEdge { level, other } => {
                    self.watch.emit(&Event::ZeroEdge { level, name: names[level], other: names[other] });
                }
            }
        }
    }
}
