//! Adam: steps of a size that does not depend on the scale of the gradient.
//!
//! Kingma and Ba, *Adam: A Method for Stochastic Optimization* (ICLR 2015). Weight decay is a penalty on the loss, so it
//! goes through the moving averages; [`AdamW`](super::AdamW) decays the parameters themselves.
//!
//! ```text
//! g ← g + weight_decay·θ
//! θ ← θ − lr·m̂/(√v̂ + ε)        m̂, v̂: bias-corrected moving averages of g and g²
//! ```

use super::moments::Moments;
use super::{Coefficient, Optimizer, UpdateInputs, Updated, penalized};
use crate::graph::{Graph, GraphError};

/// Adam. States: the moving averages of the gradient and of its square, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Share of the old average in the average of the gradient, in `[0, 1)`.
    pub beta_1: Coefficient,
    /// Share of the old average in the average of the gradient's square, in `[0, 1)`.
    pub beta_2: Coefficient,
    /// Added to the root of the second average, above 0: bounds the step, and its derivative, where gradients vanish.
    pub epsilon: Coefficient,
    /// Factor of the penalty `½‖θ‖²`, at least 0.
    pub weight_decay: Coefficient,
}

impl Adam {
    fn moments(&self) -> Moments {
        Moments { beta_1: self.beta_1, beta_2: self.beta_2, epsilon: self.epsilon }
    }
}

impl Optimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn states(&self) -> usize {
        2
    }

    /// What corrects the averages for their start at zero.
    fn scalars(&self, step: u64) -> Vec<f64> {
        self.moments().scalars(step)
    }

    fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
        inputs.check(graph, self)?;
        let gradient = penalized(graph, inputs, self.weight_decay)?;
        let (delta, states) = self.moments().step(graph, gradient, inputs)?;
        let parameter = graph.sub(inputs.parameter, delta)?;
        Ok(Updated { parameter, states })
    }

    fn decay(&self) -> Coefficient {
        self.weight_decay
    }
}
