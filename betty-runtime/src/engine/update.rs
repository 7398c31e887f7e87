//! One optimizer step of one level as a program, clipping before and projection after it included.

use burn::tensor::DType;

use crate::config::{Clip, LevelConfig};
use crate::execute::{Program, Value, Vector};
use crate::graph::{Graph, GraphError, NodeId, WithScalar};
use crate::optimizer::{Optimizer, UpdateInputs, bound, norm_ball};
use crate::trace::Leaf;

/// The planned update of a level's parameters.
pub(super) struct Update {
    optimizer: Box<dyn Optimizer>,
    program: Program,
    parameters: usize,
    dtype: DType,
}

impl Update {
    /// Plans the update. Inputs: all parameters, all gradients, all states, the learning rate, the scalars.
    pub(super) fn new(parameters: &[&Leaf], config: &LevelConfig) -> Result<Self, GraphError> {
        let optimizer = config.optimizer.build();
        let mut graph = Graph::new();
        let like = |graph: &mut Graph, leaf: &Leaf| graph.input(&leaf.value.shape(), leaf.value.dtype());
        let thetas: Vec<NodeId> = parameters.iter().map(|leaf| like(&mut graph, leaf)).collect();
        let gradients: Vec<NodeId> = parameters.iter().map(|leaf| like(&mut graph, leaf)).collect();
        let per_parameter = optimizer.states();
        let repeated = parameters.iter().flat_map(|leaf| std::iter::repeat_n(leaf, per_parameter));
        let states: Vec<NodeId> = repeated.map(|leaf| like(&mut graph, leaf)).collect();
        let dtype = parameters[0].value.dtype();
        let learning_rate = graph.input(&[1], dtype);
        let scalars: Vec<NodeId> = optimizer.scalars(1).iter().map(|_| graph.input(&[1], dtype)).collect();
        let inputs = graph.inputs().to_vec();

        let gradients = clip(&mut graph, &gradients, config.clip)?;
        let (mut moved, mut kept) = (Vec::new(), Vec::new());
        for (i, (&parameter, &gradient)) in thetas.iter().zip(&gradients).enumerate() {
            let states = &states[i * per_parameter..(i + 1) * per_parameter];
            let inputs = UpdateInputs { parameter, gradient, states, learning_rate, scalars: &scalars };
            let updated = optimizer.update(&mut graph, &inputs)?;
            moved.push(updated.parameter);
            kept.extend(updated.states);
        }
        if let Some(set) = &config.project {
            moved = set.project(&mut graph, &moved)?;
        }
        moved.extend(kept);
        let device = parameters[0].value.device();
        let program = Program::new(&graph, &inputs, &moved, &device);
        Ok(Update { optimizer, program, parameters: parameters.len(), dtype })
    }

    /// Zeros for every state of every parameter.
    pub(super) fn initial_states<'a>(&self, parameters: impl Iterator<Item = &'a Value>) -> Vec<Value> {
        use crate::linalg::InnerProductSpace;
        let per_parameter = self.optimizer.states();
        let zeros = parameters.flat_map(|parameter| Vector(vec![parameter.clone(); per_parameter]).zero().0);
        zeros.collect()
    }

    /// The parameters and states after step number `step` (counted from 1). Memory of the arguments is reused.
    pub(super) fn run(
        &self,
        parameters: Vec<Value>,
        gradient: Vector,
        states: Vec<Value>,
        learning_rate: f64,
        step: u64,
    ) -> (Vec<Value>, Vec<Value>) {
        let device = self.program.device();
        let numbers = std::iter::once(learning_rate).chain(self.optimizer.scalars(step));
        let numbers: Vec<Value> = numbers.map(|number| Value::scalar(number, self.dtype, device)).collect();
        let inputs = parameters.into_iter().chain(gradient.0).chain(states).chain(numbers);
        let mut moved = self.program.run(inputs, 0);
        let states = moved.split_off(self.parameters);
        (moved, states)
    }
}

/// Gradients limited by value, or all together by their common norm: `g · min(1, limit / ‖g‖)`.
fn clip(graph: &mut Graph, gradients: &[NodeId], clip: Option<Clip>) -> Result<Vec<NodeId>, GraphError> {
    match clip {
        None => Ok(gradients.to_vec()),
        Some(Clip::Norm(limit)) => norm_ball(graph, gradients, limit),
        Some(Clip::Value(limit)) => gradients
            .iter()
            .map(|&gradient| {
                let above = bound(graph, gradient, WithScalar::ClampMin, -limit)?;
                bound(graph, above, WithScalar::ClampMax, limit)
            })
            .collect(),
    }
}
