//! Adagrad: a learning rate for each parameter that falls with the gradients it has seen.
//!
//! Duchi, Hazan and Singer, *Adaptive Subgradient Methods for Online Learning and Stochastic Optimization* (JMLR 2011), with
//! the decay of the learning rate that Burn and PyTorch add. Weight decay is a penalty on the loss, so it enters the sum too:
//!
//! ```text
//! g ← g + weight_decay·θ        s ← s + g²
//! θ ← θ − lr/(1 + (t − 1)·lr_decay) · g/(√s + ε)
//! ```

use super::coefficient::product;
use super::moments::LEARNED_EPSILON;
use super::root::root;
use super::{Coefficient, Optimizer, UpdateInputs, Updated, penalized, spread_like};
use crate::graph::{Graph, GraphError};

/// Adagrad. State: the sum of the gradient's squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaGrad {
    /// How fast the learning rate falls, at least 0: in step `t` it is divided by `1 + (t − 1)·lr_decay`.
    pub lr_decay: Coefficient,
    /// Added to the root of the sum, above 0: bounds the step, and its derivative, where gradients vanish.
    pub epsilon: Coefficient,
    /// Factor of the penalty `½‖θ‖²`, at least 0.
    pub weight_decay: Coefficient,
}

impl Optimizer for AdaGrad {
    fn name(&self) -> &'static str {
        "adagrad"
    }

    fn states(&self) -> usize {
        1
    }

    /// What is left of the learning rate, if it decays; `t − 1`, if how fast is learned.
    fn scalars(&self, step: u64) -> Vec<f64> {
        let past = (step.max(1) - 1) as f64;
        match self.lr_decay {
            Coefficient::Constant(0.0) => Vec::new(),
            Coefficient::Constant(lr_decay) => vec![1.0 / (1.0 + past * lr_decay)],
            Coefficient::Learned(_) => vec![past],
        }
    }

    fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
        inputs.check(graph, self)?;
        let gradient = penalized(graph, inputs, self.weight_decay)?;
        let square = graph.mul(gradient, gradient)?;
        let sum = graph.add(inputs.states[0], square)?;
        let root = root(graph, sum, self.epsilon.constant().unwrap_or(LEARNED_EPSILON))?;
        let denominator = self.epsilon.plus(graph, inputs, root)?;
        let direction = graph.div(gradient, denominator)?;
        let mut rate = inputs.learning_rate;
        if let Some(&scalar) = inputs.scalars.first() {
            let left = match self.lr_decay {
                Coefficient::Constant(_) => scalar,
                Coefficient::Learned(_) => {
                    let lost = self.lr_decay.times(graph, inputs, scalar)?;
                    let divisor = graph.add_scalar(lost, 1.0)?;
                    graph.recip(divisor)?
                }
            };
            let left = graph.cast(left, graph.dtype(rate))?;
            rate = product(graph, rate, left)?;
        }
        let rate = spread_like(graph, rate, direction)?;
        let delta = graph.mul(rate, direction)?;
        let parameter = graph.sub(inputs.parameter, delta)?;
        Ok(Updated { parameter, states: vec![sum] })
    }

    fn decay(&self) -> Coefficient {
        self.weight_decay
    }
}
