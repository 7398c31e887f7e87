//! Every operation in the catalogue is recorded by an example, imported, executed and differentiated twice.
//!
//! An example is recorded in two ways. Without autodiff Burn records the operations of a layer whole; through autodiff,
//! as a loss is, some arrive in pieces, and Burn's backward pass is recorded behind them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod backend;
mod document;
mod examples;
mod rounded;
mod values;

use std::collections::{BTreeSet, HashMap};

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};

use burn_capture::CaptureClient;
use burn_dispatch::{BackendTensor, DispatchTensorKind};
use burn_ir::{CustomOpIr, DistributedOperationIr, OperationIr, TensorIr};
use burn_router::RouterClient;

use super::catalogue::{Derivative, OPERATIONS};
use super::import;
use crate::execute::{Program, Value};
use crate::graph::{Graph, NodeId, Op, jvp, vjp};
use crate::trace::recorded::tensor_id;
use crate::trace::{AnyBatch, TraceError, trace};
use examples::{EXAMPLES, WHOLE_ONLY};

/// A function of one list of floats.
pub(super) type Example = fn(Tensor<1>) -> Tensor<1>;

/// How many floats an example is given.
const SIZE: usize = 48;

fn floats(values: &[f64], dtype: DType, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (device, dtype))
}

/// Distinct values between 0.1 and 1.1 in a fixed disorder.
fn point() -> Vec<f64> {
    (0..SIZE).map(|k| 0.1 + ((k * 29 + 7) % SIZE) as f64 / SIZE as f64).collect()
}

/// An example recorded without autodiff, its input and output, and what Burn recorded.
fn recorded_whole(example: Example, dtype: DType) -> (Graph, NodeId, NodeId, BTreeSet<&'static str>) {
    recorded(example, SIZE, dtype, Device::clone)
}

/// A function of so many floats as it is recorded on what `on` makes of a capture device.
fn recorded(
    example: impl Fn(Tensor<1>) -> Tensor<1>,
    size: usize,
    dtype: DType,
    on: fn(&Device) -> Device,
) -> (Graph, NodeId, NodeId, BTreeSet<&'static str>) {
    let device = Device::capture();
    let mut ids = None;
    let captured = device.capture_scope(|scope| {
        let x = floats(&vec![0.0; size], dtype, &on(&device));
        let input = tensor_id(&x.clone().into_dispatch()).unwrap();
        let output = tensor_id(&example(x).into_dispatch()).unwrap();
        ids = Some((input, output));
        scope.complete([input], [output])
    });
    let (input, output) = ids.unwrap();
    let mut graph = Graph::new();
    let x = graph.input(&[size], dtype);
    let mut nodes = HashMap::from([(input, x)]);
    let operations = import(&mut graph, &mut nodes, &captured.unwrap(), false, "example").unwrap().operations;
    (graph, x, nodes[&output], operations)
}

/// The value `f` of an example, the gradient of `½ Σ f²`, and its derivative along a tangent, from a point and the tangent.
fn derived(example: Example, dtype: DType) -> Program {
    let (mut g, x, y, _) = recorded_whole(example, dtype);
    let tangent = g.input(&[SIZE], dtype);
    let loss = g.dot(y, y).unwrap();
    let half = g.full_like(loss, 0.5);
    let gradient = vjp(&mut g, &[(loss, half)], &[x]).unwrap()[0].unwrap_or_else(|| g.zeros_like(x));
    let product = jvp(&mut g, &[gradient], &[(x, tangent)]).unwrap()[0].unwrap_or_else(|| g.zeros_like(x));
    Program::new(&g, &[x, tangent], &[y, gradient, product], &Device::flex())
}

/// A direction in which examples are moved.
fn direction() -> Vec<f64> {
    (0..SIZE).map(|k| ((k * 17 + 3) % 11) as f64 / 11.0 - 0.4).collect()
}

fn run(program: &Program, at: &[f64], along: &[f64], dtype: DType) -> Vec<Vec<f64>> {
    let inputs = [at, along].map(|values| Value::from_tensor(floats(values, dtype, &Device::flex())));
    program.run(inputs, 0).iter().map(|value| value.to_vec().unwrap()).collect()
}

/// The largest difference, relative to the largest value, at least 1.
fn apart(x: &[f64], y: &[f64]) -> f64 {
    let largest = x.iter().chain(y).fold(1.0_f64, |largest, value| largest.max(value.abs()));
    x.iter().zip(y).map(|(x, y)| (x - y).abs() / largest).fold(0.0, f64::max)
}

