//! Where the part of a graph that depends on tangents begins: what is evaluated once for all of them.

use crate::graph::{Graph, NodeId, Op, dependents, reachable};

/// The nodes on which `outputs` depend, that do not depend on `tangents` themselves but are read by a node that does.
pub(super) fn boundary(graph: &Graph, outputs: &[NodeId], tangents: &[NodeId]) -> Vec<NodeId> {
    let needed = reachable(graph, outputs);
    let linear = dependents(graph, tangents);
    let mut kept = vec![false; graph.len()];
    for id in graph.ids().filter(|id| needed[id.index()]) {
        if linear[id.index()] {
            for input in &graph.node(id).inputs {
                kept[input.index()] |= !linear[input.index()];
            }
        } else if outputs.contains(&id) {
            kept[id.index()] = true;
        }
    }
    // What is read as it is and in another shape is kept once: a view costs nothing, unless elements have to be moved for it.
    for id in graph.ids().rev().filter(|id| !outputs.contains(id)) {
        let node = graph.node(id);
        let is_view = match node.op {
            Op::Reshape(_) => !matches!(graph.node(node.inputs[0]).op, Op::Permute(_)),
            Op::Expand(_) | Op::Permute(_) => true,
            _ => false,
        };
        kept[id.index()] &= !(is_view && kept[node.inputs[0].index()]);
    }
    // Constants cost nothing to make again, and the planner folds them into kernels.
    graph.ids().filter(|id| kept[id.index()] && !matches!(graph.node(*id).op, Op::Full(_) | Op::Literal(_))).collect()
}
