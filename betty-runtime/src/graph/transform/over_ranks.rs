//! Losses on shares of a batch, told who has the other shares.

use super::rewrite::rewrite;
use crate::graph::{Graph, GraphError, Group, NodeId, Op, Whole};

/// Rebuilds `outputs` with everything that ranks have together formed by them: `share`, of shape `[1]`, is the part of all examples
/// that this rank has.
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub(crate) fn over_ranks(
    graph: &mut Graph,
    outputs: &[NodeId],
    group: &Group,
    share: NodeId,
) -> Result<Vec<NodeId>, GraphError> {
    rewrite(graph, outputs, &[], |graph, node, inputs| {
        let Op::OnWhole { whole, .. } = node.op else { return Ok(None) };
        let part = match whole {
            Whole::Sum => inputs[0],
            Whole::Mean => shared(graph, inputs[0], share)?,
            // What lies between the mean of the share and that of all adds to the variance.
            Whole::Variance => {
                let gap = graph.sub(inputs[1], inputs[2])?;
                let square = graph.mul(gap, gap)?;
                let variance = graph.add(inputs[0], square)?;
                shared(graph, variance, share)?
            }
        };
        graph.push(Op::SumOverRanks(group.clone()), &[part]).map(Some)
    })
}

/// A tensor times the part of all examples that this rank has.
pub(crate) fn shared(graph: &mut Graph, x: NodeId, share: NodeId) -> Result<NodeId, GraphError> {
    let share = graph.cast(share, graph.dtype(x))?;
    let shape = graph.shape(x).to_vec();
    let share = graph.spread(share, &shape)?;
    graph.mul(x, share)
}

/// Sums of several tensors over all ranks, in one message if all have one type.
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub(crate) fn summed_over_ranks(
    graph: &mut Graph,
    tensors: &[NodeId],
    group: &Group,
) -> Result<Vec<NodeId>, GraphError> {
    let sum = |graph: &mut Graph, x: NodeId| graph.push(Op::SumOverRanks(group.clone()), &[x]);
    let is_one_type = tensors.iter().all(|&tensor| graph.dtype(tensor) == graph.dtype(tensors[0]));
    if !is_one_type || tensors.len() < 2 {
        return tensors.iter().map(|&tensor| sum(graph, tensor)).collect();
    }
    let sizes: Vec<usize> = tensors.iter().map(|&tensor| graph.node(tensor).elements()).collect();
    let flat = tensors.iter().zip(&sizes).map(|(&tensor, &size)| graph.reshape(tensor, &[size]));
    let flat = flat.collect::<Result<Vec<_>, _>>()?;
    let packed = graph.push(Op::Concat(0), &flat)?;
    let packed = sum(graph, packed)?;
    let mut start = 0;
    let mut sums = Vec::with_capacity(tensors.len());
    for (&tensor, size) in tensors.iter().zip(sizes) {
        let part = graph.narrow(packed, 0, start, start + size)?;
        let shape = graph.shape(tensor).to_vec();
        sums.push(graph.reshape(part, &shape)?);
        start += size;
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use burn::tensor::{DType, Device, TensorData};

    use super::*;
    use crate::execute::{Program, Value};
    use crate::graph::{SumOverRanks, jvp, vjp};

    /// As many ranks as its number, which all have the same.
    struct Alike(usize);

    impl SumOverRanks for Alike {
        fn sum_of(&self, data: TensorData) -> TensorData {
            let numbers: Vec<f64> = data.iter::<f64>().map(|number| self.0 as f64 * number).collect();
            TensorData::new(numbers, data.shape().to_vec())
        }

        fn count(&self) -> usize {
            self.0
        }
    }

    fn run(graph: &Graph, given: &[(NodeId, &[f64])], wanted: &[NodeId]) -> Vec<Vec<f64>> {
        let inputs: Vec<NodeId> = given.iter().map(|(node, _)| *node).collect();
        let value =
            |numbers: &[f64]| Value::from_data(TensorData::new(numbers.to_vec(), [numbers.len()]), &Device::flex());
        let program = Program::new(graph, &inputs, wanted, &Device::flex());
        let found = program.run(given.iter().map(|(_, numbers)| value(numbers)), 0);
        found.iter().map(|value| value.to_vec().expect("on the host")).collect()
    }

    #[test]
    fn a_sum_is_differentiated_to_any_order() -> Result<(), GraphError> {
        let mut graph = Graph::new();
        let group = Group(Rc::new(Alike(3)));
        let x = graph.input(&[2], DType::F64);
        let tangent = graph.input(&[2], DType::F64);
        // Each rank has a third of (Σᵣ xᵣ)³: with the same x on all, 9·x³ and in all 27·x³, as ranks move together.
        let sum = graph.push(Op::SumOverRanks(group.clone()), &[x])?;
        let square = graph.mul(sum, sum)?;
        let cube = graph.mul(square, sum)?;
        let loss = graph.sum_all(cube)?;
        let loss = graph.mul_scalar(loss, 1.0 / 3.0)?;
        let one = graph.full(&[1], DType::F64, 1.0);
        let slope = vjp(&mut graph, &[(loss, one)], &[x])?[0].expect("it depends on x");
        // What ranks have of the gradient adds up to that of 27·x³.
        let whole = graph.push(Op::SumOverRanks(group), &[slope])?;
        let product = jvp(&mut graph, &[whole], &[(x, tangent)])?[0].expect("so does its slope");
        let found = run(&graph, &[(x, &[1.0, 2.0]), (tangent, &[1.0, -1.0])], &[whole, product]);
        assert_eq!(found, [[81.0, 324.0], [162.0, -324.0]]);
        Ok(())
    }

    #[test]
    fn several_tensors_are_one_message() -> Result<(), GraphError> {
        let mut graph = Graph::new();
        let (x, y) = (graph.input(&[2], DType::F64), graph.input(&[1], DType::F64));
        let sums = summed_over_ranks(&mut graph, &[x, y], &Group(Rc::new(Alike(2))))?;
        assert_eq!(run(&graph, &[(x, &[1.0, 2.0]), (y, &[5.0])], &sums), [vec![2.0, 4.0], vec![10.0]]);
        assert_eq!(Program::new(&graph, &[x, y], &sums, &Device::flex()).cost().messages, 1.0);
        Ok(())
    }

    #[test]
    fn mean_and_variance_are_those_of_all_examples() -> Result<(), GraphError> {
        let mut graph = Graph::new();
        let x = graph.input(&[1], DType::F64);
        let own = graph.mul_scalar(x, 2.0)?;
        let mean = graph.push(Op::OnWhole { place: 0, whole: Whole::Mean }, &[own])?;
        let variance = graph.push(Op::OnWhole { place: 1, whole: Whole::Variance }, &[x, own, mean])?;
        assert_eq!(run(&graph, &[(x, &[3.0])], &[mean, variance]), [[6.0], [3.0]]);
        // As one of two ranks with a quarter of the examples each, which are alike.
        let share = graph.full(&[1], DType::F64, 0.25);
        let found = over_ranks(&mut graph, &[mean, variance], &Group(Rc::new(Alike(2))), share)?;
        assert_eq!(run(&graph, &[(x, &[3.0])], &found), [[3.0], [0.5 * (3.0 + 9.0)]]);
        Ok(())
    }
}
