//! Levels that learn numbers of an optimizer: above the level whose steps they are, and seen by its method.

use betty_schema::Graph;
use syn::ext::IdentExt;

use super::names::Links;
use crate::ast::Program;
use crate::report::Report;

pub(super) fn check_edges(program: &Program, links: &Links<'_>, graph: &Graph, report: &mut Report) {
    let name = |index: usize| program.levels[index].name.unraw().to_string();
    for (index, level) in program.levels.iter().enumerate() {
        for (entry, setting) in &links.hyperparameters[index] {
            let option = setting.name.as_ref().map(ToString::to_string).unwrap_or_default();
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
            } else if !graph.upper(index).contains(&entry.level)
                && !super::start::sees_steps(level.hypergradient.as_ref())
            {
                report.error(
                    entry.token,
                    format!(
                        "no best response depends on `{option}`, only methods that go through the steps of `{to}`, such as \
                         `unrolled`, see it; choose one for `{to}`, or give `{option}` a number"
                    ),
                );
            }
        }
    }
}
