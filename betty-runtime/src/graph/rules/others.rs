//! Products of all values but one that meet at an index, without a division: right where values are 0, to any order.

use super::{Graph, GraphError, NodeId, Op};
use crate::graph::Comparison;

/// For each value along `axis`, `old` times all other values with the same index.
///
/// Values are put in the order of their indices, so that those that meet are neighbours; a product of those before and of those
/// after each of them is formed in `log₂ n` steps, and goes back to where the value is.
pub(super) fn product_of_others(
    graph: &mut Graph,
    axis: usize,
    indices: NodeId,
    values: NodeId,
    old: NodeId,
) -> Result<NodeId, GraphError> {
    let size = graph.shape(values)[axis];
    if size < 2 {
        return Ok(old);
    }
    let order = graph.push(Op::ArgSort { axis, descending: false }, &[indices])?;
    let [indices, values] = [indices, values].map(|of| graph.push(Op::Gather(axis), &[of, order]));
    let (indices, values) = (indices?, values?);
    let before = product_before(graph, axis, indices, values)?;
    let [indices, values] = [indices, values].map(|of| graph.push(Op::Flip(vec![axis]), &[of]));
    let after = product_before(graph, axis, indices?, values?)?;
    let after = graph.push(Op::Flip(vec![axis]), &[after])?;
    let others = graph.mul(before, after)?;
    let others = graph.push(Op::ScatterAdd { axis, size }, &[order, others])?;
    graph.mul(old, others)
}

/// For each value the product of those before it with the same index, where equal indices are neighbours.
fn product_before(graph: &mut Graph, axis: usize, indices: NodeId, values: NodeId) -> Result<NodeId, GraphError> {
    let size = graph.shape(values)[axis];
    let ones = graph.full_like(values, 1.0);
    // What has the same index as the one so many places before it takes that one's product over.
    let step = |graph: &mut Graph, of: NodeId, by: usize| {
        let neighbours = moved(graph, axis, indices, indices, by)?;
        let meet = graph.push(Op::Compare(Comparison::Equal), &[indices, neighbours])?;
        let before = moved(graph, axis, of, ones, by)?;
        graph.select_where(meet, before, ones)
    };
    let mut product = step(graph, values, 1)?;
    let mut by = 1;
    while by < size {
        let before = step(graph, product, by)?;
        product = graph.mul(product, before)?;
        by *= 2;
    }
    Ok(product)
}

/// `x` moved so many places up along `axis`; what comes in at the lower end is `filler`'s.
fn moved(graph: &mut Graph, axis: usize, x: NodeId, filler: NodeId, by: usize) -> Result<NodeId, GraphError> {
    let size = graph.shape(x)[axis];
    let (first, rest) = (graph.narrow(filler, axis, 0, by)?, graph.narrow(x, axis, 0, size - by)?);
    graph.push(Op::Concat(axis), &[first, rest])
}
