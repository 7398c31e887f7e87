//! One operation on one device: from graph operations to Burn's dispatch layer.

use burn::tensor::{BoolStore, DType, DispatchTensor, IntDType, Slice};
use burn_backend::ops::{ActivationOps, BoolTensorOps, ConvOptions, FloatTensorOps, IntTensorOps, ModuleOps};
use burn_backend::tensor::IndexingUpdateOp;
use burn_backend::{Scalar as Number, TensorMetadata};
use burn_dispatch::{Dispatch as B, DispatchDevice};

use super::random;
use crate::graph::{Binary, Comparison, Convolution, Node, Op, Range, Scalar, Unary, Window, WithScalar};

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

/// What holds for one run of a program.
pub(super) struct Run<'a> {
    pub(super) device: &'a DispatchDevice,
    pub(super) seed: u64,
}

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

/// Calls the one-, two- or three-dimensional variant of an operation.
macro_rules! by_rank {
    ($rank:expr, $one:expr, $two:expr, $three:expr) => {
        match $rank {
            1 => $one,
            2 => $two,
            _ => $three,
        }
    };
}

const BOOL: BoolStore = BoolStore::Native;
const INDEX: IntDType = IntDType::I64;

impl Run<'_> {
    /// Runs a kernel on its operands, taking them out of the list.
    pub(super) fn execute(&self, kernel: &Kernel, operands: &mut Vec<DispatchTensor>) -> DispatchTensor {
        let mut operands = operands.drain(..);
        let mut next = || operands.next().expect("the graph checked the number of inputs");
        match kernel {
            Kernel::MaskFill(value) => {
                let (x, mask) = (next(), next());
                by_kind!(x, float_mask_fill, int_mask_fill, bool_mask_fill, mask, number(*value))
            }
            Kernel::CompareBool(relation, value) => match relation {
                Comparison::NotEqual => B::bool_not_equal_elem(next(), Number::Bool(*value)),
                _ => B::bool_equal_elem(next(), Number::Bool(*value)),
            },
            Kernel::Node { op, shape, dtype } => self.node(op, shape, *dtype, &mut next),
        }
    }

    fn node(&self, op: &Op, shape: &[usize], dtype: DType, next: &mut dyn FnMut() -> DispatchTensor) -> DispatchTensor {
        match op {
            Op::Input(_) | Op::Literal(_) => unreachable!("inputs and literals are given, not executed"),
            Op::Full(value) => full(shape, *value, dtype, self.device),
            Op::Random { draw, distribution } => {
                random::draw(shape, dtype, *distribution, self.seed, *draw, self.device)
            }
            Op::StopGradient => next(),
            Op::Unary(f) => unary(*f, next()),
            Op::Binary(f) => binary(*f, next(), next()),
            Op::WithScalar(f, value) => with_scalar(*f, next(), number(*value)),
            Op::Compare(relation) => compare(*relation, next(), next()),
            Op::CompareScalar(relation, value) => compare_scalar(*relation, next(), number(*value)),
            Op::Where => {
                let (mask, x, y) = (next(), next(), next());
                by_kind!(y, float_mask_where, int_mask_where, bool_mask_where, mask, x)
            }
            Op::Cast(to) => cast(next(), *to),
            Op::Sum(axes) => sum(next(), axes),
            Op::ArgMax(axis) => arg_extreme(next(), *axis, true),
            Op::ArgMin(axis) => arg_extreme(next(), *axis, false),
            Op::LogSoftmax(axis) => B::log_softmax(next(), *axis),
            Op::Softmax(axis) => B::softmax(next(), *axis),
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
            Op::Gather(axis) => gather(*axis, next(), next()),
            Op::ScatterAdd { axis, .. } => {
                let (indices, values) = (next(), next());
                let zeros = full(shape, Scalar::of(dtype, 0.0), dtype, self.device);
                if dtype.is_float() {
                    B::float_scatter(*axis, zeros, indices, values, IndexingUpdateOp::Add)
                } else {
                    B::int_scatter(*axis, zeros, indices, values, IndexingUpdateOp::Add)
                }
            }
            Op::Select(axis) => {
                let (x, indices) = (next(), next());
                by_kind!(x, float_select, int_select, bool_select, *axis, indices)
            }
            Op::SelectAdd { axis, .. } => {
                let (indices, values) = (next(), next());
                let zeros = full(shape, Scalar::of(dtype, 0.0), dtype, self.device);
                by_number!(zeros, float_select_assign, int_select_assign, *axis, indices, values, IndexingUpdateOp::Add)
            }
            Op::MatMul => {
                let (x, y) = (next(), next());
                by_number!(x, float_matmul, int_matmul, y)
            }
            Op::Conv(o) => {
                let (x, w) = (next(), next());
                by_rank!(
                    o.stride.len(),
                    B::conv1d(x, w, None, options(o)),
                    B::conv2d(x, w, None, options(o)),
                    B::conv3d(x, w, None, options(o))
                )
            }
            Op::ConvInput(o, _) => {
                let (w, c) = (next(), next());
                let x = self.stand_in(shape, dtype);
                by_rank!(
                    o.stride.len(),
                    B::conv1d_x_backward(x, w, c, options(o)),
                    B::conv2d_x_backward(x, w, c, options(o)),
                    B::conv3d_x_backward(x, w, c, options(o))
                )
            }
            Op::ConvWeight(o, _) => {
                let (x, c) = (next(), next());
                let w = self.stand_in(shape, dtype);
                by_rank!(
                    o.stride.len(),
                    B::conv1d_weight_backward(x, w, c, options(o)),
                    B::conv2d_weight_backward(x, w, c, options(o)),
                    B::conv3d_weight_backward(x, w, c, options(o))
                )
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
            Op::MaxPoolIndices(w) => max_pool_indices(next(), w),
        }
    }

    /// One number seen as a whole tensor: Burn's adjoints take a tensor where they only need its shape.
    fn stand_in(&self, shape: &[usize], dtype: DType) -> DispatchTensor {
        let one = full(&vec![1; shape.len()], Scalar::Float(0.0), dtype, self.device);
        B::float_expand(one, shape.to_vec().into())
    }
}

