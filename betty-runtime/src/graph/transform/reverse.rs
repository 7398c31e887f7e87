//! Reverse mode: how a weighted sum of outputs responds to each input.

use crate::graph::{Graph, GraphError, NodeId, accumulator, rules};

/// Adds `Σ (∂output/∂x)ᵀ · cotangent` over all `(output, cotangent)` pairs, for each `x` of `with_respect_to`.
///
/// One sweep serves all inputs. An input that no output depends on answers `None`.
///
/// # Errors
/// [`GraphError`] when a cotangent has not the shape of its output, or an output is no float.
pub fn vjp(
    graph: &mut Graph,
    outputs: &[(NodeId, NodeId)],
    with_respect_to: &[NodeId],
) -> Result<Vec<Option<NodeId>>, GraphError> {
    let roots: Vec<NodeId> = outputs.iter().map(|&(node, _)| node).collect();
    let needed = super::reachable(graph, &roots);
    let active = super::dependents(graph, with_respect_to);
    let mut cotangents: Vec<Option<NodeId>> = vec![None; graph.len()];
    for &(node, cotangent) in outputs {
        check(graph, node, cotangent)?;
        accumulate(graph, &mut cotangents[node.index()], cotangent)?;
    }
    for index in (0..cotangents.len()).rev() {
        let Some(sum) = cotangents[index].filter(|_| needed[index] && active[index]) else { continue };
        let node = NodeId(index as u32);
        let cotangent = graph.cast(sum, graph.dtype(node))?;
        cotangents[index] = Some(cotangent);
        for (i, input) in graph.node(node).inputs.clone().into_iter().enumerate() {
            if !active[input.index()] || !graph.dtype(input).is_float() {
                continue;
            }
            if let Some(part) = rules::vjp(graph, node, i, cotangent)? {
                accumulate(graph, &mut cotangents[input.index()], part)?;
            }
        }
    }
    with_respect_to
        .iter()
        .map(|&x| cotangents[x.index()].map(|sum| graph.cast(sum, graph.dtype(x))).transpose())
        .collect()
}

/// Adds a part to what it is one of several of, from the second on in a type that is wide enough: what many steps read has as many
/// parts, and in 16 bits a sum stands still once it is some hundred terms long.
fn accumulate(graph: &mut Graph, slot: &mut Option<NodeId>, part: NodeId) -> Result<(), GraphError> {
    let Some(sum) = *slot else {
        *slot = Some(part);
        return Ok(());
    };
    let wide = accumulator(graph.dtype(part));
    let (sum, part) = (graph.cast(sum, wide)?, graph.cast(part, wide)?);
    *slot = Some(graph.add(sum, part)?);
    Ok(())
}

/// A tangent or cotangent must look like the float it belongs to.
pub(super) fn check(graph: &Graph, node: NodeId, vector: NodeId) -> Result<(), GraphError> {
    if !graph.dtype(node).is_float() {
        return Err(GraphError::NotDifferentiable { node, dtype: graph.dtype(node) });
    }
    if graph.shape(node) != graph.shape(vector) {
        return Err(GraphError::ShapeMismatch {
            op: "derivative".into(),
            left: graph.shape(node).to_vec(),
            right: graph.shape(vector).to_vec(),
        });
    }
    Ok(())
}
