//! Algebraic clean-up and constant folding, applied once to every node as it is added.
//!
//! Only identities that hold for every input are used, but for the sign of zero, and for the order in which sums are formed: `0 · x` is
//! kept, because it is not 0 where `x` is not finite, and so are two roundings, because a loss may be about them: `(x + c) − c` rounds,
//! and `x·c·d` may overflow on the way.

use burn::tensor::{DType, TensorData};

use super::signs;
use super::{Binary, Graph, GraphError, NodeId, Op, Scalar, Unary, WithScalar};

/// The node that already is, or more cheaply becomes, `op` applied to `inputs`.
pub(super) fn simplify(
    graph: &mut Graph,
    op: &Op,
    inputs: &[NodeId],
    shape: &[usize],
    dtype: DType,
) -> Result<Option<NodeId>, GraphError> {
    let filled: Vec<Option<Scalar>> = inputs.iter().map(|&x| constant(graph, x)).collect();
    let from = inputs.first().map_or(dtype, |&x| graph.dtype(x));
    if let Some(value) = fold(op, &filled, (from, dtype)) {
        return Ok(Some(graph.filled(shape, dtype, value)));
    }
    match op {
        Op::Binary(f) => binary(graph, *f, inputs, &filled),
        Op::Unary(Unary::Neg) => undo(graph, inputs[0], &Op::Unary(Unary::Neg)),
        Op::Unary(Unary::Not) => undo(graph, inputs[0], &Op::Unary(Unary::Not)),
        Op::WithScalar(f, number) => with_scalar(graph, *f, *number, inputs[0]),
        Op::Cast(_) | Op::Reshape(_) | Op::Expand(_) if unchanged(graph, inputs[0], shape, dtype) => {
            Ok(Some(inputs[0]))
        }
        Op::Reshape(_) | Op::Expand(_) | Op::Permute(_) => match view(graph, op, inputs[0])? {
            None if !matches!(op, Op::Expand(_)) => signs::view(graph, op, inputs[0]),
            simpler => Ok(simpler),
        },
        Op::Sum(axes) => sum(graph, axes, inputs[0]),
        Op::Slice(_) if graph.shape(inputs[0]) == shape => Ok(Some(inputs[0])),
        Op::Concat(_) if inputs.len() == 1 => Ok(Some(inputs[0])),
        _ => Ok(None),
    }
}

/// The number that fills `x`, if `x` is a filled float or integer tensor.
fn constant(graph: &Graph, x: NodeId) -> Option<Scalar> {
    match graph.node(x).op {
        Op::Full(value @ (Scalar::Float(_) | Scalar::Int(_))) => Some(value),
        _ => None,
    }
}

/// What fills the result, if numbers of known value do, and nothing is rounded on the way to it: in another type it would be
/// rounded otherwise.
fn fold(op: &Op, filled: &[Option<Scalar>], (from, dtype): (DType, DType)) -> Option<Scalar> {
    let x = filled.first().copied().flatten()?;
    if matches!(op, Op::Reshape(_) | Op::Permute(_) | Op::Expand(_) | Op::Slice(_) | Op::Flip(_)) {
        return Some(x);
    }
    if !dtype.is_float() {
        return None;
    }
    let x = x.as_f64();
    if matches!(op, Op::Cast(_)) {
        return is_exact(x, from).then_some(Scalar::Float(x));
    }
    if matches!(op, Op::Unary(Unary::Neg)) {
        return Some(Scalar::Float(-x));
    }
    let (y, value) = match op {
        Op::WithScalar(WithScalar::Add, y) => (y.as_f64(), x + y.as_f64()),
        Op::WithScalar(WithScalar::Mul, y) => (y.as_f64(), x * y.as_f64()),
        Op::WithScalar(WithScalar::Div, y) => (y.as_f64(), x / y.as_f64()),
        Op::Binary(f) => {
            let y = filled.get(1).copied().flatten()?.as_f64();
            let value = match f {
                Binary::Add => x + y,
                Binary::Sub => x - y,
                Binary::Mul => x * y,
                Binary::Div => x / y,
                _ => return None,
            };
            (y, value)
        }
        _ => return None,
    };
    [x, y, value].into_iter().all(|number| is_exact(number, dtype)).then_some(Scalar::Float(value))
}