fn number(value: Scalar) -> Number {
    match value {
        Scalar::Float(value) => Number::Float(value),
        Scalar::Int(value) => Number::Int(value),
        Scalar::Bool(value) => Number::Bool(value),
    }
}

fn full(shape: &[usize], value: Scalar, dtype: DType, device: &DispatchDevice) -> DispatchTensor {
    let shape = shape.to_vec().into();
    if dtype.is_float() {
        B::float_full(shape, number(value), device, dtype.into())
    } else if dtype.is_bool() {
        if value.as_f64() != 0.0 { B::bool_ones(shape, device, BOOL) } else { B::bool_zeros(shape, device, BOOL) }
    } else {
        B::int_full(shape, number(value), device, dtype.into())
    }
}

fn unary(f: Unary, x: DispatchTensor) -> DispatchTensor {
    match f {
        Unary::Neg => by_number!(x, float_neg, int_neg),
        Unary::Abs => by_number!(x, float_abs, int_abs),
        Unary::Sign => by_number!(x, float_sign, int_sign),
        Unary::Exp => B::float_exp(x),
        Unary::Log => B::float_log(x),
        Unary::Log1p => B::float_log1p(x),
        Unary::Sqrt => B::float_sqrt(x),
        Unary::Recip => B::float_recip(x),
        Unary::Sin => B::float_sin(x),
        Unary::Cos => B::float_cos(x),
        Unary::Tan => B::float_tan(x),
        Unary::Sinh => B::float_sinh(x),
        Unary::Cosh => B::float_cosh(x),
        Unary::Tanh => B::float_tanh(x),
        Unary::Asin => B::float_asin(x),
        Unary::Acos => B::float_acos(x),
        Unary::Atan => B::float_atan(x),
        Unary::Asinh => B::float_asinh(x),
        Unary::Acosh => B::float_acosh(x),
        Unary::Atanh => B::float_atanh(x),
        Unary::Erf => B::float_erf(x),
        Unary::Sigmoid => B::sigmoid(x),
        Unary::LogSigmoid => B::log_sigmoid(x),
        Unary::Gelu => B::gelu(x),
        Unary::Relu => B::relu(x),
        Unary::Round => B::float_round(x),
        Unary::Floor => B::float_floor(x),
        Unary::Ceil => B::float_ceil(x),
        Unary::Trunc => B::float_trunc(x),
        Unary::Not => B::bool_not(x),
        Unary::IsNan => B::float_is_nan(x, BOOL),
        Unary::IsInf => B::float_is_inf(x, BOOL),
    }
}

