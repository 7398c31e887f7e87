//! The closed set of operations a [`Graph`](super::Graph) is made of.
//!
//! The set is small on purpose. Whatever Burn records is imported as a composition of these, every derivative rule
//! answers in these, and so every derivative can be differentiated again. Broadcasting is explicit ([`Op::Expand`]),
//! reductions keep their dimensions, and each operation has exactly one result.

use std::hash::{Hash, Hasher};

use burn::tensor::DType;

use super::geometry::{Convolution, Range, Window};
use super::scalar::Scalar;
use super::whole::{Group, Whole};

/// Elementwise functions of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the function its name says")]
pub enum Unary {
    Neg,
    Exp,
    Log,
    Log1p,
    Sqrt,
    Recip,
    Abs,
    Sign,
    Sin,
    Cos,
    Tan,
    Sinh,
    Cosh,
    Tanh,
    Asin,
    Acos,
    Atan,
    Asinh,
    Acosh,
    Atanh,
    Erf,
    Sigmoid,
    LogSigmoid,
    Gelu,
    Relu,
    Round,
    Floor,
    Ceil,
    Trunc,
    /// Negation of truth values, complement of the bits of integers.
    Not,
    /// Bool: is the float not a number?
    IsNan,
    /// Bool: is the float infinite?
    IsInf,
}

/// Elementwise functions of two tensors of the same shape and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the function its name says")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    /// Remainder with the sign of the divisor.
    Rem,
    /// `lhs` to the power `rhs`.
    Pow,
    Atan2,
    /// Of truth values, or of the bits of integers.
    And,
    /// Of truth values, or of the bits of integers.
    Or,
    /// Of truth values, or of the bits of integers.
    Xor,
    /// The integer `lhs` with its bits moved up by `rhs`.
    ShiftLeft,
    /// The integer `lhs` with its bits moved down by `rhs`.
    ShiftRight,
    /// `rhs` where `lhs > 0`, else 0: the derivative of relu applied to `rhs`.
    Gate,
}

/// Elementwise functions of one tensor and one host number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the function its name says")]
pub enum WithScalar {
    Add,
    Mul,
    /// The tensor divided by the number, which is not the product with its inverse: that would be rounded twice.
    Div,
    /// The tensor to the power of the number.
    Pow,
    /// The larger of the two.
    ClampMin,
    /// The smaller of the two.
    ClampMax,
    /// Remainder with the sign of the number.
    Rem,
}

/// Elementwise comparisons; the result is a bool tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the relation its name says")]
pub enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Lower,
    LowerEqual,
}

/// What becomes of an entry that a value is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Update {
    /// The value takes its place.
    Assign,
    /// It is multiplied by the value.
    Multiply,
    /// The smaller of both stays.
    Minimum,
    /// The larger of both stays.
    Maximum,
}

/// Where random numbers come from; parameters are bit patterns of `f64` so that nodes can be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// 1 with this probability, else 0.
    Bernoulli(f64),
    /// Uniform on `[low, high)`.
    Uniform(f64, f64),
    /// Normal with mean and standard deviation.
    Normal(f64, f64),
}

impl Eq for Distribution {}

impl Hash for Distribution {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (tag, a, b) = match *self {
            Distribution::Bernoulli(p) => (0_u8, p, 0.0),
            Distribution::Uniform(low, high) => (1, low, high),
            Distribution::Normal(mean, deviation) => (2, mean, deviation),
        };
        (tag, a.to_bits(), b.to_bits()).hash(state);
    }
}

