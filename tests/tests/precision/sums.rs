//! Long sums of 16-bit numbers, wherever an operation forms one: against the same sum in double precision.

use betty_runtime::__private::graph::expand_products;
use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Convolution, Graph, NodeId, Op, Window, vjp};
use betty_runtime::nn::{BatchNorm, BatchNormConfig};
use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::model::{apart, drawn, noise, record};

/// Half of the distance from 1 to the next number: what a rounding may move a number by.
const HALVES: [(DType, f64); 2] = [(DType::F16, 1.0 / 2048.0), (DType::BF16, 1.0 / 256.0)];

/// How many terms, of about 0.36 each: bf16 stands still at 256 and f16 at 2048, and f16 ends at 65504.
const COUNT: usize = 30_000;

/// Numbers of one sign that both types hold, so that only sums are rounded.
fn positive(shape: &[usize], seed: u64) -> TensorData {
    let numbers = noise(shape.iter().product(), seed).into_iter().map(|x| (x.abs() * 64.0).ceil() / 64.0);
    TensorData::new(numbers.collect::<Vec<f64>>(), shape.to_vec())
}

/// Places below `size`, most of which are 0 or 1.
fn places(shape: &[usize], size: usize) -> TensorData {
    let places =
        (0..shape.iter().product()).map(|i: usize| if i.is_multiple_of(50) { i / 50 % size } else { i % 2 } as i64);
    TensorData::new(places.collect::<Vec<i64>>(), shape.to_vec())
}

/// What a graph computes of these inputs in a type.
fn computed(build: impl Fn(&mut Graph, &[NodeId]) -> NodeId, inputs: &[TensorData], dtype: DType) -> Vec<f64> {
    let mut graph = Graph::new();
    let data: Vec<TensorData> = inputs
        .iter()
        .map(|data| if data.dtype().is_float() { data.clone().convert_dtype(dtype) } else { data.clone() })
        .collect();
    let nodes: Vec<NodeId> = data.iter().map(|data| graph.input(&data.shape().to_vec(), data.dtype())).collect();
    let output = build(&mut graph, &nodes);
    assert_eq!(graph.dtype(output), dtype);
    let program = Program::new(&graph, &nodes, &[output], &Device::flex());
    let values = data.into_iter().map(|data| Value::from_data(data, &Device::flex()));
    program.run(values, 0)[0].to_vec().unwrap()
}

/// Every entry within four roundings of its value in double precision.
fn holds(name: &str, build: impl Fn(&mut Graph, &[NodeId]) -> NodeId, inputs: &[TensorData]) {
    let exact = computed(&build, inputs, DType::F64);
    for (dtype, half) in HALVES {
        let found = computed(&build, inputs, dtype);
        assert_eq!(found.len(), exact.len());
        for (x, y) in found.iter().zip(&exact) {
            // Below 6e-5 numbers of f16 are 6e-8 apart.
            assert!((x - y).abs() <= 4.0 * half * y.abs() + 6e-8, "{name} {dtype:?}: {x} for {y}");
        }
    }
}

fn pushed(op: Op) -> impl Fn(&mut Graph, &[NodeId]) -> NodeId {
    move |graph, inputs| graph.push(op.clone(), inputs).unwrap()
}

#[test]
fn gradients_of_what_is_read_again_and_again() {
    // Rows and entries of a table, read at places that repeat; the cotangent is the last input.
    let table = positive(&[8, 3], 1);
    let adjoint = |op: Op| {
        move |graph: &mut Graph, inputs: &[NodeId]| {
            let read = graph.push(op.clone(), &inputs[..2]).unwrap();
            vjp(graph, &[(read, inputs[2])], &inputs[..1]).unwrap()[0].unwrap()
        }
    };
    let cotangent = positive(&[COUNT, 3], 2);
    holds("select", adjoint(Op::Select(0)), &[table.clone(), places(&[COUNT], 8), cotangent.clone()]);
    holds("gather", adjoint(Op::Gather(0)), &[table, places(&[COUNT, 3], 8), cotangent]);
}