fn binary(f: Binary, x: DispatchTensor, y: DispatchTensor) -> DispatchTensor {
    match f {
        Binary::Add => by_number!(x, float_add, int_add, y),
        Binary::Sub => by_number!(x, float_sub, int_sub, y),
        Binary::Mul => by_number!(x, float_mul, int_mul, y),
        Binary::Div => by_number!(x, float_div, int_div, y),
        Binary::Rem => by_number!(x, float_remainder, int_remainder, y),
        Binary::Pow => B::float_powf(x, y),
        Binary::Atan2 => B::float_atan2(x, y),
        Binary::And => B::bool_and(x, y),
        Binary::Or => B::bool_or(x, y),
        Binary::Xor => B::bool_xor(x, y),
        Binary::Gate => B::relu_backward(x, y),
    }
}

fn with_scalar(f: WithScalar, x: DispatchTensor, c: Number) -> DispatchTensor {
    match f {
        WithScalar::Add => by_number!(x, float_add_scalar, int_add_scalar, c),
        WithScalar::Mul => by_number!(x, float_mul_scalar, int_mul_scalar, c),
        WithScalar::Rem => by_number!(x, float_remainder_scalar, int_remainder_scalar, c),
        WithScalar::ClampMin => by_number!(x, float_clamp_min, int_clamp_min, c),
        WithScalar::ClampMax => by_number!(x, float_clamp_max, int_clamp_max, c),
        // A whole exponent is a repeated product: right for negative bases, and faster.
        WithScalar::Pow => match c {
            Number::Float(exponent) if exponent.fract() != 0.0 || exponent.abs() > 64.0 => B::float_powf_scalar(x, c),
            Number::Float(exponent) => B::float_powi_scalar(x, Number::Int(exponent as i64)),
            _ => by_number!(x, float_powi_scalar, int_powi_scalar, c),
        },
    }
}

fn compare(relation: Comparison, x: DispatchTensor, y: DispatchTensor) -> DispatchTensor {
    if x.dtype().is_bool() {
        return match relation {
            Comparison::NotEqual => B::bool_not_equal(x, y),
            _ => B::bool_equal(x, y),
        };
    }
    match relation {
        Comparison::Equal => by_number!(x, float_equal, int_equal, y, BOOL),
        Comparison::NotEqual => by_number!(x, float_not_equal, int_not_equal, y, BOOL),
        Comparison::Greater => by_number!(x, float_greater, int_greater, y, BOOL),
        Comparison::GreaterEqual => by_number!(x, float_greater_equal, int_greater_equal, y, BOOL),
        Comparison::Lower => by_number!(x, float_lower, int_lower, y, BOOL),
        Comparison::LowerEqual => by_number!(x, float_lower_equal, int_lower_equal, y, BOOL),
    }
}

fn compare_scalar(relation: Comparison, x: DispatchTensor, c: Number) -> DispatchTensor {
    match relation {
        Comparison::Equal => by_number!(x, float_equal_elem, int_equal_elem, c, BOOL),
        Comparison::NotEqual => by_number!(x, float_not_equal_elem, int_not_equal_elem, c, BOOL),
        Comparison::Greater => by_number!(x, float_greater_elem, int_greater_elem, c, BOOL),
        Comparison::GreaterEqual => by_number!(x, float_greater_equal_elem, int_greater_equal_elem, c, BOOL),
        Comparison::Lower => by_number!(x, float_lower_elem, int_lower_elem, c, BOOL),
        Comparison::LowerEqual => by_number!(x, float_lower_equal_elem, int_lower_equal_elem, c, BOOL),
    }
}

