//! Moving elements around: reshape, permute, expand, slice, flip and concatenate are linear with simple transposes.

use super::{Graph, GraphError, NodeId, Op};
use crate::graph::{Range, signs};

pub(super) fn vjp(graph: &mut Graph, node: NodeId, i: usize, cotangent: NodeId) -> Result<NodeId, GraphError> {
    let inputs = graph.node(node).inputs.clone();
    let from = graph.shape(inputs[i]).to_vec();
    match graph.node(node).op.clone() {
        Op::Reshape(_) => graph.reshape(cotangent, &from),
        Op::Permute(axes) => {
            let mut inverse = vec![0; axes.len()];
            for (to, &axis) in axes.iter().enumerate() {
                inverse[axis] = to;
            }
            graph.permute(cotangent, &inverse)
        }
        Op::Expand(to) => {
            let repeated: Vec<usize> = (0..to.len()).filter(|&d| from[d] != to[d]).collect();
            signs::sum(graph, cotangent, &repeated)
        }
        Op::Slice(ranges) => {
            let (shape, dtype) = (from, graph.dtype(cotangent));
            let zeros = graph.full(&shape, dtype, 0.0);
            graph.push(Op::SliceAssign(ranges), &[zeros, cotangent])
        }
        Op::SliceAssign(ranges) if i == 0 => {
            let zeros = graph.zeros_like(inputs[1]);
            graph.push(Op::SliceAssign(ranges), &[cotangent, zeros])
        }
        Op::SliceAssign(ranges) => graph.slice(cotangent, &ranges),
        Op::Flip(axes) => graph.push(Op::Flip(axes), &[cotangent]),
        Op::Concat(axis) => {
            let start: usize = inputs[..i].iter().map(|&before| graph.shape(before)[axis]).sum();
            let mut ranges: Vec<Range> = from.iter().map(|&size| Range::full(size)).collect();
            ranges[axis] = Range { start, end: start + from[axis], step: 1 };
            graph.slice(cotangent, &ranges)
        }
        _ => unreachable!("every other operation has a family of its own"),
    }
}
