//! Parameters of upper levels that are at a bound.

use std::collections::BTreeMap;

use serde_json::Value;

use super::warning;
use crate::{Schedule, Warning};

/// So large a share of entries at a bound is told of.
const SHARE: f64 = 0.95;

/// The bounds of each level that has some.
#[derive(Debug, Default)]
pub(super) struct Bounds(BTreeMap<String, Vec<f64>>);

impl Bounds {
    pub(super) fn begin(&mut self, config: &Value, schedule: &Schedule) {
        let bounds = |name: &&'static str| {
            let projection = &config[name]["project"];
            let own = ["low", "high"].iter().filter_map(|bound| projection[bound].as_f64());
            let simplex = (projection["name"] == "simplex").then_some(0.0);
            own.chain(simplex).collect::<Vec<_>>()
        };
        let levels = schedule.levels.iter().map(|spec| spec.name);
        self.0 = levels.map(|name| (name.to_owned(), bounds(&name))).filter(|(_, bounds)| !bounds.is_empty()).collect();
    }

    /// Looks at the parameters of a level.
    pub(super) fn look(&self, name: &str, values: &[f64]) -> Option<Warning> {
        let bounds = self.0.get(name)?;
        let at = values
            .iter()
            .filter(|value| bounds.iter().any(|bound| (*value - bound).abs() <= 1e-6 * bound.abs()))
            .count();
        if values.is_empty() || (at as f64) < SHARE * values.len() as f64 {
            return None;
        }
        warning(
            "bound",
            name,
            format!("{at} of {} numbers of level `{name}` are at a bound of its projection", values.len()),
            format!(
                "lower the learning rate of `{name}`, or give its projection more room; if that is where they belong, take it as \
                 the answer"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_at_a_bound_are_told_of() {
        let bounds = Bounds([("y".to_owned(), vec![0.0, 1.0])].into());
        let values =
            |inside: usize| (0..100).map(|at| if at < inside { 0.5 } else { f64::from(at as u8 % 2) }).collect();
        for (inside, expected) in [(0, true), (5, true), (6, false), (100, false)] {
            let values: Vec<f64> = values(inside);
            assert_eq!(bounds.look("y", &values).is_some(), expected, "{inside}");
            assert_eq!(bounds.look("x", &values), None);
        }
    }
}
