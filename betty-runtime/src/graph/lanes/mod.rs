//! Operations for many inputs at once: one lane an input, all lanes along a new leading dimension.
//!
//! What no lane differs in has no leading dimension, and stays one computation. Every operation has its arm below; those
//! that are more than themselves with dimensions counted from 1 stand in their family's file.

mod convolution;
mod fold;
mod indexing;
mod product;

use super::{GraphError, Image, NodeId, Op};
pub(super) use fold::Lanes;

impl Lanes<'_> {
    /// `op` applied to these images.
    pub(super) fn apply(&mut self, op: &Op, inputs: &[Image]) -> Result<Image, GraphError> {
        let shared: Option<Vec<NodeId>> = inputs.iter().map(|input| input.shared()).collect();
        match shared {
            Some(shared) => self.graph.push(op.clone(), &shared).map(Image::Shared),
            None => self.each(op, inputs).map(Image::Each),
        }
    }

    /// The same where at least one image has lanes.
    fn each(&mut self, op: &Op, inputs: &[Image]) -> Result<NodeId, GraphError> {
        match op {
            Op::Input(_) | Op::Literal(_) | Op::Full(_) | Op::Random { .. } => unreachable!("leaves have no inputs"),
            // Elementwise, or along the last dimension, which still is the last.
            Op::StopGradient
            | Op::OnWhole { .. }
            | Op::SumOverRanks(_)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::WithScalar(..)
            | Op::Compare(_)
            | Op::CompareScalar(..)
            | Op::Where
            | Op::Cast(_)
            | Op::Normalize { .. }
            | Op::Deviation { .. } => self.spread(op.clone(), inputs),
            Op::Sum(axes) => self.spread(Op::Sum(behind(axes)), inputs),
            Op::ArgMax(axis) => self.spread(Op::ArgMax(axis + 1), inputs),
            Op::ArgMin(axis) => self.spread(Op::ArgMin(axis + 1), inputs),
            Op::CumSum(axis) => self.spread(Op::CumSum(axis + 1), inputs),
            Op::CumArgMax(axis) => self.spread(Op::CumArgMax(axis + 1), inputs),
            Op::CumArgMin(axis) => self.spread(Op::CumArgMin(axis + 1), inputs),
            &Op::ArgSort { axis, descending } => self.spread(Op::ArgSort { axis: axis + 1, descending }, inputs),
            &Op::ArgTopK { axis, count } => self.spread(Op::ArgTopK { axis: axis + 1, count }, inputs),
            Op::LogSoftmax(axis) => self.spread(Op::LogSoftmax(axis + 1), inputs),
            Op::Softmax(axis) => self.spread(Op::Softmax(axis + 1), inputs),
            Op::Reshape(shape) => self.spread(Op::Reshape(self.led(shape)), inputs),
            Op::Permute(axes) => self.spread(Op::Permute([vec![0], behind(axes)].concat()), inputs),
            Op::Expand(shape) => self.spread(Op::Expand(self.led(shape)), inputs),
            Op::Slice(ranges) => self.spread(Op::Slice(self.whole(ranges)), inputs),
            Op::SliceAssign(ranges) => self.spread(Op::SliceAssign(self.whole(ranges)), inputs),
            Op::Flip(axes) => self.spread(Op::Flip(behind(axes)), inputs),
            Op::Concat(axis) => self.spread(Op::Concat(axis + 1), inputs),
            Op::Gather(axis) => self.spread(Op::Gather(axis + 1), inputs),
            &Op::ScatterAdd { axis, size } => self.spread(Op::ScatterAdd { axis: axis + 1, size }, inputs),
            &Op::Scatter { axis, update, once } => self.spread(Op::Scatter { axis: axis + 1, update, once }, inputs),
            Op::Select(axis) => indexing::select(self, *axis, inputs[0], inputs[1]),
            Op::SelectAdd { axis, size } => indexing::select_add(self, *axis, *size, inputs[0], inputs[1]),
            Op::MatMul | Op::Conv(_) | Op::ConvInput(..) | Op::ConvWeight(..) => {
                product::product(self, op, None, inputs)
            }
            Op::InType(dtype, op) => product::product(self, op, Some(*dtype), inputs),
            // Lanes are more examples of the batch; positions in `MaxPoolIndices` count within an example's channel.
            Op::AvgPool(_) | Op::AdaptiveAvgPool(_) | Op::MaxPoolIndices(_) => self.folded(op.clone(), inputs[0]),
            Op::AvgPoolAdjoint(window, shape) => {
                self.folded(Op::AvgPoolAdjoint(window.clone(), self.times(shape, 0)), inputs[0])
            }
            Op::AdaptiveAvgPoolAdjoint(shape) => {
                self.folded(Op::AdaptiveAvgPoolAdjoint(self.times(shape, 0)), inputs[0])
            }
        }
    }

    /// `op` over all lanes of all images.
    fn spread(&mut self, op: Op, inputs: &[Image]) -> Result<NodeId, GraphError> {
        let inputs = inputs.iter().map(|&input| self.lanes(input)).collect::<Result<Vec<_>, _>>()?;
        self.graph.push(op, &inputs)
    }

    /// `op` over lanes that are rows of the first dimension.
    fn folded(&mut self, op: Op, x: Image) -> Result<NodeId, GraphError> {
        let rows = self.fold(x, 0)?;
        let result = self.graph.push(op, &[rows])?;
        self.unfold(result, 0)
    }
}

/// Dimensions of one lane, behind the leading one.
fn behind(axes: &[usize]) -> Vec<usize> {
    axes.iter().map(|axis| axis + 1).collect()
}
