//! One operation for many inputs at once, for every choice of the inputs that differ.

use std::collections::HashMap;

use betty_runtime::__private::graph::{Image, vectorize};
use betty_runtime::execute::Value;
use betty_runtime::graph::{Convolution, Distribution, Graph, GraphError, NodeId, Op, Range, Scalar, Update, Window};
use burn::tensor::{DType, Device, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::{Lanes, apart_along, count, random};

/// An input of an operation.
#[derive(Clone)]
enum Given {
    Floats(Vec<usize>),
    /// Indices below a bound.
    Indices(Vec<usize>, usize),
    /// Truth values.
    Mask(Vec<usize>),
}

use Given::{Floats, Indices, Mask};

fn floats<const D: usize>(shape: [usize; D]) -> Given {
    Floats(shape.to_vec())
}

/// Checks `op` where every subset of its inputs differs from lane to lane.
#[track_caller]
fn check(op: Op, given: &[Given]) {
    let mut rng = StdRng::seed_from_u64(23);
    let mut graph = Graph::new();
    let (mut inputs, mut arguments, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for each in given {
        let (shape, numbers, dtype) = match each {
            Floats(shape) => (shape, random(count(shape), &mut rng), DType::F64),
            // Distinct along the last dimension, so that updates there write to no entry twice.
            Indices(shape, bound) => {
                let last = shape.len() - 1;
                let indices = apart_along(shape, last, *bound, &mut rng);
                (shape, indices.into_iter().map(|i| i as f64).collect(), DType::I64)
            }
            Mask(shape) => {
                let bits = random(count(shape), &mut rng).into_iter().map(|x| f64::from(u8::from(x > 0.0)));
                (shape, bits.collect(), DType::I64)
            }
        };
        let input = graph.input(shape, dtype);
        inputs.push(input);
        arguments.push(match each {
            Mask(_) => graph.cast(input, DType::Bool(burn::tensor::BoolStore::Native)).unwrap(),
            _ => input,
        });
        let data = TensorData::new(numbers, shape.clone()).convert_dtype(dtype);
        values.push(Value::from_data(data, &Device::flex()));
    }
    let name = format!("{op:?}");
    let output = graph.push(op, &arguments).unwrap();
    let lanes = Lanes::new(&graph, &inputs, &[vec![output]], values);
    for subset in 0..1 << inputs.len() {
        lanes.check(&name, 1e-13, |i| subset >> i & 1 == 1);
    }
}

#[test]
fn where_and_dimensions() {
    check(Op::Where, &[Mask(vec![2, 3]), floats([2, 3]), floats([2, 3])]);
    check(Op::Concat(1), &[floats([2, 3]), floats([2, 1]), floats([2, 2])]);
    check(Op::Concat(0), &[Mask(vec![2, 3]), Mask(vec![1, 3])]);
    let ranges = vec![Range::full(3), Range { start: 1, end: 5, step: 2 }];
    check(Op::Slice(ranges.clone()), &[floats([3, 5])]);
    check(Op::SliceAssign(ranges), &[floats([3, 5]), floats([3, 2])]);
    check(Op::Permute(vec![2, 0, 1]), &[floats([2, 3, 4])]);
    check(Op::Expand(vec![2, 3, 4]), &[floats([2, 1, 4])]);
    check(Op::Reshape(vec![4, 1, 6]), &[floats([2, 3, 4])]);
    check(Op::Flip(vec![0, 2]), &[floats([2, 3, 4])]);
}

#[test]
fn reductions_and_orders() {
    for axis in 0..3 {
        let ops = [
            Op::Sum(vec![axis]),
            Op::ArgMax(axis),
            Op::ArgMin(axis),
            Op::CumSum(axis),
            Op::CumArgMax(axis),
            Op::CumArgMin(axis),
            Op::ArgSort { axis, descending: axis == 1 },
            Op::ArgTopK { axis, count: 2 },
            Op::LogSoftmax(axis),
            Op::Softmax(axis),
        ];
        for op in ops {
            check(op, &[floats([3, 2, 4])]);
        }
    }
    check(Op::Sum(vec![0, 1, 2]), &[floats([3, 2, 4])]);
    check(Op::Normalize { epsilon: Scalar::Float(0.1) }, &[floats([5])]);
    check(Op::Deviation { epsilon: Scalar::Float(0.1) }, &[floats([2, 5])]);
}

#[test]
fn reading_and_writing_at_indices() {
    for axis in 0..3 {
        let mut shape = vec![4, 5, 6];
        shape[axis] = 3;
        let size = 7;
        let mut whole = shape.clone();
        whole[axis] = size;
        check(Op::Gather(axis), &[Floats(whole.clone()), Indices(shape.clone(), size)]);
        check(Op::ScatterAdd { axis, size }, &[Indices(shape.clone(), size), Floats(shape.clone())]);
        check(Op::Select(axis), &[Floats(whole.clone()), Indices(vec![3], size)]);
        check(Op::SelectAdd { axis, size }, &[Indices(vec![3], size), Floats(shape.clone())]);
    }
    for update in [Update::Assign, Update::Multiply, Update::Minimum, Update::Maximum] {
        check(Op::Scatter { axis: 1, update, once: false }, &[floats([2, 5]), Indices(vec![2, 3], 5), floats([2, 3])]);
    }
}

#[test]
fn matrix_products() {
    check(Op::MatMul, &[floats([4, 3]), floats([3, 2])]);
    check(Op::MatMul, &[floats([2, 4, 3]), floats([2, 3, 5])]);
    check(Op::MatMul, &[floats([2, 1, 1, 3]), floats([2, 1, 3, 5])]);
}

#[test]
fn products_in_a_type_of_their_own() {
    let pointwise = Convolution { stride: vec![1], padding: vec![(0, 0)], dilation: vec![1], groups: 1 };
    let bf16 = |op: Op| Op::InType(DType::BF16, Box::new(op));
    check(bf16(Op::MatMul), &[floats([4, 3]), floats([3, 2])]);
    check(bf16(Op::Conv(pointwise)), &[floats([2, 3, 4]), floats([5, 3, 1])]);
}

#[test]
fn a_matrix_that_all_inputs_share_is_not_repeated() {
    let mut source = Graph::new();
    let (x, y) = (source.input(&[4, 3], DType::F64), source.input(&[3, 2], DType::F64));
    let product = source.matmul(x, y).unwrap();
    for (differs, shared) in [(x, y), (y, x)] {
        let mut target = Graph::new();
        let lanes = [&[5], source.shape(differs)].concat();
        let each = target.input(&lanes, DType::F64);
        let one = target.input(source.shape(shared), DType::F64);
        let images = HashMap::from([(differs, Image::Each(each)), (shared, Image::Shared(one))]);
        vectorize(&mut target, &source, &[product], &images, 5).unwrap();
        assert!(target.ids().all(|id| !matches!(target.node(id).op, Op::Expand(_))), "{target}");
    }
}

/// A convolution with its adjoints: data `[2, 4, …]`, weight `[6, 4/groups, …]`.
fn check_convolutions(sizes: &[usize], taps: &[usize], stride: &[usize], padding: &[(usize, usize)], groups: usize) {
    let dilation = vec![1; sizes.len()];
    let options = Convolution { stride: stride.to_vec(), padding: padding.to_vec(), dilation, groups };
    let x = [&[2, 4], sizes].concat();
    let weight = [&[6, 4 / groups], taps].concat();
    let out = (0..sizes.len()).map(|d| (sizes[d] + padding[d].0 + padding[d].1 - taps[d]) / stride[d] + 1);
    let y = [vec![2, 6], out.collect()].concat();
    check(Op::Conv(options.clone()), &[Floats(x.clone()), Floats(weight.clone())]);
    check(Op::ConvInput(options.clone(), x.clone()), &[Floats(weight.clone()), Floats(y.clone())]);
    check(Op::ConvWeight(options, weight), &[Floats(x), Floats(y)]);
}

#[test]
fn convolutions_and_their_adjoints() {
    for groups in [1, 2] {
        check_convolutions(&[7], &[3], &[1], &[(1, 1)], groups);
        // The stride leaves a rest.
        check_convolutions(&[8], &[3], &[2], &[(0, 0)], groups);
        check_convolutions(&[6, 5], &[3, 2], &[2, 1], &[(1, 1), (0, 0)], groups);
        check_convolutions(&[5, 5], &[2, 2], &[1, 2], &[(0, 1), (1, 0)], groups);
        check_convolutions(&[4, 3, 3], &[2, 2, 1], &[1, 2, 1], &[(1, 1), (0, 0), (0, 0)], groups);
    }
}

#[test]
fn pools_and_their_adjoints() {
    let pair = |size: usize| vec![size; 2];
    let window = Window {
        kernel: pair(3),
        stride: pair(2),
        padding: pair(1),
        dilation: pair(1),
        ceil: false,
        count_padding: true,
    };
    check(Op::AvgPool(window.clone()), &[floats([2, 3, 5, 6])]);
    check(Op::AvgPoolAdjoint(window.clone(), vec![2, 3, 5, 6]), &[floats([2, 3, 3, 3])]);
    check(Op::MaxPoolIndices(window), &[floats([2, 3, 5, 6])]);
    check(Op::AdaptiveAvgPool(vec![2, 4]), &[floats([2, 3, 5, 6])]);
    check(Op::AdaptiveAvgPoolAdjoint(vec![2, 3, 5, 6]), &[floats([2, 3, 2, 4])]);
}

#[test]
fn what_all_inputs_share_is_computed_once() {
    let mut source = Graph::new();
    let (x, y) = (source.input(&[2], DType::F64), source.input(&[2], DType::F64));
    let (shared, both) = (source.exp(x).unwrap(), source.mul(x, y).unwrap());
    let constant = source.literal(TensorData::from([1.0, 2.0]));
    let mut target = Graph::new();
    let (one, three) = (target.input(&[2], DType::F64), target.input(&[3, 2], DType::F64));
    let images = HashMap::from([(x, Image::Shared(one)), (y, Image::Each(three))]);
    let outputs = vectorize(&mut target, &source, &[shared, both, constant, y], &images, 3).unwrap();
    assert_eq!(outputs[0], Image::Shared(target.exp(one).unwrap()));
    assert!(matches!(outputs[1], Image::Each(node) if target.shape(node) == [3, 2]));
    assert!(matches!(outputs[2], Image::Shared(node) if target.shape(node) == [2]));
    assert_eq!(outputs[3], Image::Each(three));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut source = Graph::new();
    let x = source.input(&[2], DType::F64);
    let noise = source.random(&[2], DType::F64, Distribution::Normal(0.0, 1.0));
    let sum = source.add(x, noise).unwrap();
    let mut target = Graph::new();
    let (vector, integers) = (target.input(&[3, 2], DType::F64), target.input(&[3, 2], DType::I64));
    let mut refused = |images: &[(NodeId, Image)], count: usize| {
        vectorize(&mut target, &source, &[sum], &images.iter().copied().collect(), count).unwrap_err()
    };
    let (each, shared) = (Image::Each(vector), Image::Shared(vector));
    assert_eq!(refused(&[(noise, each)], 3), GraphError::NoImage { op: "input".into(), node: x });
    assert_eq!(refused(&[(x, each)], 3), GraphError::NoImage { op: "random".into(), node: noise });
    assert!(matches!(refused(&[(x, each), (noise, shared)], 3), GraphError::ShapeMismatch { .. }));
    assert!(matches!(refused(&[(x, each), (noise, each)], 2), GraphError::ShapeMismatch { .. }));
    assert!(matches!(refused(&[(x, Image::Each(integers)), (noise, each)], 3), GraphError::TypeMismatch { .. }));
    assert!(matches!(refused(&[(x, each), (noise, each)], 0), GraphError::InvalidShape { .. }));
}
