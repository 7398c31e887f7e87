//! Projections onto the sets to which parameters are confined, as graphs: the last part of a step.
//!
//! Each is the nearest point of a convex set, and differentiable wherever that point changes smoothly: a step that ends with
//! a projection can be differentiated like any other.

mod ball;

use crate::config::ProjectionConfig;
use crate::graph::{Comparison, Graph, GraphError, NodeId, Op, Scalar, Unary, WithScalar};
pub(crate) use ball::norm_ball;

impl ProjectionConfig {
    /// Adds the point of the set that is nearest to `parameters`, float tensors that are one point together.
    ///
    /// # Errors
    /// [`GraphError`] when one of them is no float tensor of at least one dimension.
    pub fn project(&self, graph: &mut Graph, parameters: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
        for &parameter in parameters {
            let dtype = graph.dtype(parameter);
            if !dtype.is_float() {
                return Err(GraphError::NotDifferentiable { node: parameter, dtype });
            }
        }
        let mut each = |project: &dyn Fn(&mut Graph, NodeId) -> Result<NodeId, GraphError>| {
            parameters.iter().map(|&parameter| project(graph, parameter)).collect()
        };
        match *self {
            Self::AtLeast(ref c) => each(&|graph, x| bound(graph, x, WithScalar::ClampMin, c.low)),
            Self::Clamp(ref c) => each(&|graph, x| {
                let above = bound(graph, x, WithScalar::ClampMin, c.low)?;
                bound(graph, above, WithScalar::ClampMax, c.high)
            }),
            Self::Simplex(ref c) => each(&|graph, x| simplex(graph, x, c.total)),
            Self::NormBall(ref c) => norm_ball(graph, parameters, &[], c.radius),
        }
    }
}

/// Adds the larger, or the smaller, of each entry and `value`.
pub(crate) fn bound(graph: &mut Graph, x: NodeId, bound: WithScalar, value: f64) -> Result<NodeId, GraphError> {
    let value = Scalar::of(graph.dtype(x), value);
    graph.push(Op::WithScalar(bound, value), &[x])
}

/// Halvings of the interval that holds the threshold of a simplex; it is `total` wide at first, and 10⁻⁹ of it at last.
const HALVINGS: i32 = 30;
/// Newton's steps after that: each passes at least one of the entries that lie in what is left of the interval.
const NEWTON: usize = 2;

/// Along the last dimension, `max(x − τ, 0)` for the threshold `τ` at which it sums to `total`.
///
/// Held, Wolfe and Crowder, *Validation of Subgradient Optimization* (1974): `Σ max(x − τ, 0)` falls with `τ`, and is `total`
/// where `τ = (Σ x − total)/|S|` over the entries `S` above `τ`. Bisection and Newton's method find `S` without sorting, in as
/// many operations for a long vector as for a short one; once it is known, `τ` is exact and differentiable.
fn simplex(graph: &mut Graph, x: NodeId, total: f64) -> Result<NodeId, GraphError> {
    let (shape, dtype) = (graph.shape(x).to_vec(), graph.dtype(x));
    let Some(axis) = shape.len().checked_sub(1) else {
        let reason = "a simplex lies along the last dimension".to_owned();
        return Err(GraphError::InvalidShape { op: "simplex".to_owned(), shape, reason });
    };
    // A constant added to all entries changes nothing: with the largest at 0, the threshold lies in [−total, 0).
    let highest = graph.push(Op::ArgMax(axis), &[x])?;
    let highest = graph.push(Op::Gather(axis), &[x, highest])?;
    let highest = graph.push(Op::StopGradient, &[highest])?;
    let x = graph.sub(x, highest)?;
    let mut low = graph.full_like(highest, -total);
    for halving in 1..=HALVINGS {
        let middle = graph.add_scalar(low, total * 0.5_f64.powi(halving))?;
        let above = above(graph, x, middle)?;
        let sum = graph.sum(above, &[axis])?;
        let enough = Op::CompareScalar(Comparison::GreaterEqual, Scalar::of(dtype, total));
        let enough = graph.push(enough, &[sum])?;
        low = graph.select_where(enough, middle, low)?;
    }
    let mut threshold = low;
    for _ in 0..=NEWTON {
        let level = graph.expand(threshold, &shape)?;
        let support = graph.push(Op::Compare(Comparison::Greater), &[x, level])?;
        let support = graph.cast(support, dtype)?;
        let held = graph.mul(support, x)?;
        let sum = graph.sum(held, &[axis])?;
        let excess = graph.add_scalar(sum, -total)?;
        let count = graph.sum(support, &[axis])?;
        threshold = graph.div(excess, count)?;
    }
    above(graph, x, threshold)
}

/// `max(x − threshold, 0)`
fn above(graph: &mut Graph, x: NodeId, threshold: NodeId) -> Result<NodeId, GraphError> {
    let difference = graph.sub(x, threshold)?;
    graph.push(Op::Unary(Unary::Relu), &[difference])
}
