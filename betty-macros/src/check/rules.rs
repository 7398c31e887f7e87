//! The rules between numbers of levels, each broken one told at the number that breaks it.

use betty_schema::rules::{Facts, Place, Unscheduled, Violation};
use betty_schema::{Graph, Key};
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;

use super::names::Links;
use super::numbers::{learned_schedule, learned_setting, restart};
use crate::ast::{Call, Level, Program};
use crate::report::Report;

/// Tells every rule that is broken. `is_whole` says that the edges are those that were meant, so that one that is not there
/// proves something.
pub(super) fn check(program: &Program, links: &Links<'_>, graph: &Graph, is_whole: bool, report: &mut Report) {
    let names: Vec<String> = program.levels.iter().map(|level| level.name.unraw().to_string()).collect();
    let names = names.iter().map(String::as_str).collect();
    let facts = Facts { graph, names, numbers: super::numbers::of(program, links) };
    let isolated: Vec<usize> = graph.parts().into_iter().filter(|part| part.len() == 1).flatten().collect();
    for (index, level) in program.levels.iter().enumerate() {
        let is_alone = isolated.contains(&index) && graph.levels() > 1;
        let reaches = |from: usize| graph.circles().is_empty() && !links.incomplete && graph.is_below(index, from);
        let is_told = |violation: &Violation| match *violation {
            // Whatever edges may be missing, these stay.
            Violation::MethodMissing
            | Violation::TruncateTooLong { .. }
            | Violation::ReplayOfResponse { .. }
            | Violation::StepsBelow { .. }
            | Violation::StepsBetween { .. }
            | Violation::MemoryUnused { .. }
            | Violation::StepsInCircle { .. }
            | Violation::WarmupTooLong { .. }
            | Violation::ProjectedResponse
            | Violation::FollowedResponse
            | Violation::NotSolved(_)
            | Violation::NotScheduled(_) => true,
            // A level that does not wait for this one was refused for that.
            Violation::StartUnseen { from }
            | Violation::StartCut { from, .. }
            | Violation::LearnedUnseen { from, .. } => reaches(from),
            _ => is_whole && !is_alone,
        };
        for violation in facts.broken(index).filter(is_told) {
            let tokens = tokens(&violation, level, index, links).unwrap_or_else(|| level.name.to_token_stream());
            report.error(tokens, facts.text(index, &violation));
        }
    }
}

/// What an error underlines, if it is there.
fn tokens(violation: &Violation, level: &Level, index: usize, links: &Links<'_>) -> Option<TokenStream> {
    match violation {
        Violation::ProjectedResponse => Some(level.projections().next()?.name.to_token_stream()),
        Violation::NotScheduled(Unscheduled::NeverAnew) => {
            Some(level.schedules().find_map(|(schedule, _)| restart(schedule))?.value.tokens.clone())
        }
        Violation::NotScheduled(Unscheduled::Learned) => Some(learned_schedule(level)?.name.to_token_stream()),
        // Names of levels that a config cannot change.
        Violation::StartUnseen { .. } => Some(links.start[index].as_ref()?.token.to_token_stream()),
        Violation::LearnedUnseen { from, .. } => {
            let (entry, _) = links.hyperparameters[index].iter().find(|(entry, _)| entry.level == *from)?;
            Some(learned_setting(level, entry.token)?.1.to_token_stream())
        }
        _ => part(level, Place::of(violation)),
    }
}

/// A part of a level, as far as rules look at it.
fn part(level: &Level, place: Place) -> Option<TokenStream> {
    let call = |call: &Option<Call>| match (call.as_ref()?, place.option) {
        (call, None) => Some(call.name.to_token_stream()),
        (call, Some(option)) => Some(call.setting(option)?.value.tokens.clone()),
    };
    match place.field {
        Key::Hypergradient => call(&level.hypergradient),
        Key::Preconditioner => call(&level.preconditioner),
        Key::Curvature => call(&level.curvature),
        Key::Solve => call(&level.solve),
        Key::Solver => call(&level.solver),
        Key::Start => call(&level.start),
        Key::Condition => level.condition.as_ref().map(ToTokens::to_token_stream),
        Key::Vectorize => level.vectorize.as_ref().map(ToTokens::to_token_stream),
        Key::Unroll => level.unroll.as_ref().map(ToTokens::to_token_stream),
        Key::Warmup => level.warmup.as_ref().map(ToTokens::to_token_stream),
        Key::Tasks => level.tasks.as_ref().map(ToTokens::to_token_stream),
        Key::Rounds => level.rounds.as_ref().map(ToTokens::to_token_stream),
        _ => None,
    }
}
