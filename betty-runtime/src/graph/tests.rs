//! What a graph accepts, what it simplifies, and how it reads.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod updates;

use std::collections::HashMap;

use burn::tensor::{DType, Device, TensorData};

use super::*;
use crate::execute::{Program, Value};

fn graph() -> (Graph, NodeId, NodeId) {
    let mut graph = Graph::new();
    let x = graph.input(&[2, 3], DType::F64);
    let y = graph.input(&[2, 3], DType::F64);
    (graph, x, y)
}

#[test]
fn equal_nodes_are_one_node() {
    let (mut g, x, y) = graph();
    assert_eq!(g.mul(x, y).unwrap(), g.mul(y, x).unwrap());
    assert_eq!(g.add(x, y).unwrap(), g.add(y, x).unwrap());
    assert_ne!(g.sub(x, y).unwrap(), g.sub(y, x).unwrap());
    let draw = Distribution::Bernoulli(0.5);
    assert_ne!(g.random(&[2], DType::F64, draw), g.random(&[2], DType::F64, draw));
    assert_ne!(g.literal(TensorData::from([1.0])), g.literal(TensorData::from([1.0])));
    // 0 and −0 are different numbers.
    assert_ne!(g.full(&[2], DType::F64, 0.0), g.full(&[2], DType::F64, -0.0));
}

#[test]
fn changes_of_sign_move_until_a_sum_takes_them_in() {
    let (mut g, x, y) = graph();
    let (minus_x, minus_y) = (g.neg(x).unwrap(), g.neg(y).unwrap());
    let (sum, difference, product) = (g.add(x, y).unwrap(), g.sub(x, y).unwrap(), g.mul(x, y).unwrap());
    let quotient = g.div(x, y).unwrap();
    assert_eq!(g.add(x, minus_y).unwrap(), difference);
    assert_eq!(g.add(minus_y, x).unwrap(), difference);
    assert_eq!(g.sub(x, minus_y).unwrap(), sum);
    assert_eq!(g.mul(minus_x, minus_y).unwrap(), product);
    assert_eq!(g.div(minus_x, minus_y).unwrap(), quotient);
    // Past a product, another view, and a sum, into a difference.
    for of in [g.mul(minus_x, y).unwrap(), g.mul(x, minus_y).unwrap(), g.div(minus_x, y).unwrap()] {
        let turned = g.permute(of, &[1, 0]).unwrap();
        let flat = g.reshape(turned, &[6]).unwrap();
        let summed = signs::sum(&mut g, flat, &[0]).unwrap();
        // A loss may sum to another zero.
        let (recorded, negative) = (g.sum(flat, &[0]).unwrap(), Op::Unary(Unary::Neg));
        assert!(matches!(g.node(recorded).op, Op::Sum(_)) && g.node(flat).op == negative);
        assert_eq!(g.node(summed).op, Op::Unary(Unary::Neg));
        let other = g.input(&[1], DType::F64);
        let end = g.add(summed, other).unwrap();
        assert_eq!((g.node(end).op.clone(), g.node(end).inputs[0]), (Op::Binary(Binary::Sub), other));
    }
}

#[test]
fn operations_that_change_nothing_disappear() {
    let (mut g, x, _) = graph();
    let before = g.len();
    assert_eq!(g.add_scalar(x, 0.0).unwrap(), x);
    assert_eq!(g.mul_scalar(x, 1.0).unwrap(), x);
    assert_eq!(g.pow_scalar(x, 1.0).unwrap(), x);
    assert_eq!(g.cast(x, DType::F64).unwrap(), x);
    assert_eq!(g.reshape(x, &[2, 3]).unwrap(), x);
    assert_eq!(g.expand(x, &[2, 3]).unwrap(), x);
    assert_eq!(g.permute(x, &[0, 1]).unwrap(), x);
    assert_eq!(g.sum(x, &[]).unwrap(), x);
    assert_eq!(g.slice(x, &[Range::full(2), Range::full(3)]).unwrap(), x);
    assert_eq!(g.push(Op::Concat(0), &[x]).unwrap(), x);
    assert_eq!(g.len(), before);
    let negative = g.neg(x).unwrap();
    assert_eq!(g.neg(negative).unwrap(), x);
    let transposed = g.transpose(x).unwrap();
    assert_eq!(g.transpose(transposed).unwrap(), x);
    let flat = g.reshape(x, &[6]).unwrap();
    assert_eq!(g.reshape(flat, &[2, 3]).unwrap(), x);
}

