//! What turned out while losses were recorded, as events.

use super::{Event, Warning};
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
        News::Unseen { level, option, ref number, method } => {
            listener(&Event::Warning(&unseen(names[level], option, number, method)));
        }
        News::OneByOne { level, lower, method, tasks } => {
            listener(&Event::OneByOne { level, name: names[level], through: names[lower], method, tasks });
        }
        News::LastTask { level, method, tasks } => {
            listener(&Event::LastTask { level, name: names[level], method, tasks });
        }
        News::LastRead { level, method, read } => {
            listener(&Event::LastRead { level, name: names[level], method, read: names[read] });
        }
        News::Costly { level, kernels, joint, partial } => {
            listener(&Event::Costly { level, name: names[level], kernels, joint, partial });
        }
    }
}

/// That a learned number is one which no hypergradient moves.
fn unseen(level: &str, option: &str, number: &str, method: &str) -> Warning {
    Warning {
        rule: "unseen-number".to_owned(),
        level: Some(level.to_owned()),
        fact: format!(
            "`{option}` of level `{level}` is `{number}`, but `{method}` does not see the steps of `{level}`, and its loss reads nothing \
             of that either, so that no hypergradient through `{level}` moves it"
        ),
        advice: format!(
            "choose a method for `{level}` that goes through the steps, such as `unrolled`, or give `{option}` a number"
        ),
    }
}