#[test]
fn products_with_one_row_or_column() {
    let transposed = |graph: &mut Graph, inputs: &[NodeId]| {
        let left = graph.transpose(inputs[0]).unwrap();
        graph.matmul(left, inputs[1]).unwrap()
    };
    for (rows, columns) in [(1, 5), (3, 1), (1, 1), (3, 5)] {
        let name = format!("{rows} by {columns}");
        let right = positive(&[COUNT, columns], 2);
        holds(&name, pushed(Op::MatMul), &[positive(&[rows, COUNT], 1), right.clone()]);
        holds(&format!("{name}, transposed"), transposed, &[positive(&[COUNT, rows], 1), right]);
        let pair = [positive(&[4, rows, COUNT], 1), positive(&[4, COUNT, columns], 2)];
        holds(&format!("{name}, batched"), pushed(Op::MatMul), &pair);
    }
}

#[test]
fn products_in_f16_with_one_row() {
    let of = |low: bool| {
        move |graph: &mut Graph, inputs: &[NodeId]| {
            let op = if low { Op::InType(DType::F16, Box::new(Op::MatMul)) } else { Op::MatMul };
            let product = graph.push(op, inputs).unwrap();
            expand_products(graph, &[product], &[]).unwrap()[0]
        }
    };
    let inputs = [positive(&[1, COUNT], 1), positive(&[COUNT, 5], 2)];
    let (found, exact) = (computed(of(true), &inputs, DType::F32), computed(of(false), &inputs, DType::F64));
    let difference = apart(&found, &exact);
    assert!(difference <= 1e-3, "{difference:.1e}");
}

fn convolution(stride: &[usize], groups: usize) -> Convolution {
    let count = stride.len();
    Convolution { stride: stride.to_vec(), padding: vec![(0, 0); count], dilation: vec![1; count], groups }
}

#[test]
fn convolutions_with_few_channels() {
    let images = |channels: usize| positive(&[2, channels, 66, 66], 1);
    let cotangent = |channels: usize| positive(&[2, channels, 64, 64], 2);
    for (name, inputs, outputs, groups) in [("3 to 4", 3, 4, 1), ("depthwise", 4, 4, 4), ("groups", 4, 8, 2)] {
        let shape = vec![outputs, inputs / groups, 3, 3];
        let op = Op::ConvWeight(convolution(&[1, 1], groups), shape);
        holds(&format!("weight, {name}"), pushed(op), &[images(inputs), cotangent(outputs)]);
    }
    // Kernels as long as a sum has to be.
    let (kernel, count) = (6_000, 3);
    for (name, inputs, outputs, groups) in [("1 to 2", 1, 2, 1), ("depthwise", 2, 2, 2)] {
        let op = Op::Conv(convolution(&[1], groups));
        let inputs = [positive(&[1, inputs, kernel + count - 1], 1), positive(&[outputs, 1, kernel], 2)];
        holds(&format!("forward, {name}"), pushed(op), &inputs);
    }
    // The transpose adds up where windows overlap.
    let (windows, kernel) = (1_000, 1_000);
    let op = Op::ConvInput(convolution(&[1], 1), vec![1, 1, windows + kernel - 1]);
    holds("adjoint", pushed(op), &[positive(&[1, 1, kernel], 1), positive(&[1, 1, windows], 2)]);
}

fn window(kernel: usize, stride: usize) -> Window {
    Window {
        kernel: vec![kernel; 2],
        stride: vec![stride; 2],
        padding: vec![0; 2],
        dilation: vec![1; 2],
        ceil: false,
        count_padding: true,
    }
}

#[test]
fn average_pools_with_large_windows() {
    holds("average", pushed(Op::AvgPool(window(112, 112))), &[positive(&[1, 2, 112, 112], 1)]);
    holds("adaptive", pushed(Op::AdaptiveAvgPool(vec![1, 1])), &[positive(&[1, 2, 112, 112], 1)]);
    // Up to 3600 windows that overlap.
    let adjoint = Op::AvgPoolAdjoint(window(60, 1), vec![1, 1, 130, 130]);
    holds("adjoint", pushed(adjoint), &[positive(&[1, 1, 71, 71], 1)]);
    // The average of one pixel 4096 times.
    let adaptive = Op::AdaptiveAvgPoolAdjoint(vec![1, 1, 1, 1]);
    holds("adaptive adjoint", pushed(adaptive), &[positive(&[1, 1, 64, 64], 1)]);
}

