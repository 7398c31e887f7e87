//! The numbers of an optimizer in the graph of a step: constants, or tensors that the step reads.

use super::{UpdateInputs, spread_like};
use crate::config::Transform;
use crate::graph::{Graph, GraphError, NodeId, Op, Unary};

/// A number of an optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coefficient {
    /// The number.
    Constant(f64),
    /// A tensor: which of the learned tensors of [`UpdateInputs`](super::UpdateInputs).
    Learned(usize),
}

impl Default for Coefficient {
    fn default() -> Self {
        Self::Constant(0.0)
    }
}

impl From<f64> for Coefficient {
    fn from(number: f64) -> Self {
        Self::Constant(number)
    }
}

impl Coefficient {
    /// Whether it vanishes for sure.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::Constant(0.0)
    }

    /// The number, if it is a constant.
    #[must_use]
    pub fn constant(self) -> Option<f64> {
        match self {
            Self::Constant(number) => Some(number),
            Self::Learned(_) => None,
        }
    }

    /// Adds `number · x`.
    ///
    /// # Errors
    /// [`GraphError`] when `x` and a learned number do not fit together.
    pub fn times(self, graph: &mut Graph, inputs: &UpdateInputs<'_>, x: NodeId) -> Result<NodeId, GraphError> {
        match self {
            Self::Constant(number) => graph.mul_scalar(x, number),
            Self::Learned(index) => product(graph, inputs.learned(index)?, x),
        }
    }

    /// Adds `(1 − number) · x`.
    ///
    /// # Errors
    /// [`GraphError`] when `x` and a learned number do not fit together.
    pub fn rest_times(self, graph: &mut Graph, inputs: &UpdateInputs<'_>, x: NodeId) -> Result<NodeId, GraphError> {
        match self {
            Self::Constant(number) => graph.mul_scalar(x, 1.0 - number),
            Self::Learned(index) => {
                let rest = one_minus(graph, inputs.learned(index)?)?;
                product(graph, rest, x)
            }
        }
    }

    /// Adds `1 − number · x`.
    ///
    /// # Errors
    /// [`GraphError`] when `x` and a learned number do not fit together.
    pub fn one_minus_times(
        self,
        graph: &mut Graph,
        inputs: &UpdateInputs<'_>,
        x: NodeId,
    ) -> Result<NodeId, GraphError> {
        match self {
            Self::Constant(number) => {
                let negative = graph.mul_scalar(x, -number)?;
                graph.add_scalar(negative, 1.0)
            }
            Self::Learned(index) => {
                let product = product(graph, inputs.learned(index)?, x)?;
                one_minus(graph, product)
            }
        }
    }

    /// Adds `number + x`.
    ///
    /// # Errors
    /// [`GraphError`] when `x` and a learned number do not fit together.
    pub fn plus(self, graph: &mut Graph, inputs: &UpdateInputs<'_>, x: NodeId) -> Result<NodeId, GraphError> {
        match self {
            Self::Constant(number) => graph.add_scalar(x, number),
            Self::Learned(index) => {
                let number = spread_like(graph, inputs.learned(index)?, x)?;
                graph.add(x, number)
            }
        }
    }
}

/// `1 − x`
pub(super) fn one_minus(graph: &mut Graph, x: NodeId) -> Result<NodeId, GraphError> {
    let negative = graph.neg(x)?;
    graph.add_scalar(negative, 1.0)
}

/// `x · y` in the type of `y`, either of them spread over the other if it has shape `[1]`.
pub(super) fn product(graph: &mut Graph, x: NodeId, y: NodeId) -> Result<NodeId, GraphError> {
    let x = graph.cast(x, graph.dtype(y))?;
    let (x, y) = same_shape(graph, x, y)?;
    graph.mul(x, y)
}

/// Both in one shape: that of the other, if one has shape `[1]`.
pub(super) fn same_shape(graph: &mut Graph, x: NodeId, y: NodeId) -> Result<(NodeId, NodeId), GraphError> {
    let is_one = |graph: &Graph, node: NodeId| graph.shape(node) == [1];
    if is_one(graph, x) && !is_one(graph, y) {
        Ok((spread_like(graph, x, y)?, y))
    } else if is_one(graph, y) && !is_one(graph, x) {
        let shape = graph.shape(x).to_vec();
        Ok((x, graph.spread(y, &shape)?))
    } else {
        Ok((x, y))
    }
}

impl Transform {
    /// Adds its value at every entry of `x`.
    pub(crate) fn apply(self, graph: &mut Graph, x: NodeId) -> Result<NodeId, GraphError> {
        match self {
            Self::Identity => Ok(x),
            Self::Exp => graph.exp(x),
            Self::Softplus => {
                // log(1 + eˣ) = −log σ(−x)
                let negative = graph.neg(x)?;
                let log = graph.push(Op::Unary(Unary::LogSigmoid), &[negative])?;
                graph.neg(log)
            }
            Self::Sigmoid => graph.sigmoid(x),
        }
    }
}
