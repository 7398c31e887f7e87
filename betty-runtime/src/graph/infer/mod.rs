//! Shape and type of an operation's result, or the reason why there is none.

mod arguments;
mod spatial;

use burn::tensor::{BoolStore, DType};

use super::{Binary, Graph, GraphError, NodeId, Op, Unary, Whole};
use arguments::Arguments;
use spatial::{convolution, pooled};

/// Type of comparisons and masks.
const BOOL: DType = DType::Bool(BoolStore::Native);
/// Type of indices.
const INDEX: DType = DType::I64;

pub(super) fn infer(graph: &Graph, op: &Op, inputs: &[NodeId]) -> Result<(Vec<usize>, DType), GraphError> {
    if let Op::InType(_, product) = op {
        return infer(graph, product, inputs);
    }
    let a = Arguments { graph, op, inputs };
    let arity = match op {
        Op::Input(_) | Op::Literal(_) | Op::Full(_) | Op::Random { .. } => {
            return a.invalid(Vec::new(), "leaves are added by their own methods");
        }
        Op::Where | Op::Scatter { .. } | Op::OnWhole { whole: Whole::Variance, .. } => 3,
        Op::Concat(_) => inputs.len().max(1),
        Op::Binary(_)
        | Op::Compare(_)
        | Op::SliceAssign(_)
        | Op::Gather(_)
        | Op::ScatterAdd { .. }
        | Op::Select(_)
        | Op::SelectAdd { .. }
        | Op::MatMul
        | Op::Conv(_)
        | Op::ConvInput(..)
        | Op::ConvWeight(..) => 2,
        _ => 1,
    };
    a.count(arity)?;
    match op {
        Op::Input(_) | Op::Literal(_) | Op::Full(_) | Op::Random { .. } => unreachable!("answered above"),
        Op::StopGradient => Ok((a.shape(0), a.dtype(0))),
        Op::OnWhole { whole: Whole::Variance, .. } => {
            a.same_shape(0, 1)?;
            Ok((a.same_shape(0, 2)?, a.kind(0, "float")?))
        }
        Op::OnWhole { .. } | Op::SumOverRanks(_) => Ok((a.shape(0), a.kind(0, "float")?)),
        Op::Unary(f) => unary(&a, *f),
        Op::Binary(f) => binary(&a, *f),
        Op::WithScalar(..) => Ok((a.shape(0), a.kind(0, "number")?)),
        Op::Compare(_) => {
            a.same_dtype(0, 1)?;
            Ok((a.same_shape(0, 1)?, BOOL))
        }
        Op::CompareScalar(..) => Ok((a.shape(0), BOOL)),
        Op::Where => {
            a.kind(0, "bool")?;
            a.same_shape(0, 1)?;
            Ok((a.same_shape(1, 2)?, a.same_dtype(1, 2)?))
        }
        Op::Cast(dtype) => Ok((a.shape(0), *dtype)),
        Op::Sum(axes) => {
            let dtype = a.kind(0, "number")?;
            let mut shape = a.shape(0);
            for &axis in axes {
                a.axis(0, axis)?;
                shape[axis] = 1;
            }
            Ok((shape, dtype))
        }
        Op::ArgMax(axis) | Op::ArgMin(axis) => {
            a.kind(0, "number")?;
            let mut shape = a.axis(0, *axis)?;
            if shape[*axis] == 0 {
                return a.invalid(shape, "an empty dimension has no extreme value");
            }
            shape[*axis] = 1;
            Ok((shape, INDEX))
        }
        Op::CumSum(axis) => Ok((a.axis(0, *axis)?, a.kind(0, "number")?)),
        Op::CumArgMax(axis) | Op::CumArgMin(axis) | Op::ArgSort { axis, .. } => {
            a.kind(0, "number")?;
            Ok((a.axis(0, *axis)?, INDEX))
        }
        Op::ArgTopK { axis, count } => {
            a.kind(0, "number")?;
            let mut shape = a.axis(0, *axis)?;
            if *count > shape[*axis] {
                return a.invalid(shape, format!("dimension {axis} has no {count} values"));
            }
            shape[*axis] = *count;
            Ok((shape, INDEX))
        }
        Op::LogSoftmax(axis) | Op::Softmax(axis) => Ok((a.axis(0, *axis)?, a.kind(0, "float")?)),
        Op::Normalize { .. } | Op::Deviation { .. } => {
            let mut shape = a.shape(0);
            match shape.last_mut() {
                None | Some(0) => return a.invalid(shape, "there is nothing to normalise"),
                Some(last) if matches!(op, Op::Deviation { .. }) => *last = 1,
                _ => {}
            }
            Ok((shape, a.kind(0, "float")?))
        }
        Op::Reshape(shape) => {
            if a.shape(0).iter().product::<usize>() != shape.iter().product::<usize>() {
                return a.invalid(a.shape(0), format!("it has not as many elements as {shape:?}"));
            }
            Ok((shape.clone(), a.dtype(0)))
        }
        Op::Permute(axes) => {
            let shape = a.shape(0);
            let mut sorted = axes.clone();
            sorted.sort_unstable();
            if sorted != (0..shape.len()).collect::<Vec<_>>() {
                return a.invalid(shape, format!("{axes:?} is no order of its dimensions"));
            }
            Ok((axes.iter().map(|&axis| shape[axis]).collect(), a.dtype(0)))
        }
        Op::Expand(shape) => {
            let from = a.shape(0);
            if from.len() != shape.len() || from.iter().zip(shape).any(|(&f, &t)| f != t && f != 1) {
                return a.invalid(from, format!("it does not broadcast to {shape:?}"));
            }
            Ok((shape.clone(), a.dtype(0)))
        }
        Op::Slice(ranges) => Ok((a.ranges(0, ranges)?, a.dtype(0))),
        Op::SliceAssign(ranges) => {
            let inside = a.ranges(0, ranges)?;
            if inside != a.shape(1) {
                return Err(GraphError::ShapeMismatch { op: op.name(), left: inside, right: a.shape(1) });
            }
            Ok((a.shape(0), a.same_dtype(0, 1)?))
        }
        Op::Flip(axes) => {
            for &axis in axes {
                a.axis(0, axis)?;
            }
            Ok((a.shape(0), a.dtype(0)))
        }
        Op::Concat(axis) => concat(&a, *axis),
        Op::Gather(_) | Op::ScatterAdd { .. } | Op::Scatter { .. } | Op::Select(_) | Op::SelectAdd { .. } => {
            indexing(&a)
        }
        Op::InType(..) => unreachable!("answered above"),
        Op::MatMul => matmul(&a),
        Op::Conv(options) => convolution(&a, options),
        Op::ConvInput(_, shape) | Op::ConvWeight(_, shape) => {
            a.same_dtype(0, 1)?;
            Ok((shape.clone(), a.kind(0, "float")?))
        }
        Op::AvgPool(window) => Ok((pooled(&a, window)?, a.kind(0, "float")?)),
        Op::MaxPoolIndices(window) => {
            a.kind(0, "float")?;
            Ok((pooled(&a, window)?, INDEX))
        }
        Op::AvgPoolAdjoint(_, shape) | Op::AdaptiveAvgPoolAdjoint(shape) => Ok((shape.clone(), a.kind(0, "float")?)),
        Op::AdaptiveAvgPool(sizes) => {
            let mut shape = a.shape(0);
            if shape.len() != sizes.len() + 2 {
                return a.invalid(shape, format!("pooling to {sizes:?} needs {} dimensions", sizes.len() + 2));
            }
            shape[2..].copy_from_slice(sizes);
            Ok((shape, a.kind(0, "float")?))
        }
    }
}

