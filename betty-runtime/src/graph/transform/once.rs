//! Updates at indices with derivatives that take for granted that no entry is written to twice.

use super::rewrite::rewrite;
use crate::graph::{Graph, GraphError, NodeId, Op};

/// Rebuilds `outputs` with every update differentiated as Burn does it; nothing where there is none.
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub(crate) fn written_once(graph: &mut Graph, outputs: &[NodeId]) -> Result<Option<Vec<NodeId>>, GraphError> {
    let is_update = |op: &Op| matches!(op, Op::Scatter { once: false, .. });
    if !graph.ids().any(|id| is_update(&graph.node(id).op)) {
        return Ok(None);
    }
    let rebuilt = rewrite(graph, outputs, &[], |graph, node, inputs| match node.op {
        Op::Scatter { axis, update, once: false } => {
            graph.push(Op::Scatter { axis, update, once: true }, inputs).map(Some)
        }
        _ => Ok(None),
    })?;
    Ok(Some(rebuilt))
}
