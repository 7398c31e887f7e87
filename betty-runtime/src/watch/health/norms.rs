//! Norms of gradients: hypergradients that vanish, and levels below that get away from their best response.

use std::collections::{BTreeMap, BTreeSet};

use betty_schema::METHODS;
use serde_json::Value;

use super::warning;
use crate::program::Pull;
use crate::{Event, Schedule, Warning};

/// So many steps in a row are no accident.
const IN_A_ROW: u32 = 20;
/// Less than this share of the direct gradient is nothing.
const NOTHING: f64 = 1e-7;
/// Steps whose means are compared.
const WINDOW: u64 = 20;
/// Steps before a level is judged.
const STEPS: u64 = 200;
/// A level whose gradient is this many times what it was at first does not come closer.
const GROWTH: f64 = 2.0;
/// Nor does it if its loss is larger by this share of what it was at first. One that begins at its best response and follows as that moves
/// has a gradient many times as large as at first, and a loss that is larger by as little as its problem has become another.
const RISE: f64 = 0.05;

/// What is known of the gradients of all levels.
#[derive(Debug, Default)]
pub(super) struct Norms {
    /// Steps in a row with nothing from below.
    nothing: BTreeMap<String, u32>,
    /// Levels that are differentiated at their best response.
    answering: BTreeSet<String>,
    steps: BTreeMap<String, Steps>,
}

/// Sums of loss and gradient norm over the first steps of a level, and over the last ones.
#[derive(Debug, Default)]
struct Steps {
    count: u64,
    first: (f64, f64),
    last: (f64, f64),
    /// How the level's weight decay pulled when it was first seen, if it has one, …
    begun: Option<Pull>,
    /// … and the sums over the last steps that are to be held against it.
    window: Option<(f64, f64)>,
}

impl Norms {
    pub(super) fn begin(&mut self, config: &Value, schedule: &Schedule) {
        let passed = schedule.levels.iter().enumerate();
        // The gradient of a loss says nothing of how far a fixed point is.
        let passed = passed.filter(|(level, spec)| schedule.is_passed(*level) && spec.condition.is_none());
        let answers = |name: &&str| {
            let method = config[name]["hypergradient"]["method"].as_str();
            // One that goes through the level's own steps does so wherever they lead.
            method.and_then(|name| METHODS.find(name)).is_some_and(|row| !row.way.goes_through_steps())
                && config[name]["start"].as_str().is_none_or(|start| start == "kept")
        };
        self.answering = passed.map(|(_, spec)| spec.name).filter(answers).map(str::to_owned).collect();
    }

    pub(super) fn hear(&mut self, event: &Event<'_>) -> Option<Warning> {
        match *event {
            Event::Parts { name, direct, indirect, .. } => self.compare(name, direct, indirect),
            Event::Step { name, loss, gradient_norm, looks_ahead: false, .. } if self.answering.contains(name) => {
                self.step(name, loss, gradient_norm)
            }
            _ => None,
        }
    }

    /// Whether the level is one that is differentiated at its best response.
    pub(super) fn is_answering(&self, name: &str) -> bool {
        self.answering.contains(name)
    }

    /// Takes note of a weight decay. From here on the level is judged where that is known, for its gradient does not vanish where the
    /// level is best: the decay holds it.
    pub(super) fn begin_at(&mut self, name: &str, pull: Pull) {
        self.steps.entry(name.into()).or_default().begun.get_or_insert(pull);
    }

    /// Looks at a level with a weight decay: what that cannot hold of the gradient is no less than the difference of their lengths, and
    /// at first it was no more than their sum.
    pub(super) fn look(&mut self, name: &str, now: Pull) -> Option<Warning> {
        let steps = self.steps.get_mut(name)?;
        let (begun, last) = (steps.begun?, steps.window.take()?);
        let sum = |mean: f64| mean * WINDOW as f64;
        let first = (steps.first.0 + sum(begun.penalty), steps.first.1 + sum(begun.norm));
        let last = (last.0 + sum(now.penalty), (last.1 - sum(now.norm)).max(0.0));
        gets_away(name, steps.count, first, last, ", what its weight decay holds left out")
    }

    fn compare(&mut self, name: &str, direct: f64, indirect: f64) -> Option<Warning> {
        let nothing = self.nothing.entry(name.into()).or_default();
        let is_nothing = indirect == 0.0 || indirect < NOTHING * direct;
        *nothing = if is_nothing { *nothing + 1 } else { 0 };
        if *nothing < IN_A_ROW {
            return None;
        }
        warning(
            "vanishing",
            name,
            format!(
                "nothing comes up to level `{name}` through the levels below: {IN_A_ROW} indirect gradients in a row are at most \
                 {NOTHING:.0e} of the direct ones, the last one {indirect:.1e} beside {direct:.1e}"
            ),
            format!(
                "see that the losses below depend on `{name}` where they are now (saturated sigmoids and dead units hide it), that \
                 nothing is detached, and that damping is no larger than the Hessian; `verify_hypergradient(\"{name}\")` tells more"
            ),
        )
    }

