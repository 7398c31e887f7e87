//! RMSprop: gradients divided by the root of their mean square.
//!
//! Tieleman and Hinton, *Neural Networks for Machine Learning*, lecture 6.5 (2012); centred as in Graves, *Generating
//! Sequences with Recurrent Neural Networks* (2013, arXiv:1308.0850), in the form that Burn and PyTorch give it. Weight decay
//! is a penalty on the loss, so it goes through the averages too:
//!
//! ```text
//! g ← g + weight_decay·θ
//! v ← α·v + (1 − α)·g²        m ← α·m + (1 − α)·g
//! d ← g/(√v + ε)              or g/(√(v − m²) + ε), centred
//! u ← momentum·u + d          θ ← θ − lr·u
//! ```

use super::moments::{LEARNED_EPSILON, average};
use super::root::root;
use super::{Coefficient, Optimizer, UpdateInputs, Updated, penalized, spread_like};
use crate::graph::{Graph, GraphError};

/// RMSprop. States, in this order: the moving average of the gradient's square, that of the gradient if `centered`, and the
/// velocity if there is momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// Share of the old average in each moving average, in `[0, 1)`.
    pub alpha: Coefficient,
    /// How much of the velocity a step keeps, in `[0, 1)`.
    pub momentum: Coefficient,
    /// Added to the root, above 0: bounds the step, and its derivative, where gradients vanish.
    pub epsilon: Coefficient,
    /// Whether to divide by the gradient's standard deviation instead of its root mean square.
    pub centered: bool,
    /// Factor of the penalty `½‖θ‖²`, at least 0.
    pub weight_decay: Coefficient,
}

impl Optimizer for RmsProp {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn states(&self) -> usize {
        self.state_names().len()
    }

    fn state_names(&self) -> Vec<&'static str> {
        let mean = self.centered.then_some("mean");
        let velocity = (!self.momentum.is_zero()).then_some("velocity");
        std::iter::once("square").chain(mean).chain(velocity).collect()
    }

    /// None: the averages are not corrected for their start at zero.
    fn scalars(&self, _step: u64) -> Vec<f64> {
        Vec::new()
    }

    fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
        inputs.check(graph, self)?;
        let gradient = penalized(graph, inputs, self.weight_decay)?;
        let square = graph.mul(gradient, gradient)?;
        let second = average(graph, inputs, inputs.states[0], square, self.alpha)?;
        let mut states = vec![second];
        let mut spread = second;
        if self.centered {
            let mean = average(graph, inputs, inputs.states[1], gradient, self.alpha)?;
            states.push(mean);
            let square = graph.mul(mean, mean)?;
            spread = graph.sub(second, square)?;
        }
        let root = root(graph, spread, self.epsilon.constant().unwrap_or(LEARNED_EPSILON))?;
        let denominator = self.epsilon.plus(graph, inputs, root)?;
        let mut direction = graph.div(gradient, denominator)?;
        if !self.momentum.is_zero() {
            let kept = self.momentum.times(graph, inputs, inputs.states[states.len()])?;
            direction = graph.add(kept, direction)?;
            states.push(direction);
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
