//! Chains against the same plans, one kernel after the other.

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_dispatch::{BackendTensor, DispatchTensorKind};
use proptest::prelude::*;

use super::{Chain, Instruction, Kernel};
use crate::execute::{Program, Value};
use crate::graph::{Binary, Graph, NodeId, Op, Range, Scalar, Unary, WithScalar};

/// Operations that are rounded alike wherever they are computed. Functions are Burn's where they stand alone and see a view.
const UNARY: [Unary; 5] = [
    Unary::Neg,
    Unary::Relu,
    Unary::Sqrt,
    Unary::Recip,
    // Burn computes this one.
    Unary::Abs,
];
const BINARY: [Binary; 6] = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Gate, Binary::Rem];
const WITH: [WithScalar; 4] = [WithScalar::Add, WithScalar::Mul, WithScalar::Div, WithScalar::Pow];

/// A plan of operations chosen by numbers, some of them views, sums and products between the others.
fn graph(shape: [usize; 3], dtype: DType, choices: &[(usize, usize, usize)]) -> (Graph, Vec<NodeId>, Vec<NodeId>) {
    let mut graph = Graph::new();
    let [a, b, c] = shape;
    let inputs = vec![
        graph.input(&shape, dtype),
        graph.input(&shape, dtype),
        graph.input(&[1, b, 1], dtype),
        graph.input(&[1, 1, c], dtype),
        graph.input(&[c, b, a], dtype),
        graph.input(&[a, b, 2 * c], dtype),
    ];
    let mut values = inputs[..2].to_vec();
    values.push(graph.expand(inputs[2], &shape).expect("it has one of each other size"));
    values.push(graph.expand(inputs[3], &shape).expect("it has one of each other size"));
    values.push(graph.permute(inputs[4], &[2, 1, 0]).expect("an order"));
    let parts = [(0, a, 1), (0, b, 1), (1, 2 * c, 2)].map(|(start, end, step)| Range { start, end, step });
    values.push(graph.slice(inputs[5], &parts).expect("every other column"));
    values.push(graph.push(Op::Flip(vec![0, 2]), &inputs[1..2]).expect("two axes"));
    for &(op, x, y) in choices {
        let (x, y) = (values[x % values.len()], values[y % values.len()]);
        let made = match op % 16 {
            of @ 0..5 => graph.push(Op::Unary(UNARY[of]), &[x]),
            of @ 5..11 => graph.push(Op::Binary(BINARY[of - 5]), &[x, y]),
            of @ 11..15 => {
                let number = if of == 14 { 2.0 } else { 0.3 };
                graph.push(Op::WithScalar(WITH[of - 11], Scalar::Float(number)), &[x])
            }
            _ => {
                let sum = graph.sum(x, &[1]).expect("an axis");
                graph.expand(sum, &shape)
            }
        };
        values.push(made.expect("floats of one shape"));
    }
    // The last ones, and one that others read as well.
    let outputs = values.iter().rev().take(3).chain(&values[values.len() / 2..][..1]).copied().collect();
    (graph, inputs, outputs)
}

fn given(graph: &Graph, inputs: &[NodeId]) -> Vec<Value> {
    let value = |(seed, &input): (usize, &NodeId)| {
        let shape = graph.shape(input).to_vec();
        let count: usize = shape.iter().product();
        let numbers: Vec<f64> = (0..count).map(|i| ((i * (seed + 3)) as f64 * 0.37).sin() * 2.0).collect();
        Value::from_data(TensorData::new(numbers, shape).convert_dtype(graph.dtype(input)), &Device::flex())
    };
    inputs.iter().enumerate().map(value).collect()
}

fn bits(values: &[Value]) -> Vec<Vec<u64>> {
    let of = |value: &Value| {
        let numbers = value.to_vec().expect("host memory");
        numbers.into_iter().map(|x| if x.is_nan() { 1 } else { x.to_bits() }).collect()
    };
    values.iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_plan_has_the_bits_of_its_kernels(
        shape in prop::sample::select(vec![[2, 3, 5], [1, 1, 16_384], [16_384, 1, 1], [32, 16, 33], [3, 190, 31]]),
        dtype in prop::sample::select(vec![DType::F32, DType::F64, DType::F16]),
        choices in prop::collection::vec((0_usize..1000, 0_usize..1000, 0_usize..1000), 2..40),
    ) {
        let (graph, inputs, outputs) = graph(shape, dtype, &choices);
        let program = Program::new(&graph, &inputs, &outputs, &Device::flex());
        let shared = given(&graph, &inputs);
        let before = bits(&shared);
        let expected = bits(&program.run_seeing(shared.iter().cloned(), 0, Some(&mut |_, _| {})));
        // Inputs that others have stay what they are; those that nobody has are written over.
        prop_assert!(bits(&program.run(shared.iter().cloned(), 0)) == expected, "{:?}", program);
        prop_assert!(bits(&shared) == before);
        prop_assert!(bits(&program.run(given(&graph, &inputs), 0)) == expected);
    }
}

#[test]
fn a_chain_is_one_pass_and_holds_what_others_read() {
    let mut graph = Graph::new();
    let (x, scale) = (graph.input(&[128, 128], DType::F32), graph.input(&[128, 128], DType::F32));
    let scaled = graph.mul(x, scale).expect("floats");
    let shifted = graph.add_scalar(scaled, 1.0).expect("floats");
    let positive = graph.push(Op::Unary(Unary::Relu), &[shifted]).expect("floats");
    let root = graph.sqrt(positive).expect("floats");
    let program = Program::new(&graph, &[x, scale], &[root, scaled], &Device::flex());
    assert_eq!((program.len(), program.passes(), program.peak()), (4, 1, 4 * 4 * 128 * 128));
}

#[test]
fn a_view_that_runs_backwards_is_copied_once_and_leaves_the_chain_whole() {
    let kernel = |op: Op| Kernel::Node { op, shape: vec![64, 256], dtype: DType::F32 };
    let members = [
        Instruction { kernel: kernel(Op::Binary(Binary::Mul)), inputs: vec![0, 1], last: vec![false, true], output: 2 },
        Instruction { kernel: kernel(Op::Unary(Unary::Neg)), inputs: vec![2], last: vec![true], output: 3 },
        Instruction { kernel: kernel(Op::Binary(Binary::Add)), inputs: vec![3, 0], last: vec![true, false], output: 4 },
    ];
    let chain = Chain::of(&members).expect("all are steps");
    let numbers: Vec<f32> = (0..64 * 256).map(|i| (i as f32 * 0.37).sin()).collect();
    let x = Tensor::<2>::from_data(TensorData::new(numbers, [64, 256]), &Device::flex());
    let expected = -(x.clone().flip([0, 1]) * x.clone()) + x.clone().flip([0, 1]);
    let expected: Vec<f32> = expected.into_data().iter::<f32>().collect();
    let mut slots =
        vec![Some(Value::from_tensor(x.clone().flip([0, 1]))), Some(Value::from_tensor(x)), None, None, None];
    assert!(chain.run(&mut slots), "it runs as a whole");
    let found = slots[4].as_ref().expect("it is written").to_data().expect("host memory");
    assert_eq!(found.iter::<f32>().collect::<Vec<f32>>(), expected);
    // What others read later is the copy.
    let Some(Value(kept)) = &slots[0] else { unreachable!("it was not the last use") };
    let DispatchTensorKind::Flex(BackendTensor::Float(kept)) = &kept.kind else { unreachable!("a float on the CPU") };
    assert!(kept.layout().strides().iter().all(|&stride| stride > 0));
}
