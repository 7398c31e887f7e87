//! Replacing some nodes of a graph, and building everything that reads them again.

use crate::graph::{Graph, GraphError, Node, NodeId, Op};

/// Rebuilds `outputs` with every node for which `with`, given the node and its new inputs, has an answer replaced by it.
/// Nodes of `given` stay as they are, with everything behind them. Nothing is removed: what nobody replaced is shared.
///
/// # Errors
/// What `with` answers, and [`GraphError`] when an answer has another shape or type than the node it stands for.
pub(super) fn rewrite(
    graph: &mut Graph,
    outputs: &[NodeId],
    given: &[NodeId],
    mut with: impl FnMut(&mut Graph, &Node, &[NodeId]) -> Result<Option<NodeId>, GraphError>,
) -> Result<Vec<NodeId>, GraphError> {
    let mut needed = vec![false; graph.len()];
    let mut is_given = vec![false; graph.len()];
    outputs.iter().for_each(|output| needed[output.index()] = true);
    given.iter().for_each(|node| is_given[node.index()] = true);
    for index in (0..needed.len()).rev() {
        if needed[index] && !is_given[index] {
            graph.nodes[index].inputs.iter().for_each(|input| needed[input.index()] = true);
        }
    }
    let mut image: Vec<NodeId> = graph.ids().collect();
    for id in graph.ids().filter(|id| needed[id.index()] && !is_given[id.index()]) {
        let node = graph.node(id);
        if matches!(node.op, Op::Input(_) | Op::Literal(_) | Op::Full(_) | Op::Random { .. }) {
            continue;
        }
        let node = node.clone();
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| image[input.index()]).collect();
        image[id.index()] = match with(graph, &node, &inputs)? {
            Some(other) => other,
            None if inputs == node.inputs => id,
            None => graph.push(node.op, &inputs)?,
        };
    }
    Ok(outputs.iter().map(|output| image[output.index()]).collect())
}
