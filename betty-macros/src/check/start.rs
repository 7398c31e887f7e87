//! Where levels start: a known way, and a level that waits for this one.

use betty_schema::{Graph, STARTS};
use syn::ext::IdentExt;

use super::names::Links;
use super::options::check_word;
use crate::ast::{FRESH, FROM, Level, Program};
use crate::report::Report;

/// The way in which `start` is written; where the name of a level belongs is checked with the other names.
pub(super) fn check_way(level: &Level, report: &mut Report) {
    let Some(call) = &level.start else { return };
    let text = match call.name.to_string().as_str() {
        FROM if call.start_level().is_none() => "`from` takes the name of a level: `start: from(meta)`",
        FRESH if call.start_function().is_none() => {
            "`fresh` takes the path of a function that makes the level's module on a device: `start: fresh(my_net)`"
        }
        FROM | FRESH => return,
        _ => return check_word(call, &STARTS, report),
    };
    if !call.incomplete {
        report.error(&call.name, text);
    }
}

/// The level that `from` names waits for this one, directly or not.
pub(super) fn check_edges(program: &Program, links: &Links<'_>, graph: &Graph, report: &mut Report) {
    let name = |index: usize| program.levels[index].name.unraw().to_string();
    for (index, entry) in links.start.iter().enumerate() {
        let Some(entry) = entry.as_ref().filter(|entry| !graph.is_below(index, entry.level)) else { continue };
        let (from, to) = (name(entry.level), name(index));
        report.error(
            entry.token,
            format!(
                "`{to}` starts from `{from}`, but nothing in `{to}` ever reaches `{from}`; list `{to}`, or a level above it, \
                 under `lower` of `{from}`"
            ),
        );
    }
}
