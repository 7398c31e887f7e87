//! A traced loss with its derivatives, all in one program.

use betty_runtime::__private::derivatives::{Curvature, Lagrangian, Loss, Point, Variable};
use betty_runtime::execute::{Program, Value, Vector};
use betty_runtime::graph::{Graph, NodeId, jvp, vjp};
use betty_runtime::trace::{LossInput, Trace};
use burn::tensor::{DType, Device};

use super::compare::host;
use super::lanes::Lanes;
use super::options::Options;

/// Decides random draws.
const SEED: u64 = 5;

/// A traced loss with its derivatives, all in one program.
pub(crate) struct Problem {
    graph: Graph,
    /// Number of elements of the function.
    pub(crate) size: usize,
    inputs: Vec<NodeId>,
    outputs: Vec<Vec<NodeId>>,
    /// How many parameters there are; the inputs begin with them and as many tangents.
    leaves: usize,
    dtype: DType,
    trace: Trace,
}

pub(crate) struct Answers {
    pub(crate) loss: Vec<f64>,
    pub(crate) value: Vec<f64>,
    pub(crate) gradient: Vec<f64>,
    pub(crate) burn: Vec<f64>,
    pub(crate) hvp: Vec<f64>,
    pub(crate) reverse_hvp: Vec<f64>,
    /// `∂³L/∂θ³ · u · u`
    pub(crate) third: Vec<f64>,
    pub(crate) data_gradient: Vec<f64>,
    pub(crate) mixed: Vec<f64>,
    pub(crate) jvp: Vec<f64>,
    pub(crate) vjp: Vec<f64>,
}

/// A new input of the shape and type of a node.
pub(crate) fn input_like(graph: &mut Graph, node: NodeId) -> NodeId {
    let shape = graph.shape(node).to_vec();
    graph.input(&shape, graph.dtype(node))
}

/// Gradients that do not exist are 0.
pub(crate) fn or_zeros(graph: &mut Graph, derivatives: Vec<Option<NodeId>>, like: &[NodeId]) -> Vec<NodeId> {
    derivatives.into_iter().zip(like).map(|(node, &like)| node.unwrap_or_else(|| graph.zeros_like(like))).collect()
}

impl Problem {
    pub(crate) fn new(trace: Trace, dtype: DType) -> Self {
        let Trace { mut graph, loss, inputs, burn_gradients, .. } = trace.clone();
        let leaves: Vec<NodeId> = inputs
            .iter()
            .filter(|(source, _)| matches!(source, LossInput::Leaf { .. }))
            .map(|&(_, node)| node)
            .collect();
        let batch: Vec<NodeId> = inputs
            .iter()
            .filter(|(source, _)| matches!(source, LossInput::Batch { .. }))
            .map(|&(_, node)| node)
            .collect();
        let floats: Vec<NodeId> = batch.iter().copied().filter(|&node| graph.dtype(node).is_float()).collect();
        // The last two floats of the batch are w and c, and the derivative by w is the function.
        let w = floats[floats.len() - 2];
        let g = &mut graph;
        let one = g.full(&[1], dtype, 1.0);
        let value = vjp(g, &[(loss, one)], &[w]).unwrap()[0].unwrap();
        let tangents: Vec<NodeId> = leaves.iter().map(|&leaf| input_like(g, leaf)).collect();
        let cotangent = input_like(g, value);
        let moves: Vec<(NodeId, NodeId)> = leaves.iter().copied().zip(tangents.iter().copied()).collect();
        let gradient = vjp(g, &[(loss, one)], &leaves).unwrap();
        let gradient = or_zeros(g, gradient, &leaves);
        let data_gradient = vjp(g, &[(loss, one)], &floats).unwrap();
        let data_gradient = or_zeros(g, data_gradient, &floats);
        let hvp = jvp(g, &gradient, &moves).unwrap();
        let hvp = or_zeros(g, hvp, &leaves);
        let third = jvp(g, &hvp, &moves).unwrap();
        let third = or_zeros(g, third, &leaves);
        let pairs: Vec<(NodeId, NodeId)> = gradient.iter().copied().zip(tangents.iter().copied()).collect();
        let reverse_hvp = vjp(g, &pairs, &leaves).unwrap();
        let reverse_hvp = or_zeros(g, reverse_hvp, &leaves);
        let mixed = vjp(g, &pairs, &floats).unwrap();
        let mixed = or_zeros(g, mixed, &floats);
        let forward = jvp(g, &[value], &moves).unwrap();
        let forward = or_zeros(g, forward, &[value]);
        let backward = vjp(g, &[(value, cotangent)], &leaves).unwrap();
        let backward = or_zeros(g, backward, &leaves);
        let burn = leaves.iter().map(|leaf| burn_gradients.iter().find(|(of, _)| of == leaf).map(|&(_, node)| node));
        let burn = or_zeros(g, burn.collect(), &leaves);
        let outputs = vec![
            vec![loss],
            vec![value],
            gradient,
            burn,
            hvp,
            reverse_hvp,
            third,
            data_gradient,
            mixed,
            forward,
            backward,
        ];
        let size = graph.node(value).elements();
        let (count, dtype) = (leaves.len(), graph.dtype(loss));
        Problem {
            graph,
            size,
            leaves: count,
            dtype,
            inputs: [leaves, tangents, vec![cotangent], batch].concat(),
            outputs,
            trace,
        }
    }

