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

use super::{Coefficient, Optimizer, UpdateInputs, Updated, penalized, spread_like};
use crate::graph::{Graph, GraphError};

/// Stochastic gradient descent. With `momentum` 0 there is no velocity, and `dampening` and `nesterov` mean nothing;
/// programs and configs that give them are refused.
///
/// State: the velocity `v`, if there is momentum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sgd {
    /// How much of the velocity a step keeps, in `[0, 1)`.
    pub momentum: Coefficient,
    /// How much of the gradient a step leaves out of the velocity, in `[0, 1)`; the first step takes all of it.
    pub dampening: Coefficient,
    /// Whether to evaluate the velocity one step ahead.
    pub nesterov: bool,
    /// Factor of the penalty `½‖θ‖²`, at least 0.
    pub weight_decay: Coefficient,
}

impl Optimizer for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn states(&self) -> usize {
        usize::from(!self.momentum.is_zero())
    }

    /// The gradient's share in the velocity, with momentum and dampening only: the velocity starts at zero, so that
    /// a share of 1 makes it the gradient in the first step. Where dampening is learned, whether there is any.
    fn scalars(&self, step: u64) -> Vec<f64> {
        if self.momentum.is_zero() || self.dampening.is_zero() {
            return Vec::new();
        }
        let is_first = step <= 1;
        vec![match self.dampening {
            Coefficient::Constant(dampening) => 1.0 - if is_first { 0.0 } else { dampening },
            Coefficient::Learned(_) => f64::from(u8::from(!is_first)),
        }]
    }

    fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
        inputs.check(graph, self)?;
        let gradient = penalized(graph, inputs, self.weight_decay)?;
        let mut direction = gradient;
        let mut states = Vec::new();
        if let Some(&velocity) = inputs.states.first() {
            let kept = self.momentum.times(graph, inputs, velocity)?;
            let fresh = match inputs.scalars.first() {
                Some(&scalar) => {
                    let share = match self.dampening {
                        Coefficient::Constant(_) => scalar,
                        Coefficient::Learned(_) => self.dampening.one_minus_times(graph, inputs, scalar)?,
                    };
                    let share = spread_like(graph, share, gradient)?;
                    graph.mul(share, gradient)?
                }
                None => gradient,
            };
            let velocity = graph.add(kept, fresh)?;
            direction = velocity;
            if self.nesterov {
                let ahead = self.momentum.times(graph, inputs, velocity)?;
                direction = graph.add(ahead, gradient)?;
            }
            states.push(velocity);
        }
        let rate = spread_like(graph, inputs.learning_rate, direction)?;
        let delta = graph.mul(rate, direction)?;
        let parameter = graph.sub(inputs.parameter, delta)?;
        Ok(Updated { parameter, states })
    }

    fn decay(&self) -> Coefficient {
        self.weight_decay
    }
}
