//! Replaying a computation with some of its nodes replaced.

use std::collections::HashMap;

use crate::graph::{Graph, GraphError, NodeId, Op};

/// Rebuilds `outputs` of `source` inside `target`, with every node of `replaced` standing for its image.
///
/// Literals are copied; a random draw that is not replaced becomes a new draw. Inputs of `source` that are needed and
/// not replaced become new inputs of `target`.
///
/// # Errors
/// [`GraphError`] when a replacement has another shape or type than the node it stands for.
pub fn replay(
    target: &mut Graph,
    source: &Graph,
    outputs: &[NodeId],
    replaced: &HashMap<NodeId, NodeId>,
) -> Result<Vec<NodeId>, GraphError> {
    let mut image: Vec<Option<NodeId>> = vec![None; source.len()];
    for (&from, &to) in replaced {
        image[from.index()] = Some(to);
    }
    let needed = needed_below(source, outputs, &image);
    for (index, node) in source.nodes.iter().enumerate() {
        if !needed[index] || image[index].is_some() {
            continue;
        }
        // Inputs come first in the order, so each has its image by now.
        let inputs: Vec<NodeId> = node.inputs.iter().filter_map(|input| image[input.index()]).collect();
        image[index] = Some(match &node.op {
            Op::Input(_) => target.input(&node.shape, node.dtype),
            Op::Literal(literal) => target.literal(source.literals[*literal].clone()),
            Op::Full(_) => target.leaf(node.op.clone(), &node.shape, node.dtype),
            Op::Random { distribution, .. } => target.random(&node.shape, node.dtype, *distribution),
            op => target.push(op.clone(), &inputs)?,
        });
    }
    Ok(outputs.iter().filter_map(|output| image[output.index()]).collect())
}

/// What `outputs` need, not looking behind nodes that already have an image.
pub(super) fn needed_below<T>(source: &Graph, outputs: &[NodeId], image: &[Option<T>]) -> Vec<bool> {
    let mut needed = vec![false; source.len()];
    for output in outputs {
        needed[output.index()] = true;
    }
    for index in (0..source.len()).rev() {
        if needed[index] && image[index].is_none() {
            for input in &source.nodes[index].inputs {
                needed[input.index()] = true;
            }
        }
    }
    needed
}