#[test]
fn nothing_is_assumed_of_values_that_are_not_finite() {
    let (mut g, x, _) = graph();
    // 0·x is not 0 where x is infinite, and x − x is not either.
    let zero = g.mul_scalar(x, 0.0).unwrap();
    assert!(matches!(g.node(zero).op, Op::WithScalar(WithScalar::Mul, _)));
    let difference = g.sub(x, x).unwrap();
    assert!(matches!(g.node(difference).op, Op::Binary(Binary::Sub)));
}

#[test]
fn constants_are_folded() {
    let (mut g, x, _) = graph();
    let (two, three) = (g.full(&[2, 3], DType::F64, 2.0), g.full(&[2, 3], DType::F64, 3.0));
    let six = g.full(&[2, 3], DType::F64, 6.0);
    assert_eq!(g.mul(two, three).unwrap(), six);
    let spread = g.full(&[1], DType::F64, 6.0);
    assert_eq!(g.spread(spread, &[2, 3]).unwrap(), six);
    assert_eq!(g.mul(x, six).unwrap(), g.mul_scalar(x, 6.0).unwrap());
    let once = g.mul_scalar(x, 2.0).unwrap();
    assert_eq!(g.mul_scalar(once, 3.0).unwrap(), g.mul_scalar(x, 6.0).unwrap());
    // Division by 3 is not multiplication by a rounded third, and by 4 it is no other operation.
    let (third, four) = (g.div(x, three).unwrap(), g.full(&[2, 3], DType::F64, 4.0));
    assert!(matches!(g.node(third).op, Op::WithScalar(WithScalar::Div, _)));
    assert_eq!(g.div(x, four).unwrap(), g.div_scalar(x, 4.0).unwrap());
}

#[test]
fn factors_are_joined_where_the_type_has_their_product() {
    let value = |node: &dyn Fn(&mut Graph, NodeId) -> NodeId, at: f64, dtype: DType| {
        let mut g = Graph::new();
        let x = g.input(&[1], dtype);
        let node = node(&mut g, x);
        let program = Program::new(&g, &[x], &[node], &Device::flex());
        let at = Value::from_data(TensorData::new(vec![at], [1]).convert_dtype(dtype), &Device::flex());
        program.run([at], 0)[0].to_vec().unwrap()[0]
    };
    let twice = |first: f64, second: f64| {
        move |g: &mut Graph, x| {
            let once = g.mul_scalar(x, first).unwrap();
            g.mul_scalar(once, second).unwrap()
        }
    };
    let many = |g: &mut Graph, x| {
        let spread = g.expand(x, &[70_000]).unwrap();
        g.sum(spread, &[0]).unwrap()
    };
    let (power, small) = (2.0_f64.powi(100), 2.0_f64.powi(-10));
    let near =
        |found: f64, expected: f64, digits: f64| assert!((found / expected - 1.0).abs() < digits, "{found} {expected}");
    near(value(&twice(10.0, 8192.0), 0.01, DType::F16), 819.2, 2e-3);
    near(value(&twice(1e-3, small), 1000.0, DType::F16), small, 2e-3);
    near(value(&twice(1e10, power), 1e-20, DType::F32), 1e-10 * power, 1e-6);
    near(value(&many, 1e-3, DType::F16), 70.0, 2e-3);
    near(value(&many, 1.0, DType::BF16), 70_000.0, 4e-3);
    let none = |g: &mut Graph, x| {
        let spread = g.expand(x, &[0]).unwrap();
        g.sum(spread, &[0]).unwrap()
    };
    assert_eq!(value(&none, f64::INFINITY, DType::F32), 0.0);
    let mut g = Graph::new();
    let x = g.input(&[1], DType::F16);
    let once = g.mul_scalar(x, -4.0).unwrap();
    assert_eq!(g.mul_scalar(once, 3.0).unwrap(), g.mul_scalar(x, -12.0).unwrap());
    // A product is joined with the next one only if it cannot round, leave the type or fall below its normal numbers by itself.
    for [first, second] in [[3.0, 4.0], [0.5, 4.0], [4.0, 0.3], [4.0, 60_000.0], [4.0, f64::INFINITY], [4.0, f64::NAN]]
    {
        let once = g.mul_scalar(x, first).unwrap();
        let node = g.mul_scalar(once, second).unwrap();
        assert_eq!(g.node(node).inputs, [once], "{first}, then {second}");
    }
}

