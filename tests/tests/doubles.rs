//! A device whose default float is double: losses that make tensors of the default type are recorded in that type.
//!
//! A device's defaults are set once a process, so this is a test program of its own.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{NodeId, jvp, vjp};
use betty_runtime::trace::{AnyBatch, LevelModule, trace};
use betty_tests::models::Recurrent;
use burn::tensor::{DType, Device, Distribution, FloatDType, Int, Tensor, TensorData};

fn host(values: &[Value]) -> Vec<f64> {
    values.iter().flat_map(|value| value.to_vec().unwrap()).collect()
}

/// `‖x − y‖` relative to the larger norm.
fn distance(x: &[f64], y: &[f64]) -> f64 {
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let gap: Vec<f64> = x.iter().zip(y).map(|(x, y)| x - y).collect();
    norm(&gap) / norm(x).max(norm(y))
}

#[test]
fn an_lstm_runs_in_double_precision() {
    let mut device = Device::flex();
    device.configure(FloatDType::F64).unwrap();
    let net = Recurrent::new(4, 6, 3, &device);
    let batch = (
        Tensor::<3>::random([3, 5, 4], Distribution::Normal(0.0, 1.0), &device),
        Tensor::<1, Int>::from_ints([0, 2, 1], &device),
    );
    assert_eq!(batch.0.dtype(), DType::F64);
    let any = AnyBatch::new(batch);
    let mut traced = trace("lstm", &any, |tracer| tracer.module(0, &net).loss(tracer.batch())).unwrap();
    let floats = |id: &NodeId| traced.graph.dtype(*id).is_float();
    assert!(traced.graph.ids().filter(floats).all(|id| traced.graph.dtype(id) == DType::F64));

    let leaves = net.leaves();
    let theta: Vec<NodeId> = traced.burn_gradients.iter().map(|&(of, _)| of).collect();
    assert_eq!(theta.len(), leaves.len());
    let burn: Vec<NodeId> = traced.burn_gradients.iter().map(|&(_, gradient)| gradient).collect();
    let given: Vec<NodeId> = traced.inputs.iter().map(|&(_, node)| node).collect();
    let g = &mut traced.graph;
    let one = g.full(&[1], DType::F64, 1.0);
    let gradient: Vec<NodeId> =
        vjp(g, &[(traced.loss, one)], &theta).unwrap().into_iter().map(Option::unwrap).collect();
    // Along the parameters themselves.
    let moves: Vec<(NodeId, NodeId)> = theta.iter().map(|&leaf| (leaf, leaf)).collect();
    let product: Vec<NodeId> = jvp(g, &gradient, &moves).unwrap().into_iter().map(Option::unwrap).collect();
    let outputs = [gradient.clone(), burn, product].concat();
    let program = Program::new(g, &given, &outputs, &device);
    let run = |scale: f64| -> Vec<Vec<f64>> {
        let scaled = leaves.iter().map(|leaf| {
            let values: Vec<f64> = leaf.value.to_vec().unwrap().into_iter().map(|x| x * scale).collect();
            Value::from_data(TensorData::new(values, leaf.value.shape()), &device)
        });
        let values = program.run(scaled.chain(any.values().iter().cloned()), 1);
        values.chunks(gradient.len()).map(host).collect()
    };
    let (at, h) = (run(1.0), 1e-4);
    assert!(distance(&at[0], &at[1]) <= 1e-12, "our gradient is Burn's");
    let (one, back, two, back_two) = (run(1.0 + h), run(1.0 - h), run(1.0 + 2.0 * h), run(1.0 - 2.0 * h));
    let differences: Vec<f64> = (0..at[0].len())
        .map(|i| (8.0 * (one[0][i] - back[0][i]) - (two[0][i] - back_two[0][i])) / (12.0 * h))
        .collect();
    assert!(distance(&at[2], &differences) <= 1e-8, "{:.1e}", distance(&at[2], &differences));
}
