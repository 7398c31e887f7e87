//! The graph of a program: no circles, no edge without a meaning, no hypergradient without a method.

use betty_schema::{Graph, listed};
use syn::ext::IdentExt;

use super::names::{Entry, Links};
use crate::ast::{Level, Program};
use crate::report::Report;

/// Whether the graph is one for rules between numbers to look at: without circles, and with all edges that were meant.
pub(super) fn check(program: &Program, links: &Links<'_>, graph: &Graph, report: &mut Report) -> bool {
    let names: Vec<String> = program.levels.iter().map(|level| level.name.unraw().to_string()).collect();
    let cx = Context { program, links, graph, names: names.iter().map(String::as_str).collect() };
    check_circles(&cx, report);
    if !graph.circles().is_empty() || links.incomplete {
        return false;
    }
    // From here on an edge that is not there is a mistake. Each group rests on the one before it.
    if !check_program(&cx, report) {
        return false;
    }
    let errors = report.count();
    check_uppers(&cx, report);
    if report.count() == errors {
        check_lowers(&cx, report);
    }
    report.count() == errors
}

struct Context<'a> {
    program: &'a Program,
    links: &'a Links<'a>,
    graph: &'a Graph,
    names: Vec<&'a str>,
}

impl<'a> Context<'a> {
    fn levels(&self) -> impl Iterator<Item = (usize, &'a Level)> {
        self.program.levels.iter().enumerate()
    }

    fn names_of(&self, levels: &[usize]) -> impl Iterator<Item = &'a str> {
        levels.iter().map(|&level| self.names[level])
    }
}

fn check_circles(cx: &Context<'_>, report: &mut Report) {
    for circle in cx.graph.circles() {
        let Some(entry) = find(&cx.links.lower[circle.from], circle.to) else {
            continue;
        };
        let path: Vec<&str> = cx.names_of(&circle.path).collect();
        report.error(
            entry.token,
            format!(
                "these levels are each solved before the next, in a circle: {}; a level that is read while it is still \
                 being solved belongs in `upper`",
                path.join(" -> ")
            ),
        );
    }
}

/// Mistakes of the program as a whole; `false` if its edges are not worth a closer look.
fn check_program(cx: &Context<'_>, report: &mut Report) -> bool {
    let Some(header) = &cx.program.header else {
        return true;
    };
    let program = &header.name;
    match cx.program.levels.len() {
        0 => {
            report.error(program, format!("`{program}` needs at least one level"));
            return false;
        }
        // Plain training.
        1 => return true,
        _ => {}
    }
    let leads_up = |index: usize| {
        let Links { start, hyperparameters, .. } = cx.links;
        !cx.graph.upper(index).is_empty() || start[index].is_some() || !hyperparameters[index].is_empty()
    };
    if !cx.levels().any(|(index, _)| leads_up(index)) {
        // Who waits for another is probably read by it.
        let lists = cx.links.lower.iter().enumerate();
        let pair = lists.into_iter().find_map(|(above, list)| Some((list.first()?.level, above)));
        let remedy = pair.map_or_else(String::new, |(below, above)| {
            let (below, above) = (cx.names[below], cx.names[above]);
            format!("; if the loss of `{below}` reads `{above}`, write `upper: [{above}]` in `{below}`")
        });
        report.error(
            program,
            format!("no level of `{program}` has an upper level, so no hypergradient is ever computed{remedy}"),
        );
        return false;
    }
    check_parts(cx, report);
    true
}

fn check_parts(cx: &Context<'_>, report: &mut Report) {
    let mut parts = cx.graph.parts();
    parts.retain(|part| match part.as_slice() {
        &[level] => {
            let name = cx.names[level];
            report.error(
                &cx.program.levels[level].name,
                format!("level `{name}` depends on no other level and none depends on it"),
            );
            false
        }
        _ => true,
    });
    let mut largest = 0;
    for (index, part) in parts.iter().enumerate() {
        if part.len() > parts[largest].len() {
            largest = index;
        }
    }
    for (index, part) in parts.iter().enumerate() {
        let [first, ..] = part.as_slice() else {
            continue;
        };
        if index != largest {
            report.error(
                &cx.program.levels[*first].name,
                format!(
                    "{} share nothing with {}; write two programs",
                    listed(cx.names_of(part)),
                    listed(cx.names_of(&parts[largest]))
                ),
            );
        }
    }
}

/// A level reads an upper level's parameters because that level, in turn, waits for its best response.
fn check_uppers(cx: &Context<'_>, report: &mut Report) {
    for (index, list) in cx.links.upper.iter().enumerate() {
        let name = cx.names[index];
        for entry in list {
            let (above, token) = (entry.level, entry.token);
            let upper = cx.names[above];
            if cx.graph.is_below(index, above) {
                continue;
            }
            let reason =
                format!("`{upper}` is an upper level of `{name}`, but nothing in `{name}` ever reaches `{upper}`");
            let remedy = if cx.graph.is_below(above, index) {
                format!("`{upper}` is solved before `{name}`, so list it under `lower`")
            } else {
                let beside =
                    (0..cx.graph.levels()).any(|of| cx.graph.is_below(of, index) && cx.graph.is_below(of, above));
                // Two levels above one cannot wait for each other.
                let as_it_is = format!(
                    "; where the loss of `{name}` only needs the parameters of `{upper}` as they are, take `{upper}` out of the list and \
                     let them come with the batch, by `Stream::of_program`"
                );
                let as_it_is = if beside { as_it_is.as_str() } else { "" };
                format!("list `{name}`, or a level above it, under `lower` of `{upper}`{as_it_is}")
            };
            report.error(token, format!("{reason}; {remedy}"));
        }
    }
}

/// A level waits for a lower level's best response because some hypergradient passes from the one to the other.
fn check_lowers(cx: &Context<'_>, report: &mut Report) {
    for (index, list) in cx.links.lower.iter().enumerate() {
        let name = cx.names[index];
        for entry in list {
            let is_passed_down = (0..cx.graph.levels()).any(|of| {
                cx.graph.sweep(of).iter().any(|stop| stop.level == index && stop.into.contains(&entry.level))
            });
            if !is_passed_down && !cx.graph.answers_to(entry.level, index) {
                let lower = cx.names[entry.level];
                report.error(
                    entry.token,
                    format!(
                        "`{lower}` is a lower level of `{name}`, but its best response never depends on `{name}`; list \
                         `{name}` under `upper` of `{lower}`"
                    ),
                );
            }
        }
    }
}

fn find<'a>(list: &'a [Entry<'a>], level: usize) -> Option<&'a Entry<'a>> {
    list.iter().find(|entry| entry.level == level)
}
