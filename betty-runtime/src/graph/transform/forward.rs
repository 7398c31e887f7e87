//! Forward mode: how outputs move when inputs move.

use crate::graph::{Graph, GraphError, NodeId, rules};

/// Adds the change of each output when every `(node, tangent)` of `moves` changes by its tangent.
///
/// For `y = f(x)` this is the Jacobian-vector product `∂f/∂x · tangent`. An output that does not depend on any moved
/// node answers `None`.
///
/// # Errors
/// [`GraphError`] when a tangent has not the shape of its node, or a moved node is no float.
pub fn jvp(
    graph: &mut Graph,
    outputs: &[NodeId],
    moves: &[(NodeId, NodeId)],
) -> Result<Vec<Option<NodeId>>, GraphError> {
    let sources: Vec<NodeId> = moves.iter().map(|&(node, _)| node).collect();
    let needed = super::reachable(graph, outputs);
    let moving = super::dependents(graph, &sources);
    let mut tangents: Vec<Option<NodeId>> = vec![None; graph.len()];
    for &(node, tangent) in moves {
        super::reverse::check(graph, node, tangent)?;
        tangents[node.index()] = Some(match tangents[node.index()] {
            Some(sum) => graph.add(sum, tangent)?,
            None => tangent,
        });
    }
    for index in 0..tangents.len() {
        if !needed[index] || !moving[index] || tangents[index].is_some() {
            continue;
        }
        let node = NodeId(index as u32);
        for (i, input) in graph.node(node).inputs.clone().into_iter().enumerate() {
            let Some(tangent) = tangents[input.index()] else { continue };
            let Some(part) = rules::jvp(graph, node, i, tangent)? else { continue };
            tangents[index] = Some(match tangents[index] {
                Some(sum) => graph.add(sum, part)?,
                None => part,
            });
        }
    }
    Ok(outputs.iter().map(|output| tangents[output.index()]).collect())
}
