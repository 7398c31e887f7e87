//! Optimizers as graphs, so that a step can be differentiated like any other computation.
//!
//! A step `θ′ = Φ(θ, g, state; lr)` is a function of its inputs alone: the learning rate and everything that depends on
//! the number of the step are inputs too, so one graph serves all steps and unrolling is composition. Its other numbers are
//! constants, or inputs as well where a level above learns them. The results are those of `burn-optim`'s optimizers with the
//! same numbers; constants are kept in `f64`, where Burn rounds most to `f32`.
//!
//! ```
//! use betty_runtime::graph::Graph;
//! use betty_runtime::optimizer::{Optimizer, Sgd, UpdateInputs};
//! use burn::tensor::DType;
//!
//! # fn main() -> Result<(), betty_runtime::GraphError> {
//! let mut graph = Graph::new();
//! let (parameter, gradient) = (graph.input(&[2], DType::F32), graph.input(&[2], DType::F32));
//! let learning_rate = graph.input(&[1], DType::F32);
//! let inputs = UpdateInputs { parameter, gradient, states: &[], learning_rate, scalars: &[], learned: &[] };
//! let updated = Sgd::default().update(&mut graph, &inputs)?; // θ − lr·g, to be run, or differentiated
//! assert_eq!(graph.shape(updated.parameter), [2]);
//! # Ok(())
//! # }
//! ```

mod adagrad;
mod adam;
mod adamw;
mod choice;
mod coefficient;
mod moments;
mod projection;
mod replaced;
mod rmsprop;
mod root;
mod sgd;

use std::fmt::Debug;

pub use adagrad::AdaGrad;
pub use adam::Adam;
pub use adamw::AdamW;
pub use coefficient::Coefficient;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

pub(crate) use projection::{bound, norm_ball};
pub(crate) use replaced::Replaced;

use crate::graph::{Graph, GraphError, NodeId, Op};

/// An update rule that treats every parameter tensor by itself.
///
/// A program names one of the user's own with `optimizer: custom(MyOptimizer, lr = 0.1)`. It is a graph, so that it is
/// differentiated like the others: by `unrolled` through its steps, by `sama` as the step that it would take next. The engine
/// clips before it, projects after it, and holds its states in 32 bits at least.
///
/// ```
/// use betty_runtime::graph::{Graph, GraphError};
/// use betty_runtime::optimizer::{Optimizer, UpdateInputs, Updated, spread_like};
///
/// /// θ ← θ − lr·g/√(1 + g²): no entry moves further than the learning rate.
/// #[derive(Debug)]
/// struct Damped;
///
/// impl Optimizer for Damped {
///     fn name(&self) -> &'static str {
///         "damped"
///     }
///
///     fn states(&self) -> usize {
///         0
///     }
///
///     fn scalars(&self, _step: u64) -> Vec<f64> {
///         Vec::new()
///     }
///
///     fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
///         inputs.check(graph, self)?;
///         let square = graph.mul(inputs.gradient, inputs.gradient)?;
///         let above_one = graph.add_scalar(square, 1.0)?;
///         let size = graph.sqrt(above_one)?;
///         let direction = graph.div(inputs.gradient, size)?;
///         let rate = spread_like(graph, inputs.learning_rate, direction)?;
///         let step = graph.mul(rate, direction)?;
///         let parameter = graph.sub(inputs.parameter, step)?;
///         Ok(Updated { parameter, states: Vec::new() })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the optimizer of a level; implement `betty_runtime::Optimizer` for it",
    label = "not an optimizer"
)]
pub trait Optimizer: Send + Sync + Debug {
    /// Its name in errors.
    fn name(&self) -> &'static str;

    /// How many state tensors it keeps for one parameter tensor, each of the parameter's shape and zero at the start.
    fn states(&self) -> usize;

    /// What these are, in their order: a run is resumed with states of the same names only. None where as many states are the same
    /// ones, whatever the optimizer's numbers.
    fn state_names(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The numbers besides the learning rate that step `step` reads, counted from 1; always as many, whatever the step.
    fn scalars(&self, step: u64) -> Vec<f64>;

    /// Adds the update of one parameter tensor. It draws nothing: a draw would be the same in every step.
    ///
    /// # Errors
    /// [`GraphError`] when the inputs are not as [`UpdateInputs`] and this optimizer describe them.
    fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError>;

    /// The factor `δ` of a penalty `½δ‖θ‖²` that steps minimise with the loss, because they go along the gradient of both: where a
    /// level that takes such steps is differentiated at its best response, that is where `g + δθ` vanishes. An update that goes along
    /// [`penalized`] says its factor here. By default there is none.
    fn decay(&self) -> Coefficient {
        Coefficient::default()
    }
}

/// What an update of one parameter tensor is computed from.
#[derive(Clone, Copy, Debug)]
pub struct UpdateInputs<'a> {
    /// The parameter tensor, of a float type.
    pub parameter: NodeId,
    /// The gradient, of the parameter's shape and type.
    pub gradient: NodeId,
    /// The states that the step before left, each of the parameter's shape and type.
    pub states: &'a [NodeId],
    /// The learning rate, of shape `[1]` or the parameter's, and any float type.
    pub learning_rate: NodeId,
    /// The numbers of [`Optimizer::scalars`] for this step, each of shape `[1]` and any float type.
    pub scalars: &'a [NodeId],
    /// The numbers that are tensors, each of shape `[1]` or the parameter's, and any float type; see [`Coefficient`].
    pub learned: &'a [NodeId],
}

