//! The linearization split: what a product shares with every other product is computed once.
//!
//! The Hessian-vector product `H·t` and the mixed product `(∂²c/∂λ∂θ)·t` are the change of the gradients `∇_θ c` and
//! `∇_λ c` when `θ` moves along `t` (forward over reverse). Of their graph, only the part behind `t` depends on the vector;
//! everything else is evaluated once at a point and kept.

use burn::tensor::Device;

use super::loss::{Loss, gradient_nodes};
use crate::execute::{Program, Value, Vector};
use crate::graph::{Graph, GraphError, NodeId, Op, dependents, jvp, reachable};

/// Programs for products with second derivatives at one point.
pub struct Linearization {
    point: Program,
    hessian: Program,
    mixed: Program,
    counts: Vec<usize>,
}

impl Linearization {
    pub(super) fn new(loss: &Loss, level: usize, into: &[usize], device: &Device) -> Result<Self, GraphError> {
        let mut graph = loss.trace().graph.clone();
        let parameters = loss.parameters(level).to_vec();
        let groups = std::iter::once(level).chain(into.iter().copied()).map(|of| loss.parameters(of));
        let gradients = gradient_nodes(&mut graph, loss.trace().loss, groups)?;
        let tangents: Vec<NodeId> = parameters
            .iter()
            .map(|&node| {
                let (shape, dtype) = (graph.shape(node).to_vec(), graph.dtype(node));
                graph.input(&shape, dtype)
            })
            .collect();
        let moves: Vec<(NodeId, NodeId)> = parameters.iter().copied().zip(tangents.iter().copied()).collect();
        let flat: Vec<NodeId> = gradients.iter().flatten().copied().collect();
        let products: Vec<NodeId> = jvp(&mut graph, &flat, &moves)?
            .into_iter()
            .zip(&flat)
            .map(|(product, &gradient)| product.unwrap_or_else(|| graph.zeros_like(gradient)))
            .collect();
        let (hessian, mixed) = products.split_at(parameters.len());
        let kept = boundary(&graph, &products, &tangents);
        let linear_inputs: Vec<NodeId> = kept.iter().chain(&tangents).copied().collect();
        Ok(Linearization {
            point: Program::new(&graph, &loss.input_nodes(), &kept, device),
            hessian: Program::new(&graph, &linear_inputs, hessian, device),
            mixed: Program::new(&graph, &linear_inputs, mixed, device),
            counts: gradients[1..].iter().map(Vec::len).collect(),
        })
    }

    /// Evaluates at a point what every product needs; `inputs` are the loss's inputs, in the trace's order.
    pub fn at(&self, inputs: Vec<Value>, seed: u64) -> Vec<Value> {
        self.point.run(inputs, seed)
    }

    /// `H·t` from what [`Linearization::at`] gave.
    pub fn hvp(&self, point: &[Value], tangent: &Vector) -> Vector {
        Vector(self.hessian.run(point.iter().chain(&tangent.0).cloned(), 0))
    }

    /// `(∂²c/∂λ∂θ)·t` for every upper level asked for.
    pub fn mixed(&self, point: &[Value], tangent: &Vector) -> Vec<Vector> {
        let mut products = self.mixed.run(point.iter().chain(&tangent.0).cloned(), 0).into_iter();
        self.counts.iter().map(|&count| Vector(products.by_ref().take(count).collect())).collect()
    }

    /// Kernels of one evaluation at a point, one Hessian product, and one mixed product.
    pub fn kernels(&self) -> (usize, usize, usize) {
        (self.point.len(), self.hessian.len(), self.mixed.len())
    }
}

/// The nodes on which `outputs` depend, that do not depend on `tangents` themselves but are read by a node that does.
fn boundary(graph: &Graph, outputs: &[NodeId], tangents: &[NodeId]) -> Vec<NodeId> {
    let needed = reachable(graph, outputs);
    let linear = dependents(graph, tangents);
    let mut kept = vec![false; graph.len()];
    for id in graph.ids().filter(|id| needed[id.index()]) {
        if linear[id.index()] {
            for input in &graph.node(id).inputs {
                kept[input.index()] |= !linear[input.index()];
            }
        } else if outputs.contains(&id) {
            kept[id.index()] = true;
        }
    }
    // Constants cost nothing to make again, and the planner folds them into kernels.
    graph.ids().filter(|id| kept[id.index()] && !matches!(graph.node(*id).op, Op::Full(_) | Op::Literal(_))).collect()
}
