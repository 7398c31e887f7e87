//! The last rewriting before a graph becomes a program.

use super::merged::merged;
use super::precision::expand_products;
use crate::graph::{Graph, GraphError, NodeId};

/// Rebuilds `outputs` as a program computes them: products of a type of their own as casts around a product, products of a batch
/// and one matrix as one product. What is `given` stays, and nothing behind it is looked at.
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub(crate) fn lowered(graph: &mut Graph, outputs: &[NodeId], given: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
    let outputs = expand_products(graph, outputs, given)?;
    merged(graph, &outputs, given)
}
