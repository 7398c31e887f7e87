//! One operation on one device: from graph operations to Burn's dispatch layer.

/// Calls the float, integer or bool variant of an operation, by the type of its first tensor.
macro_rules! by_kind {
    ($x:expr, $float:ident, $int:ident, $bool:ident $(, $argument:expr)*) => {{
        let x = $x;
        let dtype = x.dtype();
        if dtype.is_float() { B::$float(x $(, $argument)*) }
        else if dtype.is_bool() { B::$bool(x $(, $argument)*) }
        else { B::$int(x $(, $argument)*) }
    }};
}

macro_rules! by_number {
    ($x:expr, $float:ident, $int:ident $(, $argument:expr)*) => {{
        let x = $x;
        if x.dtype().is_float() { B::$float(x $(, $argument)*) } else { B::$int(x $(, $argument)*) }
    }};
}

/// Calls the bool or integer variant of an operation.
macro_rules! by_logic {
    ($x:expr, $bool:ident, $int:ident $(, $argument:expr)*) => {{
        let x = $x;
        if x.dtype().is_bool() { B::$bool(x $(, $argument)*) } else { B::$int(x $(, $argument)*) }
    }};
}

mod convolution;
mod elementwise;
mod indexing;
mod ordering;
mod product;
mod rows;
mod wide;
mod window;

use std::fmt;

use burn::tensor::{DType, DispatchTensor, Slice};
use burn_backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps, IntTensorOps, ModuleOps};
use burn_backend::tensor::IndexingUpdateOp;
use burn_backend::{Scalar as Number, TensorMetadata};
use burn_dispatch::{Dispatch as B, DispatchDevice};

use super::random;
use super::stored::Stored;
use super::value::Value;
use crate::graph::{Comparison, Group, Node, Op, Range, Scalar, label, type_and_shape};
pub(super) use elementwise::step;
use elementwise::{binary, cast, compare, compare_scalar, unary, with_scalar};
pub(super) use product::product;
use wide::{in_type, summed_in};
use window::{avg_pool, avg_pool_adjoint, by_rank, max_pool_indices};

/// What an instruction executes.
#[derive(Debug)]
pub(super) enum Kernel {
    /// A graph operation with a result of this shape and type.
    Node { op: Op, shape: Vec<usize>, dtype: DType },
    /// A number written where a mask holds (inputs: tensor, mask).
    MaskFill(Scalar),
    /// A bool tensor compared with a truth value.
    CompareBool(Comparison, bool),
}

impl Kernel {
    pub(super) fn node(node: &Node) -> Self {
        Kernel::Node { op: node.op.clone(), shape: node.shape.clone(), dtype: node.dtype }
    }
}

impl fmt::Display for Kernel {
    /// `` `log` (f32[16, 5]) ``: the operation, with type and shape of its result.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kernel::Node { op, shape, dtype } => write!(f, "`{}` ({})", label(op), type_and_shape(*dtype, shape)),
            Kernel::MaskFill(value) => write!(f, "`mask_fill {}`", value.as_f64()),
            Kernel::CompareBool(relation, value) => write!(f, "`{relation:?} {value}`"),
        }
    }
}

/// What holds for one run of a program.
pub(super) struct Run<'a> {
    pub(super) device: &'a DispatchDevice,
    pub(super) stored: Stored,
    pub(super) seed: u64,
}

