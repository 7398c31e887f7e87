//! AdamW: Adam with weight decay taken out of the moving averages.
//!
//! Loshchilov and Hutter, *Decoupled Weight Decay Regularization* (ICLR 2019):
//!
//! ```text
//! θ ← (1 − lr·weight_decay)·θ − lr·m̂/(√v̂ + ε)        m̂, v̂: bias-corrected moving averages of g and g²
//! ```

use super::moments::Moments;
use super::{Coefficient, Optimizer, UpdateInputs, Updated, spread_like};
use crate::graph::{Graph, GraphError};

/// AdamW. States: the moving averages of the gradient and of its square, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Share of the old average in the average of the gradient, in `[0, 1)`.
    pub beta_1: Coefficient,
    /// Share of the old average in the average of the gradient's square, in `[0, 1)`.
    pub beta_2: Coefficient,
    /// Added to the root of the second average, above 0: bounds the step, and its derivative, where gradients vanish.
    pub epsilon: Coefficient,
    /// Share of the parameters that a step of learning rate 1 would remove, at least 0.
    pub weight_decay: Coefficient,
}

impl AdamW {
    fn moments(&self) -> Moments {
        Moments { beta_1: self.beta_1, beta_2: self.beta_2, epsilon: self.epsilon }
    }
}

impl Optimizer for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
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
        let (delta, states) = self.moments().step(graph, inputs.gradient, inputs)?;
        let kept = if self.weight_decay.is_zero() {
            inputs.parameter
        } else {
            let share = self.weight_decay.one_minus_times(graph, inputs, inputs.learning_rate)?;
            let share = spread_like(graph, share, inputs.parameter)?;
            graph.mul(share, inputs.parameter)?
        };
        let parameter = graph.sub(kept, delta)?;
        Ok(Updated { parameter, states })
    }
}
