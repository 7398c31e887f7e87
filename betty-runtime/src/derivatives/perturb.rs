//! Difference quotients of gradients, with stopped values and random draws held at the unperturbed point.
//!
//! The quotient of two gradients approximates a derivative only of what a derivative sees: a value behind `stop_gradient`
//! must not move with the parameters, and both sides must see the same dropout mask. On a static graph both are a matter
//! of which copy of a node is read.

use std::collections::HashMap;

use burn::tensor::Device;

use super::boundary::boundary;
use super::lagrangian::{Lagrangian, Variable};
use super::loss::gradient_nodes;
use crate::execute::{Cost, Program, Value, Vector};
use crate::graph::{GraphError, NodeId, Op, dependents, lowered, products_as_given, replay};

/// A program for derivatives of a Lagrangian where some variables have moved.
pub(super) struct Perturbation {
    /// What does not move, evaluated once for both sides of a quotient.
    held: Program,
    /// The derivatives from that and from the variables that have moved.
    moved: Program,
    /// Where the variables that move stand among the Lagrangian's inputs.
    moving: Vec<usize>,
    /// The derivatives that depend on what moves, with how many tensors each has.
    outputs: Vec<(Variable, usize)>,
}

/// What is known before anything moves.
pub(super) struct Unmoved {
    held: Vec<Value>,
    gradients: Vec<(Variable, Vector)>,
}

impl Perturbation {
    pub(super) fn new(
        lagrangian: &Lagrangian,
        moving: &[Variable],
        outputs: &[Variable],
        device: &Device,
    ) -> Result<Self, GraphError> {
        let mut graph = lagrangian.graph.clone();
        let variables = &lagrangian.variables;
        let parameters: Vec<NodeId> = moving.iter().flat_map(|variable| variables[variable].iter().copied()).collect();
        let groups = outputs.iter().map(|variable| variables[variable].as_slice());
        // Rounding products to 16 bits would change them by more than the perturbation does.
        let value = products_as_given(&mut graph, &[lagrangian.value])?[0];
        let gradients = gradient_nodes(&mut graph, value, groups)?;
        let is_moving = dependents(&graph, &parameters);
        let source = graph.clone();
        // What does not move, and what is held, is read where it is; the rest is computed again from what has moved.
        let held = |id: &NodeId| !is_moving[id.index()] || source.node(*id).op == Op::StopGradient;
        let mut replaced: HashMap<NodeId, NodeId> = source.ids().filter(held).map(|id| (id, id)).collect();
        let inputs = lagrangian.input_nodes();
        let positions = parameters.iter().filter_map(|node| inputs.iter().position(|input| input == node)).collect();
        let mut perturbed = Vec::with_capacity(parameters.len());
        for &node in &parameters {
            let (shape, dtype) = (graph.shape(node).to_vec(), graph.dtype(node));
            perturbed.push(graph.input(&shape, dtype));
        }
        replaced.extend(parameters.iter().copied().zip(perturbed.iter().copied()));
        let mut nodes = Vec::new();
        let mut dependent = Vec::new();
        for (&output, gradient) in outputs.iter().zip(&gradients) {
            let moved = replay(&mut graph, &source, gradient, &replaced)?;
            if moved != *gradient {
                dependent.push((output, moved.len()));
                nodes.extend(moved);
            }
        }
        let nodes = lowered(&mut graph, &nodes, &[])?;
        let kept = boundary(&graph, &nodes, &perturbed);
        let held = Program::new(&graph, &inputs, &kept, device);
        let moved = Program::new(&graph, &[kept, perturbed].concat(), &nodes, device);
        Ok(Perturbation { held, moved, moving: positions, outputs: dependent })
    }

    /// The variables whose derivatives depend on what moves.
    pub(super) fn rows(&self) -> impl Iterator<Item = Variable> {
        self.outputs.iter().map(|&(variable, _)| variable)
    }

    /// What the unmoved point takes, what a moved one takes, and the bytes that the larger holds at once.
    pub(super) fn cost(&self) -> (Cost, Cost, usize) {
        let moved = self.moved.cost();
        (self.held.cost() + moved, moved, self.held.peak().max(self.moved.peak()))
    }

    /// `(∂ℓ/∂w(v + ε·t) − ∂ℓ/∂w(v − ε·t)) / 2ε`; `inputs` are the Lagrangian's inputs at the unperturbed point.
    pub(super) fn quotient(
        &self,
        inputs: &[Value],
        tangents: &[&Vector],
        epsilon: f64,
        seed: u64,
    ) -> Vec<(Variable, Vector)> {
        if self.outputs.is_empty() {
            return Vec::new();
        }
        let held = self.held.run(inputs.iter().cloned(), seed);
        let behind = self.gradients(&held, self.moved(inputs, tangents, -epsilon));
        let mut quotients = self.gradients(&held, self.moved(inputs, tangents, epsilon));
        for ((_, quotient), (_, behind)) in quotients.iter_mut().zip(&behind) {
            quotient.add_scaled(-1.0, behind);
            quotient.scale(0.5 / epsilon);
        }
        quotients
    }

    /// The point itself, by the same program as points beside it, so that their rounding errors cancel where they agree.
    pub(super) fn unmoved(&self, inputs: &[Value], seed: u64) -> Unmoved {
        if self.outputs.is_empty() {
            return Unmoved { held: Vec::new(), gradients: Vec::new() };
        }
        let held = self.held.run(inputs.iter().cloned(), seed);
        let gradients = self.gradients(&held, self.moved(inputs, &[], 0.0));
        Unmoved { held, gradients }
    }

    /// `m·(∂ℓ/∂w(v) − ∂ℓ/∂w(v − t/m))` for the multiplier `m`.
    pub(super) fn displaced(
        &self,
        unmoved: &Unmoved,
        inputs: &[Value],
        tangents: &[&Vector],
        multiplier: f64,
    ) -> Vec<(Variable, Vector)> {
        if self.outputs.is_empty() {
            return Vec::new();
        }
        let mut products = self.gradients(&unmoved.held, self.moved(inputs, tangents, -1.0 / multiplier));
        for ((_, product), (_, gradient)) in products.iter_mut().zip(&unmoved.gradients) {
            product.combine(-multiplier, multiplier, gradient);
        }
        products
    }

    /// `v + step·t`
    fn moved(&self, inputs: &[Value], tangents: &[&Vector], step: f64) -> Vector {
        let mut moved = Vector(self.moving.iter().map(|&position| inputs[position].clone()).collect());
        if step != 0.0 {
            moved.add_scaled(step, &Vector(tangents.iter().flat_map(|tangent| tangent.0.iter().cloned()).collect()));
        }
        moved
    }

    fn gradients(&self, held: &[Value], at: Vector) -> Vec<(Variable, Vector)> {
        // Every draw is held, so that the seed means nothing here.
        let mut found = self.moved.run(held.iter().cloned().chain(at.0), 0).into_iter();
        let outputs = self.outputs.iter();
        outputs.map(|&(variable, count)| (variable, Vector(found.by_ref().take(count).collect()))).collect()
    }
}
