//! What turned out while losses were recorded, as events.

use super::Event;
use crate::program::News;

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
        News::LastTask { level, method, tasks } => {
            listener(&Event::LastTask { level, name: names[level], method, tasks });
        }
        News::Costly { level, kernels, joint, partial } => {
            listener(&Event::Costly { level, name: names[level], kernels, joint, partial });
        }
    }
}