#[test]
fn the_slope_of_half_a_square_is_what_is_squared() {
    for (dtype, number, factor) in [(DType::F32, 0.5, 1.0), (DType::F64, 0.3, 0.6), (DType::F16, -4.0, -8.0)] {
        let mut g = Graph::new();
        let x = g.input(&[2, 3], dtype);
        let square = g.pow_scalar(x, 2.0).unwrap();
        let sum = g.sum_all(square).unwrap();
        let loss = g.mul_scalar(sum, number).unwrap();
        let one = g.full_like(loss, 1.0);
        let slope = vjp(&mut g, &[(loss, one)], &[x]).unwrap()[0].unwrap();
        assert_eq!(slope, g.mul_scalar(x, factor).unwrap(), "{number} in {dtype:?}");
    }
    // Twice the number is none of 16 bits; twice `x` is.
    let mut g = Graph::new();
    let x = g.input(&[1], DType::F16);
    let square = g.pow_scalar(x, 2.0).unwrap();
    let most = g.full_like(square, 60_000.0);
    let slope = vjp(&mut g, &[(square, most)], &[x]).unwrap()[0].unwrap();
    let program = Program::new(&g, &[x], &[slope], &Device::flex());
    let at = Value::from_data(TensorData::new(vec![0.25], [1]).convert_dtype(DType::F16), &Device::flex());
    assert!((program.run([at], 0)[0].to_vec().unwrap()[0] / 30_000.0 - 1.0).abs() < 1e-3);
}

#[test]
fn a_long_tangent_passes_a_layer_norm_in_16_bits() {
    let mut g = Graph::new();
    let (x, t) = (g.input(&[1, 2048], DType::F16), g.input(&[1, 2048], DType::F16));
    let y = g.push(Op::Normalize { epsilon: Scalar::of(DType::F16, 1e-3) }, &[x]).unwrap();
    let moved = jvp(&mut g, &[y], &[(x, t)]).unwrap()[0].unwrap();
    let program = Program::new(&g, &[x, t], &[moved], &Device::flex());
    let value = |number: &dyn Fn(usize) -> f64| {
        let numbers: Vec<f64> = (0..2048).map(number).collect();
        Value::from_data(TensorData::new(numbers, [1, 2048]).convert_dtype(DType::F16), &Device::flex())
    };
    // A shift of all entries moves nothing: their sum is no number of the type, but their mean is.
    let found = program.run([value(&|i| (i % 7) as f64 - 3.0), value(&|_| 40.0)], 0)[0].to_vec().unwrap();
    assert!(found.iter().all(|entry| entry.abs() < 0.1), "{:?}", &found[..4]);
}

#[test]
fn a_layer_norm_in_16_bits_has_a_derivative_far_from_its_mean() {
    for dtype in [DType::F16, DType::BF16, DType::F32] {
        let mut g = Graph::new();
        let (x, c) = (g.input(&[1, 4], dtype), g.input(&[1, 4], dtype));
        let epsilon = 1e-3;
        let y = g.push(Op::Normalize { epsilon: Scalar::of(dtype, epsilon) }, &[x]).unwrap();
        let pulled = vjp(&mut g, &[(y, c)], &[x]).unwrap()[0].unwrap();
        let pushed = jvp(&mut g, &[y], &[(x, c)]).unwrap()[0].unwrap();
        let program = Program::new(&g, &[x, c], &[pulled, pushed], &Device::flex());
        let value = |numbers: [f64; 4]| {
            Value::from_data(TensorData::new(numbers.to_vec(), [1, 4]).convert_dtype(dtype), &Device::flex())
        };
        // The square of 400 is no number of f16.
        let (at, along) = ([-400.0, -96.0, 96.0, 400.0], [2.0, 0.0, 0.0, 0.0]);
        let moved = |by: f64| {
            let mut at = at;
            at[0] += by;
            let mean = at.iter().sum::<f64>() / 4.0;
            let deviation = (at.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0 + epsilon).sqrt();
            at.map(|x| (x - mean) / deviation)
        };
        // The Jacobian is symmetric: its first column is its first row.
        let (above, below) = (moved(1e-3), moved(-1e-3));
        let expected: Vec<f64> = above.iter().zip(below).map(|(above, below)| (above - below) / 1e-3).collect();
        for found in program.run([value(at), value(along)], 0) {
            let found = found.to_vec().unwrap();
            let far = found.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(far < 3e-5, "{dtype:?}: {found:?} for {expected:?}");
        }
    }
}