/// Whether a type holds this number as it is.
fn is_exact(number: f64, dtype: DType) -> bool {
    match dtype {
        DType::F64 => true,
        DType::F32 => f64::from(number as f32) == number,
        _ => TensorData::new(vec![number], [1]).convert_dtype(dtype).iter::<f64>().next() == Some(number),
    }
}

/// Whether `x·first·second` is `x·(first·second)` for every `x` of a type: a power of two rounds nothing unless it makes numbers
/// smaller, and what it makes infinite stays so under a factor of at least 1.
fn are_one_factor(first: f64, second: f64, dtype: DType) -> bool {
    const FRACTION: u64 = (1 << (f64::MANTISSA_DIGITS - 1)) - 1;
    let is_power_of_two = first.to_bits() & FRACTION == 0;
    let largest = dtype.finfo().map_or(0.0, |of| of.max);
    is_power_of_two && first.abs() >= 1.0 && second.abs() >= 1.0 && (first * second).abs() <= largest
}

fn binary(
    graph: &mut Graph,
    f: Binary,
    inputs: &[NodeId],
    filled: &[Option<Scalar>],
) -> Result<Option<NodeId>, GraphError> {
    let (x, y) = (inputs[0], inputs[1]);
    if !graph.dtype(x).is_float() {
        return Ok(None);
    }
    let number = |x: Option<Scalar>| x.map(Scalar::as_f64);
    let simpler = match (f, number(filled[0]), number(filled[1])) {
        (Binary::Add, _, Some(c)) => graph.add_scalar(x, c)?,
        (Binary::Add, Some(c), _) => graph.add_scalar(y, c)?,
        (Binary::Sub, _, Some(c)) => graph.add_scalar(x, -c)?,
        (Binary::Mul, _, Some(c)) => graph.mul_scalar(x, c)?,
        (Binary::Mul, Some(c), _) => graph.mul_scalar(y, c)?,
        (Binary::Div, _, Some(c)) => graph.div_scalar(x, c)?,
        _ => match signs::binary(graph, f, x, y)? {
            Some(simpler) => simpler,
            // Sums and products are commutative: one order, so that equal ones merge.
            None if matches!(f, Binary::Add | Binary::Mul) && x > y => graph.push(Op::Binary(f), &[y, x])?,
            None => return Ok(None),
        },
    };
    Ok(Some(simpler))
}

/// `f(f(x)) = x`
fn undo(graph: &Graph, x: NodeId, f: &Op) -> Result<Option<NodeId>, GraphError> {
    let node = graph.node(x);
    Ok((node.op == *f).then(|| node.inputs[0]))
}

fn with_scalar(graph: &mut Graph, f: WithScalar, number: Scalar, x: NodeId) -> Result<Option<NodeId>, GraphError> {
    let Scalar::Float(c) = number else { return Ok(None) };
    let neutral = match f {
        WithScalar::Add => c == 0.0,
        WithScalar::Mul | WithScalar::Div | WithScalar::Pow => c == 1.0,
        _ => false,
    };
    if neutral {
        return Ok(Some(x));
    }
    if f == WithScalar::Mul && c == -1.0 {
        return graph.neg(x).map(Some);
    }
    let dtype = graph.dtype(x);
    let node = graph.node(x).clone();
    match (f, &node.op) {
        (WithScalar::Mul, Op::WithScalar(WithScalar::Mul, Scalar::Float(d))) if are_one_factor(*d, c, dtype) => {
            graph.mul_scalar(node.inputs[0], c * d).map(Some)
        }
        (WithScalar::Mul, Op::Unary(Unary::Neg)) => graph.mul_scalar(node.inputs[0], -c).map(Some),
        _ => Ok(None),
    }
}

fn unchanged(graph: &Graph, x: NodeId, shape: &[usize], dtype: DType) -> bool {
    graph.shape(x) == shape && graph.dtype(x) == dtype
}

