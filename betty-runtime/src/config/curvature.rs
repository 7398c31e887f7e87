//! Of which gradient a level's curvature is the derivative, and where it makes a difference.

use betty_schema::idle_curvature;
use serde::{Deserialize, Serialize};

use super::LevelConfig;
use super::error::ConfigError;
use crate::schedule::Schedule;

/// Of which gradient of a level, where levels below answer to it, hypergradients through it take the derivative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurvatureOf {
    /// Of its total gradient: the levels below answer to whatever moves. Exact.
    #[default]
    Total,
    /// Of the gradient of its own loss, while the levels below stand still: Hessian and mixed products are those of that
    /// loss alone. An approximation, which most of the literature takes; one hypergradient takes work that is linear in the
    /// number of edges of the program, and no multipliers.
    Partial,
}

/// A curvature that is not the default makes a difference.
pub(super) fn check(schedule: &Schedule, index: usize, config: &LevelConfig) -> Result<(), ConfigError> {
    if config.curvature == CurvatureOf::Total {
        return Ok(());
    }
    let spec = &schedule.levels[index];
    let method = config.hypergradient.as_ref().filter(|_| schedule.is_passed(index));
    let method = method.map(|method| (method.name(), method.mode(config.unroll).is_some()));
    let below = spec.sweep.first().map(|stop| schedule.levels[stop.level].name);
    match idle_curvature(spec.name, method, below) {
        None => Ok(()),
        Some(reason) => Err(ConfigError::CurvatureIdle { path: format!("{}.curvature", spec.name), reason }),
    }
}