#[test]
fn derivatives_that_divide_by_a_square_are_numbers_of_16_bits() {
    // At 300, whose square is no number of f16: 1/√(x² ± 1), 1/(1 + x²) and, of atan2(x, x), ½/x.
    let (at, slope) = (300.0_f64, 1.0 / 300.0);
    let cases = [
        (Op::Unary(Unary::Asinh), slope),
        (Op::Unary(Unary::Acosh), slope),
        (Op::Unary(Unary::Atan), slope * slope),
        (Op::Binary(Binary::Atan2), 0.5 * slope),
    ];
    for (op, expected) in cases {
        let mut g = Graph::new();
        let x = g.input(&[1], DType::F16);
        let y = g.input(&[1], DType::F16);
        let operands = [x, y];
        let node = g.push(op.clone(), if matches!(op, Op::Unary(_)) { &operands[..1] } else { &operands }).unwrap();
        let one = g.full_like(node, 1.0);
        let slope = vjp(&mut g, &[(node, one)], &[x]).unwrap()[0].unwrap();
        let program = Program::new(&g, &[x, y], &[slope], &Device::flex());
        let at = Value::from_data(TensorData::new(vec![at], [1]).convert_dtype(DType::F16), &Device::flex());
        let found = program.run([at.clone(), at], 0)[0].to_vec().unwrap()[0];
        // Below 6e-5 numbers of f16 are 6e-8 apart.
        assert!((found - expected).abs() < 1e-3 * expected + 6e-8, "{op:?}: {found} for {expected}");
    }
}

#[test]
fn many_cotangents_of_16_bits_are_added_up() {
    for dtype in [DType::BF16, DType::F16, DType::F32] {
        let mut g = Graph::new();
        let x = g.input(&[1], dtype);
        // Each term has the derivative 1, and in bf16 256 + 1 is 256.
        let terms: Vec<NodeId> = (0..600).map(|term| g.add_scalar(x, f64::from(term) / 8.0).unwrap()).collect();
        let outputs: Vec<(NodeId, NodeId)> = terms.iter().map(|&term| (term, g.full_like(term, 1.0))).collect();
        let sum = vjp(&mut g, &outputs, &[x]).unwrap()[0].unwrap();
        assert_eq!(g.dtype(sum), dtype);
        let program = Program::new(&g, &[x], &[sum], &Device::flex());
        let at = Value::from_data(TensorData::new(vec![0.0_f64], [1]).convert_dtype(dtype), &Device::flex());
        assert_eq!(program.run([at], 0)[0].to_vec().unwrap(), [600.0], "{dtype:?}");
    }
}

#[test]
fn a_constant_power_of_zero_has_derivatives_of_every_order() {
    let mut g = Graph::new();
    let x = g.input(&[4], DType::F64);
    let exponents = g.literal(TensorData::from([0.0, 1.0, 2.0, 3.0]));
    let mut orders = vec![g.push(Op::Binary(Binary::Pow), &[x, exponents]).unwrap()];
    for order in 0..3 {
        let one = g.full_like(orders[order], 1.0);
        let next = vjp(&mut g, &[(orders[order], one)], &[x]).unwrap()[0].unwrap();
        orders.push(next);
    }
    let program = Program::new(&g, &[x], &orders, &Device::flex());
    let zeros = Value::from_data(TensorData::from([0.0_f64; 4]), &Device::flex());
    let found: Vec<Vec<f64>> = program.run([zeros], 0).iter().map(|value| value.to_vec().unwrap()).collect();
    let expected = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 6.0]];
    assert_eq!(found, expected);
}

