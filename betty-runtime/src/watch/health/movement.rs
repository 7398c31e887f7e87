//! Parameters of upper levels that do not move though they should.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::bounds::{is_confined, moves};
use super::{Seen, warning};
use crate::program::Pull;
use crate::{Event, LevelConfig, OptimizerConfig, Schedule, Warning};

/// Parameters are looked at so often.
pub(super) const EVERY: u64 = 100;
/// A smaller change, relative to the parameters, is none.
const NONE: f64 = 1e-7;
/// A gradient that is less than this share of what it was at first is on its way.
const CONVERGED: f64 = 0.5;
/// Steps whose gradients are those of the beginning.
const FIRST: u64 = 20;
/// A weight decay that pulls less than this share of what the gradient does holds nothing.
const HOLDS: f64 = 0.01;

/// What is known of the upper levels.
#[derive(Debug, Default)]
pub(super) struct Movement {
    levels: BTreeMap<String, Level>,
    configs: BTreeMap<String, LevelConfig>,
    /// Levels with a function after their steps.
    followed: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Level {
    values: Option<Vec<f64>>,
    /// Steps that were told of.
    steps: u64,
    /// The sum of the gradients of the level's first steps, and how many of those were told of: none in a run that is gone on with from
    /// further on, which may have converged long ago.
    first: (f64, u64),
    last: f64,
}

impl Movement {
    pub(super) fn begin(&mut self, config: &Value, schedule: &Schedule) {
        let names = schedule.levels.iter().map(|spec| spec.name);
        let followed = schedule.levels.iter().filter(|spec| spec.after_step.is_some());
        self.followed = followed.map(|spec| spec.name.to_owned()).collect();
        let of = |name: &str| serde_json::from_value(config[name].clone()).ok();
        self.configs = names.filter_map(|name| Some((name.to_owned(), of(name)?))).collect();
    }

    pub(super) fn note(&mut self, event: &Event<'_>) {
        match *event {
            Event::Step { name, step, gradient_norm, looks_ahead: false, .. } => {
                let level = self.levels.entry(name.to_owned()).or_default();
                level.steps += 1;
                if step <= FIRST {
                    level.first = (level.first.0 + gradient_norm, level.first.1 + 1);
                }
                level.last = gradient_norm;
            }
            // What comes again, to the bit, has moved all the same.
            Event::Resumed { .. } => self.levels.values_mut().for_each(|level| level.values = None),
            _ => {}
        }
    }

