//! Levels whose tasks are computed together: several tasks, each of which begins anew and is differentiated step by step.

use betty_schema::Graph;
use syn::LitInt;
use syn::ext::IdentExt;

use super::unrolled::{UNROLLED, is_number};
use crate::ast::{Level, Program};
use crate::report::Report;

pub(super) fn check(program: &Program, graph: &Graph, report: &mut Report) {
    for (index, level) in program.levels.iter().enumerate() {
        let Some(vectorize) = level.vectorize.as_ref().filter(|flag| flag.value) else { continue };
        if let Some(reason) = obstacle(program, graph, index) {
            let name = level.name.unraw();
            report.error(vectorize, format!("the tasks of `{name}` cannot be computed together: {reason}"));
        }
    }
}

/// Why the tasks of a level cannot be computed together.
fn obstacle(program: &Program, graph: &Graph, index: usize) -> Option<String> {
    let level = &program.levels[index];
    let name = |index: usize| program.levels[index].name.unraw().to_string();
    if number(level.tasks.as_ref()) == Some(1) {
        return Some("there is only one; add `tasks: …`".into());
    }
    if number(level.accumulate.as_ref()) != Some(1) {
        return Some("`accumulate` takes several batches for each; raise `tasks` instead".into());
    }
    if number(level.rounds.as_ref()) != Some(1) {
        return Some("`rounds` has its levels take their steps several times; raise their `unroll` instead".into());
    }
    if graph.is_passed(index) {
        return Some(format!(
            "a hypergradient passes through `{}`, and needs the steps below it one by one",
            name(index)
        ));
    }
    if graph.lower(index).is_empty() {
        return Some("it waits for no level".into());
    }
    graph.lower(index).iter().find_map(|&lower| {
        let below = &program.levels[lower];
        let lower_name = name(lower);
        if let Some(&further) = graph.lower(lower).first() {
            return Some(format!("`{lower_name}` waits for `{}`", name(further)));
        }
        if let Some(other) = (0..graph.levels()).find(|&other| other != index && graph.lower(other).contains(&lower)) {
            return Some(format!("`{}` waits for `{lower_name}` too", name(other)));
        }
        let is_whole = below.hypergradient.as_ref().is_some_and(|call| {
            ["truncate", "memory"].iter().all(|option| !call.setting(option).is_some_and(|of| is_number(&of)))
        });
        if method(below).is_none_or(|method| method != UNROLLED) || !is_whole {
            return Some(format!("`{lower_name}` is not differentiated by `{UNROLLED}` through all its steps"));
        }
        let starts_anew = below.start.as_ref().is_some_and(|call| call.name == "initial" || call.name == "from");
        (!starts_anew).then(|| {
            format!("`{lower_name}` goes on from one task to the next; add `start: initial` or `start: from(…)` to it")
        })
    })
}

fn method(level: &Level) -> Option<String> {
    level.hypergradient.as_ref().map(|call| call.name.to_string())
}

/// A count that is 1 if it is not given; numbers that are none have been reported for what they are.
fn number(literal: Option<&LitInt>) -> Option<u32> {
    literal.map_or(Some(1), |literal| literal.base10_parse().ok())
}
