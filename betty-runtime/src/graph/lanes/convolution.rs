//! Lanes of convolutions and their adjoints: more examples, more channels, or groups of channels.
//!
//! Data `x [n, c, …]`, weight `[o, c/groups, …]` and result `y [n, o, …]` are contracted over the one index that the result of an
//! operation has not: c for the convolution, o for its adjoint in x, n for its adjoint in the weight. Lanes of one operand
//! can join its other index, which the result has too, as long as that is not bound to the other operand by groups. Lanes of
//! both operands are groups of their own.

use super::fold::{Folded, Lanes};
use crate::graph::{Convolution, GraphError, Image, Op};

/// A convolution or one of its adjoints with room for all lanes.
pub(super) fn folded(lanes: &mut Lanes<'_>, op: &Op, first: Image, second: Image) -> Result<Folded, GraphError> {
    let options = match op {
        Op::Conv(options) | Op::ConvInput(options, _) | Op::ConvWeight(options, _) => options,
        _ => unreachable!("called for convolutions only"),
    };
    if let Some((from, to)) = alone(op, options, first, second) {
        let operands = [lanes.fold(first, from)?, lanes.fold(second, from)?];
        return Ok(Folded { op: resized(lanes, op, options.clone(), to), operands, axis: Some(to) });
    }
    // Groups are cut from the channels of x and y, and from the rows of the weight.
    let (of_first, of_second, to) = match op {
        Op::Conv(_) => (1, 0, 1),
        Op::ConvInput(..) => (0, 1, 1),
        _ => (1, 1, 0),
    };
    let (first, second) = (Image::Each(lanes.lanes(first)?), Image::Each(lanes.lanes(second)?));
    let operands = [lanes.fold(first, of_first)?, lanes.fold(second, of_second)?];
    let options = Convolution { groups: options.groups * lanes.count, ..options.clone() };
    Ok(Folded { op: resized(lanes, op, options, to), operands, axis: Some(to) })
}

/// Where the lanes of one operand go, in it and in the result, if the other operand need not be repeated.
fn alone(op: &Op, options: &Convolution, first: Image, second: Image) -> Option<(usize, usize)> {
    let one_group = options.groups == 1;
    match (op, first, second) {
        // Examples of x, or of y.
        (Op::Conv(_), Image::Each(_), Image::Shared(_)) => Some((0, 0)),
        (Op::ConvInput(..), Image::Shared(_), Image::Each(_)) => Some((0, 0)),
        // Channels of y, or of x.
        (Op::Conv(_), Image::Shared(_), Image::Each(_)) if one_group => Some((0, 1)),
        (Op::ConvInput(..), Image::Each(_), Image::Shared(_)) if one_group => Some((1, 1)),
        (Op::ConvWeight(..), Image::Each(_), Image::Shared(_)) if one_group => Some((1, 1)),
        (Op::ConvWeight(..), Image::Shared(_), Image::Each(_)) if one_group => Some((1, 0)),
        _ => None,
    }
}

/// The operation with these options, and room for all lanes along `axis` of its result.
fn resized(lanes: &Lanes<'_>, op: &Op, options: Convolution, axis: usize) -> Op {
    match op {
        Op::ConvInput(_, shape) => Op::ConvInput(options, lanes.times(shape, axis)),
        Op::ConvWeight(_, shape) => Op::ConvWeight(options, lanes.times(shape, axis)),
        _ => Op::Conv(options),
    }
}