fn unary(a: &Arguments<'_>, f: Unary) -> Result<(Vec<usize>, DType), GraphError> {
    let dtype = match f {
        Unary::Not => a.kind(0, "discrete")?,
        Unary::Neg | Unary::Abs | Unary::Sign => a.kind(0, "number")?,
        Unary::IsNan | Unary::IsInf => {
            a.kind(0, "float")?;
            BOOL
        }
        _ => a.kind(0, "float")?,
    };
    Ok((a.shape(0), dtype))
}

fn binary(a: &Arguments<'_>, f: Binary) -> Result<(Vec<usize>, DType), GraphError> {
    let kind = match f {
        Binary::And | Binary::Or | Binary::Xor => "discrete",
        Binary::ShiftLeft | Binary::ShiftRight => "integer",
        Binary::Atan2 | Binary::Gate => "float",
        _ => "number",
    };
    a.kind(0, kind)?;
    Ok((a.same_shape(0, 1)?, a.same_dtype(0, 1)?))
}

fn concat(a: &Arguments<'_>, axis: usize) -> Result<(Vec<usize>, DType), GraphError> {
    let mut shape = a.axis(0, axis)?;
    for i in 1..a.inputs.len() {
        a.same_dtype(0, i)?;
        let other = a.axis(i, axis)?;
        let others_agree = other.len() == shape.len() && (0..shape.len()).all(|d| d == axis || other[d] == shape[d]);
        if !others_agree {
            return Err(GraphError::ShapeMismatch { op: a.op.name(), left: shape, right: other });
        }
        shape[axis] += other[axis];
    }
    Ok((shape, a.dtype(0)))
}

