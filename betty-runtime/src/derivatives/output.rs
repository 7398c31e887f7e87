//! Products with the Jacobian of what a loss marks as its model's output, and with the loss's Gauss-Newton matrix.
//!
//! Let `ℓ(f(θ), θ)` be a loss whose output is `f`. With the Jacobian `J = ∂f/∂θ` the Gauss-Newton matrix is the Hessian of the
//! loss of the model that is linear around the point, `ℓ(f₀ + J·(θ − θ₀), θ)`: where the loss reads parameters through its
//! output only,
//!
//! ```text
//! G = Jᵀ·(∂²ℓ/∂f²)·J
//! ```
//!
//! which is positive semidefinite for a loss that is convex in the output (Schraudolph, *Fast Curvature Matrix-Vector Products
//! for Second-Order Gradient Descent*, 2002); what the loss adds beside it, a penalty say, keeps its own Hessian.

use std::collections::HashMap;

use burn::tensor::Device;

use super::boundary::boundary;
use super::loss::{Loss, gradient_nodes};
use crate::execute::{Program, Value, Vector};
use crate::graph::{Graph, GraphError, NodeId, dependents, jvp, lowered, replay, vjp};

/// What of the output's derivatives is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OutputProduct {
    /// `J·t`
    Jvp,
    /// `Jᵀ·c`
    Vjp,
    /// `G·t`
    GaussNewton,
}

/// A product that is linear in its tangents: what does not depend on them is evaluated once at a point.
pub(crate) struct LinearProgram {
    point: Program,
    product: Program,
}

impl LinearProgram {
    /// Compiles a product with derivatives in the parameters of level 0 of a loss that marks `output`.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub(crate) fn new(
        loss: &Loss,
        output: NodeId,
        product: OutputProduct,
        device: &Device,
    ) -> Result<Self, GraphError> {
        let mut graph = loss.trace().graph.clone();
        let parameters = loss.parameters(0);
        let (tangents, nodes) = match product {
            OutputProduct::Jvp => forward(&mut graph, output, parameters)?,
            OutputProduct::Vjp => reverse(&mut graph, output, parameters)?,
            OutputProduct::GaussNewton => gauss_newton(&mut graph, loss.trace().loss, output, parameters)?,
        };
        let nodes = lowered(&mut graph, &nodes, &[])?;
        let reads = boundary(&graph, &nodes, &tangents);
        let point = Program::new(&graph, &loss.input_nodes(), &reads, device);
        let product = Program::new(&graph, &[reads, tangents].concat(), &nodes, device);
        Ok(LinearProgram { point, product })
    }

    /// What products read of a point.
    pub(crate) fn at(&self, inputs: impl IntoIterator<Item = Value>, seed: u64) -> Vec<Value> {
        self.point.run(inputs, seed)
    }

    /// The product at a point.
    pub(crate) fn run(&self, point: &[Value], tangents: &[Value]) -> Vector {
        Vector(self.product.run(point.iter().chain(tangents).cloned(), 0))
    }
}

/// Tangents of these tensors.
fn tangents_of(graph: &mut Graph, tensors: &[NodeId]) -> Vec<NodeId> {
    let mut tangents = Vec::with_capacity(tensors.len());
    for &tensor in tensors {
        let (shape, dtype) = (graph.shape(tensor).to_vec(), graph.dtype(tensor));
        tangents.push(graph.input(&shape, dtype));
    }
    tangents
}

fn forward(graph: &mut Graph, output: NodeId, parameters: &[NodeId]) -> Result<(Vec<NodeId>, Vec<NodeId>), GraphError> {
    let tangents = tangents_of(graph, parameters);
    let moves: Vec<_> = parameters.iter().copied().zip(tangents.iter().copied()).collect();
    let moved = jvp(graph, &[output], &moves)?[0];
    let moved = moved.unwrap_or_else(|| graph.zeros_like(output));
    Ok((tangents, vec![moved]))
}

fn reverse(graph: &mut Graph, output: NodeId, parameters: &[NodeId]) -> Result<(Vec<NodeId>, Vec<NodeId>), GraphError> {
    let cotangent = tangents_of(graph, &[output]);
    let found = vjp(graph, &[(output, cotangent[0])], parameters)?;
    let found = found.into_iter().zip(parameters);
    let nodes = found.map(|(node, &like)| node.unwrap_or_else(|| graph.zeros_like(like))).collect();
    Ok((cotangent, nodes))
}

fn gauss_newton(
    graph: &mut Graph,
    loss: NodeId,
    output: NodeId,
    parameters: &[NodeId],
) -> Result<(Vec<NodeId>, Vec<NodeId>), GraphError> {
    let tangents = tangents_of(graph, parameters);
    let mut moves: Vec<_> = parameters.iter().copied().zip(tangents.iter().copied()).collect();
    let moved = jvp(graph, &[output], &moves)?[0];
    // The loss as a function of an output that is free, and of the parameters beside it.
    let free = tangents_of(graph, &[output])[0];
    let loss = in_place_of(graph, &[loss], output, free)?[0];
    let variables = [&[free], parameters].concat();
    let gradients = gradient_nodes(graph, loss, [variables.as_slice()].into_iter())?.concat();
    moves.extend(moved.map(|moved| (free, moved)));
    let changes = jvp(graph, &gradients, &moves)?;
    // They are those at the output that the parameters have.
    let known: Vec<NodeId> = changes.iter().flatten().copied().collect();
    let mut at_output = in_place_of(graph, &known, free, output)?.into_iter();
    let changes: Vec<Option<NodeId>> =
        changes.into_iter().map(|change| change.and_then(|_| at_output.next())).collect();
    let through = match changes[0] {
        Some(change) => vjp(graph, &[(output, change)], parameters)?,
        None => vec![None; parameters.len()],
    };
    let mut nodes = Vec::with_capacity(parameters.len());
    for ((through, beside), &like) in through.into_iter().zip(&changes[1..]).zip(parameters) {
        nodes.push(match (through, *beside) {
            (Some(through), Some(beside)) => graph.add(through, beside)?,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => graph.zeros_like(like),
        });
    }
    Ok((tangents, nodes))
}

/// These nodes with another node in the place of `node`, computed again as far as they depend on it.
fn in_place_of(graph: &mut Graph, nodes: &[NodeId], node: NodeId, other: NodeId) -> Result<Vec<NodeId>, GraphError> {
    let depends = dependents(graph, &[node]);
    let source = graph.clone();
    let mut images: HashMap<NodeId, NodeId> =
        source.ids().filter(|id| !depends[id.index()]).map(|id| (id, id)).collect();
    images.insert(node, other);
    replay(graph, &source, nodes, &images)
}