/// One operation. Inputs are listed in the order of the arguments in the description.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The program's input with this index.
    Input(usize),
    /// Host data kept by the graph, by index.
    Literal(usize),
    /// A tensor filled with one number.
    Full(Scalar),
    /// The `draw`-th random tensor of the trace: two draws never merge, one draw is one value wherever it is used.
    Random {
        /// Number of the draw.
        draw: usize,
        /// What it is drawn from.
        distribution: Distribution,
    },
    /// `x`, with derivative zero.
    StopGradient,
    /// `x`, which is a part of something that ranks have together: number `place` of these in the trace. It stands for the whole,
    /// which it becomes once it is known who the ranks are (`over_ranks`).
    OnWhole {
        /// Two places never merge.
        place: usize,
        /// What it is a part of.
        whole: Whole,
    },
    /// The sum of `x` over all ranks. Linear, and its own transpose: each rank's part moves the sum on all of them.
    SumOverRanks(Group),
    /// Elementwise `f(x)`.
    Unary(Unary),
    /// Elementwise `f(x, y)`.
    Binary(Binary),
    /// Elementwise `f(x, number)`.
    WithScalar(WithScalar, Scalar),
    /// Bool: elementwise relation of `x` and `y`.
    Compare(Comparison),
    /// Bool: elementwise relation of `x` and the number.
    CompareScalar(Comparison, Scalar),
    /// `x` where `mask`, else `y` (inputs: mask, x, y).
    Where,
    /// `x` in another type.
    Cast(DType),
    /// Sum over these dimensions, each kept with size 1.
    Sum(Vec<usize>),
    /// Indices of the largest value along the dimension, kept with size 1; the first one in a tie.
    ArgMax(usize),
    /// Indices of the smallest value along the dimension, kept with size 1; the first one in a tie.
    ArgMin(usize),
    /// Running sum along the dimension.
    CumSum(usize),
    /// Index of the largest value so far along the dimension; the latest one in a tie.
    CumArgMax(usize),
    /// Index of the smallest value so far along the dimension; the latest one in a tie.
    CumArgMin(usize),
    /// Indices that put the values along the dimension in order; the order of equal ones is the backend's.
    ArgSort {
        /// The dimension.
        axis: usize,
        /// Whether the largest value comes first.
        descending: bool,
    },
    /// Indices of the largest values along the dimension, largest first; which of equal ones is the backend's choice.
    ArgTopK {
        /// The dimension.
        axis: usize,
        /// How many.
        count: usize,
    },
    /// Logarithm of the softmax along the dimension.
    LogSoftmax(usize),
    /// Softmax along the dimension.
    Softmax(usize),
    /// `(x − E x) / √(E (x − E x)² + ε)` along the last dimension.
    Normalize {
        /// `ε`
        epsilon: Scalar,
    },
    /// `√(E (x − E x)² + ε)` along the last dimension, kept with size 1.
    Deviation {
        /// `ε`
        epsilon: Scalar,
    },
    /// The same elements in row-major order under another shape.
    Reshape(Vec<usize>),
    /// Dimensions reordered: result dimension `i` is dimension `axes[i]` of `x`.
    Permute(Vec<usize>),
    /// Dimensions of size 1 repeated up to the shape.
    Expand(Vec<usize>),
    /// The part of `x` inside the ranges, one for each dimension.
    Slice(Vec<Range>),
    /// `x` with the part inside the ranges replaced by `y`.
    SliceAssign(Vec<Range>),
    /// `x` reversed along these dimensions.
    Flip(Vec<usize>),
    /// All inputs one after the other along the dimension.
    Concat(usize),
    /// `out[.., j, ..] = x[.., indices[.., j, ..], ..]` along the dimension (inputs: x, indices).
    Gather(usize),
    /// Adjoint of gather into zeros of size `size` along the dimension (inputs: indices, values).
    ScatterAdd {
        /// The dimension.
        axis: usize,
        /// Its size in the result.
        size: usize,
    },
    /// `x` with the entries that gather would read updated by values (inputs: x, indices, values).
    ///
    /// Of several values for one entry, each updates what the ones before it left.
    Scatter {
        /// The dimension.
        axis: usize,
        /// What happens to an entry.
        update: Update,
        /// Whether its derivatives take for granted that no entry is written to twice, as those of Burn do.
        once: bool,
    },
    /// `out[.., j, ..] = x[.., indices[j], ..]` along the dimension (inputs: x, one-dimensional indices).
    Select(usize),
    /// Adjoint of select into zeros of size `size` along the dimension (inputs: indices, values).
    SelectAdd {
        /// The dimension.
        axis: usize,
        /// Its size in the result.
        size: usize,
    },
    /// Product of the last two dimensions; the others are equal in both inputs.
    MatMul,
    /// Cross-correlation of `x [n, c, …]` with `weight [o, c/groups, …]`.
    Conv(Convolution),
    /// Adjoint of convolution in `x` (inputs: weight, cotangent), with the shape of `x`.
    ConvInput(Convolution, Vec<usize>),
    /// Adjoint of convolution in `weight` (inputs: x, cotangent), with the shape of `weight`.
    ConvWeight(Convolution, Vec<usize>),
    /// A product (the four above) in another float type: operands are rounded to it, and the result has their own type.
    ///
    /// Its derivatives are products in that type as well, and sums of them are sums in the operands' type. Planning a
    /// program turns it into casts around the product ([`expand_products`](super::transform::expand_products)).
    InType(DType, Box<Op>),
    /// Average over a moving window.
    AvgPool(Window),
    /// Adjoint of average pooling, with the shape of `x`.
    AvgPoolAdjoint(Window, Vec<usize>),
    /// Average over an adaptive window, with these output sizes.
    AdaptiveAvgPool(Vec<usize>),
    /// Adjoint of adaptive average pooling, with the shape of `x`.
    AdaptiveAvgPoolAdjoint(Vec<usize>),
    /// Flat position within the pooled dimensions of the largest value of each window.
    MaxPoolIndices(Window),
}

impl Op {
    /// Whether it multiplies and adds up: what can be computed in a type of its own.
    pub fn is_product(&self) -> bool {
        matches!(self, Op::MatMul | Op::Conv(_) | Op::ConvInput(..) | Op::ConvWeight(..))
    }

    /// The operation's name in printed graphs and errors.
    pub fn name(&self) -> String {
        match self {
            Op::Unary(op) => format!("{op:?}").to_lowercase(),
            Op::Binary(op) => format!("{op:?}").to_lowercase(),
            Op::WithScalar(op, _) => format!("{op:?}_scalar").to_lowercase(),
            Op::Compare(op) => format!("{op:?}").to_lowercase(),
            Op::InType(dtype, op) => format!("{}_{}", op.name(), format!("{dtype:?}").to_lowercase()),
            Op::CompareScalar(op, _) => format!("{op:?}_scalar").to_lowercase(),
            other => {
                let debug = format!("{other:?}");
                let end = debug.find(['(', ' ', '{']).unwrap_or(debug.len());
                snake_case(&debug[..end])
            }
        }
    }
}

fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (i, c) in name.chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
