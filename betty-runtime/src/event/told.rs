//! What events, and errors that end a run, say to a person who supervises it.

use super::{Event, Warning};
use crate::error::EngineError;
use crate::hypergradient::{HypergradientError, ProductError};
use crate::linalg::SolveError;

impl Event<'_> {
    /// What the event says to a person who supervises the run, if that is something to know: the fact, and then what to do.
    pub fn warning(&self) -> Option<Warning> {
        let warn = |rule: &str, level: Option<&str>, fact: String, advice: &str| {
            let (rule, level, advice) = (rule.to_owned(), level.map(str::to_owned), advice.to_owned());
            Some(Warning { rule, level, fact, advice })
        };
        match *self {
            Event::Warning(warning) => Some(warning.clone()),
            Event::Retraced { name, advice: Some(text), .. } => {
                let (fact, advice) = text.split_once("; ").unwrap_or((text, "let batches have few kinds"));
                warn("retracing", Some(name), fact.to_owned(), advice)
            }
            Event::ZeroEdge { name, other, .. } => warn(
                "zero-edge",
                Some(name),
                format!(
                    "the loss of level `{name}` only adds what it reads of `{other}`, or reads only what stands still there, or its \
                     `condition`, if it has one, has no derivative there, so that every hypergradient between them is zero"
                ),
                &format!(
                    "let the loss of `{name}`, or its `condition`, depend on a trained part of `{other}`, or take it out of the list; \
                     where that is meant, as for players that take steps in turns, say so by `Engine::unread(\"{name}\", \"{other}\")`"
                ),
            ),
            Event::OneByOne { name, through, method, tasks, .. } => warn(
                "one-by-one",
                Some(name),
                format!(
                    "the {tasks} tasks of level `{name}` go one after the other and not together, because `{method}` of `{through}` \
                     does not go back through all of its steps, each kept; a step takes the kernels and the waiting of one task \
                     {tasks} times"
                ),
                &format!("choose `unrolled` with all steps for `{through}`, or set `vectorize` of `{name}` to `false`"),
            ),
            Event::LastTask { name, method, tasks, .. } => warn(
                "last-task",
                Some(name),
                format!(
                    "`{method}` takes level `{name}` for a solution of the last of its {tasks} tasks, though its steps average over all, \
                     so that hypergradients through it leave out what the others depend on"
                ),
                &format!("choose `unrolled` for `{name}`, or put its tasks into one batch"),
            ),
            Event::LastRead { name, method, read, .. } => warn(
                "last-read",
                Some(name),
                format!(
                    "`{method}` takes the steps of level `{name}` again with `{read}` where that ended, though they read it while it took \
                     steps of its own, so that hypergradients through `{name}` leave out how `{read}` came there"
                ),
                &format!(
                    "choose `unrolled` or `forward` for `{name}`, or let `{read}` begin anew for each step (`start: initial`)"
                ),
            ),
            Event::Costly { name, kernels, joint, partial, .. } => {
                let joint = match joint.filter(|&joint| joint < kernels) {
                    Some(joint) => format!("`solve: joint` at `{name}` is as exact and takes at most {joint:.1e}, "),
                    None => String::new(),
                };
                warn(
                    "costly",
                    Some(name),
                    format!(
                        "one hypergradient of level `{name}` takes up to {kernels:.1e} kernels, because systems are solved \
                         within systems"
                    ),
                    &format!(
                        "{joint}`curvature: partial` at the levels in the middle is an approximation and takes about \
                         {partial:.1e}; fewer `iterations` of the methods below take less as well"
                    ),
                )
            }
            Event::Runaway { name, step, norm, ratio, advice, .. } => warn(
                "runaway",
                Some(name),
                format!(
                    "the hypergradient of level `{name}` runs away: its norm is {norm:.1e} at step {step}, {ratio:.0e} times as \
                     large as usual"
                ),
                advice,
            ),
            Event::Unfinished { name, through, iterations, is_used_up, residual, tolerance, .. } => {
                let (why, advice) = match is_used_up {
                    true => (
                        format!("used up its {iterations} iterations with"),
                        "allow more iterations, leave `prepare` on, raise the damping of the levels below, or start from the last \
                         solution: `joint(warm_start = true)`",
                    ),
                    false => (
                        "gets no further than".to_owned(),
                        "raise the damping of the levels below, or the tolerance; in `f64` numbers are rounded less",
                    ),
                };
                warn(
                    "solver",
                    Some(through),
                    format!(
                        "`solve` of level `{name}` {why} a residual of {residual:.1e}, above its tolerance of {tolerance:.0e}"
                    ),
                    advice,
                )
            }
            Event::SaveFailed { reason, next, .. } => warn(
                "save",
                None,
                format!("a checkpoint could not be written: {reason}"),
                &format!("make room or let the folder be written; it is tried again after iteration {next}"),
            ),
            Event::Unverified { name, tries, reason, .. } => warn(
                "unverified",
                Some(name),
                format!(
                    "the gradient of level `{name}` could not be compared with Burn's autodiff (try {tries}): {reason}"
                ),
                "begin where the loss is finite, or allow it with `Engine::allow_unverified`",
            ),
            _ => None,
        }
    }
}

