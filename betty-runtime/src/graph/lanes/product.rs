//! Lanes of products: one larger product wherever its lanes need not be told apart.

use burn::tensor::DType;

use super::convolution;
use super::fold::{Folded, Lanes};
use crate::graph::{GraphError, Image, NodeId, Op};

/// A product in every lane, computed in this type or in that of its operands.
///
/// A product in f16 is scaled by its operands ([`Op::InType`]), here by the largest entry of all lanes.
pub(super) fn product(
    lanes: &mut Lanes<'_>,
    op: &Op,
    dtype: Option<DType>,
    inputs: &[Image],
) -> Result<NodeId, GraphError> {
    let (first, second) = (inputs[0], inputs[1]);
    let Folded { op, operands, axis } = match op {
        Op::MatMul => matmul(lanes, first, second)?,
        op => convolution::folded(lanes, op, first, second)?,
    };
    let op = match dtype {
        Some(dtype) => Op::InType(dtype, Box::new(op)),
        None => op,
    };
    let result = lanes.graph.push(op, &operands)?;
    axis.map_or(Ok(result), |axis| lanes.unfold(result, axis))
}

/// With one matrix on one side, all lanes are one product: `[A₁; A₂]·B` and `A·[B₁, B₂]`.
fn matmul(lanes: &mut Lanes<'_>, x: Image, y: Image) -> Result<Folded, GraphError> {
    let axis = match (x, y) {
        (Image::Each(_), Image::Shared(matrix)) if lanes.graph.shape(matrix).len() == 2 => Some(0),
        (Image::Shared(matrix), Image::Each(_)) if lanes.graph.shape(matrix).len() == 2 => Some(1),
        _ => None,
    };
    let operands = match axis {
        Some(axis) => [lanes.fold(x, axis)?, lanes.fold(y, axis)?],
        None => [lanes.lanes(x)?, lanes.lanes(y)?],
    };
    Ok(Folded { op: Op::MatMul, operands, axis })
}
