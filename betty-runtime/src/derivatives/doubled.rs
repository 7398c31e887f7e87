//! A recorded loss with its gradients in double precision on the CPU, with random draws that are given.

use std::collections::HashMap;
use std::rc::Rc;

use burn::tensor::{DType, Device};

use super::loss::gradient_nodes;
use super::shared::share;
use crate::distributed::Ranks;
use crate::execute::{Cost, Program, ReadError, Value};
use crate::graph::{Distribution, Doubled, Graph, GraphError, NodeId, Op, in_f64, reachable, replay};
use crate::trace::{LossInput, Trace};

/// A loss and its gradients in the parameters of each level that it reads, to be looked at from outside of a run.
pub(crate) struct DoubledLoss {
    program: Program,
    /// The levels, and how many tensors each has.
    levels: Vec<(usize, usize)>,
    draws: Vec<Draw>,
}

/// A random draw inside of a loss.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draw {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    number: usize,
    distribution: Distribution,
}

impl Draw {
    /// What it is under a seed.
    pub(crate) fn value(&self, seed: u64) -> Value {
        Value::draw(&self.shape, self.dtype, self.distribution, seed, self.number, &Device::flex())
    }
}

impl DoubledLoss {
    /// As [`new`](Self::new), of this rank's share of the loss, where it has the part `part` of all examples.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn of_share(
        trace: &Trace,
        ranks: &Rc<Ranks>,
        part: f64,
        is_parameter: impl Fn(LossInput) -> bool,
    ) -> Result<Self, GraphError> {
        let mut trace = trace.clone();
        let part = trace.graph.full(&[1], DType::F64, part);
        share(&mut trace, ranks, part)?;
        Self::new(&trace, is_parameter)
    }

    /// Prepares a loss; `is_parameter` says in what its gradients are wanted.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub(crate) fn new(trace: &Trace, is_parameter: impl Fn(LossInput) -> bool) -> Result<Self, GraphError> {
        let doubled = in_f64(&trace.graph, &[trace.loss])?;
        let Doubled { graph: source, inputs, outputs } = doubled;
        let mut graph = Graph::new();
        let mut images = HashMap::new();
        let mut image = |graph: &mut Graph, id: NodeId| {
            let node = graph.input(source.shape(id), source.dtype(id));
            images.insert(id, node);
            node
        };
        // Behind them are inputs that stand for what a loss differentiates in itself; nothing reads them any more.
        let inputs = inputs.iter().take(trace.inputs.len());
        let mut given: Vec<NodeId> = inputs.map(|&id| image(&mut graph, id)).collect();
        let mut draws = Vec::new();
        let needed = reachable(&source, &outputs);
        for id in source.ids().filter(|id| needed[id.index()]) {
            if let Op::Random { draw, distribution } = source.node(id).op {
                let (shape, dtype) = (source.shape(id).to_vec(), source.dtype(id));
                draws.push(Draw { shape, dtype, number: draw, distribution });
                given.push(image(&mut graph, id));
            }
        }
        let loss = replay(&mut graph, &source, &outputs, &images)?[0];
        let mut groups: Vec<(usize, Vec<NodeId>)> = Vec::new();
        for (&(source, _), &node) in trace.inputs.iter().zip(&given) {
            let LossInput::Leaf { level, .. } = source else { continue };
            if is_parameter(source) {
                match groups.iter_mut().find(|(of, _)| *of == level) {
                    Some((_, nodes)) => nodes.push(node),
                    None => groups.push((level, vec![node])),
                }
            }
        }
        let gradients = gradient_nodes(&mut graph, loss, groups.iter().map(|(_, nodes)| nodes.as_slice()))?;
        let wanted: Vec<NodeId> = std::iter::once(loss).chain(gradients.into_iter().flatten()).collect();
        let program = Program::new(&graph, &given, &wanted, &Device::flex());
        let levels = groups.into_iter().map(|(level, nodes)| (level, nodes.len())).collect();
        Ok(DoubledLoss { program, levels, draws })
    }

    /// The random draws, which come after all other inputs.
    pub(crate) fn draws(&self) -> &[Draw] {
        &self.draws
    }

    /// What one evaluation takes, and the bytes that it holds at once.
    pub(crate) fn cost(&self) -> (Cost, usize) {
        (self.program.cost(), self.program.peak())
    }

    /// The levels in whose parameters there are gradients.
    pub(crate) fn levels(&self) -> impl Iterator<Item = usize> {
        self.levels.iter().map(|&(level, _)| level)
    }

    /// The loss, and the gradient in the parameters of each level; `values` are those of the trace's inputs, floats in f64 on the
    /// CPU.
    ///
    /// # Errors
    /// [`ReadError`] if one cannot be read.
    pub(crate) fn at(&self, values: &[Value], draws: &[Value]) -> Result<Vec<Vec<f64>>, ReadError> {
        let mut found = self.program.run(values.iter().chain(draws).cloned(), 0).into_iter();
        let mut next = |count: usize| -> Result<Vec<f64>, ReadError> {
            let parts = found.by_ref().take(count).map(|value| value.to_vec()).collect::<Result<Vec<_>, _>>()?;
            Ok(parts.concat())
        };
        let loss = next(1)?;
        let gradients = self.levels.iter().map(|&(_, count)| next(count));
        std::iter::once(Ok(loss)).chain(gradients).collect()
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::{Distribution, Tensor, TensorData};

    use super::*;
    use crate::trace::{AnyBatch, gradient, trace};

    /// What a loss differentiates in itself is an input of its graph, between those that are given and the draws.
    #[test]
    fn draws_have_their_places_behind_gradients_inside_of_the_loss() {
        let (device, dtype) = (Device::flex(), DType::F64);
        let parameter = Param::from_tensor(Tensor::<1>::from_data(TensorData::from([0.5_f64, -1.0]), (&device, dtype)));
        let trace = trace("critic", &AnyBatch::new(()), |tracer| {
            let x = tracer.module(0, &parameter).val();
            let noise = x.random_like(Distribution::Uniform(1.0, 2.0));
            let cube = x.clone() * x.clone() * x.clone() * noise.clone();
            gradient(cube, x.clone()).sum() + (x * noise).sum()
        })
        .expect("it can be recorded");
        let loss = DoubledLoss::new(&trace, |_| true).expect("it has derivatives");
        let values = [Value::from_tensor(parameter.val())];
        let draws: Vec<Value> = loss.draws().iter().map(|draw| draw.value(3)).collect();
        let noise = draws[0].to_vec().expect("numbers");
        let found = loss.at(&values, &draws).expect("numbers");
        let at_each = |of: fn(f64, f64) -> f64| -> Vec<f64> {
            [0.5, -1.0].iter().zip(&noise).map(|(&x, &noise)| of(x, noise)).collect()
        };
        let value: f64 = at_each(|x, noise| 3.0 * x * x * noise + x * noise).iter().sum();
        let slopes = at_each(|x, noise| 6.0 * x * noise + noise);
        assert_eq!(draws.len(), 1);
        assert!((found[0][0] - value).abs() < 1e-12, "{found:?} {value}");
        assert!(found[1].iter().zip(&slopes).all(|(x, y)| (x - y).abs() < 1e-12), "{found:?} {slopes:?}");
    }
}
