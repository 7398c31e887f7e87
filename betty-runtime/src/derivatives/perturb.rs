//! Gradients at perturbed parameters, with stopped values and random draws held at the unperturbed point.
//!
//! A difference of gradients `∇_λ c(θ + εv) − ∇_λ c(θ − εv)` approximates a derivative only of what a derivative sees: a
//! value behind `stop_gradient` must not move with `θ`, and both sides must see the same dropout mask. On a static graph
//! both are a matter of which copy of a node is read.

use std::collections::HashMap;

use burn::tensor::Device;

use super::loss::{Loss, gradient_nodes};
use crate::execute::{Program, Value, Vector};
use crate::graph::{GraphError, NodeId, Op, dependents, replay};

/// A program for `∇_λ c` at parameters `θ'` beside the unperturbed `θ`.
pub struct Perturbation {
    program: Program,
    counts: Vec<usize>,
}

impl Perturbation {
    pub(super) fn new(loss: &Loss, level: usize, into: &[usize], device: &Device) -> Result<Self, GraphError> {
        let mut graph = loss.trace().graph.clone();
        let parameters = loss.parameters(level).to_vec();
        let groups = into.iter().map(|&of| loss.parameters(of));
        let gradients = gradient_nodes(&mut graph, loss.trace().loss, groups)?;
        let moving = dependents(&graph, &parameters);
        let source = graph.clone();
        // What does not move, and what is held, is read where it is; the rest is computed again from θ'.
        let held = |id: &NodeId| !moving[id.index()] || source.node(*id).op == Op::StopGradient;
        let mut replaced: HashMap<NodeId, NodeId> = source.ids().filter(held).map(|id| (id, id)).collect();
        let mut inputs = loss.input_nodes();
        for &node in &parameters {
            let (shape, dtype) = (graph.shape(node).to_vec(), graph.dtype(node));
            let perturbed = graph.input(&shape, dtype);
            replaced.insert(node, perturbed);
            inputs.push(perturbed);
        }
        let flat: Vec<NodeId> = gradients.iter().flatten().copied().collect();
        let outputs = replay(&mut graph, &source, &flat, &replaced)?;
        let program = Program::new(&graph, &inputs, &outputs, device);
        Ok(Perturbation { program, counts: gradients.iter().map(Vec::len).collect() })
    }

    /// `∇_λ c` at `perturbed`; `inputs` are the loss's inputs at the unperturbed point.
    pub fn run(&self, inputs: &[Value], perturbed: &Vector, seed: u64) -> Vec<Vector> {
        let mut outputs = self.program.run(inputs.iter().chain(&perturbed.0).cloned(), seed).into_iter();
        self.counts.iter().map(|&count| Vector(outputs.by_ref().take(count).collect())).collect()
    }
}
