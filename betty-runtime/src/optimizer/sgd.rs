//! Stochastic gradient descent, with momentum if wanted.
//!
//! Sutskever, Martens, Dahl and Hinton, *On the Importance of Initialization and Momentum in Deep Learning* (ICML 2013), in
//! the form that Burn and PyTorch give it:
//!
//! ```text
//! g ← g + weight_decay·θ
//! v ← g                                     in the first step
//! v ← momentum·v + (1 − dampening)·g        afterwards
//! θ ← θ − lr·v                              or θ − lr·(g + momentum·v) with Nesterov's look-ahead
//! ```

use super::{Optimizer, UpdateInputs, Updated, penalized, spread_like};
use crate::graph::{Graph, GraphError};

/// Stochastic gradient descent. With `momentum` 0 there is no velocity, and `dampening` and `nesterov` mean nothing.
///
/// State: the velocity `v`, if there is momentum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sgd {
    /// How much of the velocity a step keeps, in `[0, 1)`.
    pub momentum: f64,
    /// How much of the gradient a step leaves out of the velocity, in `[0, 1)`; the first step takes all of it.
    pub dampening: f64,
    /// Whether to evaluate the velocity one step ahead.
    pub nesterov: bool,
    /// Factor of the penalty `½‖θ‖²`, at least 0.
    pub weight_decay: f64,
}

impl Optimizer for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn states(&self) -> usize {
        usize::from(self.momentum != 0.0)
    }

    /// The gradient's share in the velocity, with momentum and dampening only: the velocity starts at zero, so that
    /// a share of 1 makes it the gradient in the first step.
    fn scalars(&self, step: u64) -> Vec<f64> {
        if self.momentum == 0.0 || self.dampening == 0.0 {
            Vec::new()
        } else {
            vec![if step <= 1 { 1.0 } else { 1.0 - self.dampening }]
        }
    }

    fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
        inputs.check(graph, self)?;
        let gradient = penalized(graph, inputs, self.weight_decay)?;
        let mut direction = gradient;
        let mut states = Vec::new();
        if let Some(&velocity) = inputs.states.first() {
            let kept = graph.mul_scalar(velocity, self.momentum)?;
            let fresh = match inputs.scalars.first() {
                Some(&share) => {
                    let share = spread_like(graph, share, gradient)?;
                    graph.mul(share, gradient)?
                }
                None => gradient,
            };
            let velocity = graph.add(kept, fresh)?;
            direction = velocity;
            if self.nesterov {
                let ahead = graph.mul_scalar(velocity, self.momentum)?;
                direction = graph.add(ahead, gradient)?;
            }
            states.push(velocity);
        }
        let rate = spread_like(graph, inputs.learning_rate, direction)?;
        let delta = graph.mul(rate, direction)?;
        let parameter = graph.sub(inputs.parameter, delta)?;
        Ok(Updated { parameter, states })
    }
}