#[test]
fn reductions() {
    for axes in [vec![0], vec![0, 2, 3], vec![0, 1, 2, 3]] {
        holds(&format!("sum over {axes:?}"), pushed(Op::Sum(axes)), &[positive(&[20, 2, 30, 20], 1)]);
    }
    holds("running sum", pushed(Op::CumSum(0)), &[positive(&[COUNT, 2], 1)]);
    // The columns have sums of 90,000 and −89,400.
    let entries: Vec<f64> = (0..1800).map(|i| if i / 3 % 2 == 0 { 300.0 } else { -298.0 }).collect();
    holds("sum of opposites", pushed(Op::Sum(vec![0, 1])), &[TensorData::new(entries, [300, 2, 3])]);
}

#[test]
fn more_classes_than_f16_has_numbers() {
    let scores = positive(&[1, 200_000], 1);
    for op in [Op::LogSoftmax(1), Op::Softmax(1)] {
        holds(&op.name(), pushed(op.clone()), std::slice::from_ref(&scores));
    }
}

#[derive(Module, Debug)]
struct Words {
    table: Embedding,
    head: Linear,
}

#[test]
fn an_embedding_learns_frequent_words() {
    let device = Device::flex();
    let tokens: Tensor<2, Int> = Tensor::from_data(places(&[64, 128], 6), &device);
    let numbers = |dtype: DType| {
        let words = Words {
            table: EmbeddingConfig::new(6, 3).init(&device),
            head: LinearConfig::new(3, 1).with_bias(false).init(&device),
        };
        // The table first, then the head.
        let words = drawn(words, dtype);
        let of = |words: &Words, tokens| (words.head.forward(words.table.forward(tokens)) + 2.0).powi_scalar(2).mean();
        record(&words, &tokens, of).numbers(None, 1.0)
    };
    let exact = numbers(DType::F64);
    for (dtype, half) in HALVES {
        for (name, (found, exact)) in ["gradient", "Hessian"].iter().zip(numbers(dtype).iter().zip(&exact)) {
            let difference = apart(found, exact);
            // Weights, cotangents and products of some steps are rounded, about half a dozen times.
            assert!(difference <= 6.0 * half, "{name} {dtype:?}: {difference:.1e}");
        }
    }
}

/// A channel with one entry whose distance from the mean has no square in f16.
fn with_outlier(dtype: DType) -> Tensor<2> {
    let mut entries: Vec<f64> = noise(64, 3).iter().map(|x| 1.0 + x / 4.0).collect();
    entries[10] = 300.0;
    Tensor::from_data(TensorData::new(entries, [32, 2]), (&Device::flex(), dtype))
}

#[test]
fn a_batch_norm_has_a_variance_beside_an_outlier() {
    let of = |dtype: DType| {
        let norm: BatchNorm = drawn(BatchNormConfig::new(2).init(&Device::flex()), dtype);
        let recorded = record(&norm, &with_outlier(dtype), |norm, x| norm.forward(x).tanh().mean());
        let gradient = recorded.numbers(None, 1.0)[0].clone();
        // Outside of a loss, where statistics advance at once.
        let trained = norm.train();
        let normalised = trained.forward(with_outlier(dtype).autodiff()).into_data().iter::<f64>().collect();
        let statistics = [trained.running_mean.value(), trained.running_var.value()];
        let statistics = statistics.into_iter().flat_map(|x| x.into_data().iter::<f64>().collect::<Vec<_>>());
        [gradient, normalised, statistics.collect()]
    };
    let exact = of(DType::F64);
    for (dtype, half) in HALVES {
        for (name, (found, exact)) in ["gradient", "output", "statistics"].iter().zip(of(dtype).iter().zip(&exact)) {
            // The examples are rounded, and what comes of them.
            let difference = apart(found, exact);
            assert!(difference <= 4.0 * half, "{name} {dtype:?} {difference:.1e}: {found:?} for {exact:?}");
        }
    }
}

#[test]
fn a_variance_is_a_number_where_its_sum_is_none() {
    let of = |dtype: DType| {
        let entries: Vec<f64> = noise(4096, 5).iter().map(|x| (x * 640.0).round() / 64.0).collect();
        let x = Param::from_tensor(Tensor::<1>::from_data(TensorData::new(entries, [4096]), (&Device::flex(), dtype)));
        let none = Tensor::<1>::zeros([1], (&Device::flex(), dtype));
        record(&x, &none, |x, none| x.val().var(0).sqrt() + none).numbers(None, 1.0)[0].clone()
    };
    let exact = of(DType::F64);
    for (dtype, half) in HALVES {
        let difference = apart(&of(dtype), &exact);
        assert!(difference <= 4.0 * half, "{dtype:?}: {difference:.1e}");
    }
}
