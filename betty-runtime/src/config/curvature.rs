//! Of which gradient a level's curvature is the derivative.

use serde::{Deserialize, Serialize};

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
