//! Levels whose steps are differentiated: enough steps, twice only where nothing is solved below them, and no other method
//! where that is the only way.

use betty_schema::{Graph, Way};
use syn::ext::IdentExt;

use crate::ast::{Call, Level, Program, Setting, Value, ValueKind};
use crate::report::Report;

pub(super) const UNROLLED: &str = "unrolled";

pub(super) fn check(program: &Program, graph: &Graph, report: &mut Report) {
    for (index, level) in program.levels.iter().enumerate() {
        let Some(call) = level.hypergradient.as_ref() else { continue };
        if goes_through_steps(call) {
            check_truncate(level, call, report);
            check_replay(program, graph, index, call, report);
            check_place(program, graph, index, call, report);
            check_warmup(program, graph, index, report);
        } else if call.method().is_some() && graph.is_passed(index) {
            check_projection(level, call, report);
        }
    }
}

/// Whether the method sees the steps of the level, and so where they begin and what they are projected to.
pub(super) fn goes_through_steps(method: &Call) -> bool {
    method.method().is_some_and(|row| row.way.goes_through_steps())
}

fn check_truncate(level: &Level, call: &Call, report: &mut Report) {
    let Some(value) = call.setting("truncate").map(|setting| &setting.value) else { return };
    // Numbers that are none have been reported for what they are.
    let (Some(unroll), Some(truncate)) = (steps(level), count(value)) else { return };
    if truncate > unroll {
        let name = level.name.unraw();
        report.error(
            &value.tokens,
            format!(
                "`{UNROLLED}` looks back {truncate} steps, but `{name}` takes only {unroll}; lower `truncate` or raise \
                 `unroll`"
            ),
        );
    }
}

/// The steps that the level takes before a level above, if that is a number.
pub(super) fn steps(level: &Level) -> Option<u32> {
    let unroll = level.unroll.as_ref().map_or(Some(1), |unroll| unroll.base10_parse().ok());
    unroll.filter(|&unroll| unroll > 0)
}

/// The integer that a value is, if it is one.
pub(super) fn count(value: &Value) -> Option<u32> {
    match &value.kind {
        ValueKind::Integer(digits) => digits.parse().ok(),
        _ => None,
    }
}

/// Steps that a hypergradient goes through have to be there when the level above takes its first.
fn check_warmup(program: &Program, graph: &Graph, index: usize, report: &mut Report) {
    let warmup = |level: &Level| level.warmup.as_ref().map_or(Some(0), |warmup| warmup.base10_parse::<u32>().ok());
    let level = &program.levels[index];
    let (Some(literal), Some(own)) = (&level.warmup, warmup(level)) else { return };
    let above = (0..graph.levels()).filter(|&above| graph.answers_to(index, above));
    let mut begins = above.filter_map(|above| Some((&program.levels[above].name, warmup(&program.levels[above])?)));
    if let Some((above, begins)) = begins.find(|&(_, begins)| begins < own) {
        let (name, above) = (level.name.unraw(), above.unraw());
        report.error(
            literal,
            format!(
                "`{above}` takes steps after {begins} iterations already, and its hypergradient goes through the steps of \
                 `{name}`; lower this `warmup`, or give `{above}` as many"
            ),
        );
    }
}

pub(super) fn is_number(setting: &&Setting) -> bool {
    matches!(setting.value.kind, ValueKind::Integer(_))
}

/// A best response that is held by a constraint does not follow from the loss alone.
fn check_projection(level: &Level, method: &Call, report: &mut Report) {
    if let Some(project) = &level.project {
        let (method, name) = (&method.name, level.name.unraw());
        report.error(
            &project.name,
            format!(
                "`{method}` takes no notice of constraints; choose `{UNROLLED}` for `{name}`, or express the constraint in \
                 the loss or the module"
            ),
        );
    }
}

/// Steps that rest on best responses below cannot be taken again without them.
fn check_replay(program: &Program, graph: &Graph, index: usize, call: &Call, report: &mut Report) {
    let below = (0..graph.levels()).find(|&below| graph.answers_to(below, index));
    if let Some(below) = below.filter(|_| call.method().is_some_and(|row| row.way == Way::Replays)) {
        let name = |index: usize| program.levels[index].name.unraw();
        report.error(
            &call.name,
            format!(
                "`{2}` takes the steps of `{0}` again, but they rest on the best response of `{1}`, which is not \
                 found again; choose `forward_gradient` for `{0}`, or `{UNROLLED}`",
                name(index),
                name(below),
                call.name
            ),
        );
    }
}

fn check_place(program: &Program, graph: &Graph, index: usize, call: &Call, report: &mut Report) {
    let name = |index: usize| program.levels[index].name.unraw().to_string();
    let remedy = "choose an implicit method, such as `cg`";
    let above = (0..graph.levels()).find(|&above| graph.answers_to(index, above) && graph.is_passed(above)).map(name);
    if let Some(above) = above.as_ref().filter(|_| call.name != UNROLLED) {
        report.error(
            &call.name,
            format!(
                "`{0}` answers to `{above}`, whose own best response is differentiated, and only the steps of an \
                 `{UNROLLED}` level can be differentiated twice; choose it for `{0}`, or an implicit method, such as `cg`",
                name(index)
            ),
        );
    } else if let (Some(above), Some(&below)) = (&above, graph.lower(index).first()) {
        report.error(
            &call.name,
            format!(
                "`{}` answers to `{above}`, whose own best response is differentiated, and waits for `{}`, so its steps \
                 cannot be differentiated twice; {remedy}",
                name(index),
                name(below)
            ),
        );
    } else if let (Some(above), Some(memory)) = (&above, call.setting("memory").filter(is_number)) {
        report.error(
            &memory.value.tokens,
            format!(
                "`{}` answers to `{above}`, whose own best response is differentiated: its steps become one function whose \
                 values are all held at once; take `memory` away",
                name(index)
            ),
        );
    } else if let Some(peer) = graph.peer(index) {
        report.error(
            &call.name,
            format!(
                "`{}` and `{}` depend on each other, so the steps of neither can be; {remedy}",
                name(index),
                name(peer)
            ),
        );
    }
}