/// Which rule an error that ends a run is about, and which level, if it says something of the health of its program.
pub(crate) fn about(error: &EngineError) -> Option<(String, String)> {
    let (rule, level) = match error {
        EngineError::NonFinite { level, .. } | EngineError::NonFiniteStep { level, .. } => ("non-finite", level),
        EngineError::Hypergradient { through, source, .. } => (rule_of(source)?, through),
        _ => return None,
    };
    Some((rule.into(), level.clone()))
}

/// Which rule a failure of a hypergradient is about: one of those that say `solver` only where more damping mends it.
fn rule_of(failure: &HypergradientError) -> Option<&'static str> {
    let solve = match failure {
        HypergradientError::Solve(solve) => solve,
        HypergradientError::Product(ProductError::Below(below)) => return rule_of(below),
        HypergradientError::NotBetterThanZero(_) => return Some("solver"),
        HypergradientError::NotFinite => return Some("non-finite"),
        HypergradientError::Product(_) | HypergradientError::TooManyDirections { .. } => return None,
    };
    match solve {
        SolveError::NotPositiveDefinite { .. } => Some("negative-curvature"),
        SolveError::NotFinite { .. } => Some("non-finite"),
        SolveError::NoConvergence { .. } | SolveError::Singular { .. } | SolveError::Undamped { .. } => Some("solver"),
        // Where the step is too long, it becomes longer beside what damping makes of the matrix.
        SolveError::Diverged { remedy, .. } => {
            (remedy.damping.is_some() && remedy.step_size.is_none()).then_some("solver")
        }
        SolveError::Operator(ProductError::Below(below)) => rule_of(below),
        SolveError::Operator(_)
        | SolveError::TooLarge { .. }
        | SolveError::NotSymmetric { .. }
        | SolveError::SketchNotSymmetric { .. }
        | SolveError::PreconditionerNotPositiveDefinite { .. }
        | SolveError::PreconditionerNotSymmetric { .. }
        | SolveError::PreconditionerNotLinear { .. } => None,
    }
}

/// What an error says that is about this rule and this level.
pub(crate) fn of_error(error: &EngineError, (rule, level): (String, String)) -> Warning {
    let said = error.to_string();
    let (fact, advice) = said.split_once("; ").unwrap_or((&said, "lower the learning rate, or clip gradients"));
    Warning { rule, level: Some(level), fact: fact.into(), advice: advice.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypergradient::Unfinished;
    use crate::linalg::{Quantity, Remedy};

    fn rule(source: impl Into<HypergradientError>) -> Option<String> {
        let (level, through) = ("upper".to_owned(), "lower".to_owned());
        let error = EngineError::Hypergradient { level, through, step: 3, source: Box::new(source.into()) };
        about(&error).map(|(rule, level)| {
            assert_eq!(level, "lower");
            rule
        })
    }

    type Solve = SolveError<ProductError>;

    #[test]
    fn what_more_damping_mends_is_the_solvers() {
        let unfinished = Unfinished { iterations: 3, tolerance: 1e-8, is_used_up: true };
        let none = || HypergradientError::NotBetterThanZero(unfinished);
        let singular = || Solve::Singular { pivot: 0, magnitude: 0.0, size: 1.0 };
        assert_eq!(rule(none()).as_deref(), Some("solver"));
        assert_eq!(rule(singular()).as_deref(), Some("solver"));
        assert_eq!(rule(Solve::Undamped { damping: 0.0 }).as_deref(), Some("solver"));
        let remedy = Remedy { damping: Some(0.3), step_size: None };
        let (iteration, curvature, smallest) = (1, -0.2, -0.3);
        let curved = Solve::NotPositiveDefinite { iteration, curvature, smallest, remedy };
        assert_eq!(rule(curved).as_deref(), Some("negative-curvature"));
        // Of a system below another one, it is the same.
        for below in [none(), singular().into()] {
            let below = ProductError::Below(Box::new(below));
            assert_eq!(rule(Solve::Operator(below)).as_deref(), Some("solver"));
        }
    }

    #[test]
    fn what_no_damping_mends_is_not() {
        let asymmetry = 0.1;
        let remedy = Remedy { damping: None, step_size: Some(0.1) };
        let failures = [
            Solve::TooLarge { dimension: 9, limit: 8 },
            Solve::NotSymmetric { asymmetry },
            Solve::SketchNotSymmetric { asymmetry },
            Solve::PreconditionerNotPositiveDefinite { iteration: 0, curvature: -1.0 },
            Solve::PreconditionerNotSymmetric { asymmetry },
            Solve::PreconditionerNotLinear { nonlinearity: 0.1 },
            Solve::Operator(ProductError::Preconditioner),
            Solve::Diverged { term: 3, growth: 11.0, step_size: 1.0, largest: 4.0, remedy },
        ];
        for failure in failures {
            let said = failure.to_string();
            assert_eq!(rule(failure), None, "{said}");
        }
        assert_eq!(rule(ProductError::Preconditioner), None);
        assert_eq!(rule(HypergradientError::TooManyDirections { parameters: 9, limit: 8 }), None);
        // What is not finite is so with any damping.
        let entry = Solve::NotFinite { iteration: 1, quantity: Quantity::Entry };
        assert_eq!(rule(entry).as_deref(), Some("non-finite"));
        assert_eq!(rule(HypergradientError::NotFinite).as_deref(), Some("non-finite"));
    }
}