#[test]
fn sums_of_moved_values_are_taken_where_they_are() {
    let mut g = Graph::new();
    let x = g.input(&[2, 3, 5, 4], DType::F64);
    let channels_first = g.permute(x, &[1, 0, 2, 3]).unwrap();
    let rows = g.reshape(channels_first, &[3, 40]).unwrap();
    let direct = g.sum(x, &[0, 2, 3]).unwrap();
    let direct = g.permute(direct, &[1, 0, 2, 3]).unwrap();
    assert_eq!(g.sum(rows, &[1]).unwrap(), g.reshape(direct, &[3, 1]).unwrap());
    // A dimension that is cut in pieces is left alone.
    let pieces = g.reshape(channels_first, &[3, 2, 20]).unwrap();
    let halves = g.reshape(channels_first, &[6, 20]).unwrap();
    let cut = g.reshape(channels_first, &[30, 4]).unwrap();
    for (reshaped, axis) in [(pieces, 2), (halves, 1), (cut, 1)] {
        let sum = g.sum(reshaped, &[axis]).unwrap();
        assert!(!matches!(g.node(sum).op, Op::Sum(_)), "{:?}", g.node(sum));
    }
    let across = g.reshape(channels_first, &[3, 8, 5]).unwrap();
    let sum = g.sum(across, &[2]).unwrap();
    assert!(matches!(g.node(sum).op, Op::Sum(_)));
    // So is a batch without examples: which dimensions it was made of, sizes do not say.
    let empty = g.input(&[0, 3, 2], DType::F64);
    let empty = g.permute(empty, &[0, 2, 1]).unwrap();
    let empty = g.reshape(empty, &[0, 3]).unwrap();
    let sum = g.sum(empty, &[0]).unwrap();
    assert_eq!(g.shape(sum), [1, 3]);
}

