//! Parameters of upper levels that do not move though they should.

use std::collections::BTreeMap;

use super::warning;
use crate::{Event, Warning};

/// Parameters are looked at so often.
pub(super) const EVERY: u64 = 100;
/// A smaller change, relative to the parameters, is none.
const NONE: f64 = 1e-7;
/// A gradient that is less than this share of what it was at first is on its way.
const CONVERGED: f64 = 0.5;
/// Steps whose gradients are those of the beginning.
const FIRST: u64 = 20;

/// What is known of the upper levels.
#[derive(Debug, Default)]
pub(super) struct Movement(BTreeMap<String, Level>);

#[derive(Debug, Default)]
struct Level {
    values: Option<Vec<f64>>,
    steps: u64,
    first: f64,
    last: f64,
}

impl Movement {
    pub(super) fn note(&mut self, event: &Event<'_>) {
        if let Event::Step { name, gradient_norm, looks_ahead: false, .. } = *event {
            let level = self.0.entry(name.to_owned()).or_default();
            level.steps += 1;
            if level.steps <= FIRST {
                level.first += gradient_norm / FIRST as f64;
            }
            level.last = gradient_norm;
        }
    }

    /// Looks at the parameters of a level.
    pub(super) fn look(&mut self, name: &str, values: Vec<f64>) -> Option<Warning> {
        let level = self.0.entry(name.to_owned()).or_default();
        let before = level.values.replace(values)?;
        let values = level.values.as_ref()?;
        if before.len() != values.len() || level.steps < 2 * FIRST {
            return None;
        }
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let moved = norm(&mut values.iter().zip(&before).map(|(now, before)| now - before));
        let size = norm(&mut values.iter().copied());
        // A gradient that is gone needs no movement.
        if moved > NONE * size || level.last < CONVERGED * level.first || level.last == 0.0 {
            return None;
        }
        warning(
            "still",
            name,
            format!(
                "the parameters of level `{name}` have not moved over {EVERY} iterations ({moved:.1e} of {size:.1e}), though its \
                 gradient is {:.1e}, and was {:.1e} at first",
                level.last, level.first
            ),
            format!(
                "raise the learning rate of `{name}`; for numbers much larger than their steps, 32 bits hold no such change: scale \
                 them"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, gradient_norm: f64) -> Event<'_> {
        let (level, step, loss, learning_rate) = (0, 1, 0.0, 0.1);
        Event::Step { level, name, step, loss, metrics: &[], gradient_norm, learning_rate, looks_ahead: false }
    }

    #[test]
    fn only_who_should_move_and_does_not_is_told_of() {
        let mut movement = Movement::default();
        for _ in 0..100 {
            movement.note(&step("stuck", 1.0));
            movement.note(&step("moving", 1.0));
        }
        (0..100).for_each(|at| movement.note(&step("converged", 0.8_f64.powi(at))));
        for (name, next, expected) in [("stuck", 3.0, true), ("moving", 3.001, false), ("converged", 3.0, false)] {
            assert_eq!(movement.look(name, vec![3.0, 4.0]), None);
            assert_eq!(movement.look(name, vec![next, 4.0]).is_some(), expected, "{name}");
        }
    }
}