#[test]
fn whole_operations_have_burns_values_and_exact_derivatives() {
    for (name, example) in EXAMPLES.iter().chain(WHOLE_ONLY) {
        let program = derived(*example, DType::F64);
        let (at, u, device) = (point(), direction(), Device::flex());
        let run = |at: &[f64]| run(&program, at, &u, DType::F64);
        let here = run(&at);
        let eager: Vec<f64> = example(floats(&at, DType::F64, &device)).into_data().iter::<f64>().collect();
        assert!(apart(&here[0], &eager) <= 1e-6, "{name}: {:?} {eager:?}", here[0]);
        let h = 1e-4;
        let moved: Vec<Vec<Vec<f64>>> = [1.0, -1.0, 2.0, -2.0]
            .map(|steps| run(&at.iter().zip(&u).map(|(x, u)| x + steps * h * u).collect::<Vec<f64>>()))
            .to_vec();
        let differences: Vec<f64> = (0..SIZE)
            .map(|i| {
                let of = |k: usize| moved[k][1][i];
                (8.0 * (of(0) - of(1)) - (of(2) - of(3))) / (12.0 * h)
            })
            .collect();
        assert!(apart(&here[2], &differences) <= 1e-8, "{name}: {:?} {differences:?}", here[2]);
        let value = |k: usize| moved[k][0].iter().map(|y| 0.5 * y * y).sum::<f64>();
        let slope = (8.0 * (value(0) - value(1)) - (value(2) - value(3))) / (12.0 * h);
        let along: f64 = here[1].iter().zip(&u).map(|(g, u)| g * u).sum();
        assert!(apart(&[slope], &[along]) <= 1e-8, "{name}: {slope} {along}");
    }
}

#[test]
fn every_operation_computes_and_differentiates_in_every_float_type() {
    // An example is about ten operations, some of them sums and differences that cancel a digit.
    for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 2e-2), (DType::BF16, 1e-1)] {
        for (name, example) in EXAMPLES.iter().chain(WHOLE_ONLY) {
            if *name == "steps" && dtype == DType::BF16 {
                // Its own products round over a jump.
                continue;
            }
            // Where a function jumps, both sides have to stand at the same point.
            let [at, along] = [point(), direction()]
                .map(|x| floats(&x, dtype, &Device::flex()).into_data().iter::<f64>().collect::<Vec<f64>>());
            let found = run(&derived(*example, dtype), &at, &along, dtype);
            let truth = run(&derived(*example, DType::F64), &at, &along, DType::F64);
            for (what, (found, truth)) in ["value", "gradient", "product"].iter().zip(found.iter().zip(&truth)) {
                let difference = apart(found, truth);
                assert!(difference <= tolerance, "{name}, {what} in {dtype:?}: {difference:.1e}");
            }
        }
    }
}

#[test]
fn what_has_no_rule_is_named() {
    let refusal = |register: fn(&CaptureClient, TensorIr)| {
        let device = Device::capture();
        let captured = device.capture_scope(|scope| {
            let x = floats(&[0.0; SIZE], DType::F64, &device).into_dispatch();
            let id = tensor_id(&x).unwrap();
            if let DispatchTensorKind::Capture(BackendTensor::Float(x)) = x.kind {
                register(&x.client.clone(), x.into_ir());
            }
            scope.complete([id], [])
        });
        import(&mut Graph::new(), &mut HashMap::new(), &captured.unwrap(), false, "example").err().unwrap().to_string()
    };
    let text = refusal(|client, _| {
        client.register_op(OperationIr::Distributed(DistributedOperationIr::SyncCollective));
    });
    assert!(text.contains("`Distributed::SyncCollective`") && text.contains("outside of the loss"), "{text}");
    let text = refusal(|client, x| {
        let out = TensorIr::uninit(client.create_empty_handle(), x.shape.clone(), x.dtype);
        client.register_op(OperationIr::Custom(CustomOpIr::new("mystery", &[x], &[out])));
    });
    assert!(text.contains("`mystery`"), "{text}");
}

#[test]
fn an_image_that_burns_autodiff_cannot_sample_is_named() {
    let (name, nearest) = WHOLE_ONLY[0];
    let parameter = Param::from_tensor(floats(&point(), DType::F32, &Device::flex()));
    let traced = trace(name, &AnyBatch::new(()), |tracer| nearest(tracer.module(0, &parameter).val()).sum());
    let error = traced.err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, TraceError::Unsupported { .. }), "{text}");
    assert!(text.contains("`grid_sample_2d (not bilinear)`") && text.contains("gather"), "{text}");
}

#[test]
fn every_operation_has_an_example_or_is_listed_as_missing() {
    let mut seen = BTreeSet::new();
    for (name, example) in EXAMPLES {
        seen.extend(recorded_whole(*example, DType::F64).3);
        let parameter = Param::from_tensor(floats(&point(), DType::F64, &Device::flex()));
        let traced =
            trace(name, &AnyBatch::new(()), |tracer| example(tracer.module(0, &parameter).val()).powi_scalar(2).sum());
        seen.extend(traced.unwrap_or_else(|error| panic!("{name}: {error}")).operations);
    }
    let listed = |missing: bool| -> BTreeSet<&'static str> {
        let of = OPERATIONS.iter().filter(|entry| (entry.derivative == Derivative::Missing) == missing);
        of.map(|entry| entry.name).collect()
    };
    let without: Vec<_> = listed(false).difference(&seen).copied().collect();
    // Burn's recorder answers these two with comparisons, whoever asks.
    assert_eq!(without, ["Float::IsInf", "Float::IsNan"]);
    assert!(listed(true).is_disjoint(&seen));
}