#[test]
fn sums_of_repeated_values_are_products() {
    let mut g = Graph::new();
    let x = g.input(&[2, 1], DType::F64);
    let expanded = g.expand(x, &[2, 3]).unwrap();
    let tripled = g.mul_scalar(x, 3.0).unwrap();
    assert_eq!(g.sum(expanded, &[1]).unwrap(), tripled);
    assert_eq!(g.sum(expanded, &[0, 1]).unwrap(), g.sum(tripled, &[0]).unwrap());
    let partial = g.sum(expanded, &[0]).unwrap();
    assert_eq!(g.shape(partial), [1, 3]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (mut g, x, y) = graph();
    let integers = g.input(&[2, 3], DType::I64);
    let other = g.input(&[4, 3], DType::F64);
    let single = g.input(&[2, 3], DType::F32);
    assert!(matches!(g.add(x, other), Err(GraphError::InvalidShape { .. })));
    assert!(matches!(g.push(Op::Binary(Binary::Add), &[x, other]), Err(GraphError::ShapeMismatch { .. })));
    assert!(matches!(g.add(x, single), Err(GraphError::MixedTypes { .. })));
    assert!(matches!(g.exp(integers), Err(GraphError::TypeMismatch { .. })));
    assert!(matches!(g.matmul(x, y), Err(GraphError::ShapeMismatch { .. })));
    assert!(matches!(g.reshape(x, &[5]), Err(GraphError::InvalidShape { .. })));
    assert!(matches!(g.permute(x, &[0, 0]), Err(GraphError::InvalidShape { .. })));
    assert!(matches!(g.sum(x, &[2]), Err(GraphError::InvalidShape { .. })));
    assert!(matches!(g.expand(x, &[2, 4]), Err(GraphError::InvalidShape { .. })));
    assert!(matches!(g.push(Op::Where, &[x, x, y]), Err(GraphError::TypeMismatch { .. })));
    assert!(matches!(
        g.push(Op::Unary(Unary::Exp), &[x, y]),
        Err(GraphError::InputCount { expected: 1, found: 2, .. })
    ));
    let beyond = [Range::full(2), Range { start: 1, end: 4, step: 1 }];
    assert!(matches!(g.slice(x, &beyond), Err(GraphError::InvalidShape { .. })));
    assert!(matches!(g.push(Op::CumSum(2), &[x]), Err(GraphError::InvalidShape { .. })));
    assert!(matches!(g.push(Op::Unary(Unary::Not), &[x]), Err(GraphError::TypeMismatch { .. })));
    assert!(matches!(g.push(Op::Binary(Binary::ShiftLeft), &[x, y]), Err(GraphError::TypeMismatch { .. })));
    let update = Op::Scatter { axis: 1, update: Update::Assign, once: false };
    assert!(g.push(update.clone(), &[x, integers, y]).is_ok());
    assert!(matches!(g.push(update.clone(), &[x, y, y]), Err(GraphError::TypeMismatch { .. })));
    assert!(matches!(g.push(update.clone(), &[x, integers, single]), Err(GraphError::MixedTypes { .. })));
    assert!(matches!(g.push(update, &[x, integers, other]), Err(GraphError::ShapeMismatch { .. })));
    let nothing = g.input(&[2, 0], DType::F64);
    let normalize = Op::Normalize { epsilon: Scalar::Float(1e-5) };
    assert!(matches!(g.push(normalize, &[nothing]), Err(GraphError::InvalidShape { .. })));
    let one = g.full(&[1], DType::I64, 1.0);
    let flat = g.reshape(integers, &[6]).unwrap();
    assert!(matches!(vjp(&mut g, &[(flat, one)], &[x]), Err(GraphError::NotDifferentiable { .. })));
    assert!(matches!(vjp(&mut g, &[(x, other)], &[x]), Err(GraphError::ShapeMismatch { .. })));
    assert!(matches!(jvp(&mut g, &[x], &[(x, other)]), Err(GraphError::ShapeMismatch { .. })));
}

#[test]
fn what_does_not_depend_has_no_derivative() {
    let (mut g, x, y) = graph();
    let loss = g.dot(x, x).unwrap();
    let one = g.full(&[1], DType::F64, 1.0);
    let gradients = vjp(&mut g, &[(loss, one)], &[x, y]).unwrap();
    assert!(gradients[0].is_some() && gradients[1].is_none());
    let ones = g.full_like(y, 1.0);
    assert_eq!(jvp(&mut g, &[loss], &[(y, ones)]).unwrap(), [None]);
    let stopped = g.push(Op::StopGradient, &[loss]).unwrap();
    assert_eq!(vjp(&mut g, &[(stopped, one)], &[x]).unwrap(), [None]);
    assert_eq!(jvp(&mut g, &[stopped], &[(x, ones)]).unwrap(), [None]);
}

#[test]
fn moves_of_one_node_add_up() {
    let (mut g, x, y) = graph();
    let loss = g.dot(x, y).unwrap();
    let (u, v) = (g.input(&[2, 3], DType::F64), g.input(&[2, 3], DType::F64));
    let both = g.add(u, v).unwrap();
    assert_eq!(jvp(&mut g, &[loss], &[(x, u), (x, v)]).unwrap(), jvp(&mut g, &[loss], &[(x, both)]).unwrap());
}

#[test]
fn a_quadratic_has_its_matrix_as_second_derivative() {
    // ½ xᵀ A x with symmetric A: the Hessian-vector product is A·v, and the graph finds it without x.
    let mut g = Graph::new();
    let (a, x, v) = (g.input(&[3, 3], DType::F64), g.input(&[3, 1], DType::F64), g.input(&[3, 1], DType::F64));
    let ax = g.matmul(a, x).unwrap();
    let loss = g.dot(x, ax).unwrap();
    let one = g.full(&[1], DType::F64, 0.5);
    let gradient = vjp(&mut g, &[(loss, one)], &[x]).unwrap()[0].unwrap();
    let product = jvp(&mut g, &[gradient], &[(x, v)]).unwrap()[0].unwrap();
    assert!(dependents(&g, &[v])[product.index()]);
    assert!(!dependents(&g, &[x])[product.index()]);
}

#[test]
fn replay_puts_other_values_in_place() {
    let (mut source, x, y) = graph();
    let product = source.mul(x, y).unwrap();
    let literal = source.literal(TensorData::new(vec![1.0; 6], [2, 3]));
    let noise = source.random(&[2, 3], DType::F64, Distribution::Normal(0.0, 1.0));
    let sum = source.add(product, literal).unwrap();
    let sum = source.add(sum, noise).unwrap();
    let mut target = Graph::new();
    let z = target.input(&[2, 3], DType::F64);
    let outputs = replay(&mut target, &source, &[sum, product], &HashMap::from([(x, z)])).unwrap();
    assert_eq!(target.inputs().len(), 2);
    assert_eq!(target.literals().len(), 1);
    assert_eq!(target.shape(outputs[0]), [2, 3]);
    // Replaying again finds everything but the draw.
    let again = HashMap::from([(x, z), (y, target.inputs()[1]), (literal, z)]);
    assert_eq!(replay(&mut target, &source, &[product], &again).unwrap(), [outputs[1]]);
}

#[test]
fn graphs_can_be_read() {
    let (mut g, x, y) = graph();
    let transposed = g.transpose(y).unwrap();
    let product = g.matmul(x, transposed).unwrap();
    let loss = g.sum_all(product).unwrap();
    let text = g.to_string();
    assert!(text.contains("%3 f64[2, 2] = mat_mul(%0, %2)"), "{text}");
    let dot = g.to_dot(&[loss]);
    assert!(dot.starts_with("digraph") && dot.contains("n2 -> n3"), "{dot}");
}
