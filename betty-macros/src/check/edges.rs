//! The graph of a program: no circles, no edge without a meaning, no hypergradient without a method.

use betty_schema::{Graph, Key, listed};
use syn::ext::IdentExt;

use super::names::{Entry, Links};
use crate::ast::{Level, Program};
use crate::report::Report;

pub(super) fn check(program: &Program, links: &Links<'_>, graph: &Graph, report: &mut Report) {
    let names: Vec<String> = program.levels.iter().map(|level| level.name.unraw().to_string()).collect();
    let cx = Context { program, links, graph, names: names.iter().map(String::as_str).collect() };
    check_circles(&cx, report);
    if !graph.circles().is_empty() {
        return;
    }
    check_methods_are_there(&cx, report);
    if links.incomplete {
        return;
    }
    // From here on an edge that is not there is a mistake. Each group rests on the one before it.
    if !check_program(&cx, report) {
        return;
    }
    let errors = report.count();
    check_uppers(&cx, report);
    if report.count() == errors {
        check_lowers(&cx, report);
    }
    if report.count() == errors {
        check_fields_are_used(&cx, report);
    }
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

    fn is_isolated(&self, level: usize) -> bool {
        let links = self.links;
        let learning = links.hyperparameters.iter().flatten().map(|(entry, _)| entry);
        let mut entries =
            links.upper.iter().chain(&links.lower).flatten().chain(links.start.iter().flatten()).chain(learning);
        self.graph.upper(level).is_empty()
            && links.start[level].is_none()
            && links.hyperparameters[level].is_empty()
            && self.graph.lower(level).is_empty()
            && !entries.any(|entry| entry.level == level)
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

fn check_methods_are_there(cx: &Context<'_>, report: &mut Report) {
    for (index, level) in cx.levels() {
        if cx.graph.is_passed(index) && !level.written.contains(&Key::Hypergradient) {
            let name = cx.names[index];
            report.error(
                &level.name,
                format!("a hypergradient passes through `{name}`: add `hypergradient: …` to say how it is computed"),
            );
        }
    }
}

/// Mistakes of the program as a whole; `false` if its edges are not worth a closer look.
fn check_program(cx: &Context<'_>, report: &mut Report) -> bool {
    let Some(header) = &cx.program.header else {
        return true;
    };
    let program = &header.name;
    if cx.program.levels.len() < 2 {
        report.error(program, format!("`{program}` needs at least two levels, one above the other"));
        return false;
    }
    let leads_up = |index: usize| {
        let Links { start, hyperparameters, .. } = cx.links;
        !cx.graph.upper(index).is_empty() || start[index].is_some() || !hyperparameters[index].is_empty()
    };
    if !cx.levels().any(|(index, _)| leads_up(index)) {
        report.error(
            program,
            format!("no level of `{program}` has an upper level, so no hypergradient is ever computed"),
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
                format!("list `{name}`, or a level above it, under `lower` of `{upper}`")
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

fn check_fields_are_used(cx: &Context<'_>, report: &mut Report) {
    let roots = cx.graph.roots();
    for (index, level) in cx.levels() {
        let name = cx.names[index];
        if cx.is_isolated(index) {
            continue;
        }
        // Zero has been reported for what it is.
        let unroll = level.unroll.as_ref().filter(|unroll| unroll.base10_digits() != "0");
        if let Some(unroll) = unroll.filter(|_| roots.contains(&index)) {
            report.error(unroll, format!("no level is solved after `{name}`, so its `unroll` is never used"));
        }
        check_tasks(cx, index, level, report);
        check_rounds(cx, index, level, report);
        if let Some(method) = level.hypergradient.as_ref().filter(|_| !cx.graph.is_passed(index)) {
            report.error(
                &method.name,
                format!("no hypergradient passes through `{name}`, so its `hypergradient` is never used"),
            );
        }
    }
}

/// Several tasks are solved by levels below; where they are to be computed together, that says the same.
fn check_tasks(cx: &Context<'_>, index: usize, level: &Level, report: &mut Report) {
    let several = level.tasks.as_ref().filter(|tasks| tasks.base10_parse::<u32>().is_ok_and(|tasks| tasks > 1));
    let is_together = level.vectorize.as_ref().is_some_and(|flag| flag.value);
    if let Some(tasks) = several.filter(|_| cx.graph.lower(index).is_empty() && !is_together) {
        let name = cx.names[index];
        report.error(
            tasks,
            format!(
                "`tasks` is how often the levels below `{name}` are solved for one of its steps, and there is none; \
                 `accumulate` averages over batches"
            ),
        );
    }
}

/// Rounds are taken by levels below.
fn check_rounds(cx: &Context<'_>, index: usize, level: &Level, report: &mut Report) {
    let several = level.rounds.as_ref().filter(|rounds| rounds.base10_parse::<u32>().is_ok_and(|rounds| rounds > 1));
    if let Some(rounds) = several.filter(|_| cx.graph.lower(index).is_empty()) {
        let name = cx.names[index];
        report.error(
            rounds,
            format!("`rounds` is how often the levels below `{name}` take their steps before one of its own, and there is none"),
        );
    }
}

fn find<'a>(list: &'a [Entry<'a>], level: usize) -> Option<&'a Entry<'a>> {
    list.iter().find(|entry| entry.level == level)
}
