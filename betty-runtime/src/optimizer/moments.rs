//! The moving averages of Adam and AdamW, and the step they give.
//!
//! ```text
//! m ← β₁·m + (1 − β₁)·g        v ← β₂·v + (1 − β₂)·g²        m̂ = m/(1 − β₁ᵗ)        v̂ = v/(1 − β₂ᵗ)
//! lr·m̂/(√v̂ + ε) = lr·c·m/(√v + ε̂)      with  c = √(1 − β₂ᵗ)/(1 − β₁ᵗ)  and  ε̂ = ε·√(1 − β₂ᵗ)
//! ```

use super::coefficient::{one_minus, product, same_shape};
use super::root::root;
use super::{Coefficient, UpdateInputs, spread_like};
use crate::graph::{Binary, Graph, GraphError, NodeId, Op};

/// The numbers that Adam and AdamW share.
pub(super) struct Moments {
    pub(super) beta_1: Coefficient,
    pub(super) beta_2: Coefficient,
    pub(super) epsilon: Coefficient,
}

impl Moments {
    /// `[c, ε̂]` of step `step`; if one of the numbers is learned, `1 − β₁ᵗ` and `1 − β₂ᵗ`, or `t` in the place of a power
    /// of a learned number.
    pub(super) fn scalars(&self, step: u64) -> Vec<f64> {
        let step = step.max(1) as f64;
        match (self.beta_1, self.beta_2, self.epsilon) {
            (Coefficient::Constant(beta_1), Coefficient::Constant(beta_2), Coefficient::Constant(epsilon)) => {
                let root = (1.0 - beta_2.powf(step)).sqrt();
                vec![root / (1.0 - beta_1.powf(step)), epsilon * root]
            }
            _ => {
                let rest = |beta: Coefficient| beta.constant().map_or(step, |beta| 1.0 - beta.powf(step));
                vec![rest(self.beta_1), rest(self.beta_2)]
            }
        }
    }

    /// Adds `lr·m̂/(√v̂ + ε)` for this gradient, and the new `[m, v]`; `inputs` are checked.
    pub(super) fn step(
        &self,
        graph: &mut Graph,
        gradient: NodeId,
        inputs: &UpdateInputs<'_>,
    ) -> Result<(NodeId, Vec<NodeId>), GraphError> {
        let [first, second] = [inputs.states[0], inputs.states[1]];
        let (correction, epsilon) = self.corrections(graph, inputs)?;

        let first = average(graph, inputs, first, gradient, self.beta_1)?;
        let square = graph.mul(gradient, gradient)?;
        let second = average(graph, inputs, second, square, self.beta_2)?;

        let root = root(graph, second, self.smallest_epsilon())?;
        let epsilon = spread_like(graph, epsilon, root)?;
        let denominator = graph.add(root, epsilon)?;
        let direction = graph.div(first, denominator)?;
        let correction = graph.cast(correction, graph.dtype(inputs.learning_rate))?;
        let rate = product(graph, inputs.learning_rate, correction)?;
        let rate = spread_like(graph, rate, direction)?;
        Ok((graph.mul(rate, direction)?, vec![first, second]))
    }

    /// `c` and `ε̂`
    fn corrections(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<(NodeId, NodeId), GraphError> {
        let [one, other] = [inputs.scalars[0], inputs.scalars[1]];
        if [self.beta_1, self.beta_2, self.epsilon].iter().all(|number| number.constant().is_some()) {
            return Ok((one, other));
        }
        let rest_1 = rest(graph, inputs, self.beta_1, one)?;
        let rest_2 = rest(graph, inputs, self.beta_2, other)?;
        let root = graph.sqrt(rest_2)?;
        let rest_1 = graph.cast(rest_1, graph.dtype(root))?;
        let (top, bottom) = same_shape(graph, root, rest_1)?;
        Ok((graph.div(top, bottom)?, self.epsilon.times(graph, inputs, root)?))
    }

    /// The smallest `ε̂`, that of the first step, as far as it can be known.
    fn smallest_epsilon(&self) -> f64 {
        let root = self.beta_2.constant().map_or(LEARNED_ROOT, |beta_2| (1.0 - beta_2).sqrt());
        self.epsilon.constant().unwrap_or(LEARNED_EPSILON) * root
    }
}

/// What a learned `ε` is taken to be at least, where only its order of magnitude matters.
pub(super) const LEARNED_EPSILON: f64 = 1e-10;
/// What `√(1 − β₂)` is taken to be at least.
const LEARNED_ROOT: f64 = 1e-2;

/// `1 − βᵗ`, which the host knows for a constant `β`; for a learned one it knows `t`.
fn rest(graph: &mut Graph, inputs: &UpdateInputs<'_>, beta: Coefficient, scalar: NodeId) -> Result<NodeId, GraphError> {
    let Coefficient::Learned(index) = beta else { return Ok(scalar) };
    let beta = inputs.learned(index)?;
    let step = spread_like(graph, scalar, beta)?;
    let power = graph.push(Op::Binary(Binary::Pow), &[beta, step])?;
    one_minus(graph, power)
}

/// `beta · mean + (1 − beta) · sample`
pub(super) fn average(
    graph: &mut Graph,
    inputs: &UpdateInputs<'_>,
    mean: NodeId,
    sample: NodeId,
    beta: Coefficient,
) -> Result<NodeId, GraphError> {
    let kept = beta.times(graph, inputs, mean)?;
    let fresh = beta.rest_times(graph, inputs, sample)?;
    graph.add(kept, fresh)
}
