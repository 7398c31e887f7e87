//! What rounding does to a result, made large enough to be seen.
//!
//! Every intermediate value is multiplied by `1 + ε·r` with a random `r` of its own in `[−1, 1)`, as rounding does with an `ε`
//! of 1e-16. How far the result moves, divided by `ε`, is the size of the terms that it is the sum of, however little is left
//! of them: a stochastic form of running error analysis (Parker, *Monte Carlo Arithmetic*, 1997). It needs no rule for any
//! operation, and follows cancellation through products, convolutions and divisions alike.

use burn::tensor::TensorData;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::graph::{Binary, Graph, GraphError, NodeId, Op, Range, Unary};

/// Builds `outputs`, in f64, again with every float rounded by up to `relative` of itself, as `seed` decides. All take their
/// random numbers from one list, each from another place on, so that making them costs no more than the largest tensor.
///
/// What a computation decides is decided by the values without it: indices, comparisons, signs, whole numbers, and which side
/// of a kink a derivative is on.
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub(crate) fn rounded(
    graph: &mut Graph,
    outputs: &[NodeId],
    relative: f64,
    seed: u64,
) -> Result<Vec<NodeId>, GraphError> {
    let needed = super::reachable(graph, outputs);
    let mut image: Vec<NodeId> = graph.ids().collect();
    let ids: Vec<NodeId> = graph.ids().filter(|id| needed[id.index()]).collect();
    let largest = ids.iter().map(|&id| graph.node(id).elements()).max();
    let count = largest.unwrap_or(0) + graph.len();
    let factors = graph.literal(TensorData::new(factors(count, relative, seed), [count]));
    for id in ids {
        let node = graph.node(id).clone();
        if !node.dtype.is_float() || decides(&node.op) {
            continue;
        }
        let mut inputs: Vec<NodeId> = node.inputs.iter().map(|input| image[input.index()]).collect();
        if node.op == Op::Binary(Binary::Gate) {
            inputs[0] = node.inputs[0];
        }
        let exact = match &node.op {
            Op::Full(_) => continue,
            Op::Input(_) | Op::Literal(_) | Op::Random { .. } => id,
            op => graph.push(op.clone(), &inputs)?,
        };
        image[id.index()] = if moves_only(&node.op) || node.elements() == 0 {
            exact
        } else {
            let from = id.index();
            let part = Range { start: from, end: from + node.elements(), step: 1 };
            let factor = graph.push(Op::Slice(vec![part]), &[factors])?;
            let factor = graph.reshape(factor, &node.shape)?;
            graph.mul(exact, factor)?
        };
    }
    Ok(outputs.iter().map(|output| image[output.index()]).collect())
}

/// Numbers within `relative` of 1.
fn factors(count: usize, relative: f64, seed: u64) -> Vec<f64> {
    let mut bytes = vec![0; count * size_of::<u32>()];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    let unit = |word: &[u8]| f64::from(u32::from_le_bytes([word[0], word[1], word[2], word[3]])) / f64::from(u32::MAX);
    bytes.chunks_exact(size_of::<u32>()).map(|word| 1.0 + relative * (2.0 * unit(word) - 1.0)).collect()
}

/// Whether it answers with one of few values, between which it jumps.
fn decides(op: &Op) -> bool {
    matches!(op, Op::Unary(Unary::Sign | Unary::Round | Unary::Floor | Unary::Ceil | Unary::Trunc))
}

/// Whether it computes nothing: its entries are entries of its inputs.
fn moves_only(op: &Op) -> bool {
    matches!(
        op,
        Op::StopGradient
            | Op::OnWhole { .. }
            | Op::Where
            | Op::Reshape(_)
            | Op::Permute(_)
            | Op::Expand(_)
            | Op::Slice(_)
            | Op::SliceAssign(_)
            | Op::Flip(_)
            | Op::Concat(_)
            | Op::Gather(_)
            | Op::Select(_)
    )
}
