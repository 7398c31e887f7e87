//! The rules between numbers of levels, each broken one told at the number that breaks it.

use betty_schema::Graph;
use betty_schema::rules::{self, Apart, Clash, Idle, Numbers, Obstacle, Unfixed, Unscheduled, Violation};
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;

use super::names::Links;
use super::numbers::{learned_schedule, learned_setting, restart};
use crate::ast::{Level, Program};
use crate::report::Report;

/// Tells every rule that is broken. `is_whole` says that the edges are those that were meant, so that one that is not there
/// proves something.
pub(super) fn check(program: &Program, links: &Links<'_>, graph: &Graph, is_whole: bool, report: &mut Report) {
    let numbers = super::numbers::of(program, links);
    let isolated: Vec<usize> = graph.parts().into_iter().filter(|part| part.len() == 1).flatten().collect();
    let is_alone = |level: usize| isolated.contains(&level) && graph.levels() > 1;
    for (level, own) in numbers.iter().enumerate() {
        let at = Place { program, links, level };
        let method = rules::method(graph, level, own);
        let is_told = |violation: &Violation| match violation {
            Violation::MethodMissing => true,
            _ => is_whole && !is_alone(level),
        };
        let used = rules::used(graph, level, own).filter(is_told);
        let broken = method.into_iter().filter(is_told).chain(used).chain(rules::truncate(graph, level, &numbers));
        let broken = broken
            .chain(rules::steps(graph, level, &numbers))
            .chain(rules::preconditioner(own).filter(|_| is_whole && !is_alone(level)))
            .chain(rules::condition(graph, level, own).filter(|_| is_whole && !is_alone(level)))
            .chain(rules::curvature(graph, level, own).filter(|_| is_whole && !is_alone(level)))
            .chain(rules::system(graph, level, &numbers).filter(|_| is_whole && !is_alone(level)))
            .chain(rules::solver(graph, level, own))
            .chain(rules::schedule(own))
            .chain(rules::together(graph, level, &numbers).filter(|_| is_whole && !is_alone(level)));
        broken.for_each(|violation| at.tell(&violation, report));
        if graph.circles().is_empty() && !links.incomplete {
            let reached = |from: usize| graph.is_below(level, from);
            let start = rules::start(graph, level, &numbers).filter(|_| graph.start(level).is_some_and(reached));
            let learned = rules::learned(graph, level, &reachable(own, reached)).collect::<Vec<_>>();
            start.into_iter().chain(learned).for_each(|violation| at.tell(&violation, report));
        }
    }
}

/// The numbers without those that are learned by a level which does not wait for this one, and was refused for that.
fn reachable(numbers: &Numbers, reached: impl Fn(usize) -> bool) -> Numbers {
    let mut numbers = numbers.clone();
    numbers.learned.retain(|number| reached(number.from));
    numbers
}

/// A level, and where its parts stand.
struct Place<'a> {
    program: &'a Program,
    links: &'a Links<'a>,
    level: usize,
}