    /// Looks at the parameters of a level, at which its weight decay pulls like this. Those that it does not train are none of them, a
    /// level that begins anew may end at the same place each time, and one that something holds need not move, whatever the gradient of
    /// its loss is there.
    pub(super) fn look(&mut self, name: &str, parameters: &[Seen], pull: Option<Pull>) -> Option<Warning> {
        let config = self.configs.get(name);
        if config.is_some_and(|config| config.start.begins_anew()) {
            return None;
        }
        let is_moved = |seen: &&Seen| config.is_none_or(|config| moves(config, &seen.path));
        let moved: Vec<&Seen> = parameters.iter().filter(is_moved).collect();
        let values: Vec<f64> = moved.iter().flat_map(|seen| seen.values.iter().copied()).collect();
        let is_held = self.followed.contains(name)
            || config
                .is_some_and(|config| moved.iter().any(|seen| is_confined(config, seen)) || decays(config, &values));
        let level = self.levels.entry(name.to_owned()).or_default();
        let before = level.values.replace(values)?;
        let values = level.values.as_ref()?;
        if before.len() != values.len() || level.steps < 2 * FIRST || level.first.1 < FIRST {
            return None;
        }
        let first = level.first.0 / level.first.1 as f64;
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let moved = norm(&mut values.iter().zip(&before).map(|(now, before)| now - before));
        let size = norm(&mut values.iter().copied());
        // A gradient that is gone needs no movement.
        let is_held = is_held || pull.is_some_and(|pull| pull.norm >= HOLDS * level.last);
        if moved > NONE * size || level.last < CONVERGED * first || level.last == 0.0 || is_held {
            return None;
        }
        warning(
            "still",
            name,
            format!(
                "the parameters of level `{name}` have not moved over {EVERY} iterations ({moved:.1e} of {size:.1e}), though its \
                 gradient is {:.1e}, and was {:.1e} at first",
                level.last, first
            ),
            format!(
                "raise the learning rate of `{name}`; for numbers much larger than their steps, 32 bits hold no such change: scale \
                 them"
            ),
        )
    }
}

/// Whether a decay beside the gradient may hold one of these: `adamw` goes along the gradient by no more than its learning rate, and
/// back by the decay's share of that for each unit of the parameter.
fn decays(config: &LevelConfig, values: &[f64]) -> bool {
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    config.all_groups().any(|group| match group.optimizer {
        Some(OptimizerConfig::AdamW(of)) => of.weight_decay.fixed().is_none_or(|decay| decay * largest >= HOLDS),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use serde_json::json;

    use super::*;

    fn step(name: &str, step: u64, gradient_norm: f64) -> Event<'_> {
        let (level, loss, learning_rate) = (0, 0.0, 0.1);
        Event::Step { level, name, step, loss, metrics: &[], gradient_norm, learning_rate, looks_ahead: false }
    }

    fn seen(path: &str, values: &[f64]) -> Seen {
        Seen { path: path.to_owned(), dtype: DType::F64, values: values.to_vec() }
    }

    #[test]
    fn only_who_should_move_and_does_not_is_told_of() {
        let mut movement = Movement::default();
        for at in 1..=100 {
            movement.note(&step("stuck", at, 1.0));
            movement.note(&step("moving", at, 1.0));
            movement.note(&step("converged", at, 0.8_f64.powf(at as f64)));
        }
        for (name, next, expected) in [("stuck", 3.0, true), ("moving", 3.001, false), ("converged", 3.0, false)] {
            assert_eq!(movement.look(name, &[seen("w", &[3.0, 4.0])], None), None);
            assert_eq!(movement.look(name, &[seen("w", &[next, 4.0])], None).is_some(), expected, "{name}");
        }
    }

    /// A level that has converged before has the gradient that rounding leaves, from the first step that is told of.
    #[test]
    fn a_run_that_is_gone_on_with_is_not_judged_by_how_it_goes_on() {
        let mut movement = Movement::default();
        (1001..=1200).for_each(|at| movement.note(&step("y", at, 1e-9)));
        assert_eq!(movement.look("y", &[seen("w", &[3.0])], None), None);
        assert_eq!(movement.look("y", &[seen("w", &[3.0])], None), None);
    }

    #[test]
    fn what_comes_again_has_moved() {
        let mut movement = Movement::default();
        (1..=200).for_each(|at| movement.note(&step("y", at, 1.0)));
        assert_eq!(movement.look("y", &[seen("w", &[3.0])], None), None);
        movement.note(&Event::Resumed { iteration: 100 });
        (101..=200).for_each(|at| movement.note(&step("y", at, 1.0)));
        assert_eq!(movement.look("y", &[seen("w", &[3.0])], None), None);
        (201..=300).for_each(|at| movement.note(&step("y", at, 1.0)));
        assert!(movement.look("y", &[seen("w", &[3.0])], None).is_some());
    }

    /// What a level with these fields is told after its only trained parameter went on by this much, beside a large one.
    fn is_told(fields: Value, by: f64) -> bool {
        let mut level = json!({ "optimizer": { "name": "sgd", "lr": 0.1 } });
        level.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let config = serde_json::from_value(level).expect("a level");
        let mut movement = Movement { configs: [("y".to_owned(), config)].into(), ..Movement::default() };
        (1..=100).for_each(|at| movement.note(&step("y", at, 1.0)));
        let at = |head: f64| [seen("head", &[head]), seen("body", &[1e9])];
        movement.look("y", &at(1.0), None);
        movement.look("y", &at(1.0 + by), None).is_some()
    }

    #[test]
    fn what_is_held_need_not_move() {
        let clamp =
            |high: f64| json!({ "project": { "name": "clamp", "low": -2.0, "high": high }, "freeze": ["body"] });
        // The parameter stands at 1.
        assert!(!is_told(clamp(1.0), 0.0) && is_told(clamp(3.0), 0.0));
        assert!(!is_told(json!({ "project": { "name": "simplex" }, "freeze": ["body"] }), 0.0));
        let adamw = |decay: f64| json!({ "optimizer": { "name": "adamw", "lr": 0.1, "weight_decay": decay }, "freeze": ["body"] });
        assert!(!is_told(adamw(0.5), 0.0) && is_told(adamw(1e-4), 0.0));
        for (norm, expected) in [(1.0, false), (1e-3, true)] {
            let mut movement = Movement::default();
            (1..=100).for_each(|at| movement.note(&step("y", at, 1.0)));
            let pull = Some(Pull { norm, penalty: 0.5 });
            assert_eq!(movement.look("y", &[seen("w", &[1.0])], pull), None);
            assert_eq!(movement.look("y", &[seen("w", &[1.0])], pull).is_some(), expected, "{norm}");
        }
    }

    #[test]
    fn what_is_not_trained_need_not_move() {
        assert!(is_told(json!({}), 0.1));
        for fields in [json!({ "freeze": ["body"] }), json!({ "train": ["head"] })] {
            assert!(!is_told(fields.clone(), 0.1), "{fields}");
            assert!(is_told(fields.clone(), 0.0), "{fields}");
        }
    }

    #[test]
    fn a_level_that_begins_anew_may_end_where_it_did() {
        for (start, expected) in [("kept", true), ("look_ahead", true), ("initial", false)] {
            assert_eq!(is_told(json!({ "start": start }), 0.0), expected, "{start}");
        }
    }
}
