//! The methods that differentiate a best response.
//!
//! Throughout, H is the Hessian of a level's loss at its parameters, δ the damping, and v the cotangent that has
//! arrived at the level. Each method gives an estimate of (H + δI)⁻¹v; the mixed second derivatives then carry it to
//! the levels above. [`IdentityConfig`] and [`FiniteDifferenceConfig`] take H for a multiple of the identity.

use std::str::FromStr;

use betty_macros::configs;
use betty_schema::{Given, METHODS, Row};
use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::unknown::unknown_in;
use super::written::Written;

configs! {
    /// A method and its numbers; in JSON `{"method": "cg", "iterations": 20}`.
    #[derive(Clone, Debug, PartialEq)]
    pub enum HypergradientConfig {}
}

impl HypergradientConfig {
    /// Which batch of the level the method uses. One that goes through steps differentiates each on the batch that it was
    /// taken on.
    #[must_use]
    pub fn batch(&self) -> LowerBatch {
        let is_fresh = |written| matches!(written, Written::Given(Given::Word("fresh")));
        match self.options().into_iter().any(|(name, written)| name == "batch" && is_fresh(written)) {
            true => LowerBatch::Fresh,
            false => LowerBatch::Last,
        }
    }

    /// Whether the method goes through the steps of the level, instead of solving a system.
    #[must_use]
    pub fn goes_through_steps(&self) -> bool {
        self.row().is_some_and(|row| row.way.goes_through_steps())
    }

    /// Whether the method solves the linear system of the best response, as exactly as it is allowed to.
    pub(crate) fn solves_the_system(&self) -> bool {
        self.row().is_some_and(|row| row.way.solves_system())
    }

    /// What the tables say about the method.
    pub(crate) fn row(&self) -> Option<&'static Row> {
        METHODS.find(self.name())
    }
}

/// The method of that name with its default numbers.
impl FromStr for HypergradientConfig {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::named(name).ok_or_else(|| unknown_in(&METHODS, "method", name))
    }
}

/// Which of a lower level's batches a hypergradient through it uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LowerBatch {
    /// The batch of the level's last step.
    #[default]
    Last,
    /// A batch of its own, taken from the level's stream.
    Fresh,
}
