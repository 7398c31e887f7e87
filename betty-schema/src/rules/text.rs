//! What is said of a broken rule: the fact, and then the remedy.

use super::{Facts, Unscheduled, Violation};

impl Facts<'_> {
    /// What is wrong at a level that breaks a rule, and what to do.
    #[must_use]
    pub fn text(&self, level: usize, rule: &Violation) -> String {
        let (names, method) = (&self.names, self.method(level));
        let name = names[level];
        match *rule {
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
                "`{method}` looks back {truncate} steps, but `{name}` takes only {unroll} before a level above takes one; lower \
                 `truncate` or raise `unroll`"
            ),
            Violation::ReplayOfResponse { below } => format!(
                "`{method}` takes the steps of `{name}` again, but they rest on the best response of `{}`, which is not \
                 found again; choose `forward_gradient` for `{name}`, or `unrolled`",
                names[below]
            ),
            Violation::StepsBelow { above } => format!(
                "`{name}` answers to `{}`, whose own best response is differentiated, and only the steps of an \
                 `unrolled` level can be differentiated twice, not those of `{method}`; choose `unrolled` for `{name}`, or an implicit \
                 method, such as `cg`",
                names[above]
            ),
            Violation::StepsBetween { above, below } => format!(
                "`{name}` answers to `{}`, whose own best response is differentiated, and waits for `{}`, so its steps \
                 cannot be differentiated twice; choose an implicit method for `{name}`, such as `cg`",
                names[above], names[below]
            ),
            Violation::MemoryUnused { above } => format!(
                "`{name}` answers to `{}`, whose own best response is differentiated: its steps become one function whose \
                 values are all held at once; take `memory` away",
                names[above]
            ),
            Violation::StepsInCircle { peer } => format!(
                "`{name}` and `{}` depend on each other, so `{method}` cannot go through the steps of either; choose an implicit \
                 method for `{name}`, such as `cg`",
                names[peer]
            ),
            Violation::WarmupTooLong { warmup, above, begins } => format!(
                "`{name}` takes no steps for {warmup} iterations, but `{0}` takes its own after {begins} already, and its \
                 hypergradient goes through the steps of `{name}`; lower this `warmup`, or give `{0}` as many",
                names[above]
            ),
            Violation::ProjectedResponse => format!(
                "`{method}` takes no notice of constraints, and no implicit method differentiates a best response that is held by \
                 one; choose `unrolled` for `{name}`, or express the constraint in the loss or the module"
            ),
            Violation::FollowedResponse => format!(
                "`{method}` solves for where the loss of `{name}` is least, whatever follows each step (`after_step`); choose \
                 `unrolled`, or say in the program where the steps come to rest: `condition: fixed_point(my_map)`"
            ),
            Violation::StartUnseen { from } => format!(
                "`{name}` starts from `{0}` and does not read it: only methods that go through its steps, such as `unrolled`, see \
                 where they begin, and `{method}` does not; choose one for `{name}`, or list `{0}` under `upper` of `{name}`",
                names[from]
            ),
            Violation::StartCut { from, truncate, unroll } => format!(
                "`{method}` looks back {truncate} of {unroll} steps, and where they begin is all that `{name}` has of \
                 `{0}`, so no hypergradient reaches `{0}`; raise `truncate`, or list `{0}` under `upper` of `{name}`",
                names[from]
            ),
            Violation::LearnedUnseen { option, from } => format!(
                "`{}` learns `{option}` of `{name}`, on which no best response depends: only methods that go through the steps of \
                 `{name}`, such as `unrolled`, see it, and `{method}` does not; choose one for `{name}`, or give `{option}` a \
                 number",
                names[from]
            ),
            Violation::CurvatureIdle(idle) => format!("`partial` changes nothing here: {}", idle.text(level, self)),
            Violation::NotFixed(unfixed) => format!(
                "`{name}` is not differentiated as the fixed point that its `condition` says: {}",
                unfixed.text(level, self)
            ),
            Violation::NotPreconditioned if method.is_empty() => {
                format!("no hypergradient passes through `{name}`, so its `preconditioner` is never used")
            }
            Violation::NotPreconditioned => format!(
                "`{method}` applies no preconditioner; choose `cg`, `minres` or `gmres` for `{name}`, or take \
                 `preconditioner` away"
            ),
            Violation::NoSystem(apart) => {
                let solver = self.numbers[level].solve.unwrap_or_default();
                format!("`{solver}` cannot solve what is below `{name}`: {}", apart.text(level, self))
            }
            Violation::NotSolved(clash) => {
                format!("no solver can find the best response of `{name}`: {}", clash.text(level, self))
            }
            Violation::NotScheduled(Unscheduled::NeverAnew) => format!(
                "`{name}` goes on from where it was, so its schedule never begins again; add `start: initial`, or take \
                 `restart` away"
            ),
            Violation::NotScheduled(Unscheduled::Learned) => format!(
                "the learning rate of `{name}` is learned, so there is no number that a schedule would multiply; schedule the \
                 level that learns it, or learn a rate for each step: `[step]`"
            ),
            Violation::NotTogether(obstacle) => {
                format!("the tasks of `{name}` cannot be computed together: {}", obstacle.text(level, self))
            }
        }
    }
}
