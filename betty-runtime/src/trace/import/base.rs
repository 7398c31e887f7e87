//! Moving, indexing and comparing: operations that floats, integers and bools share.

use burn::tensor::Slice;
use burn_ir::{BaseOperationIr, BinaryOpIr, ReduceOpIr, ScalarOpIr, TensorIr};

use super::{Imported, Importer, scalar};
use crate::graph::{Comparison, NodeId, Op, Range, Scalar};

impl Importer<'_> {
    pub(super) fn base(&mut self, op: &BaseOperationIr) -> Imported {
        match op {
            BaseOperationIr::Reshape(o) => self.unary_op(Op::Reshape(o.out.shape.to_vec()), &o.input, &o.out),
            BaseOperationIr::SwapDims(o) => {
                let mut axes: Vec<usize> = (0..o.out.shape.num_dims()).collect();
                axes.swap(o.dim1, o.dim2);
                self.unary_op(Op::Permute(axes), &o.input, &o.out)
            }
            BaseOperationIr::Permute(o) => self.unary_op(Op::Permute(o.axes.clone()), &o.input, &o.out),
            BaseOperationIr::Flip(o) => self.unary_op(Op::Flip(o.axes.clone()), &o.input, &o.out),
            BaseOperationIr::Expand(o) => {
                let x = self.node(&o.input)?;
                let node = self.graph.expand(x, &o.out.shape.to_vec())?;
                self.set(&o.out, node)
            }
            BaseOperationIr::Slice(o) => {
                let x = self.node(&o.tensor)?;
                let part = self.graph.slice(x, &ranges(&o.ranges, &o.tensor.shape.to_vec()))?;
                let node = self.turned(part, &o.ranges)?;
                self.set(&o.out, node)
            }
            BaseOperationIr::SliceAssign(o) => {
                let ranges = ranges(&o.ranges, &o.tensor.shape.to_vec());
                let (x, y) = (self.node(&o.tensor)?, self.node(&o.value)?);
                let y = self.turned(y, &o.ranges)?;
                let node = self.graph.push(Op::SliceAssign(ranges), &[x, y])?;
                self.set(&o.out, node)
            }
            BaseOperationIr::Select(o) => self.select(o),
            BaseOperationIr::SelectAssign(o) => self.select_assign(o),
            BaseOperationIr::Gather(o) => self.gather(o),
            BaseOperationIr::Scatter(o) => self.scatter(o),
            BaseOperationIr::GatherNd(o) => self.gather_nd(o),
            BaseOperationIr::ScatterNd(o) => self.scatter_nd(o),
            BaseOperationIr::Unfold(o) => self.unfold(o),
            BaseOperationIr::MaskWhere(o) => {
                let (x, y) = self.operands(&o.tensor, &o.value)?;
                let mask = self.node(&o.mask)?;
                let (mask, x) = self.graph.broadcast(mask, x)?;
                let (mask, y) = self.graph.broadcast(mask, y)?;
                let node = self.graph.select_where(mask, y, x)?;
                self.set(&o.out, node)
            }
            BaseOperationIr::MaskFill(o) => {
                let (x, mask) = self.operands(&o.tensor, &o.mask)?;
                let (shape, dtype) = (self.graph.shape(x).to_vec(), self.graph.dtype(x));
                let filled = self.graph.filled(&shape, dtype, scalar(o.value));
                let node = self.graph.select_where(mask, filled, x)?;
                self.set(&o.out, node)
            }
            BaseOperationIr::Equal(o) => self.compare(Comparison::Equal, o),
            BaseOperationIr::NotEqual(o) => self.compare(Comparison::NotEqual, o),
            BaseOperationIr::EqualElem(o) => self.compare_scalar(Comparison::Equal, o),
            BaseOperationIr::NotEqualElem(o) => self.compare_scalar(Comparison::NotEqual, o),
            BaseOperationIr::RepeatDim(o) => {
                // [.., d, ..] → [.., 1, d, ..] → [.., times, d, ..] → [.., times·d, ..]
                let x = self.node(&o.tensor)?;
                let mut shape = o.tensor.shape.to_vec();
                shape.insert(o.dim, 1);
                let split = self.graph.reshape(x, &shape)?;
                shape[o.dim] = o.times;
                let repeated = self.graph.expand(split, &shape)?;
                let node = self.graph.reshape(repeated, &o.out.shape.to_vec())?;
                self.set(&o.out, node)
            }
            BaseOperationIr::Cat(o) => {
                let inputs = o.tensors.iter().map(|tensor| self.node(tensor)).collect::<Imported<Vec<NodeId>>>()?;
                let node = self.graph.push(Op::Concat(o.dim), &inputs)?;
                self.set(&o.out, node)
            }
            BaseOperationIr::Cast(o) => self.unary_op(Op::Cast(o.out.dtype), &o.input, &o.out),
            BaseOperationIr::Ones(o) => self.fill(&o.out, Scalar::of(o.out.dtype, 1.0)),
            BaseOperationIr::Zeros(o) | BaseOperationIr::Empty(o) => self.fill(&o.out, Scalar::of(o.out.dtype, 0.0)),
            BaseOperationIr::Any(o) => self.any(o),
            BaseOperationIr::AnyDim(o) => {
                let x = self.truth(&o.input)?;
                let node = self.any_along(x, o.axis)?;
                self.set(&o.out, node)
            }
            BaseOperationIr::AllDim(o) => {
                let x = self.truth(&o.input)?;
                let inverted = self.graph.push(Op::Unary(crate::graph::Unary::Not), &[x])?;
                let any = self.any_along(inverted, o.axis)?;
                let node = self.graph.push(Op::Unary(crate::graph::Unary::Not), &[any])?;
                self.set(&o.out, node)
            }
            BaseOperationIr::All(o) => {
                // all(x) = not any(not x)
                let x = self.truth(&o.input)?;
                let inverted = self.graph.push(Op::Unary(crate::graph::Unary::Not), &[x])?;
                let any = self.any_of(inverted)?;
                let node = self.graph.push(Op::Unary(crate::graph::Unary::Not), &[any])?;
                self.set(&o.out, node)
            }
        }
    }

    pub(super) fn compare(&mut self, relation: Comparison, o: &BinaryOpIr) -> Imported {
        self.binary_op(Op::Compare(relation), &o.lhs, &o.rhs, &o.out)
    }

    pub(super) fn compare_scalar(&mut self, relation: Comparison, o: &ScalarOpIr) -> Imported {
        self.unary_op(Op::CompareScalar(relation, scalar(o.rhs)), &o.lhs, &o.out)
    }

    pub(super) fn fill(&mut self, out: &TensorIr, value: Scalar) -> Imported {
        let node = self.graph.filled(&out.shape.to_vec(), out.dtype, value);
        self.set(out, node)
    }

    /// A part turned around along the dimensions whose step is negative.
    fn turned(&mut self, part: NodeId, slices: &[Slice]) -> Imported<NodeId> {
        let backward: Vec<usize> = (0..slices.len()).filter(|&d| slices[d].step < 0).collect();
        if backward.is_empty() {
            return Ok(part);
        }
        Ok(self.graph.push(Op::Flip(backward), &[part])?)
    }

    fn truth(&mut self, tensor: &TensorIr) -> Imported<NodeId> {
        let x = self.node(tensor)?;
        let dtype = self.graph.dtype(x);
        if dtype.is_bool() {
            return Ok(x);
        }
        Ok(self.graph.push(Op::CompareScalar(Comparison::NotEqual, Scalar::of(dtype, 0.0)), &[x])?)
    }

    fn any(&mut self, o: &ReduceOpIr) -> Imported {
        let x = self.truth(&o.input)?;
        let node = self.any_of(x)?;
        self.set(&o.out, node)
    }

    fn any_along(&mut self, x: NodeId, axis: usize) -> Imported<NodeId> {
        let counted = self.graph.cast(x, burn::tensor::DType::I64)?;
        let count = self.graph.sum(counted, &[axis])?;
        Ok(self.graph.push(Op::CompareScalar(Comparison::Greater, Scalar::Int(0)), &[count])?)
    }

    fn any_of(&mut self, x: NodeId) -> Imported<NodeId> {
        let counted = self.graph.cast(x, burn::tensor::DType::I64)?;
        let count = self.graph.sum_all(counted)?;
        Ok(self.graph.push(Op::CompareScalar(Comparison::Greater, Scalar::Int(0)), &[count])?)
    }
}

/// Burn's slices counted from the front; missing ones take the whole dimension.
///
/// A negative step takes the range from its end: here are the same indices, in ascending order.
fn ranges(slices: &[Slice], sizes: &[usize]) -> Vec<Range> {
    let absolute = |index: isize, size: usize| -> usize {
        let index = if index < 0 { index + size as isize } else { index };
        index.clamp(0, size as isize) as usize
    };
    let range = |(d, &size): (usize, &usize)| {
        let Some(slice) = slices.get(d) else { return Range::full(size) };
        let end = slice.end.map_or(size, |end| absolute(end, size));
        let start = absolute(slice.start, size).min(end);
        let range = Range { start, end, step: slice.step.unsigned_abs().max(1) };
        if slice.step > 0 || range.is_empty() {
            return range;
        }
        Range { start: end - 1 - (range.len() - 1) * range.step, ..range }
    };
    sizes.iter().enumerate().map(range).collect()
}
