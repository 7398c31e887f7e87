//! A computation in double precision, whatever types it was recorded in.

use burn::tensor::DType;

use super::replay::needed_below;
use crate::graph::{Graph, GraphError, NodeId, Op};

/// A graph that was built again.
pub(crate) struct Doubled {
    /// The new graph.
    pub(crate) graph: Graph,
    /// Its inputs, in the order of those of the old one.
    pub(crate) inputs: Vec<NodeId>,
    /// What stands for the outputs.
    pub(crate) outputs: Vec<NodeId>,
}

/// Builds `outputs` again with f64 in the place of every float type: inputs, constants, draws and casts too.
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub(crate) fn in_f64(source: &Graph, outputs: &[NodeId]) -> Result<Doubled, GraphError> {
    let wide = |dtype: DType| if dtype.is_float() { DType::F64 } else { dtype };
    let mut graph = Graph::new();
    let mut image: Vec<Option<NodeId>> = vec![None; source.len()];
    let mut inputs = Vec::with_capacity(source.inputs.len());
    for &input in &source.inputs {
        let node = source.node(input);
        inputs.push(graph.input(&node.shape, wide(node.dtype)));
        image[input.index()] = inputs.last().copied();
    }
    let needed = needed_below(source, outputs, &image);
    for (index, node) in source.nodes.iter().enumerate() {
        if !needed[index] || image[index].is_some() {
            continue;
        }
        let inputs: Vec<NodeId> = node.inputs.iter().filter_map(|input| image[input.index()]).collect();
        let dtype = wide(node.dtype);
        image[index] = Some(match &node.op {
            Op::Literal(literal) => graph.literal(source.literals[*literal].clone().convert_dtype(dtype)),
            Op::Full(value) => graph.filled(&node.shape, dtype, *value),
            Op::Random { distribution, .. } => graph.random(&node.shape, dtype, *distribution),
            Op::Cast(to) => graph.cast(inputs[0], wide(*to))?,
            Op::InType(_, product) => graph.push((**product).clone(), &inputs)?,
            op => graph.push(op.clone(), &inputs)?,
        });
    }
    let outputs = outputs.iter().filter_map(|output| image[output.index()]).collect();
    Ok(Doubled { graph, inputs, outputs })
}