fn indexing(a: &Arguments<'_>) -> Result<(Vec<usize>, DType), GraphError> {
    match *a.op {
        Op::Gather(axis) => {
            a.kind(1, "integer")?;
            let (shape, indices) = (a.axis(0, axis)?, a.axis(1, axis)?);
            let fits = shape.len() == indices.len() && (0..shape.len()).all(|d| d == axis || indices[d] == shape[d]);
            if !fits {
                return Err(GraphError::ShapeMismatch { op: a.op.name(), left: shape, right: indices });
            }
            Ok((indices, a.dtype(0)))
        }
        Op::ScatterAdd { axis, size } => {
            a.kind(0, "integer")?;
            a.same_shape(0, 1)?;
            let mut shape = a.axis(1, axis)?;
            shape[axis] = size;
            Ok((shape, a.kind(1, "number")?))
        }
        Op::Scatter { axis, .. } => {
            a.kind(1, "integer")?;
            a.same_dtype(0, 2)?;
            let (shape, values) = (a.axis(0, axis)?, a.same_shape(1, 2)?);
            let fits = shape.len() == values.len() && (0..shape.len()).all(|d| d == axis || values[d] == shape[d]);
            if !fits {
                return Err(GraphError::ShapeMismatch { op: a.op.name(), left: shape, right: values });
            }
            Ok((shape, a.kind(0, "number")?))
        }
        Op::Select(axis) => {
            a.kind(1, "integer")?;
            let (mut shape, indices) = (a.axis(0, axis)?, a.shape(1));
            if indices.len() != 1 {
                return a.invalid(indices, "indices must have one dimension");
            }
            shape[axis] = indices[0];
            Ok((shape, a.dtype(0)))
        }
        Op::SelectAdd { axis, size } => {
            a.kind(0, "integer")?;
            let (indices, mut shape) = (a.shape(0), a.axis(1, axis)?);
            if indices != [shape[axis]] {
                return a.invalid(indices, format!("there must be {} indices", shape[axis]));
            }
            shape[axis] = size;
            Ok((shape, a.kind(1, "number")?))
        }
        _ => unreachable!("called for indexing operations only"),
    }
}

fn matmul(a: &Arguments<'_>) -> Result<(Vec<usize>, DType), GraphError> {
    let (left, right) = (a.shape(0), a.shape(1));
    let rank = left.len();
    let fits =
        rank >= 2 && right.len() == rank && left[..rank - 2] == right[..rank - 2] && left[rank - 1] == right[rank - 2];
    if !fits {
        return Err(GraphError::ShapeMismatch { op: a.op.name(), left, right });
    }
    let mut shape = left;
    shape[rank - 1] = right[rank - 1];
    a.kind(0, "number")?;
    Ok((shape, a.same_dtype(0, 1)?))
}