    /// The Hessian-vector product as levels form it: what does not depend on the vector is computed once and kept, and a program
    /// of its own goes on from there.
    pub(crate) fn linearized(&self, leaves: Vec<Value>, tangent: Vec<Value>, batch: &[Value]) -> Vec<f64> {
        let device = Device::flex();
        let loss = Loss::new(self.trace.clone(), |_| (0..self.leaves).collect(), &device);
        let mut curvature = Curvature::new(Lagrangian::new(0, &loss, &[]).unwrap(), &device).unwrap();
        let mut point = Point::new([leaves.as_slice(), batch].concat(), SEED);
        let (wanted, tangent) = (Variable::Level(0), Vector(tangent));
        let product = curvature.product(&mut point, &[(wanted, &tangent)], &[wanted]).unwrap();
        if product.is_empty() {
            return vec![0.0; tangent.len()];
        }
        product.iter().flat_map(|(_, vector)| vector.to_vec().unwrap()).collect()
    }

    /// Checks that value, gradient and Hessian-vector product can be computed for many inputs at once.
    pub(crate) fn check_lanes(&self, case: &str, options: Options, first: Vec<Value>) {
        let exact = if self.dtype == DType::F64 { 1e-13 } else { 1e-6 };
        let outputs = [1, 2, 4].map(|group| self.outputs[group].clone());
        let lanes = Lanes::new(&self.graph, &self.inputs, &outputs, first.clone());
        let is_batch = |i: usize| i > 2 * self.leaves;
        lanes.check(case, exact, |_| true);
        lanes.check(case, exact, |i| i < self.leaves);
        lanes.check(case, exact, is_batch);
        let few = (0..self.inputs.len()).filter(|&i| i < self.leaves || is_batch(i)).take(4);
        few.for_each(|alone| lanes.check(case, exact, |i| i == alone));
        let tolerance = options.sum.unwrap_or(options.tolerance(10.0 * exact));
        let outputs = [0, 2].map(|group| self.outputs[group].clone());
        let lanes = Lanes::new(&self.graph, &self.inputs, &outputs, first);
        lanes.check_sum_of_gradients(case, tolerance, &self.inputs[..self.leaves]);
    }

    pub(crate) fn run(&self, vectors: Vec<Value>, batch: &[Value], device: &Device) -> Answers {
        let program = Program::new(&self.graph, &self.inputs, &self.outputs.concat(), device);
        let values = program.run(vectors.into_iter().chain(batch.iter().cloned()), SEED);
        let mut rest = values.as_slice();
        let mut next = self.outputs.iter().map(|group| {
            let (first, others) = rest.split_at(group.len());
            rest = others;
            host(first)
        });
        let mut next = || next.next().unwrap();
        Answers {
            loss: next(),
            value: next(),
            gradient: next(),
            burn: next(),
            hvp: next(),
            reverse_hvp: next(),
            third: next(),
            data_gradient: next(),
            mixed: next(),
            jvp: next(),
            vjp: next(),
        }
    }
}
