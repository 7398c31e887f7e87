//! What has to hold for tasks that are computed together, be it one.

use super::error::ConfigError;
use super::{HypergradientConfig, LevelConfig, Start};
use crate::schedule::Schedule;

/// Tasks that are computed together are several, begin anew, and are differentiated step by step.
pub(super) fn check(schedule: &Schedule, index: usize, levels: &[&LevelConfig]) -> Result<(), ConfigError> {
    let config = levels[index];
    if !config.vectorize {
        return Ok(());
    }
    let spec = &schedule.levels[index];
    let name = |level: usize| schedule.levels[level].name;
    let of_lower = |lower: usize| {
        let below = levels[lower];
        let is_whole = match &below.hypergradient {
            Some(HypergradientConfig::Unrolled(of)) => of.truncate.is_none() && of.memory.is_none(),
            _ => false,
        };
        let other = (0..levels.len()).find(|&of| of != index && schedule.levels[of].lower.contains(&lower));
        match (schedule.levels[lower].lower.first(), other) {
            (Some(&further), _) => Some(format!("`{}` waits for `{}`", name(lower), name(further))),
            (_, Some(other)) => Some(format!("`{}` waits for `{}` too", name(other), name(lower))),
            _ if !is_whole => {
                Some(format!("`{}` is not differentiated by `unrolled` through all its steps", name(lower)))
            }
            _ if !matches!(below.start, Start::Initial | Start::From) => {
                Some(format!("`{}` goes on from one task to the next; let it start `initial` or `from`", name(lower)))
            }
            _ => None,
        }
    };
    let reason = if config.accumulate != 1 {
        Some("`accumulate` takes several batches for each; raise `tasks` instead".to_owned())
    } else if config.rounds != 1 {
        Some("`rounds` has its levels take their steps several times; raise their `unroll` instead".to_owned())
    } else if schedule.is_passed(index) {
        Some(format!("a hypergradient passes through `{}`, and needs the steps below it one by one", spec.name))
    } else if spec.lower.is_empty() {
        Some("it waits for no level".to_owned())
    } else {
        spec.lower.iter().copied().find_map(of_lower)
    };
    match reason {
        None => Ok(()),
        Some(reason) => Err(ConfigError::NotTogether {
            path: format!("{}.vectorize", spec.name),
            level: spec.name.to_owned(),
            reason,
        }),
    }
}
