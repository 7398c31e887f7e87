//! Lanes of one-dimensional indices: reading one tensor at all of them, or reading each lane at its own.

use super::fold::Lanes;
use crate::graph::{GraphError, Image, NodeId, Op};

/// `out[.., j, ..] = x[.., indices[j], ..]` in every lane.
pub(super) fn select(lanes: &mut Lanes<'_>, axis: usize, x: Image, indices: Image) -> Result<NodeId, GraphError> {
    match (x, indices) {
        (Image::Each(x), Image::Shared(indices)) => lanes.graph.push(Op::Select(axis + 1), &[x, indices]),
        (Image::Shared(x), indices) => {
            // One list of all indices, so that x is not repeated.
            let list = lanes.fold(indices, 0)?;
            let entries = lanes.graph.push(Op::Select(axis), &[x, list])?;
            lanes.unfold(entries, axis)
        }
        (Image::Each(x), Image::Each(indices)) => {
            let shape = lanes.graph.shape(x).to_vec();
            let at = along(lanes, axis, indices, &shape)?;
            lanes.graph.push(Op::Gather(axis + 1), &[x, at])
        }
    }
}

/// The adjoint of [`select`].
pub(super) fn select_add(
    lanes: &mut Lanes<'_>,
    axis: usize,
    size: usize,
    indices: Image,
    values: Image,
) -> Result<NodeId, GraphError> {
    let values = lanes.lanes(values)?;
    match indices {
        Image::Shared(indices) => lanes.graph.push(Op::SelectAdd { axis: axis + 1, size }, &[indices, values]),
        Image::Each(indices) => {
            let shape = lanes.graph.shape(values).to_vec();
            let at = along(lanes, axis, indices, &shape)?;
            lanes.graph.push(Op::ScatterAdd { axis: axis + 1, size }, &[at, values])
        }
    }
}

/// Each lane's list of indices along `axis` of a lane, the same at every position of the other dimensions of `shape`.
fn along(lanes: &mut Lanes<'_>, axis: usize, indices: NodeId, shape: &[usize]) -> Result<NodeId, GraphError> {
    let listed = lanes.graph.shape(indices)[1];
    let (mut line, mut full) = (vec![1; shape.len()], shape.to_vec());
    (line[0], line[axis + 1]) = (lanes.count, listed);
    full[axis + 1] = listed;
    let line = lanes.graph.reshape(indices, &line)?;
    lanes.graph.expand(line, &full)
}
