//! What turned out while losses were recorded, told to observers before the next step.

use super::host::Host;
use super::run::Run;
use crate::event::Event;
use crate::program::News;

impl Run {
    /// Tells observers.
    pub(super) fn tell_news(&mut self, host: &mut dyn Host) {
        for news in std::mem::take(&mut self.program.losses.news) {
            let names: Vec<&'static str> = self.program.levels.iter().map(|level| level.name).collect();
            tell(&news, &names, |event| self.emit(host, event));
        }
    }
}

/// Tells somebody of news about levels of these names.
pub(crate) fn tell(news: &News, names: &[&str], listener: impl FnOnce(&Event<'_>)) {
    match *news {
        News::Retraced { level, count, verified, ref advice } => {
            listener(&Event::Retraced { level, name: names[level], count, verified, advice: advice.as_deref() });
        }
        News::Unverified { level, tries, ref reason } => {
            let reason = reason.to_string();
            listener(&Event::Unverified { level, name: names[level], tries, reason: &reason });
        }
        News::Rounding { level, difference } => listener(&Event::Rounding { level, name: names[level], difference }),
        News::ZeroEdge { level, other } => {
            listener(&Event::ZeroEdge { level, name: names[level], other: names[other] })
        }
        News::OneByOne { level, lower, method, tasks } => {
            listener(&Event::OneByOne { level, name: names[level], through: names[lower], method, tasks });
        }
        News::Costly { level, kernels, joint, partial } => {
            listener(&Event::Costly { level, name: names[level], kernels, joint, partial });
        }
    }
}