    fn step(&mut self, name: &str, loss: f64, norm: f64) -> Option<Warning> {
        let steps = self.steps.entry(name.into()).or_default();
        let add = |sum: &mut (f64, f64)| *sum = (sum.0 + loss, sum.1 + norm);
        if steps.count < WINDOW {
            add(&mut steps.first);
        }
        add(&mut steps.last);
        steps.count += 1;
        if !steps.count.is_multiple_of(WINDOW) {
            return None;
        }
        let last = std::mem::take(&mut steps.last);
        if steps.begun.is_some() {
            steps.window = Some(last);
            return None;
        }
        gets_away(name, steps.count, steps.first, last, "")
    }
}

/// What is said after so many steps of a level with these sums of loss and gradient norm over the first and the last ones.
fn gets_away(name: &str, count: u64, first: (f64, f64), last: (f64, f64), without: &str) -> Option<Warning> {
    // A level whose gradient is 0 is where it comes to rest.
    let is_higher = last.0 >= first.0 + RISE * first.0.abs();
    if count < STEPS || last.1 == 0.0 || last.1 < GROWTH * first.1 || !is_higher {
        return None;
    }
    let (ratio, rise) = (last.1 / first.1, (last.0 - first.0) / WINDOW as f64);
    warning(
        "far",
        name,
        format!(
            "level `{name}` is differentiated at its best response, but gets away from it: after {count} steps its gradient{without} is \
             {ratio:.1} times what it was at first, and its loss larger by {rise:.1e}"
        ),
        format!(
            "lower the learning rate of `{name}` or raise its `unroll`, or let hypergradients go through its steps: \
             `hypergradient: unrolled`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_row_is_noticed_and_convergence_is_not() {
        let mut norms = Norms::default();
        let mut told = |direct: f64, indirect: f64| norms.compare("y", direct, indirect).is_some();
        // Both vanish together, and between there is something now and then.
        assert!((0..400).all(|step| !told(0.9_f64.powi(step), 1e-3 * 0.9_f64.powi(step))));
        assert!((0..400).all(|step| !told(1.0, if step % 19 == 0 { 1e-3 } else { 0.0 })));
        let first = (0..40).position(|_| told(0.0, 0.0));
        assert!(first.is_some_and(|first| first <= 19), "{first:?}");
    }

    #[test]
    fn a_level_that_gets_away_is_noticed_and_a_noisy_one_is_not() {
        let noisy = |step: u32| 1.0 + 0.9 * f64::from(step * 7919 % 100) / 100.0;
        let mut norms = Norms::default();
        assert!((0..3000).all(|step| norms.step("x", noisy(step), noisy(step)).is_none()));
        // A larger gradient on the way to a smaller loss.
        assert!((0..3000).all(|step| norms.step("z", 1.0 / f64::from(step + 1), f64::from(step)).is_none()));
        let away = (0..3000).position(|step| norms.step("w", f64::from(step), 1.01_f64.powi(step)).is_some());
        assert_eq!(away, Some(199));
        // From a best response on that moves: the gradient is what is left of following it.
        let follows = |step: u32| (1.0 + 0.015 * (f64::from(step) / 200.0).sin(), if step < 20 { 6e-4 } else { 5e-3 });
        assert!((0..3000).map(follows).all(|(loss, norm)| norms.step("v", loss, norm).is_none()));
        // Slowly, beside a loss that is large wherever the level is.
        let away = (0..3000).position(|step| norms.step("u", 1e3 + 1.02_f64.powi(step), 1.01_f64.powi(step)).is_some());
        assert!(away.is_some_and(|away| away < 300), "{away:?}");
    }

    /// A level that was put at the minimum of its loss goes from there to where its decay holds the gradient; another one goes on.
    #[test]
    fn what_a_decay_holds_is_not_away() {
        let pull = |at: f64, decay: f64| Pull { norm: decay * at.abs(), penalty: 0.5 * decay * at * at };
        for (decay, rate, expected) in [(0.1, 0.1, false), (2.0, 0.1, false), (0.1, 2.05 / 1.1, true)] {
            let (mut norms, mut at, mut told) = (Norms::default(), 1.0_f64, false);
            norms.begin_at("x", pull(at, decay));
            for step in 1..=600 {
                let gap = at - 1.0;
                assert_eq!(norms.step("x", 0.5 * gap * gap, gap.abs()), None);
                at -= rate * (gap + decay * at);
                told |= step % 100 == 0 && norms.look("x", pull(at, decay)).is_some();
            }
            assert_eq!(told, expected, "{decay} {rate}");
        }
    }
}