impl Place<'_> {
    fn own(&self) -> &Level {
        &self.program.levels[self.level]
    }

    fn name(&self, level: usize) -> String {
        self.program.levels[level].name.unraw().to_string()
    }

    fn tell(&self, violation: &Violation, report: &mut Report) {
        report.error(self.token(violation), self.text(violation));
    }

    /// What an error underlines.
    fn token(&self, violation: &Violation) -> TokenStream {
        let level = self.own();
        let option = |name: &str| {
            let setting = level.hypergradient.as_ref().and_then(|call| call.setting(name));
            setting.map(|setting| setting.value.tokens.clone())
        };
        let tokens = match violation {
            Violation::MethodMissing => None,
            Violation::UnrollUnused => level.unroll.as_ref().map(ToTokens::to_token_stream),
            Violation::StartUnused => level.start.as_ref().map(|call| call.name.to_token_stream()),
            Violation::NoTasks { .. } => level.tasks.as_ref().map(ToTokens::to_token_stream),
            Violation::NoRounds { .. } => level.rounds.as_ref().map(ToTokens::to_token_stream),
            Violation::TruncateTooLong { .. } | Violation::StartCut { .. } => option("truncate"),
            Violation::MemoryUnused { .. } => option("memory"),
            Violation::WarmupTooLong { .. } => level.warmup.as_ref().map(ToTokens::to_token_stream),
            Violation::ProjectedResponse => level.projections().next().map(|call| call.name.to_token_stream()),
            Violation::FollowedResponse => level.after_step.as_ref().map(ToTokens::to_token_stream),
            Violation::CurvatureIdle(_) => level.curvature.as_ref().map(|call| call.name.to_token_stream()),
            Violation::NotFixed(_) => level.condition.as_ref().map(ToTokens::to_token_stream),
            Violation::NotPreconditioned => level.preconditioner.as_ref().map(|call| call.name.to_token_stream()),
            Violation::NoSystem(_) => level.solve.as_ref().map(|call| call.name.to_token_stream()),
            Violation::StartUnseen { .. } => {
                self.links.start[self.level].as_ref().map(|entry| entry.token.to_token_stream())
            }
            Violation::LearnedUnseen { from, .. } => {
                let mut learned = self.links.hyperparameters[self.level].iter();
                let entry = learned.find(|(entry, _)| entry.level == *from);
                let setting = entry.and_then(|(entry, _)| learned_setting(level, entry.token));
                setting.map(|(_, name, _)| name.to_token_stream())
            }
            Violation::NotSolved(_) => level.solver.as_ref().map(|call| call.name.to_token_stream()),
            Violation::NotScheduled(Unscheduled::NeverAnew) => {
                let setting = level.schedules().find_map(|(schedule, _)| restart(schedule));
                setting.map(|setting| setting.value.tokens.clone())
            }
            Violation::NotScheduled(Unscheduled::Learned) => {
                learned_schedule(level).map(|call| call.name.to_token_stream())
            }
            Violation::NotTogether(_) => level.vectorize.as_ref().map(ToTokens::to_token_stream),
            Violation::MethodUnused
            | Violation::ReplayOfResponse { .. }
            | Violation::StepsBelow { .. }
            | Violation::StepsBetween { .. }
            | Violation::StepsInCircle { .. } => level.hypergradient.as_ref().map(|call| call.name.to_token_stream()),
        };
        tokens.unwrap_or_else(|| level.name.to_token_stream())
    }

    fn text(&self, violation: &Violation) -> String {
        let name = self.name(self.level);
        let method = self.own().hypergradient.as_ref().map_or_else(String::new, |call| call.name.to_string());
        match *violation {
            Violation::MethodMissing => {
                format!("a hypergradient passes through `{name}`: add `hypergradient: …` to say how it is computed")
            }
            Violation::MethodUnused => {
                format!("no hypergradient passes through `{name}`, so its `hypergradient` is never used")
            }
            Violation::UnrollUnused => format!("no level is solved after `{name}`, so its `unroll` is never used"),
            Violation::StartUnused => format!("no level is solved after `{name}`, so its `start` is never used"),
            Violation::NoTasks { .. } => format!(
                "`tasks` is how often the levels below `{name}` are solved for one of its steps, and there is none; \
                 `accumulate` averages over batches"
            ),
            Violation::NoRounds { .. } => format!(
                "`rounds` is how often the levels below `{name}` take their steps before one of its own, and there is none"
            ),
            Violation::TruncateTooLong { truncate, unroll } => format!(
                "`{method}` looks back {truncate} steps, but `{name}` takes only {unroll}; lower `truncate` or raise \
                 `unroll`"
            ),
            Violation::ReplayOfResponse { below } => format!(
                "`{method}` takes the steps of `{name}` again, but they rest on the best response of `{}`, which is not \
                 found again; choose `forward_gradient` for `{name}`, or `unrolled`",
                self.name(below)
            ),
            Violation::StepsBelow { above } => format!(
                "`{name}` answers to `{}`, whose own best response is differentiated, and only the steps of an \
                 `unrolled` level can be differentiated twice; choose it for `{name}`, or an implicit method, such as `cg`",
                self.name(above)
            ),
            Violation::StepsBetween { above, below } => format!(
                "`{name}` answers to `{}`, whose own best response is differentiated, and waits for `{}`, so its steps \
                 cannot be differentiated twice; choose an implicit method, such as `cg`",
                self.name(above),
                self.name(below)
            ),
            Violation::MemoryUnused { above } => format!(
                "`{name}` answers to `{}`, whose own best response is differentiated: its steps become one function whose \
                 values are all held at once; take `memory` away",
                self.name(above)
            ),
            Violation::StepsInCircle { peer } => format!(
                "`{name}` and `{}` depend on each other, so the steps of neither can be; choose an implicit method, such as \
                 `cg`",
                self.name(peer)
            ),
            Violation::WarmupTooLong { above, begins, .. } => format!(
                "`{0}` takes steps after {begins} iterations already, and its hypergradient goes through the steps of \
                 `{name}`; lower this `warmup`, or give `{0}` as many",
                self.name(above)
            ),
            Violation::ProjectedResponse => format!(
                "`{method}` takes no notice of constraints; choose `unrolled` for `{name}`, or express the constraint in \
                 the loss or the module"
            ),
            Violation::FollowedResponse => format!(
                "`{method}` solves for where the loss of `{name}` is least, whatever follows each step; choose `unrolled`, or say \
                 where the steps come to rest: `condition: fixed_point(my_map)`"
            ),
            Violation::StartUnseen { from } => format!(
                "only methods that go through the steps of `{name}`, such as `unrolled`, see where they begin; choose one \
                 for `{name}`, or list `{}` under `upper` of `{name}`",
                self.name(from)
            ),
            Violation::StartCut { from, truncate, unroll } => format!(
                "`{method}` looks back {truncate} of {unroll} steps, and where they begin is all that `{name}` has of \
                 `{0}`, so no hypergradient reaches `{0}`; raise `truncate`, or list `{0}` under `upper` of `{name}`",
                self.name(from)
            ),
            Violation::LearnedUnseen { option, .. } => format!(
                "no best response depends on `{option}`, only methods that go through the steps of `{name}`, such as \
                 `unrolled`, see it; choose one for `{name}`, or give `{option}` a number"
            ),
            Violation::CurvatureIdle(idle) => {
                let reason = match idle {
                    Idle::NotPassed => format!("no hypergradient passes through `{name}`"),
                    Idle::NothingBelow => {
                        format!("no level below answers to `{name}`, whose own loss is all that is differentiated")
                    }
                    Idle::ThroughSteps => format!(
                        "`{method}` goes through the steps of `{name}`, which followed its total gradient; choose a method \
                         that solves a system, such as `cg`"
                    ),
                };
                format!("`partial` changes nothing here: {reason}")
            }
            Violation::NotFixed(unfixed) => {
                format!("`{name}` is not differentiated as a fixed point: {}", self.unfixed(unfixed, &method))
            }
            Violation::NotPreconditioned if method.is_empty() => {
                format!("no hypergradient passes through `{name}`, so its `preconditioner` is never used")
            }
            Violation::NotPreconditioned => format!(
                "`{method}` applies no preconditioner; choose `cg`, `minres` or `gmres` for `{name}`, or take \
                 `preconditioner` away"
            ),
            Violation::NoSystem(apart) => {
                let solver = self.program.levels[self.level].solve.as_ref().map(|call| call.name.to_string());
                let solver = solver.unwrap_or_default();
                format!("`{solver}` cannot solve what is below `{name}`: {}", self.apart(apart))
            }
            Violation::NotSolved(clash) => {
                format!("no solver can find the best response of `{name}`: {}", self.clash(clash, &method))
            }
            Violation::NotScheduled(Unscheduled::NeverAnew) => format!(
                "`{name}` goes on from where it was, so its schedule never begins again; add `start: initial`, or take `restart` away"
            ),
            Violation::NotScheduled(Unscheduled::Learned) => format!(
                "the learning rate of `{name}` is learned, so there is no number that a schedule would multiply; schedule the level \
                 that learns it, or learn a rate for each step: `[step]`"
            ),
            Violation::NotTogether(obstacle) => {
                format!("the tasks of `{name}` cannot be computed together: {}", self.reason(obstacle))
            }
        }
    }

    fn apart(&self, apart: Apart) -> String {
        let method = |stop: usize| {
            let call = self.program.levels[stop].hypergradient.as_ref();
            (self.name(stop), call.map_or_else(String::new, |call| call.name.to_string()))
        };
        match apart {
            Apart::NothingBelow => {
                format!("no best response answers to `{}`, so there is no system", self.name(self.level))
            }
            Apart::Replaced { stop } => {
                let (stop, method) = method(stop);
                format!(
                    "`{method}` of `{stop}` puts something of its own in the place of the level's part of the system; choose \
                     `cg`, `minres` or `gmres` there"
                )
            }
            Apart::StepsOnly => "every level below is gone through step by step, so there is no system".to_owned(),
            Apart::Tangents { stop } => {
                let (stop, method) = method(stop);
                format!(
                    "the tangents of `{stop}` (`{method}`) go along with the steps of the other levels; choose `unrolled` \
                     there"
                )
            }
        }
    }

    fn unfixed(&self, unfixed: Unfixed, method: &str) -> String {
        match unfixed {
            Unfixed::NotPassed => "no hypergradient passes through it; take `condition` away".to_owned(),
            Unfixed::Waits { below } => format!(
                "it waits for `{}`, whose answers the map does not see; let the loss of another level read that",
                self.name(below)
            ),
            Unfixed::Asymmetric => format!(
                "`{method}` needs a symmetric matrix, and I − ∂T/∂θ is none; choose `gmres`, `neumann` or `dense`"
            ),
            Unfixed::Preconditioned => "`preconditioner: nystrom` takes the matrix for symmetric, and I − ∂T/∂θ is not; choose \
                                        `diagonal` or `custom(…)`, or take it away"
                .to_owned(),
            Unfixed::Replaced => format!(
                "`{method}` puts gradients of the loss in the place of the matrix; choose `gmres`, `neumann`, `dense` or \
                 `identity`"
            ),
            Unfixed::Steps => format!(
                "`{method}` follows the level's steps, whatever they lead to; take `condition` away, or choose `gmres`, `neumann` \
                 or `dense`"
            ),
            Unfixed::Searches => {
                "its solver looks for a point where the gradient of the loss vanishes; choose `custom(…)`, or an `optimizer`".to_owned()
            }
        }
    }

    fn clash(&self, clash: Clash, method: &str) -> String {
        let name = self.name(self.level);
        match clash {
            Clash::Waits { below } => format!(
                "it waits for `{}`, which would have to be solved again wherever the solver looks; choose an `optimizer` for \
                 `{name}`",
                self.name(below)
            ),
            Clash::NoSteps => format!(
                "`{method}` follows the steps of an optimizer, and there are none; choose a method that solves a system, such \
                 as `cg`"
            ),
            Clash::Clips => "it follows no gradient that `clip` could limit; take `clip` away".to_owned(),
            Clash::Projects => "it knows nothing of the set in `project`; take `project` away, or choose an \
                                `optimizer`"
                .to_owned(),
            Clash::Follows => "it takes no steps that `after_step` could follow; take `after_step` away, or choose an \
                               `optimizer`"
                .to_owned(),
            Clash::Schedules => {
                "it has no learning rate that a `schedule` could change; take `schedule` away".to_owned()
            }
            Clash::Accumulates => {
                "it solves for one batch, and `accumulate` asks for several; put them into one".to_owned()
            }
        }
    }

    fn reason(&self, obstacle: Obstacle) -> String {
        match obstacle {
            Obstacle::Accumulates => "`accumulate` takes several batches for each; raise `tasks` instead".to_owned(),
            Obstacle::Rounds => {
                "`rounds` has its levels take their steps several times; raise their `unroll` instead".to_owned()
            }
            Obstacle::IsPassed => format!(
                "a hypergradient passes through `{}`, and needs the steps below it one by one",
                self.name(self.level)
            ),
            Obstacle::NothingBelow => "it waits for no level".to_owned(),
            Obstacle::Waits { lower, further } => {
                format!("`{}` waits for `{}`", self.name(lower), self.name(further))
            }
            Obstacle::Shared { lower, other } => {
                format!("`{}` waits for `{}` too", self.name(other), self.name(lower))
            }
            Obstacle::GoesOn { lower } => format!(
                "`{}` goes on from one task to the next; add `start: initial`, `start: fresh(…)` or `start: from(…)` to it",
                self.name(lower)
            ),
        }
    }
}
