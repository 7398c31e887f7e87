//! Means, products, extreme values, orders and running reductions.

use burn::tensor::DType;
use burn_ir::TensorIr;

use super::{Imported, Importer};
use crate::graph::{NodeId, Op, Unary, accumulator};

impl Importer<'_> {
    /// The mean along dimensions, each kept with size 1. In 16 bits the sum may be beyond what the mean is far from, and integers of
    /// few bits may not have the count.
    pub(super) fn mean_along(&mut self, axes: &[usize], input: &TensorIr) -> Imported<NodeId> {
        let x = self.node(input)?;
        let dtype = self.graph.dtype(x);
        let count: usize = axes.iter().map(|&axis| self.graph.shape(x)[axis]).product();
        let wide = if dtype.is_float() { self.graph.cast(x, accumulator(dtype))? } else { x };
        let sum = self.graph.sum(wide, axes)?;
        let sum = if dtype.is_float() { sum } else { self.graph.cast(sum, DType::I64)? };
        let mean = self.graph.div_scalar(sum, count as f64)?;
        Ok(self.graph.cast(mean, dtype)?)
    }

    /// A sum divided by a number, if the sum has 16 bits: that of a variance may be beyond what the variance is far from.
    pub(super) fn share_of_sum(&mut self, sum: &TensorIr, divisor: f64) -> Imported<Option<NodeId>> {
        let sum = self.node(sum)?;
        let (dtype, wide) = (self.graph.dtype(sum), accumulator(self.graph.dtype(sum)));
        let Op::Sum(axes) = self.graph.node(sum).op.clone() else { return Ok(None) };
        if wide == dtype {
            return Ok(None);
        }
        let x = self.graph.cast(self.graph.node(sum).inputs[0], wide)?;
        let sum = self.graph.sum(x, &axes)?;
        let share = self.graph.div_scalar(sum, divisor)?;
        Ok(Some(self.graph.cast(share, dtype)?))
    }

    pub(super) fn index_of(&mut self, op: Op, input: &TensorIr, out: &TensorIr) -> Imported {
        let x = self.node(input)?;
        let indices = self.graph.push(op, &[x])?;
        let node = self.graph.cast(indices, out.dtype)?;
        self.set(out, node)
    }

    /// The extreme value along a dimension is the one at its index: all derivatives follow from gather's.
    pub(super) fn extreme(
        &mut self,
        op: Op,
        axis: usize,
        input: &TensorIr,
        out: &TensorIr,
        out_indices: Option<&TensorIr>,
    ) -> Imported {
        let x = self.node(input)?;
        let indices = self.graph.push(op, &[x])?;
        let node = self.graph.push(Op::Gather(axis), &[x, indices])?;
        self.set(out, node)?;
        if let Some(tensor) = out_indices {
            let indices = self.graph.cast(indices, tensor.dtype)?;
            self.set(tensor, indices)?;
        }
        Ok(())
    }

    pub(super) fn extreme_of_all(&mut self, op: Op, input: &TensorIr, out: &TensorIr) -> Imported {
        let x = self.node(input)?;
        let node = self.extreme_value_of_all(op, x)?;
        self.set_shaped(out, node)
    }

    fn extreme_value_of_all(&mut self, op: Op, x: NodeId) -> Imported<NodeId> {
        let flat = self.graph.reshape(x, &[self.graph.node(x).elements()])?;
        let index = self.graph.push(op, &[flat])?;
        Ok(self.graph.push(Op::Gather(0), &[flat, index])?)
    }

    /// The largest magnitude of all.
    pub(super) fn max_abs(&mut self, input: &TensorIr, out: &TensorIr) -> Imported {
        let magnitude = self.magnitude(input)?;
        let node = self.extreme_value_of_all(Op::ArgMax(0), magnitude)?;
        self.set_shaped(out, node)
    }

    /// The largest magnitude along a dimension.
    pub(super) fn max_abs_along(&mut self, axis: usize, input: &TensorIr, out: &TensorIr) -> Imported {
        let magnitude = self.magnitude(input)?;
        let indices = self.graph.push(Op::ArgMax(axis), &[magnitude])?;
        let node = self.graph.push(Op::Gather(axis), &[magnitude, indices])?;
        self.set(out, node)
    }

    fn magnitude(&mut self, input: &TensorIr) -> Imported<NodeId> {
        let x = self.node(input)?;
        Ok(self.graph.push(Op::Unary(Unary::Abs), &[x])?)
    }

    /// Values in order are the ones at the indices that put them in order.
    pub(super) fn sorted(
        &mut self,
        axis: usize,
        descending: bool,
        input: &TensorIr,
        out: Option<&TensorIr>,
        out_indices: Option<&TensorIr>,
    ) -> Imported {
        self.ordered(Op::ArgSort { axis, descending }, axis, input, out, out_indices)
    }

    /// The largest values are the ones at their indices, as many as the result holds.
    pub(super) fn largest(
        &mut self,
        axis: usize,
        input: &TensorIr,
        out: Option<&TensorIr>,
        out_indices: Option<&TensorIr>,
    ) -> Imported {
        let Some(count) = out.or(out_indices).map(|tensor| tensor.shape[axis]) else { return Ok(()) };
        self.ordered(Op::ArgTopK { axis, count }, axis, input, out, out_indices)
    }

    fn ordered(
        &mut self,
        op: Op,
        axis: usize,
        input: &TensorIr,
        out: Option<&TensorIr>,
        out_indices: Option<&TensorIr>,
    ) -> Imported {
        let x = self.node(input)?;
        let order = self.graph.push(op, &[x])?;
        if let Some(tensor) = out {
            let node = self.graph.push(Op::Gather(axis), &[x, order])?;
            self.set(tensor, node)?;
        }
        if let Some(tensor) = out_indices {
            let indices = self.graph.cast(order, tensor.dtype)?;
            self.set(tensor, indices)?;
        }
        Ok(())
    }

    /// The product of all elements.
    pub(super) fn product(&mut self, input: &TensorIr, out: &TensorIr) -> Imported {
        let x = self.node(input)?;
        let flat = self.graph.reshape(x, &[input.shape.num_elements()])?;
        let node = self.product_of(flat, 0)?;
        self.set_shaped(out, node)
    }

    pub(super) fn product_along(&mut self, axis: usize, input: &TensorIr, out: &TensorIr) -> Imported {
        let x = self.node(input)?;
        let node = self.product_of(x, axis)?;
        self.set(out, node)
    }

    /// Halves multiplied by halves: no division, so that derivatives of every order are right where a factor is 0.
    /// In 16 bits a part of the product may be beyond what the whole is far from.
    fn product_of(&mut self, x: NodeId, axis: usize) -> Imported<NodeId> {
        let dtype = self.graph.dtype(x);
        let mut x = if dtype.is_float() { self.graph.cast(x, accumulator(dtype))? } else { x };
        loop {
            let size = self.graph.shape(x)[axis];
            if size == 0 {
                let mut shape = self.graph.shape(x).to_vec();
                shape[axis] = 1;
                return Ok(self.graph.full(&shape, dtype, 1.0));
            }
            if size == 1 {
                return Ok(self.graph.cast(x, dtype)?);
            }
            let half = size / 2;
            let (left, right) = (self.graph.narrow(x, axis, 0, half)?, self.graph.narrow(x, axis, half, 2 * half)?);
            let product = self.graph.mul(left, right)?;
            x = if size.is_multiple_of(2) {
                product
            } else {
                let last = self.graph.narrow(x, axis, size - 1, size)?;
                self.graph.push(Op::Concat(axis), &[product, last])?
            };
        }
    }

    /// A running product by doubling (Hillis and Steele 1986): after step `s` each position holds the product of the last
    /// `2ˢ` factors. As for a product, there is no division.
    pub(super) fn cumulative_product(&mut self, axis: usize, input: &TensorIr, out: &TensorIr) -> Imported {
        let x = self.node(input)?;
        let (size, dtype) = (self.graph.shape(x)[axis], self.graph.dtype(x));
        let mut x = if dtype.is_float() { self.graph.cast(x, accumulator(dtype))? } else { x };
        let mut reach = 1;
        while reach < size {
            let done = self.graph.narrow(x, axis, 0, reach)?;
            let (before, after) =
                (self.graph.narrow(x, axis, 0, size - reach)?, self.graph.narrow(x, axis, reach, size)?);
            let product = self.graph.mul(after, before)?;
            x = self.graph.push(Op::Concat(axis), &[done, product])?;
            reach *= 2;
        }
        let x = self.graph.cast(x, dtype)?;
        self.set(out, x)
    }
}
