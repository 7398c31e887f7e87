//! Mixed precision: matrix products and convolutions in one float type, everything else in the type it has.
//!
//! A product in a type of its own is one node ([`Op::InType`]) with operands and result in the type around it. Derivatives of
//! any order are then products in that type again, while everything between them, sums over shared operands included, stays
//! in the type around. When a program is planned the node becomes casts around a product, and each tensor is cast once.
//!
//! f16 reaches from 6e-8 to 65504, which neither gradients nor a solver's vectors keep to. So its operands are divided by
//! `rₓ = max|x| / √(2¹⁵/n)`, for sums of `n` products, and the result is multiplied by `rₓ·r_y`: no sum overflows, and what
//! is lost is less than 1e-6 of the largest entry. Unlike one scale for the loss (Micikevicius et al., *Mixed precision
//! training*, 2018), this holds for tangents and cotangents of any order and length, keeps no state and skips no step.
//! bf16 has the exponents of f32 and needs nothing.

use burn::tensor::DType;

use super::rewrite::rewrite;
use crate::graph::{Graph, GraphError, NodeId, Op, Scalar, Unary, WithScalar};

/// What sums of products in f16 stay below.
const LARGEST: f64 = 32768.0;
/// The largest entry is taken for at least this, so that zeros are divided by a number that f32 holds.
const SMALLEST: f64 = 1e-35;

/// The type in which floats of this type are added up and stepped along: 16 bits tell neither a sum of squares nor a small
/// step of a large number.
pub(crate) fn accumulator(dtype: DType) -> DType {
    if dtype.size() < 4 { DType::F32 } else { dtype }
}

/// Rebuilds `outputs` with their float products computed in `dtype`; a product that has this type stays.
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub fn products_in(graph: &mut Graph, outputs: &[NodeId], dtype: DType) -> Result<Vec<NodeId>, GraphError> {
    rewrite(graph, outputs, &[], |graph, node, inputs| {
        if !node.op.is_product() || !node.dtype.is_float() || node.dtype == dtype {
            return Ok(None);
        }
        graph.push(Op::InType(dtype, Box::new(node.op.clone())), inputs).map(Some)
    })
}

/// Rebuilds `outputs` with every product in the type of its operands: undoes [`products_in`].
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub fn products_as_given(graph: &mut Graph, outputs: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
    rewrite(graph, outputs, &[], |graph, node, inputs| match &node.op {
        Op::InType(_, product) => graph.push((**product).clone(), inputs).map(Some),
        _ => Ok(None),
    })
}

/// Rebuilds `outputs` with every product in a type of its own as casts around a product; what is `given` stays.
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub fn expand_products(graph: &mut Graph, outputs: &[NodeId], given: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
    rewrite(graph, outputs, given, |graph, node, inputs| match &node.op {
        Op::InType(DType::F16, product) => scaled(graph, product, inputs, node.dtype).map(Some),
        Op::InType(dtype, product) => {
            let x = graph.cast(inputs[0], *dtype)?;
            let y = graph.cast(inputs[1], *dtype)?;
            let result = graph.push((**product).clone(), &[x, y])?;
            graph.cast(result, node.dtype).map(Some)
        }
        _ => Ok(None),
    })
}

/// A product in f16 whose operands are scaled so that it can neither overflow nor vanish.
fn scaled(graph: &mut Graph, product: &Op, inputs: &[NodeId], dtype: DType) -> Result<NodeId, GraphError> {
    let largest = (LARGEST / terms(graph, product, inputs).max(1) as f64).sqrt();
    let (x, of_x) = normalized(graph, inputs[0], largest)?;
    let (y, of_y) = normalized(graph, inputs[1], largest)?;
    let result = graph.push(product.clone(), &[x, y])?;
    let result = graph.cast(result, graph.dtype(of_x))?;
    let scale = graph.mul(of_x, of_y)?;
    let shape = graph.shape(result).to_vec();
    let scale = graph.spread(scale, &shape)?;
    let result = graph.mul(result, scale)?;
    graph.cast(result, dtype)
}

/// `x / r` in f16, with largest entry `largest`, and `r`.
fn normalized(graph: &mut Graph, x: NodeId, largest: f64) -> Result<(NodeId, NodeId), GraphError> {
    let wide = accumulator(graph.dtype(x));
    let x = graph.cast(x, wide)?;
    let (elements, shape) = (graph.node(x).elements(), graph.shape(x).to_vec());
    if elements == 0 {
        let one = graph.full(&[1], wide, 1.0);
        return Ok((graph.cast(x, DType::F16)?, one));
    }
    let size = largest_size(graph, x)?;
    let size = graph.push(Op::WithScalar(WithScalar::ClampMin, Scalar::Float(SMALLEST)), &[size])?;
    let ratio = graph.mul_scalar(size, largest.recip())?;
    let spread = graph.spread(ratio, &shape)?;
    let quotient = graph.div(x, spread)?;
    Ok((graph.cast(quotient, DType::F16)?, ratio))
}

/// The largest absolute value of a tensor that has one, of shape `[1]`: over rows and then over their results, both as short
/// as the shape allows, because a device works on rows in parallel.
fn largest_size(graph: &mut Graph, x: NodeId) -> Result<NodeId, GraphError> {
    let (elements, shape) = (graph.node(x).elements(), graph.shape(x).to_vec());
    let rows = (1..shape.len()).map(|d| shape[..d].iter().product::<usize>());
    let rows = rows.min_by_key(|&rows| rows.max(elements / rows)).unwrap_or(1);
    let mut sizes = graph.push(Op::Unary(Unary::Abs), &[x])?;
    sizes = graph.reshape(sizes, &[rows, elements / rows])?;
    for axis in [1, 0] {
        let at = graph.push(Op::ArgMax(axis), &[sizes])?;
        sizes = graph.push(Op::Gather(axis), &[sizes, at])?;
    }
    graph.reshape(sizes, &[1])
}

/// How many products each entry of the result is the sum of, at the most.
fn terms(graph: &Graph, product: &Op, inputs: &[NodeId]) -> usize {
    let of = |input: usize, from: usize| graph.shape(inputs[input])[from..].iter().product::<usize>();
    match product {
        Op::Conv(_) => of(1, 1),
        // The result's channels meet all of the weight but those.
        Op::ConvInput(..) => of(0, 0) / graph.shape(inputs[0])[1].max(1),
        Op::ConvWeight(..) => graph.shape(inputs[1])[0] * of(1, 2),
        _ => graph.shape(inputs[0]).last().copied().unwrap_or(1),
    }
}
