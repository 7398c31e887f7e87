//! Where levels start: a known way, and a level above that a hypergradient reaches.

use betty_schema::{Graph, STARTS};
use syn::ext::IdentExt;

use super::names::Links;
use super::options::check_word;
use super::unrolled::{UNROLLED, count};
use crate::ast::{Call, Level, Program, Value};
use crate::report::Report;

/// The way in which `start` is written; where the name of a level belongs is checked with the other names.
pub(super) fn check_way(level: &Level, report: &mut Report) {
    let Some(call) = &level.start else { return };
    if call.name != FROM {
        check_word(call, &STARTS, report);
    } else if call.start_level().is_none() && !call.incomplete {
        report.error(&call.name, "`from` takes the name of a level: `start: from(meta)`");
    }
}

/// The way that takes a level's name.
const FROM: &str = "from";

/// The level that `from` names must wait for this one, and the method must see where the steps began.
pub(super) fn check_edges(program: &Program, links: &Links<'_>, graph: &Graph, report: &mut Report) {
    let name = |index: usize| program.levels[index].name.unraw().to_string();
    for (index, level) in program.levels.iter().enumerate() {
        let Some(entry) = &links.start[index] else {
            let unused = level.start.as_ref().filter(|call| call.name != FROM && graph.roots().contains(&index));
            if let Some(call) = unused {
                let text = format!("no level is solved after `{}`, so its `start` is never used", name(index));
                report.error(&call.name, text);
            }
            continue;
        };
        let (from, to) = (name(entry.level), name(index));
        if !graph.is_below(index, entry.level) {
            report.error(
                entry.token,
                format!(
                    "`{to}` starts from `{from}`, but nothing in `{to}` ever reaches `{from}`; list `{to}`, or a level above it, \
                     under `lower` of `{from}`"
                ),
            );
        } else if !graph.upper(index).contains(&entry.level) && !sees_steps(level.hypergradient.as_ref()) {
            report.error(
                entry.token,
                format!(
                    "only methods that go through the steps of `{to}`, such as `unrolled`, see where they begin; choose one \
                     for `{to}`, or list `{from}` under `upper` of `{to}`"
                ),
            );
        } else if let Some((value, truncate, unroll)) = truncated(level)
            && !graph.depends_beside_start(index, graph.hyperparameters(index))
        {
            report.error(
                &value.tokens,
                format!(
                    "`{UNROLLED}` looks back {truncate} of {unroll} steps, and where they begin is all that `{to}` has of \
                     `{from}`, so no hypergradient reaches `{from}`; raise `truncate`, or list `{from}` under `upper` of \
                     `{to}`"
                ),
            );
        }
    }
}

/// The value of `truncate` if fewer steps are differentiated than are taken, and both numbers.
fn truncated(level: &Level) -> Option<(&Value, u32, u32)> {
    let call = level.hypergradient.as_ref().filter(|call| call.name == UNROLLED)?;
    let value = &call.setting("truncate")?.value;
    let (truncate, unroll) = (count(value)?, super::unrolled::steps(level)?);
    (0 < truncate && truncate < unroll).then_some((value, truncate, unroll))
}

/// A method that was not given is an error of its own.
pub(super) fn sees_steps(method: Option<&Call>) -> bool {
    method.is_none_or(super::unrolled::goes_through_steps)
}
