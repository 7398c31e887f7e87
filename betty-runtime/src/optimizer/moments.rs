//! The moving averages of Adam and AdamW, and the step they give.
//!
//! ```text
//! m ← β₁·m + (1 − β₁)·g        v ← β₂·v + (1 − β₂)·g²        m̂ = m/(1 − β₁ᵗ)        v̂ = v/(1 − β₂ᵗ)
//! lr·m̂/(√v̂ + ε) = lr·c·m/(√v + ε̂)      with  c = √(1 − β₂ᵗ)/(1 − β₁ᵗ)  and  ε̂ = ε·√(1 − β₂ᵗ)
//! ```

use super::root::root;
use super::{UpdateInputs, spread_like};
use crate::graph::{Graph, GraphError, NodeId};

/// The numbers that Adam and AdamW share.
pub(super) struct Moments {
    pub(super) beta_1: f64,
    pub(super) beta_2: f64,
    pub(super) epsilon: f64,
}

impl Moments {
    /// `[c, ε̂]` of step `step`.
    pub(super) fn scalars(&self, step: u64) -> Vec<f64> {
        let step = step.max(1) as f64;
        let root = (1.0 - self.beta_2.powf(step)).sqrt();
        vec![root / (1.0 - self.beta_1.powf(step)), self.epsilon * root]
    }

    /// Adds `lr·m̂/(√v̂ + ε)` for this gradient, and the new `[m, v]`; `inputs` are checked.
    pub(super) fn step(
        &self,
        graph: &mut Graph,
        gradient: NodeId,
        inputs: &UpdateInputs<'_>,
    ) -> Result<(NodeId, Vec<NodeId>), GraphError> {
        let [first, second] = [inputs.states[0], inputs.states[1]];
        let [correction, epsilon] = [inputs.scalars[0], inputs.scalars[1]];

        let first = average(graph, first, gradient, self.beta_1)?;
        let square = graph.mul(gradient, gradient)?;
        let second = average(graph, second, square, self.beta_2)?;

        // ε̂ is smallest in the first step.
        let root = root(graph, second, self.epsilon * (1.0 - self.beta_2).sqrt())?;
        let epsilon = spread_like(graph, epsilon, root)?;
        let denominator = graph.add(root, epsilon)?;
        let direction = graph.div(first, denominator)?;
        let correction = graph.cast(correction, graph.dtype(inputs.learning_rate))?;
        let rate = graph.mul(inputs.learning_rate, correction)?;
        let rate = spread_like(graph, rate, direction)?;
        Ok((graph.mul(rate, direction)?, vec![first, second]))
    }
}

/// `beta · mean + (1 − beta) · sample`
pub(super) fn average(graph: &mut Graph, mean: NodeId, sample: NodeId, beta: f64) -> Result<NodeId, GraphError> {
    let kept = graph.mul_scalar(mean, beta)?;
    let fresh = graph.mul_scalar(sample, 1.0 - beta)?;
    graph.add(kept, fresh)
}
