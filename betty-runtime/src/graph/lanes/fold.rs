//! Lanes in tensors: along a leading dimension, or folded into another one.

use crate::graph::{Graph, GraphError, Image, NodeId, Op, Range};

/// A graph in which operations run for `count` lanes.
pub(in crate::graph) struct Lanes<'a> {
    pub(in crate::graph) graph: &'a mut Graph,
    pub(in crate::graph) count: usize,
}

/// A product whose operands hold all lanes.
pub(super) struct Folded {
    pub(super) op: Op,
    pub(super) operands: [NodeId; 2],
    /// Along which dimension of one lane's result the lanes are, if not along a leading one.
    pub(super) axis: Option<usize>,
}

impl Lanes<'_> {
    /// The image with a leading dimension; where it is shared, repeated along it.
    pub(super) fn lanes(&mut self, image: Image) -> Result<NodeId, GraphError> {
        match image {
            Image::Each(x) => Ok(x),
            Image::Shared(x) => self.graph.expand(x, &self.led(self.graph.shape(x))),
        }
    }

    /// The image with its lanes, if it has any, one after the other along `axis` of one lane.
    pub(super) fn fold(&mut self, image: Image, axis: usize) -> Result<NodeId, GraphError> {
        let Image::Each(x) = image else { return Ok(image.node()) };
        let shape = self.graph.shape(x)[1..].to_vec();
        let mut axes: Vec<usize> = (1..=shape.len()).collect();
        axes.insert(axis, 0);
        let moved = self.graph.permute(x, &axes)?;
        self.graph.reshape(moved, &self.times(&shape, axis))
    }

    /// Undoes [`Lanes::fold`].
    pub(super) fn unfold(&mut self, x: NodeId, axis: usize) -> Result<NodeId, GraphError> {
        let mut shape = self.graph.shape(x).to_vec();
        shape[axis] /= self.count;
        shape.insert(axis, self.count);
        let split = self.graph.reshape(x, &shape)?;
        let mut axes: Vec<usize> = (0..shape.len()).collect();
        axes.remove(axis);
        axes.insert(0, axis);
        self.graph.permute(split, &axes)
    }

    /// The shape with the leading dimension before it.
    pub(super) fn led(&self, shape: &[usize]) -> Vec<usize> {
        [&[self.count], shape].concat()
    }

    /// The shape with room for all lanes along `axis`.
    pub(super) fn times(&self, shape: &[usize], axis: usize) -> Vec<usize> {
        let mut shape = shape.to_vec();
        shape[axis] *= self.count;
        shape
    }

    /// The ranges in every lane.
    pub(super) fn whole(&self, ranges: &[Range]) -> Vec<Range> {
        [&[Range::full(self.count)], ranges].concat()
    }
}