impl Run<'_> {
    /// Runs a kernel on its operands, taking them out of the list.
    ///
    /// Nothing is launched for a tensor without elements: not every device has kernels for that.
    pub(super) fn execute(&self, kernel: &Kernel, operands: &mut Vec<DispatchTensor>) -> DispatchTensor {
        let mut operands = operands.drain(..);
        let mut next = || operands.next().expect("the graph checked the number of inputs");
        match kernel {
            Kernel::MaskFill(value) => {
                let (x, mask) = (next(), next());
                if x.shape().num_elements() == 0 {
                    return x;
                }
                by_kind!(x, float_mask_fill, int_mask_fill, bool_mask_fill, mask, number(*value))
            }
            Kernel::CompareBool(relation, value) => {
                let x = next();
                match relation {
                    _ if x.shape().num_elements() == 0 => x,
                    Comparison::NotEqual => B::bool_not_equal_elem(x, Number::Bool(*value)),
                    _ => B::bool_equal_elem(x, Number::Bool(*value)),
                }
            }
            Kernel::Node { op, shape, dtype } if shape.contains(&0) && !matches!(op, Op::SumOverRanks(_)) => {
                let dtype = self.stored.dtype(*dtype);
                self.full(shape, Scalar::of(dtype, 0.0), dtype)
            }
            Kernel::Node { op, shape, dtype } => match summed_in(op, *dtype, self.device) {
                Some(wide) => in_type(self.node(op, shape, wide, &mut || in_type(next(), wide)), *dtype),
                None => self.node(op, shape, *dtype, &mut next),
            },
        }
    }

    fn node(&self, op: &Op, shape: &[usize], dtype: DType, next: &mut dyn FnMut() -> DispatchTensor) -> DispatchTensor {
        let dtype = self.stored.dtype(dtype);
        match op {
            Op::Input(_) | Op::Literal(_) => unreachable!("inputs and literals are given, not executed"),
            Op::Full(value) => self.full(shape, *value, dtype),
            Op::Random { draw, distribution } => {
                random::draw(shape, dtype, *distribution, self.seed, *draw, self.device)
            }
            Op::StopGradient | Op::OnWhole { .. } => next(),
            Op::SumOverRanks(group) => over_ranks(group, next()),
            Op::Unary(f) => unary(*f, next(), self.stored),
            Op::Binary(f) => binary(*f, next(), next()),
            Op::WithScalar(f, value) => with_scalar(*f, next(), number(*value)),
            Op::Compare(relation) => compare(*relation, next(), next(), self.stored),
            Op::CompareScalar(relation, value) => compare_scalar(*relation, next(), number(*value), self.stored),
            Op::Where => {
                let (mask, x, y) = (next(), next(), next());
                by_kind!(y, float_mask_where, int_mask_where, bool_mask_where, mask, x)
            }
            Op::Cast(_) => cast(next(), dtype, self.stored),
            Op::Sum(axes) => ordering::sum(next(), axes),
            Op::ArgMax(axis) => ordering::arg_extreme(next(), *axis, true, self.stored),
            Op::ArgMin(axis) => ordering::arg_extreme(next(), *axis, false, self.stored),
            Op::CumSum(axis) => rows::cumulative_sum(next(), *axis),
            Op::CumArgMax(axis) => ordering::cumulative_arg_extreme(next(), *axis, true, self),
            Op::CumArgMin(axis) => ordering::cumulative_arg_extreme(next(), *axis, false, self),
            Op::ArgTopK { axis, count } => ordering::arg_top_k(next(), *axis, *count, self.stored),
            Op::ArgSort { axis, descending } => ordering::arg_sort(next(), *axis, *descending, self.stored),
            Op::LogSoftmax(axis) => B::log_softmax(next(), *axis),
            Op::Softmax(axis) => rows::softmax(next(), *axis),
            Op::Normalize { epsilon } => {
                let x = next();
                let features = x.shape()[x.shape().num_dims() - 1];
                let ones = self.full(&[features], Scalar::Float(1.0), dtype);
                B::layer_norm(x, ones, None, epsilon.as_f64())
            }
            Op::Deviation { epsilon } => ordering::deviation(next(), epsilon.as_f64()),
            Op::Reshape(shape) => by_kind!(next(), float_reshape, int_reshape, bool_reshape, shape.clone().into()),
            Op::Permute(axes) => by_kind!(next(), float_permute, int_permute, bool_permute, axes),
            Op::Expand(shape) => by_kind!(next(), float_expand, int_expand, bool_expand, shape.clone().into()),
            Op::Slice(ranges) => by_kind!(next(), float_slice, int_slice, bool_slice, &slices(ranges)),
            Op::SliceAssign(ranges) => {
                let (x, y) = (next(), next());
                by_kind!(x, float_slice_assign, int_slice_assign, bool_slice_assign, &slices(ranges), y)
            }
            Op::Flip(axes) => by_kind!(next(), float_flip, int_flip, bool_flip, axes),
            Op::Concat(axis) => {
                let first = next();
                let dtype = first.dtype();
                let mut all = vec![first];
                let mut length = all[0].shape()[*axis];
                while length < shape[*axis] {
                    all.push(next());
                    length += all[all.len() - 1].shape()[*axis];
                }
                if dtype.is_float() {
                    B::float_cat(all, *axis)
                } else if dtype.is_bool() {
                    B::bool_cat(all, *axis)
                } else {
                    B::int_cat(all, *axis)
                }
            }
            Op::Gather(axis) => indexing::gather(*axis, next(), next(), self.stored),
            Op::ScatterAdd { axis, .. } => {
                let (indices, values) = (next(), next());
                let zeros = self.full(shape, Scalar::of(dtype, 0.0), dtype);
                indexing::scatter(*axis, IndexingUpdateOp::Add, zeros, indices, values)
            }
            Op::Scatter { axis, update, .. } => {
                indexing::scatter(*axis, indexing::burn_update(*update), next(), next(), next())
            }
            Op::Select(axis) => indexing::select(*axis, next(), next(), self.stored),
            Op::SelectAdd { axis, .. } => {
                let (indices, values) = (next(), next());
                let zeros = self.full(shape, Scalar::of(dtype, 0.0), dtype);
                by_number!(zeros, float_select_assign, int_select_assign, *axis, indices, values, IndexingUpdateOp::Add)
            }
            Op::MatMul => {
                let x = next();
                product(x, next())
            }
            Op::InType(..) => unreachable!("planning turned it into casts around a product"),
            Op::Conv(o) => convolution::forward(next(), next(), o, shape),
            Op::ConvInput(o, _) => convolution::input_adjoint(next(), next(), o, shape, || self.stand_in(shape, dtype)),
            Op::ConvWeight(o, _) => {
                convolution::weight_adjoint(next(), next(), o, shape, || self.stand_in(shape, dtype))
            }
            Op::AvgPool(w) => avg_pool(next(), w),
            Op::AvgPoolAdjoint(w, _) => avg_pool_adjoint(self.stand_in(shape, dtype), next(), w),
            Op::AdaptiveAvgPool(sizes) => by_rank!(
                sizes.len(),
                B::adaptive_avg_pool1d(next(), sizes[0]),
                B::adaptive_avg_pool2d(next(), [sizes[0], sizes[1]]),
                B::adaptive_avg_pool3d(next(), [sizes[0], sizes[1], sizes[2]])
            ),
            Op::AdaptiveAvgPoolAdjoint(x) => {
                let stand_in = self.stand_in(shape, dtype);
                by_rank!(
                    x.len() - 2,
                    B::adaptive_avg_pool1d_backward(stand_in, next()),
                    B::adaptive_avg_pool2d_backward(stand_in, next()),
                    B::adaptive_avg_pool3d_backward(stand_in, next())
                )
            }
            Op::MaxPoolIndices(w) => max_pool_indices(next(), w, self.stored),
        }
    }

    /// One number seen as a whole tensor: Burn's adjoints take a tensor where they only need its shape.
    fn stand_in(&self, shape: &[usize], dtype: DType) -> DispatchTensor {
        let one = self.full(&vec![1; shape.len()], Scalar::Float(0.0), dtype);
        B::float_expand(one, shape.to_vec().into())
    }

    /// One number as often as the shape says, in a type that the device has.
    fn full(&self, shape: &[usize], value: Scalar, dtype: DType) -> DispatchTensor {
        let shape = shape.to_vec().into();
        match dtype {
            DType::Bool(store) if value.as_f64() != 0.0 => B::bool_ones(shape, self.device, store),
            DType::Bool(store) => B::bool_zeros(shape, self.device, store),
            _ if dtype.is_float() => B::float_full(shape, number(value), self.device, dtype.into()),
            _ => B::int_full(shape, number(value), self.device, dtype.into()),
        }
    }
}

/// A sum over ranks, by way of the host.
///
/// # Panics
/// When the tensor cannot be read from its device.
fn over_ranks(group: &Group, x: DispatchTensor) -> DispatchTensor {
    let value = Value(x);
    let data = value.to_data().unwrap_or_else(|error| panic!("{error}"));
    Value::from_data(group.0.sum_of(data), &value.device()).0
}

fn number(value: Scalar) -> Number {
    match value {
        Scalar::Float(value) => Number::Float(value),
        Scalar::Int(value) => Number::Int(value),
        Scalar::Bool(value) => Number::Bool(value),
    }
}

fn slices(ranges: &[Range]) -> Vec<Slice> {
    ranges.iter().map(|r| Slice::new(r.start as isize, Some(r.end as isize), r.step as isize)).collect()
}
