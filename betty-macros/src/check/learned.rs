//! Levels that learn numbers of an optimizer wait for the level whose steps they are.

use betty_schema::Graph;
use syn::ext::IdentExt;

use super::names::Links;
use crate::ast::Program;
use crate::report::Report;

pub(super) fn check_edges(program: &Program, links: &Links<'_>, graph: &Graph, report: &mut Report) {
    let name = |index: usize| program.levels[index].name.unraw().to_string();
    for (index, list) in links.hyperparameters.iter().enumerate() {
        for (entry, setting) in list {
            let option = setting.option();
            let (from, to) = (name(entry.level), name(index));
            if graph.is_below(entry.level, index) {
                report.error(
                    entry.token,
                    format!(
                        "`{from}` is solved before each step of `{to}`, so it cannot learn `{option}` of those steps; only a \
                         level above `{to}` can"
                    ),
                );
            } else if !graph.is_below(index, entry.level) {
                report.error(
                    entry.token,
                    format!(
                        "`{from}` learns `{option}` of `{to}`, but nothing in `{to}` ever reaches `{from}`; list `{to}`, or a \
                         level above it, under `lower` of `{from}`"
                    ),
                );
            }
        }
    }
}
