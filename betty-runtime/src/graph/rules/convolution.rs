//! Convolution, its adjoint in the data and its adjoint in the weight: three bilinear maps, closed under transposition.

use super::answer::Product;
use super::{NodeId, Op};

/// The adjoint of a convolution in its `i`-th input, which has this shape.
pub(super) fn transposed(op: Op, inputs: &[NodeId], i: usize, shape: Vec<usize>, cotangent: NodeId) -> Product {
    let (first, second) = (inputs[0], inputs[1]);
    match (op, i) {
        // conv(x, weight)
        (Op::Conv(options), 0) => (Op::ConvInput(options, shape), [second, cotangent]),
        (Op::Conv(options), _) => (Op::ConvWeight(options, shape), [first, cotangent]),
        // conv_input(weight, c): the cotangent lives where x lives
        (Op::ConvInput(options, _), 0) => (Op::ConvWeight(options, shape), [cotangent, second]),
        (Op::ConvInput(options, _), _) => (Op::Conv(options), [cotangent, first]),
        // conv_weight(x, c): the cotangent lives where the weight lives
        (Op::ConvWeight(options, _), 0) => (Op::ConvInput(options, shape), [cotangent, second]),
        (Op::ConvWeight(options, _), _) => (Op::Conv(options), [first, cotangent]),
        _ => unreachable!("called for convolutions only"),
    }
}