/// Two views of one kind are one view.
fn view(graph: &mut Graph, op: &Op, x: NodeId) -> Result<Option<NodeId>, GraphError> {
    let inner = graph.node(x).clone();
    match (op, &inner.op) {
        (Op::Reshape(_), Op::Reshape(_)) | (Op::Expand(_), Op::Expand(_)) => {
            graph.push(op.clone(), &inner.inputs).map(Some)
        }
        (Op::Permute(outer), Op::Permute(axes)) => {
            let axes: Vec<usize> = outer.iter().map(|&axis| axes[axis]).collect();
            graph.permute(inner.inputs[0], &axes).map(Some)
        }
        (Op::Permute(axes), _) if axes.iter().enumerate().all(|(i, &axis)| i == axis) => Ok(Some(x)),
        _ => Ok(None),
    }
}

/// Sums over nothing, over dimensions of size 1, over dimensions that were only repeated or only moved.
fn sum(graph: &mut Graph, axes: &[usize], x: NodeId) -> Result<Option<NodeId>, GraphError> {
    let needed: Vec<usize> = axes.iter().copied().filter(|&axis| graph.shape(x)[axis] != 1).collect();
    if needed.is_empty() {
        return Ok(Some(x));
    }
    if needed.len() < axes.len() {
        return graph.sum(x, &needed).map(Some);
    }
    let node = graph.node(x).clone();
    match &node.op {
        Op::Expand(to) if graph.dtype(x).is_float() => {
            let source = node.inputs[0];
            let from = graph.shape(source).to_vec();
            let repeated: Vec<usize> = needed.iter().copied().filter(|&axis| from[axis] == 1).collect();
            if repeated.is_empty() {
                return Ok(None);
            }
            let times: usize = repeated.iter().map(|&axis| to[axis]).product();
            // Of many terms the sum may be a number of a type that has not their count. Of none it is 0, which `0 · x` need not be.
            if times == 0 || !is_exact(times as f64, graph.dtype(x)) {
                return Ok(None);
            }
            let mut kept = to.clone();
            for &axis in &repeated {
                kept[axis] = 1;
            }
            let rest: Vec<usize> = needed.into_iter().filter(|axis| !repeated.contains(axis)).collect();
            let scaled = graph.mul_scalar(source, times as f64)?;
            let spread = graph.expand(scaled, &kept)?;
            graph.sum(spread, &rest).map(Some)
        }
        Op::Sum(inner) => {
            let all: Vec<usize> = inner.iter().copied().chain(needed).collect();
            graph.sum(node.inputs[0], &all).map(Some)
        }
        Op::Reshape(to) => {
            // A permuted tensor in another shape is a copy; sums over the same elements where they are need none.
            let permuted = graph.node(node.inputs[0]).clone();
            let Op::Permute(order) = &permuted.op else { return Ok(None) };
            let Some(dimensions) = merged(&permuted.shape, to, &needed) else { return Ok(None) };
            let axes: Vec<usize> = dimensions.into_iter().map(|dimension| order[dimension]).collect();
            let sum = graph.sum(permuted.inputs[0], &axes)?;
            let sum = graph.permute(sum, order)?;
            let kept: Vec<usize> = (0..to.len()).map(|d| if needed.contains(&d) { 1 } else { to[d] }).collect();
            graph.reshape(sum, &kept).map(Some)
        }
        _ => Ok(None),
    }
}

/// The dimensions of `from` that a reshape to `to` merges into `axes`, if each axis consists of whole dimensions.
fn merged(from: &[usize], to: &[usize], axes: &[usize]) -> Option<Vec<usize>> {
    // Which dimensions an empty tensor was made of, sizes do not say.
    if from.contains(&0) {
        return None;
    }
    let mut dimensions = Vec::new();
    for &axis in axes {
        let before: usize = to[..axis].iter().product();
        let start = (0..from.len()).find(|&d| from[..d].iter().product::<usize>() == before)?;
        let end = (start..=from.len()).find(|&d| from[start..d].iter().product::<usize>() == to[axis])?;
        dimensions.extend(start..end);
    }
    Some(dimensions)
}
