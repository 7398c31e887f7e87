//! Reading and writing at indices that a tensor holds.

use burn::tensor::{DType, TensorData};
use burn_backend::tensor::IndexingUpdateOp;
use burn_ir::{GatherNdOpIr, GatherOpIr, ScatterNdOpIr, ScatterOpIr, SelectAssignOpIr, SelectOpIr, TensorIr};

use super::{Imported, Importer};
use crate::graph::{Binary, Comparison, NodeId, Op, Range, Scalar, Update};

impl Importer<'_> {
    pub(super) fn select(&mut self, o: &SelectOpIr) -> Imported {
        let (x, indices) = (self.node(&o.tensor)?, self.node(&o.indices)?);
        let node = self.graph.push(Op::Select(o.dim), &[x, indices])?;
        self.set(&o.out, node)
    }

    pub(super) fn gather(&mut self, o: &GatherOpIr) -> Imported {
        let (x, indices) = (self.node(&o.tensor)?, self.node(&o.indices)?);
        // Gather reads only as far as the indices reach in the other dimensions.
        let within = self.within(x, indices, o.dim);
        let x = self.graph.slice(x, &within)?;
        let node = self.graph.push(Op::Gather(o.dim), &[x, indices])?;
        self.set(&o.out, node)
    }

    pub(super) fn scatter(&mut self, o: &ScatterOpIr) -> Imported {
        let (x, indices, values) = (self.node(&o.tensor)?, self.node(&o.indices)?, self.node(&o.value)?);
        let within = self.within(x, indices, o.dim);
        let part = self.graph.slice(x, &within)?;
        let updated = self.update(part, o.dim, indices, values, o.update)?;
        let node = if part == x { updated } else { self.graph.push(Op::SliceAssign(within), &[x, updated])? };
        self.set(&o.out, node)
    }

    pub(super) fn select_assign(&mut self, o: &SelectAssignOpIr) -> Imported {
        let (x, indices, values) = (self.node(&o.tensor)?, self.node(&o.indices)?, self.node(&o.value)?);
        let node = self.update_rows(x, o.dim, indices, values, o.update)?;
        self.set(&o.out, node)
    }

    /// With `k` coordinates an entry is a row of what is left when the first `k` dimensions are one.
    pub(super) fn gather_nd(&mut self, o: &GatherNdOpIr) -> Imported {
        let x = self.node(&o.data)?;
        let (rows, positions) = self.rows(x, &o.indices)?;
        let read = self.graph.push(Op::Select(0), &[rows, positions])?;
        self.set_shaped(&o.out, read)
    }

    pub(super) fn scatter_nd(&mut self, o: &ScatterNdOpIr) -> Imported {
        let (x, values) = (self.node(&o.data)?, self.node(&o.values)?);
        let (rows, positions) = self.rows(x, &o.indices)?;
        let shape = [self.graph.shape(positions)[0], self.graph.shape(rows)[1]];
        let values = self.graph.reshape(values, &shape)?;
        let node = self.update_rows(rows, 0, positions, values, o.reduction)?;
        self.set_shaped(&o.out, node)
    }

    /// `x` as a matrix whose rows the coordinates name, and the row numbers.
    fn rows(&mut self, x: NodeId, indices: &TensorIr) -> Imported<(NodeId, NodeId)> {
        let coordinates = self.node(indices)?;
        let (shape, rank) = (self.graph.shape(x).to_vec(), indices.shape.num_dims());
        let depth = indices.shape[rank - 1];
        let (named, row) = shape.split_at(depth.min(shape.len()));
        let count = indices.shape.num_elements() / depth.max(1);
        let strides: Vec<i64> = (0..depth).map(|d| named[d + 1..].iter().product::<usize>() as i64).collect();
        let strides = self.graph.literal(TensorData::new(strides, [1, depth]));
        let coordinates = self.graph.cast(coordinates, DType::I64)?;
        let coordinates = self.graph.reshape(coordinates, &[count, depth])?;
        let offsets = self.graph.mul(coordinates, strides)?;
        let positions = self.graph.sum(offsets, &[1])?;
        let positions = self.graph.reshape(positions, &[count])?;
        let positions = self.within_all(positions, coordinates, named)?;
        let rows = self.graph.reshape(x, &[named.iter().product(), row.iter().product()])?;
        Ok((rows, positions))
    }

    /// The positions of rows; where a coordinate is none of its dimension's, one behind all rows: the sum with the other
    /// coordinates may well be the number of another row.
    fn within_all(&mut self, positions: NodeId, coordinates: NodeId, sizes: &[usize]) -> Imported<NodeId> {
        let zero = Scalar::of(DType::I64, 0.0);
        let ends: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
        let ends = self.graph.literal(TensorData::new(ends, [1, sizes.len()]));
        let shape = self.graph.shape(coordinates).to_vec();
        let ends = self.graph.expand(ends, &shape)?;
        let is_below = self.graph.push(Op::CompareScalar(Comparison::Lower, zero), &[coordinates])?;
        let is_beyond = self.graph.push(Op::Compare(Comparison::GreaterEqual), &[coordinates, ends])?;
        let [is_below, is_beyond] = [self.graph.cast(is_below, DType::I64)?, self.graph.cast(is_beyond, DType::I64)?];
        let wrong = self.graph.add(is_below, is_beyond)?;
        let wrong = self.graph.sum(wrong, &[1])?;
        let shape = self.graph.shape(positions).to_vec();
        let wrong = self.graph.reshape(wrong, &shape)?;
        let is_wrong = self.graph.push(Op::CompareScalar(Comparison::Greater, zero), &[wrong])?;
        let behind = self.graph.literal(TensorData::new(vec![sizes.iter().product::<usize>() as i64], [1]));
        let behind = self.graph.expand(behind, &shape)?;
        Ok(self.graph.select_where(is_wrong, behind, positions)?)
    }

    /// `x` with whole slices updated.
    fn update_rows(
        &mut self,
        x: NodeId,
        axis: usize,
        indices: NodeId,
        values: NodeId,
        update: IndexingUpdateOp,
    ) -> Imported<NodeId> {
        if update == IndexingUpdateOp::Add && !self.graph.dtype(x).is_bool() {
            let size = self.graph.shape(x)[axis];
            let added = self.graph.push(Op::SelectAdd { axis, size }, &[indices, values])?;
            return Ok(self.graph.add(x, added)?);
        }
        let shape = self.graph.shape(values).to_vec();
        let mut along = vec![1; shape.len()];
        along[axis] = shape[axis];
        let column = self.graph.reshape(indices, &along)?;
        let everywhere = self.graph.expand(column, &shape)?;
        self.update(x, axis, everywhere, values, update)
    }

    /// `x` with the entries at the indices updated.
    fn update(
        &mut self,
        x: NodeId,
        axis: usize,
        indices: NodeId,
        values: NodeId,
        update: IndexingUpdateOp,
    ) -> Imported<NodeId> {
        let update = match update {
            IndexingUpdateOp::Add => {
                let size = self.graph.shape(x)[axis];
                return self.add_at(x, axis, size, indices, values);
            }
            IndexingUpdateOp::Assign => Update::Assign,
            IndexingUpdateOp::Mul => Update::Multiply,
            IndexingUpdateOp::Min => Update::Minimum,
            IndexingUpdateOp::Max => Update::Maximum,
        };
        Ok(self.graph.push(Op::Scatter { axis, update, once: false }, &[x, indices, values])?)
    }

    /// Adding truth values is asking whether one of them holds.
    fn add_at(&mut self, x: NodeId, axis: usize, size: usize, indices: NodeId, values: NodeId) -> Imported<NodeId> {
        if !self.graph.dtype(x).is_bool() {
            let added = self.graph.push(Op::ScatterAdd { axis, size }, &[indices, values])?;
            return Ok(self.graph.add(x, added)?);
        }
        let counted = self.graph.cast(values, DType::I64)?;
        let count = self.graph.push(Op::ScatterAdd { axis, size }, &[indices, counted])?;
        let any = self.graph.push(Op::CompareScalar(Comparison::Greater, Scalar::Int(0)), &[count])?;
        Ok(self.graph.push(Op::Binary(Binary::Or), &[x, any])?)
    }

    /// All of `x` along `axis`, and as far as the indices reach in the other dimensions.
    fn within(&self, x: NodeId, indices: NodeId, axis: usize) -> Vec<Range> {
        let (from, to) = (self.graph.shape(x), self.graph.shape(indices));
        let size = |d: usize| if d == axis { from[d] } else { to.get(d).copied().unwrap_or(from[d]) };
        (0..from.len()).map(|d| Range::full(size(d))).collect()
    }
}
