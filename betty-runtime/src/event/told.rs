//! What events, and errors that end a run, say to a person who supervises it.

use super::{Event, Warning};
use crate::error::EngineError;
use crate::hypergradient::HypergradientError;
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
        EngineError::Hypergradient { through, source, .. } => match **source {
            HypergradientError::Solve(SolveError::NotPositiveDefinite { .. }) => ("negative-curvature", through),
            HypergradientError::Solve(_) | HypergradientError::NotFinite => ("solver", through),
            _ => return None,
        },
        _ => return None,
    };
    Some((rule.into(), level.clone()))
}

/// What an error says that is about this rule and this level.
pub(crate) fn of_error(error: &EngineError, (rule, level): (String, String)) -> Warning {
    let said = error.to_string();
    let (fact, advice) = said.split_once("; ").unwrap_or((&said, "lower the learning rate, or clip gradients"));
    Warning { rule, level: Some(level), fact: fact.into(), advice: advice.into() }
}
