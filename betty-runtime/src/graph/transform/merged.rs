//! Products of a batch with one matrix, as one product.
//!
//! A linear layer multiplies every matrix `Xᵦ` of a batch with one matrix `W`, which the graph repeats for that: `Yᵦ = Xᵦ·W`. Derivatives
//! follow it: cotangents are `Cᵦ·Wᵀ`, and those of `W` are `Σᵦ Xᵦᵀ·Cᵦ`. With the rows of a batch below each other in one matrix these are
//! `X·W`, `C·Wᵀ` and `Xᵀ·C`: each is one large product instead of many small ones, which read `W` again and again, or leave a matrix for
//! each of the batch to be summed.

use super::rewrite::rewrite;
use crate::graph::{Binary, Graph, GraphError, NodeId, Op, Unary, WithScalar};

/// Rebuilds `outputs` with products of a batch and one matrix, and sums of products over a batch, as one product each; what is
/// `given` stays, and nothing behind it is looked at.
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub(super) fn merged(graph: &mut Graph, outputs: &[NodeId], given: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
    let known = Known::new(graph, outputs, given);
    rewrite(graph, outputs, given, |graph, node, inputs| match &node.op {
        Op::MatMul => known.with_one(graph, inputs[0], inputs[1]),
        Op::Sum(axes) => known.summed(graph, axes, node.inputs[0], inputs[0]),
        _ => Ok(None),
    })
}

/// What has to be known of the nodes that were there before.
struct Known {
    is_given: Vec<bool>,
    is_read_once: Vec<bool>,
}

impl Known {
    fn new(graph: &Graph, outputs: &[NodeId], given: &[NodeId]) -> Self {
        let mut is_given = vec![false; graph.len()];
        given.iter().for_each(|node| is_given[node.index()] = true);
        let mut readers = vec![0_usize; graph.len()];
        outputs.iter().for_each(|output| readers[output.index()] += 1);
        for id in graph.ids().rev().filter(|id| !is_given[id.index()]) {
            if readers[id.index()] > 0 {
                graph.node(id).inputs.iter().for_each(|input| readers[input.index()] += 1);
            }
        }
        Known { is_given, is_read_once: readers.into_iter().map(|readers| readers == 1).collect() }
    }

    fn is_given(&self, x: NodeId) -> bool {
        self.is_given.get(x.index()).copied().unwrap_or(false)
    }

    /// `Xᵦ·W` as `X·W`, if `y` is the same matrix for the whole batch.
    fn with_one(&self, graph: &mut Graph, x: NodeId, y: NodeId) -> Result<Option<NodeId>, GraphError> {
        let shape = graph.shape(x).to_vec();
        let (batch, [_, inner]) = shape.split_at(shape.len() - 2) else { return Ok(None) };
        if batch.iter().product::<usize>() < 2 || !graph.dtype(x).is_float() {
            return Ok(None);
        }
        let Some(matrix) = self.repeated(graph, y) else { return Ok(None) };
        let rows = shape[..shape.len() - 1].iter().product();
        let below = self.reshaped(graph, x, &[rows, *inner]);
        let product = graph.matmul(below, matrix)?;
        let mut shape = shape;
        *shape.last_mut().expect("a matrix has two dimensions") = graph.shape(matrix)[1];
        Ok(Some(self.reshaped(graph, product, &shape)))
    }

    /// The matrix that a batch of matrices repeats, turned as they are.
    fn repeated(&self, graph: &mut Graph, y: NodeId) -> Option<NodeId> {
        if self.is_given(y) {
            return None;
        }
        let node = graph.node(y).clone();
        let batch = node.shape.len() - 2;
        match &node.op {
            Op::Expand(_) => {
                let from = graph.shape(node.inputs[0]).to_vec();
                let is_one = from[..batch].iter().all(|&size| size == 1) && from[batch..] == node.shape[batch..];
                is_one.then(|| self.reshaped(graph, node.inputs[0], &node.shape[batch..]))
            }
            Op::Permute(axes) if axes[batch..].iter().all(|&axis| axis >= batch) => {
                let matrix = self.repeated(graph, node.inputs[0])?;
                Some(if axes[batch] == batch { matrix } else { self.transposed(graph, matrix) })
            }
            _ => None,
        }
    }

