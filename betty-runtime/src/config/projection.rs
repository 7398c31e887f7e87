//! The sets to which a level's parameters are confined.

use serde::{Deserialize, Serialize};

/// A set; after each of its steps a level moves to the nearest point of it. In JSON `{"name": "simplex", "total": 1.0}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum ProjectionConfig {
    /// Numbers that are large enough.
    AtLeast(AtLeastConfig),
    /// Numbers between two bounds.
    Clamp(ClampConfig),
    /// Numbers that are not negative and sum to a constant.
    Simplex(SimplexConfig),
    /// Parameters of a limited norm.
    NormBall(NormBallConfig),
}

/// Every entry is at least `low`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AtLeastConfig {
    /// The smallest value allowed; by default 0.
    pub low: f64,
}

impl Default for AtLeastConfig {
    fn default() -> Self {
        Self { low: 0.0 }
    }
}

/// Every entry lies in [low, high].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClampConfig {
    /// The smallest value allowed; by default 0.
    pub low: f64,
    /// The largest value allowed; greater than `low`, by default 1.
    pub high: f64,
}

impl Default for ClampConfig {
    fn default() -> Self {
        Self { low: 0.0, high: 1.0 }
    }
}

/// Along the last dimension of each tensor, entries are not negative and sum to `total`: a vector is one point of the
/// simplex, a matrix has one in each row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimplexConfig {
    /// What the entries sum to; greater than zero, by default 1.
    pub total: f64,
}

impl Default for SimplexConfig {
    fn default() -> Self {
        Self { total: 1.0 }
    }
}

/// The norm ‖θ‖₂ of all parameters of the level together is at most `radius`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NormBallConfig {
    /// The largest norm allowed; greater than zero, by default 1.
    pub radius: f64,
}

impl Default for NormBallConfig {
    fn default() -> Self {
        Self { radius: 1.0 }
    }
}
