//! One computation for many inputs at once, along a new leading dimension.

use std::collections::HashMap;

use crate::graph::lanes::Lanes;
use crate::graph::{Graph, GraphError, Image, Node, NodeId, Op};

/// Rebuilds `outputs` of `source` inside `target` for `count` inputs at once, with nodes of `source` standing for their
/// `images` (`vmap` of [JAX](https://github.com/jax-ml/jax), Bradbury et al. 2018).
///
/// An image is either shared, with its node's shape, or has a leading dimension of `count` before it. So has the answer for
/// each output: it is shared exactly if it depends on shared images only. What is shared is computed once, and operations
/// that have both kinds of inputs repeat the shared one only where they must.
///
/// Literals are copied. Inputs and random draws that are needed must have an image: whether all share a draw, or each has
/// its own, is the caller's decision.
///
/// # Errors
/// [`GraphError`] when an image has another shape or type than its node demands, when an input or a draw has none, or when
/// `count` is 0.
pub fn vectorize(
    target: &mut Graph,
    source: &Graph,
    outputs: &[NodeId],
    images: &HashMap<NodeId, Image>,
    count: usize,
) -> Result<Vec<Image>, GraphError> {
    if count == 0 {
        let reason = "there must be at least one input to compute for".into();
        return Err(GraphError::InvalidShape { op: "vectorize".into(), shape: vec![0], reason });
    }
    let mut image: Vec<Option<Image>> = source.ids().map(|id| images.get(&id).copied()).collect();
    for (node, image) in source.nodes.iter().zip(&image) {
        image.map_or(Ok(()), |image| check(target, node, image, count))?;
    }
    let needed = super::replay::needed_below(source, outputs, &image);
    for (id, node) in source.ids().zip(&source.nodes) {
        if !needed[id.index()] || image[id.index()].is_some() {
            continue;
        }
        // Inputs come first in the order, so each has its image by now.
        let inputs: Vec<Image> = node.inputs.iter().filter_map(|input| image[input.index()]).collect();
        image[id.index()] = Some(match &node.op {
            Op::Literal(literal) => Image::Shared(target.literal(source.literals[*literal].clone())),
            Op::Full(_) => Image::Shared(target.leaf(node.op.clone(), &node.shape, node.dtype)),
            Op::Input(_) | Op::Random { .. } => return Err(GraphError::NoImage { op: node.op.name(), node: id }),
            op => Lanes { graph: target, count }.apply(op, &inputs)?,
        });
    }
    Ok(outputs.iter().filter_map(|output| image[output.index()]).collect())
}

/// A computation for many inputs at once, as a graph of its own.
#[derive(Clone, Debug)]
pub struct Vectorized {
    /// The graph.
    pub graph: Graph,
    /// Its inputs: those that are shared, and after them those that have a leading dimension.
    pub inputs: Vec<NodeId>,
    /// Its outputs, each with a leading dimension.
    pub outputs: Vec<NodeId>,
}

/// Computes `outputs` of `source` for `count` values of the nodes `each`, along a leading dimension, and one value of the
/// nodes `shared`; everything that is needed follows from these.
///
/// # Errors
/// As for [`vectorize`].
pub fn for_each(
    source: &Graph,
    shared: &[NodeId],
    each: &[NodeId],
    outputs: &[NodeId],
    count: usize,
) -> Result<Vectorized, GraphError> {
    let mut graph = Graph::new();
    let mut images = HashMap::new();
    let mut inputs = Vec::with_capacity(shared.len() + each.len());
    for &node in shared {
        let input = graph.input(source.shape(node), source.dtype(node));
        images.insert(node, Image::Shared(input));
        inputs.push(input);
    }
    for &node in each {
        let input = graph.input(&[&[count], source.shape(node)].concat(), source.dtype(node));
        images.insert(node, Image::Each(input));
        inputs.push(input);
    }
    let found = vectorize(&mut graph, source, outputs, &images, count)?;
    let outputs = found.into_iter().map(|image| match image {
        Image::Each(node) => Ok(node),
        Image::Shared(node) => {
            let shape = [&[count], graph.shape(node)].concat();
            graph.expand(node, &shape)
        }
    });
    let outputs = outputs.collect::<Result<_, _>>()?;
    Ok(Vectorized { graph, inputs, outputs })
}

/// An image must look like the node it stands for.
fn check(target: &Graph, node: &Node, image: Image, count: usize) -> Result<(), GraphError> {
    let expected = match image {
        Image::Shared(_) => node.shape.clone(),
        Image::Each(_) => [&[count], node.shape.as_slice()].concat(),
    };
    let (shape, dtype) = (target.shape(image.node()), target.dtype(image.node()));
    if shape != expected {
        return Err(GraphError::ShapeMismatch { op: "vectorize".into(), left: expected, right: shape.to_vec() });
    }
    if dtype != node.dtype && !(dtype.is_bool() && node.dtype.is_bool()) {
        return Err(GraphError::TypeMismatch { op: "vectorize".into(), expected: "equally typed", found: dtype });
    }
    Ok(())
}