    /// The sum over a batch of what is products and sums of products, if nobody else reads the products: `was` is what `x` was
    /// before.
    fn summed(&self, graph: &mut Graph, axes: &[usize], was: NodeId, x: NodeId) -> Result<Option<NodeId>, GraphError> {
        let node = graph.node(x).clone();
        let Some(batch) = node.shape.len().checked_sub(2) else { return Ok(None) };
        let is_whole = (0..node.shape.len()).all(|axis| axes.contains(&axis) == (axis < batch && node.shape[axis] > 1));
        let is_wide = node.dtype.is_float() && node.dtype.size() >= 4;
        let is_hidden = self.is_given(was) || self.is_given(x) || !self.is_read_once[was.index()];
        if axes.is_empty() || !is_whole || !is_wide || is_hidden {
            return Ok(None);
        }
        let before = graph.node(was).clone();
        let part = |graph: &mut Graph, input: usize| self.summed(graph, axes, before.inputs[input], node.inputs[input]);
        let stays = before.op == node.op && before.inputs.len() == node.inputs.len();
        let is_read_once = || before.inputs.iter().all(|input| self.is_read_once[input.index()]);
        match &node.op {
            Op::MatMul => self.product(graph, batch, node.inputs[0], node.inputs[1]),
            Op::Unary(Unary::Neg) | Op::WithScalar(WithScalar::Mul, _) if stays => {
                let Some(sum) = part(graph, 0)? else { return Ok(None) };
                graph.push(node.op, &[sum]).map(Some)
            }
            Op::Binary(Binary::Add | Binary::Sub) if stays && is_read_once() => {
                let (Some(first), Some(second)) = (part(graph, 0)?, part(graph, 1)?) else { return Ok(None) };
                graph.push(node.op, &[first, second]).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// `Σᵦ Xᵦᵀ·Cᵦ` as `Xᵀ·C`, if the first factor is a transpose.
    fn product(&self, graph: &mut Graph, batch: usize, x: NodeId, c: NodeId) -> Result<Option<NodeId>, GraphError> {
        let node = graph.node(x).clone();
        let turned = |axes: &[usize]| {
            axes.iter().enumerate().all(|(i, &axis)| axis == if i < batch { i } else { 2 * batch + 1 - i })
        };
        match &node.op {
            Op::Permute(axes) if turned(axes) && !self.is_given(x) => {}
            _ => return Ok(None),
        }
        let (left, right) = (node.shape[batch], *graph.shape(c).last().expect("a matrix has two dimensions"));
        let rows: usize = node.shape[..batch].iter().product::<usize>() * node.shape[batch + 1];
        let x = self.reshaped(graph, node.inputs[0], &[rows, left]);
        let x = self.transposed(graph, x);
        let c = self.reshaped(graph, c, &[rows, right]);
        let product = graph.matmul(x, c)?;
        let mut shape = vec![1; batch];
        shape.extend([left, right]);
        Ok(Some(self.reshaped(graph, product, &shape)))
    }

    /// `x` in another shape, without looking behind what is given.
    fn reshaped(&self, graph: &mut Graph, mut x: NodeId, shape: &[usize]) -> NodeId {
        while !self.is_given(x) && matches!(graph.node(x).op, Op::Reshape(_)) {
            x = graph.node(x).inputs[0];
        }
        if graph.shape(x) == shape {
            return x;
        }
        let dtype = graph.dtype(x);
        graph.append(Op::Reshape(shape.to_vec()), vec![x], shape.to_vec(), dtype)
    }

    /// A matrix transposed, without looking behind what is given.
    fn transposed(&self, graph: &mut Graph, x: NodeId) -> NodeId {
        let swapped = Op::Permute(vec![1, 0]);
        if !self.is_given(x) && graph.node(x).op == swapped {
            return graph.node(x).inputs[0];
        }
        let (shape, dtype) = (vec![graph.shape(x)[1], graph.shape(x)[0]], graph.dtype(x));
        graph.append(swapped, vec![x], shape, dtype)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;
    use crate::execute::{Program, Value};
    use crate::graph::{reachable, vjp};

    /// 2·3 matrices `Xᵦ`, as many `Cᵦ`, and one `W`, with `Yᵦ = Xᵦ·W` as large as `Cᵦ`.
    const SHAPES: [[usize; 4]; 3] = [[2, 3, 5, 4], [2, 3, 5, 7], [1, 1, 4, 7]];

    fn graph() -> (Graph, [NodeId; 3]) {
        let mut graph = Graph::new();
        let inputs = SHAPES.map(|shape| graph.input(&shape, DType::F64));
        (graph, inputs)
    }

    fn numbers(input: usize) -> Vec<f64> {
        (0..SHAPES[input].iter().product()).map(|i| ((i * 37 + input * 11) as f64).sin()).collect()
    }

    fn values() -> Vec<Value> {
        let value = |input: usize| TensorData::new(numbers(input), SHAPES[input].to_vec());
        (0..3).map(|input| Value::from_data(value(input), &Device::flex())).collect()
    }

    /// Shapes of the products that what was merged takes.
    fn products(graph: &Graph, outputs: &[NodeId]) -> Vec<Vec<usize>> {
        let mut graph = graph.clone();
        let outputs = merged(&mut graph, outputs, &[]).expect("shapes fit");
        let needed = reachable(&graph, &outputs);
        let product = graph.ids().filter(|id| needed[id.index()] && graph.node(*id).op == Op::MatMul);
        product.map(|id| graph.shape(id).to_vec()).collect()
    }

    fn assert_close(graph: &Graph, inputs: &[NodeId], output: NodeId, given: Vec<Value>, expected: &[f64]) {
        let found = Program::new(graph, inputs, &[output], &Device::flex()).run(given, 0);
        let found = found[0].to_vec().expect("host memory can be read");
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).for_each(|(x, y)| assert!((x - y).abs() < 1e-13, "{x} is not {y}"));
    }

    /// `Σ x·y` over the last index, for all values of the first two, of which `at` tells the places in two lists of numbers.
    fn sums([rows, columns, inner]: [usize; 3], term: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
        let entry = |row: usize, column: usize| (0..inner).map(|k| term(row, column, k)).sum();
        (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).map(|(i, j)| entry(i, j)).collect()
    }

    #[test]
    fn a_layer_and_its_cotangents_are_one_product_each() {
        let (mut graph, [x, c, w]) = graph();
        let repeated = graph.expand(w, &[2, 3, 4, 7]).expect("fits");
        let y = graph.matmul(x, repeated).expect("fits");
        let weighted = graph.dot(y, c).expect("fits");
        let one = graph.full(&[1], DType::F64, 1.0);
        let cotangents = vjp(&mut graph, &[(weighted, one)], &[x, w]).expect("differentiable");
        let [of_x, of_w] = [cotangents[0], cotangents[1]].map(|cotangent| cotangent.expect("both are read"));
        let (xs, cs, ws) = (numbers(0), numbers(1), numbers(2));
        let cases = [
            (y, [30, 7], sums([30, 7, 4], |i, j, k| xs[i * 4 + k] * ws[k * 7 + j])),
            (of_x, [30, 4], sums([30, 4, 7], |i, j, k| cs[i * 7 + k] * ws[j * 7 + k])),
            (of_w, [4, 7], sums([4, 7, 30], |i, j, k| xs[k * 4 + i] * cs[k * 7 + j])),
        ];
        for (output, shape, expected) in cases {
            assert_eq!(products(&graph, &[output]), [shape]);
            assert_close(&graph, &[x, c, w], output, values(), &expected);
        }
    }

    #[test]
    fn sums_of_products_over_a_batch_are_sums_of_one_product_each() {
        let (mut graph, [x, c, w]) = graph();
        let turned = graph.transpose(x).expect("fits");
        let first = graph.matmul(turned, c).expect("fits");
        let doubled = graph.mul_scalar(c, 3.0).expect("fits");
        let second = graph.matmul(turned, doubled).expect("fits");
        let second = graph.mul_scalar(second, 0.5).expect("fits");
        let difference = graph.sub(first, second).expect("fits");
        let sum = graph.sum(difference, &[0, 1]).expect("fits");
        assert_eq!(products(&graph, &[sum]), [[4, 7], [4, 7]]);
        let (xs, cs) = (numbers(0), numbers(1));
        let expected = sums([4, 7, 30], |i, j, k| -0.5 * xs[k * 4 + i] * cs[k * 7 + j]);
        assert_close(&graph, &[x, c, w], sum, values(), &expected);
        // What is read elsewhere too, or summed over a part of the batch, is formed as it is.
        assert_eq!(products(&graph, &[sum, first]).len(), 2);
        let part = graph.sum(first, &[0]).expect("fits");
        assert_eq!(products(&graph, &[part]), [[2, 3, 4, 7]]);
    }

    #[test]
    fn nothing_behind_what_is_given_is_looked_at() {
        let (mut graph, [x, c, w]) = graph();
        let repeated = graph.expand(w, &[2, 3, 4, 7]).expect("fits");
        let back = graph.transpose(repeated).expect("fits");
        let turned = graph.transpose(x).expect("fits");
        let of_x = graph.matmul(c, back).expect("fits");
        let of_w = graph.matmul(turned, c).expect("fits");
        let of_w = graph.sum(of_w, &[0, 1]).expect("fits");
        let (xs, cs, ws) = (numbers(0), numbers(1), numbers(2));
        let device = Device::flex();
        let given = Program::new(&graph, &[x, c, w], &[turned, back], &device).run(values(), 0);
        let inputs = [turned, back, c];
        let given = || [given.clone(), vec![values()[1].clone()]].concat();
        assert_close(&graph, &inputs, of_x, given(), &sums([30, 4, 7], |i, j, k| cs[i * 7 + k] * ws[j * 7 + k]));
        assert_close(&graph, &inputs, of_w, given(), &sums([4, 7, 30], |i, j, k| xs[k * 4 + i] * cs[k * 7 + j]));
    }
}