fn cast(x: DispatchTensor, to: DType) -> DispatchTensor {
    let from = x.dtype();
    match (from.is_float(), from.is_bool(), to.is_float(), to.is_bool()) {
        (true, _, true, _) => B::float_cast(x, to.into()),
        (true, _, _, true) => B::float_not_equal_elem(x, Number::Float(0.0), BOOL),
        (true, ..) => B::float_into_int(x, to.into()),
        (_, true, true, _) => B::bool_into_float(x, to.into()),
        (_, true, _, true) => x,
        (_, true, ..) => B::bool_into_int(x, to.into()),
        (_, _, true, _) => B::int_into_float(x, to.into()),
        (_, _, _, true) => B::int_not_equal_elem(x, Number::Int(0), BOOL),
        _ => B::int_cast(x, to.into()),
    }
}

fn sum(x: DispatchTensor, axes: &[usize]) -> DispatchTensor {
    let rank = x.shape().num_dims();
    if !x.dtype().is_float() {
        return axes.iter().fold(x, |x, &axis| B::int_sum_dim(x, axis));
    }
    if axes.len() == rank {
        return B::float_reshape(B::float_sum(x), vec![1; rank].into());
    }
    match axes {
        [axis] => B::float_sum_dim(x, *axis),
        _ => B::float_sum_dims(x, axes),
    }
}

fn arg_extreme(x: DispatchTensor, axis: usize, max: bool) -> DispatchTensor {
    if x.dtype().is_float() {
        return if max { B::float_argmax(x, axis, INDEX) } else { B::float_argmin(x, axis, INDEX) };
    }
    B::int_cast(if max { B::int_argmax(x, axis) } else { B::int_argmin(x, axis) }, INDEX)
}

fn gather(axis: usize, x: DispatchTensor, indices: DispatchTensor) -> DispatchTensor {
    if x.dtype().is_float() {
        B::float_gather(axis, x, indices)
    } else if x.dtype().is_bool() {
        B::bool_gather(axis, x, indices)
    } else {
        B::int_gather(axis, x, indices)
    }
}

fn slices(ranges: &[Range]) -> Vec<Slice> {
    ranges.iter().map(|r| Slice::new(r.start as isize, Some(r.end as isize), r.step as isize)).collect()
}

fn options<const N: usize>(o: &Convolution) -> ConvOptions<N> {
    ConvOptions {
        stride: std::array::from_fn(|d| o.stride[d]),
        padding: std::array::from_fn(|d| o.padding[d]),
        dilation: std::array::from_fn(|d| o.dilation[d]),
        groups: o.groups,
    }
}

fn pair(sizes: &[usize]) -> [usize; 2] {
    [sizes[0], sizes[1]]
}

fn avg_pool(x: DispatchTensor, w: &Window) -> DispatchTensor {
    let Window { kernel, stride, padding, ceil, count_padding, .. } = w;
    match kernel.len() {
        1 => B::avg_pool1d(x, kernel[0], stride[0], padding[0], *count_padding, *ceil),
        _ => B::avg_pool2d(x, pair(kernel), pair(stride), pair(padding), *count_padding, *ceil),
    }
}

fn avg_pool_adjoint(x: DispatchTensor, c: DispatchTensor, w: &Window) -> DispatchTensor {
    let Window { kernel, stride, padding, ceil, count_padding, .. } = w;
    match kernel.len() {
        1 => B::avg_pool1d_backward(x, c, kernel[0], stride[0], padding[0], *count_padding, *ceil),
        _ => B::avg_pool2d_backward(x, c, pair(kernel), pair(stride), pair(padding), *count_padding, *ceil),
    }
}

fn max_pool_indices(x: DispatchTensor, w: &Window) -> DispatchTensor {
    let Window { kernel, stride, padding, dilation, ceil, .. } = w;
    match kernel.len() {
        1 => B::max_pool1d_with_indices(x, kernel[0], stride[0], padding[0], dilation[0], *ceil, INDEX).indices,
        _ => {
            let (kernel, stride, padding, dilation) = (pair(kernel), pair(stride), pair(padding), pair(dilation));
            B::max_pool2d_with_indices(x, kernel, stride, padding, dilation, *ceil, INDEX).indices
        }
    }
}
