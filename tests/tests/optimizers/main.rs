//! Every optimizer's graph against `burn-optim`, step after step, and its derivatives against closed forms and differences.

mod derivatives;
mod groups;
mod own;
mod paths;
mod projections;

use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Graph, GraphError, NodeId};
use betty_runtime::optimizer::{Coefficient, Optimizer, Sgd, UpdateInputs, Updated};
use burn::tensor::{DType, Device, TensorData};
use proptest::prelude::*;

const STEPS: usize = 6;
const SHAPE: [usize; 2] = [2, 3];

/// One step as a graph: the optimizer's inputs, and what it makes of them.
struct Step {
    graph: Graph,
    parameter: NodeId,
    gradient: NodeId,
    learning_rate: NodeId,
    inputs: Vec<NodeId>,
    updated: Updated,
}

impl Step {
    fn of(optimizer: &dyn Optimizer, dtype: DType) -> Result<Self, GraphError> {
        let mut graph = Graph::new();
        let parameter = graph.input(&SHAPE, dtype);
        let gradient = graph.input(&SHAPE, dtype);
        let states: Vec<NodeId> = (0..optimizer.states()).map(|_| graph.input(&SHAPE, dtype)).collect();
        let learning_rate = graph.input(&[1], dtype);
        let scalars: Vec<NodeId> = optimizer.scalars(1).iter().map(|_| graph.input(&[1], dtype)).collect();
        let inputs =
            UpdateInputs { parameter, gradient, states: &states, learning_rate, scalars: &scalars, learned: &[] };
        let updated = optimizer.update(&mut graph, &inputs)?;
        let inputs = graph.inputs().to_vec();
        Ok(Step { graph, parameter, gradient, learning_rate, inputs, updated })
    }

    fn program(&self, outputs: &[NodeId]) -> Program {
        Program::new(&self.graph, &self.inputs, outputs, &Device::flex())
    }
}

fn data(numbers: &[f64], dtype: DType) -> TensorData {
    TensorData::new(numbers.to_vec(), SHAPE).convert_dtype(dtype)
}

fn value(numbers: &[f64], dtype: DType) -> Value {
    Value::from_data(data(numbers, dtype), &Device::flex())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.to_vec().expect("flex is always readable")
}

/// The inputs of one step, in the order of [`Step::of`].
fn arguments(optimizer: &dyn Optimizer, step: usize, lr: f64, tensors: Vec<Value>) -> Vec<Value> {
    let dtype = tensors[0].dtype();
    let scalars = [lr].into_iter().chain(optimizer.scalars(step as u64));
    let scalars = scalars.map(|number| Value::scalar(number, dtype, &Device::flex()));
    tensors.into_iter().chain(scalars).collect()
}

/// Start, gradients of all steps, and a learning rate.
fn problem() -> impl Strategy<Value = (Vec<f64>, Vec<Vec<f64>>, f64)> {
    let numbers = || prop::collection::vec(-1.0..1.0, 6);
    (numbers(), prop::collection::vec(numbers(), STEPS), 1e-3..0.1)
}

/// Burn keeps these numbers in `f32`; sixteenths are the same in both, so that `f64` paths can agree to all digits.
fn sixteenths(range: std::ops::Range<u32>) -> impl Strategy<Value = f64> {
    range.prop_map(|n| f64::from(n) / 16.0)
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let sgd = Sgd { momentum: 0.5.into(), ..Sgd::default() };
    let mut graph = Graph::new();
    let (x, row) = (graph.input(&SHAPE, DType::F32), graph.input(&[1, 3], DType::F32));
    let one = graph.input(&[1], DType::F32);
    let fitting =
        UpdateInputs { parameter: x, gradient: x, states: &[x], learning_rate: one, scalars: &[], learned: &[] };
    assert!(sgd.update(&mut graph, &fitting).is_ok());
    let matrix = [x];
    let mut refused = |inputs| sgd.update(&mut graph, &inputs).expect_err("the inputs do not fit");
    let other_shape = refused(UpdateInputs { gradient: row, ..fitting });
    assert!(matches!(other_shape, GraphError::ShapeMismatch { .. }), "{other_shape}");
    let other_rate = refused(UpdateInputs { learning_rate: row, ..fitting });
    assert!(matches!(other_rate, GraphError::InvalidShape { .. }), "{other_rate}");
    let no_scalar = refused(UpdateInputs { scalars: &matrix, ..fitting });
    assert!(matches!(no_scalar, GraphError::InvalidShape { .. }), "{no_scalar}");
    let no_state = refused(UpdateInputs { states: &[], ..fitting });
    assert!(matches!(no_state, GraphError::InputCount { expected: 4, found: 3, .. }), "{no_state}");
    let learned = Sgd { momentum: Coefficient::Learned(1), ..sgd };
    let not_there = learned.update(&mut graph, &UpdateInputs { learned: &[one], ..fitting });
    assert!(matches!(not_there, Err(GraphError::InputCount { expected: 2, found: 1, .. })), "{not_there:?}");
}
