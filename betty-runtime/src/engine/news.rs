//! What turned out while losses were recorded, told to observers before the next step.

use super::event::Event;
use super::host::Host;
use super::run::Run;
use crate::program::{Level, News};

impl Run {
    /// Tells observers.
    pub(super) fn tell_news(&mut self, host: &mut dyn Host) {
        for news in std::mem::take(&mut self.program.losses.news) {
            tell(&news, &self.program.levels, |event| self.stale |= self.watch.emit(event, host, &self.program.levels));
        }
    }
}

/// Tells somebody of news about these levels.
pub(crate) fn tell(news: &News, levels: &[Level], listener: impl FnOnce(&Event<'_>)) {
    let name = |level: usize| levels[level].name;
    match *news {
        News::Retraced { level, count, verified, ref advice } => {
            listener(&Event::Retraced { level, name: name(level), count, verified, advice: advice.as_deref() });
        }
        News::Unverified { level, tries, ref reason } => {
            let reason = reason.to_string();
            listener(&Event::Unverified { level, name: name(level), tries, reason: &reason });
        }
        News::Rounding { level, difference } => listener(&Event::Rounding { level, name: name(level), difference }),
        News::ZeroEdge { level, other } => listener(&Event::ZeroEdge { level, name: name(level), other: name(other) }),
    }
}