/// What an update gives.
#[derive(Clone, Debug)]
pub struct Updated {
    /// The new parameter tensor.
    pub parameter: NodeId,
    /// The new states, in the order of the old ones.
    pub states: Vec<NodeId>,
}

impl UpdateInputs<'_> {
    /// Whether everything fits together, and `optimizer`.
    ///
    /// # Errors
    /// [`GraphError`] that says what does not.
    pub fn check(&self, graph: &Graph, optimizer: &dyn Optimizer) -> Result<(), GraphError> {
        let op = || optimizer.name().to_owned();
        let (shape, dtype) = (graph.shape(self.parameter), graph.dtype(self.parameter));
        if !dtype.is_float() {
            return Err(GraphError::NotDifferentiable { node: self.parameter, dtype });
        }
        for &tensor in self.states.iter().chain([&self.gradient]) {
            if graph.shape(tensor) != shape {
                let (left, right) = (shape.to_vec(), graph.shape(tensor).to_vec());
                return Err(GraphError::ShapeMismatch { op: op(), left, right });
            }
        }
        let invalid = |number: NodeId, reason: &str| {
            let (shape, reason) = (graph.shape(number).to_vec(), reason.to_owned());
            Err(GraphError::InvalidShape { op: op(), shape, reason })
        };
        if let Some(&scalar) = self.scalars.iter().find(|&&scalar| graph.shape(scalar) != [1]) {
            return invalid(scalar, "its numbers have shape [1]");
        }
        for &number in self.learned.iter().chain([&self.learning_rate]) {
            if graph.shape(number) != [1] && graph.shape(number) != shape {
                return invalid(number, "its learned numbers have shape [1] or the parameter's");
            }
        }
        let (states, scalars) = (optimizer.states(), optimizer.scalars(1).len());
        if (self.states.len(), self.scalars.len()) != (states, scalars) {
            let found = 3 + self.states.len() + self.scalars.len();
            return Err(GraphError::InputCount { op: op(), expected: 3 + states + scalars, found });
        }
        Ok(())
    }

    /// Whether an optimizer drew nothing, and what it answered is another parameter tensor and other states like those that it was given.
    pub(crate) fn check_updated(
        &self,
        graph: &Graph,
        optimizer: &dyn Optimizer,
        updated: &Updated,
    ) -> Result<(), GraphError> {
        let refused = |expected: String, found: String| {
            Err(GraphError::Answer { op: optimizer.name().to_owned(), expected, found })
        };
        let (expected, found) = (self.states.len(), updated.states.len());
        if expected != found {
            return refused(format!("{expected} states"), found.to_string());
        }
        if graph.ids().any(|node| matches!(graph.node(node).op, Op::Random { .. })) {
            return Err(GraphError::Draws { op: optimizer.name().to_owned() });
        }
        let kind = |node: NodeId| format!("{:?} of shape {:?}", graph.dtype(node), graph.shape(node));
        let before = self.states.iter().chain([&self.parameter]);
        for (number, (&before, &after)) in before.zip(updated.states.iter().chain([&updated.parameter])).enumerate() {
            let (before, after) = (kind(before), kind(after));
            let what = if number < expected { format!("state {number}") } else { "the parameter".to_owned() };
            if before != after {
                return refused(format!("{what} as {before}"), after);
            }
        }
        Ok(())
    }

    fn learned(&self, index: usize) -> Result<NodeId, GraphError> {
        let missing = || GraphError::InputCount {
            op: "a learned number".to_owned(),
            expected: index + 1,
            found: self.learned.len(),
        };
        self.learned.get(index).copied().ok_or_else(missing)
    }
}

/// `x` in the type of `like`, spread over its shape if it has shape `[1]` and not the same already: how a learning rate becomes a
/// factor of every entry.
///
/// # Errors
/// [`GraphError`] when `x` is no float or has another shape.
pub fn spread_like(graph: &mut Graph, x: NodeId, like: NodeId) -> Result<NodeId, GraphError> {
    let (shape, dtype) = (graph.shape(like).to_vec(), graph.dtype(like));
    let x = graph.cast(x, dtype)?;
    if graph.shape(x) == shape { Ok(x) } else { graph.spread(x, &shape) }
}

/// `gradient + weight_decay · parameter`: the gradient of the loss with the penalty `½ · weight_decay · ‖parameter‖²`.
///
/// # Errors
/// [`GraphError`] when the inputs do not fit together.
pub fn penalized(
    graph: &mut Graph,
    inputs: &UpdateInputs<'_>,
    weight_decay: Coefficient,
) -> Result<NodeId, GraphError> {
    if weight_decay.is_zero() {
        return Ok(inputs.gradient);
    }
    let decay = weight_decay.times(graph, inputs, inputs.parameter)?;
    graph.add(decay, inputs.gradient)
}
