//! Parameters of upper levels that are at a bound.

use std::collections::BTreeMap;

use betty_schema::lies_in;
use burn::tensor::DType;
use serde_json::Value;

use super::{Seen, warning};
use crate::config::rounded;
use crate::graph::accumulator;
use crate::{LevelConfig, ProjectionConfig, Schedule, Warning};

/// So large a share of entries at a bound is told of.
const SHARE: f64 = 0.95;

/// The levels that confine some of their parameters.
#[derive(Debug, Default)]
pub(super) struct Bounds(BTreeMap<String, LevelConfig>);

impl Bounds {
    pub(super) fn begin(&mut self, config: &Value, schedule: &Schedule) {
        let names = schedule.levels.iter().map(|spec| spec.name);
        let of = |name: &str| serde_json::from_value::<LevelConfig>(config[name].clone()).ok();
        let levels = names.filter_map(|name| Some((name.to_owned(), of(name)?)));
        self.0 = levels.filter(|(_, config)| config.all_groups().any(|group| group.project.is_some())).collect();
    }

    /// Looks at the parameters of a level. Those that are not confined do not count.
    pub(super) fn look(&self, name: &str, parameters: &[Seen]) -> Option<Warning> {
        let config = self.0.get(name)?;
        let (mut at, mut all) = (0, 0);
        for Seen { path, dtype, values } in parameters.iter().filter(|seen| moves(config, &seen.path)) {
            let bounds: Vec<f64> =
                bounds(projection(config, path)).into_iter().map(|bound| held(bound, *dtype)).collect();
            if bounds.is_empty() {
                continue;
            }
            at += values.iter().filter(|value| bounds.iter().any(|bound| is_at(**value, *bound))).count();
            all += values.len();
        }
        if all == 0 || (at as f64) < SHARE * all as f64 {
            return None;
        }
        warning(
            "bound",
            name,
            format!("{at} of {all} numbers of level `{name}` are at a bound of their projection"),
            format!(
                "lower the learning rate of `{name}`, or give its projection more room; if that is where they belong, take it as \
                 the answer"
            ),
        )
    }
}

/// Whether the level moves the parameter at this path.
pub(super) fn moves(config: &LevelConfig, path: &str) -> bool {
    let is_in = |parts: &[String]| parts.iter().any(|part| lies_in(path, part));
    config.train.as_deref().is_none_or(is_in) && !is_in(&config.freeze)
}

/// The set that the parameter at this path does not leave: that of its group, or of the level.
fn projection<'a>(config: &'a LevelConfig, path: &str) -> Option<&'a ProjectionConfig> {
    match config.parts().find(|part| lies_in(path, part.path)) {
        Some(part) => config.groups.get(part.group)?.project.as_ref(),
        None => config.project.as_ref(),
    }
}

/// Whether a set holds a parameter where it is, so that a gradient may be left there: at the bound of an entry, or anywhere on a set that
/// entries share.
pub(super) fn is_confined(config: &LevelConfig, Seen { path, dtype, values }: &Seen) -> bool {
    let set = projection(config, path);
    let bounds: Vec<f64> = bounds(set).into_iter().map(|bound| held(bound, *dtype)).collect();
    let is_shared = matches!(set, Some(ProjectionConfig::Simplex(_) | ProjectionConfig::NormBall(_)));
    is_shared || values.iter().any(|value| bounds.iter().any(|bound| is_at(*value, *bound)))
}

fn is_at(value: f64, bound: f64) -> bool {
    (value - bound).abs() <= 1e-6 * bound.abs()
}

/// A bound as it stands in a parameter: in the type of a step, and then in the parameter's.
fn held(bound: f64, dtype: DType) -> f64 {
    rounded(rounded(bound, accumulator(dtype)), dtype)
}

/// The numbers at which entries are at the edge of a set.
fn bounds(set: Option<&ProjectionConfig>) -> Vec<f64> {
    match set {
        Some(ProjectionConfig::AtLeast(set)) => vec![set.low],
        Some(ProjectionConfig::Clamp(set)) => vec![set.low, set.high],
        Some(ProjectionConfig::Simplex(_)) => vec![0.0],
        Some(ProjectionConfig::NormBall(_)) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(fields: Value, parameters: &[(&str, Vec<f64>)]) -> bool {
        told_in(DType::F32, fields, parameters)
    }

    fn told_in(dtype: DType, fields: Value, parameters: &[(&str, Vec<f64>)]) -> bool {
        let mut level = json!({ "optimizer": { "name": "sgd", "lr": 0.1 } });
        level.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let config = serde_json::from_value(level).expect("a level");
        let seen = |(path, values): &(&str, Vec<f64>)| Seen { path: (*path).to_owned(), dtype, values: values.clone() };
        let parameters: Vec<_> = parameters.iter().map(seen).collect();
        Bounds([("y".to_owned(), config)].into()).look("y", &parameters).is_some()
    }

    #[test]
    fn nearly_all_at_a_bound_are_told_of() {
        let of_level = json!({ "project": { "name": "clamp", "low": 0.0, "high": 1.0 } });
        let values =
            |inside: usize| (0..100).map(|at| if at < inside { 0.5 } else { f64::from(at as u8 % 2) }).collect();
        for (inside, expected) in [(0, true), (5, true), (6, false), (100, false)] {
            assert_eq!(told(of_level.clone(), &[("w", values(inside))]), expected, "{inside}");
        }
        assert!(!told(json!({}), &[("w", values(0))]));
    }

    /// 0.1 is another number in every type.
    #[test]
    fn a_bound_is_where_its_type_has_it() {
        let fields = json!({ "project": { "name": "clamp", "low": 0.1, "high": 0.7 } });
        for (dtype, low, high) in [
            (DType::F64, 0.1, 0.7),
            (DType::F32, f64::from(0.1_f32), f64::from(0.7_f32)),
            (DType::F16, 0.099_975_585_937_5, 0.700_195_312_5),
            (DType::BF16, 0.100_097_656_25, 0.699_218_75),
        ] {
            assert!(told_in(dtype, fields.clone(), &[("w", vec![low, high])]), "{dtype:?}");
            assert!(!told_in(dtype, fields.clone(), &[("w", vec![low, high, 0.4])]), "{dtype:?}");
        }
    }

    #[test]
    fn each_group_has_its_own_bounds() {
        let group =
            |project: Value| json!({ "decay": { "optimizer": { "name": "sgd", "lr": 0.1 }, "project": project } });
        let clamp = |high: f64| json!({ "name": "clamp", "low": 0.0, "high": high });
        let (all, many) = (|value: f64| vec![value; 10], vec![0.3; 1000]);
        // The rest of the level is large, and free.
        let own = json!({ "groups": group(clamp(2.0)) });
        assert!(told(own.clone(), &[("decay", all(2.0)), ("w", many.clone())]));
        assert!(!told(own, &[("decay", all(1.0)), ("w", many.clone())]));
        // The bounds of the level are not those of the group.
        let both = json!({ "project": clamp(1.0), "groups": group(clamp(2.0)) });
        assert!(!told(both.clone(), &[("decay", all(1.0)), ("w", all(1.0))]));
        assert!(told(both, &[("decay", all(2.0)), ("w", all(1.0))]));
        let free = json!({ "project": clamp(1.0), "groups": group(Value::Null) });
        assert!(told(free, &[("decay", many), ("w", all(1.0))]));
        let still = json!({ "project": clamp(1.0), "freeze": ["w"] });
        assert!(told(still, &[("decay", all(1.0)), ("w", vec![0.3; 1000])]));
    }
}
