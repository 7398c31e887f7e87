//! What is checked for a whole module with its loss:
//!
//! - our gradient equals the one that Burn recorded, and the one of Burn's eager autodiff on the training module;
//! - the gradient along a direction equals central differences of the loss;
//! - the Hessian-vector product and the mixed product with the batch equal central differences of our gradients.

use betty_runtime::Batch;
use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Graph, NodeId, Op, jvp, vjp};
use betty_runtime::trace::{AnyBatch, BatchMapper, LevelModule, LossInput, Trace, trace};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::{close, host, input_like, or_zeros, random};

/// How far derivatives may be apart, relative to their norms. What is `None` is not compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerances {
    /// Our gradient and the recorded one of Burn.
    pub(crate) recorded: Option<f64>,
    /// Our gradient and that of Burn's eager autodiff.
    pub(crate) eager: Option<f64>,
    /// Products with second derivatives and central differences.
    pub(crate) differences: Option<f64>,
    /// How far the differences reach, along a direction of numbers in ±1.
    pub(crate) step: f64,
    /// Whether to compute what was recorded in single precision in double precision: for modules that Burn refuses to
    /// run in double precision, whose second derivatives could not be compared otherwise.
    pub(crate) widened: bool,
}

/// Doubles all the way: rounding only.
pub(crate) const EXACT: Tolerances =
    Tolerances { recorded: Some(1e-12), eager: Some(1e-12), differences: Some(1e-8), step: 3e-5, widened: false };

/// Checks the derivatives of `loss` in all parameters of `module`; answers our gradient.
pub(crate) fn compare<M: Module + 'static, B: Batch>(
    name: &str,
    module: &M,
    batch: &B,
    tolerances: Tolerances,
    loss: impl Fn(&M, B) -> Tensor<1>,
) -> Vec<f64> {
    let any = AnyBatch::new(batch.clone());
    let traced = trace(name, &any, |tracer| loss(&tracer.module(0, module), tracer.batch()));
    let traced = traced.unwrap_or_else(|error| panic!("{name}: {error}"));
    let traced = if tolerances.widened { widened(&traced) } else { traced };
    let problem = Whole::new(traced, module, &any);
    let at = problem.run(0.0);
    if let Some(tolerance) = tolerances.recorded {
        close(name, "gradient, recorded", &at.gradient, &at.burn, tolerance);
    }
    if let Some(tolerance) = tolerances.eager {
        close(name, "gradient, eager", &at.gradient, &eager_gradient(module, batch, &loss), tolerance);
    }
    if let Some(tolerance) = tolerances.differences {
        // Fourth order: the error is h⁴/30 times a fifth derivative, and rounding divided by h.
        let h = tolerances.step;
        let (one, back, two, back_two) = (problem.run(h), problem.run(-h), problem.run(2.0 * h), problem.run(-2.0 * h));
        let differences = |of: fn(&Answers) -> &Vec<f64>| -> Vec<f64> {
            (0..of(&one).len())
                .map(|i| (8.0 * (of(&one)[i] - of(&back)[i]) - (of(&two)[i] - of(&back_two)[i])) / (12.0 * h))
                .collect()
        };
        let slope: f64 = problem.along(&at.gradient);
        close(name, "gradient, differences", &[slope], &differences(|answers| &answers.loss), tolerance);
        close(name, "hvp, differences", &at.hvp, &differences(|answers| &answers.gradient), tolerance);
        close(name, "mixed, differences", &at.mixed, &differences(|answers| &answers.data_gradient), tolerance);
    }
    at.gradient
}

/// A traced loss with its derivatives, and where they are taken.
struct Whole {
    program: Program,
    /// How many tensors each answer has.
    counts: Vec<usize>,
    /// All inputs of the loss at the point itself.
    point: Vec<Value>,
    /// Which inputs are parameters, and the direction along which they are moved.
    parameters: Vec<(usize, Vec<f64>)>,
}

struct Answers {
    loss: Vec<f64>,
    gradient: Vec<f64>,
    burn: Vec<f64>,
    hvp: Vec<f64>,
    data_gradient: Vec<f64>,
    mixed: Vec<f64>,
}

impl Whole {
    fn new<M: Module + 'static>(trace: Trace, module: &M, batch: &AnyBatch) -> Self {
        let (leaves, constants) = (module.leaves(), module.constants(&Device::flex()).unwrap());
        let Trace { mut graph, loss, inputs, burn_gradients, burn_answers, .. } = trace;
        let g = &mut graph;
        let value = |source: &LossInput| match *source {
            LossInput::Leaf { index, .. } => leaves[index].value.clone(),
            LossInput::Constant { index, .. } => constants[index].clone(),
            LossInput::Batch { index } => batch.values()[index].clone(),
        };
        let like = |value: Value, node: NodeId, g: &Graph| {
            Value::from_data(value.to_data().unwrap().convert_dtype(g.dtype(node)), &Device::flex())
        };
        let point: Vec<Value> = inputs.iter().map(|(source, node)| like(value(source), *node, g)).collect();
        let moved = |source: &LossInput| matches!(*source, LossInput::Leaf { index, .. } if leaves[index].trainable);
        let mut rng = StdRng::seed_from_u64(13);
        let parameters: Vec<(usize, Vec<f64>)> = (0..inputs.len())
            .filter(|&i| moved(&inputs[i].0))
            .map(|i| (i, random(point[i].shape().iter().product(), &mut rng)))
            .collect();
        let theta: Vec<NodeId> = parameters.iter().map(|&(i, _)| inputs[i].1).collect();
        let floats: Vec<NodeId> = inputs
            .iter()
            .filter(|(source, node)| matches!(source, LossInput::Batch { .. }) && g.dtype(*node).is_float())
            .map(|&(_, node)| node)
            .collect();
        let all = [theta.clone(), floats.clone()].concat();
        let one = g.full_like(loss, 1.0);
        let gradients = vjp(g, &[(loss, one)], &all).unwrap();
        let gradients = or_zeros(g, gradients, &all);
        let tangents: Vec<NodeId> = theta.iter().map(|&node| input_like(g, node)).collect();
        let moves: Vec<(NodeId, NodeId)> = theta.iter().copied().zip(tangents.iter().copied()).collect();
        let products = jvp(g, &gradients, &moves).unwrap();
        let products = or_zeros(g, products, &all);
        let burn = theta.iter().map(|leaf| burn_gradients.iter().find(|(of, _)| of == leaf).map(|&(_, node)| node));
        let burn = or_zeros(g, burn.collect(), &theta);
        // Through derivatives that are taken inside of the loss, our rules lead on from where Burn's end.
        let behind = vjp(g, &burn_answers, &theta).unwrap();
        let behind = or_zeros(g, behind, &theta);
        let burn: Vec<NodeId> = burn.iter().zip(behind).map(|(&burn, more)| g.add(burn, more).unwrap()).collect();
        let (gradient, data_gradient) = gradients.split_at(theta.len());
        let (hvp, mixed) = products.split_at(theta.len());
        let outputs = [&[loss], gradient, &burn, hvp, data_gradient, mixed];
        let counts = outputs.iter().map(|group| group.len()).collect();
        let inputs: Vec<NodeId> = inputs.iter().map(|&(_, node)| node).chain(tangents).collect();
        let program = Program::new(g, &inputs, &outputs.concat(), &Device::flex());
        Whole { program, counts, point, parameters }
    }

    /// The inner product of a gradient with the direction.
    fn along(&self, gradient: &[f64]) -> f64 {
        gradient.iter().zip(self.parameters.iter().flat_map(|(_, direction)| direction)).map(|(g, u)| g * u).sum()
    }

    /// Everything after a number of steps along the direction.
    fn run(&self, steps: f64) -> Answers {
        let mut inputs = self.point.clone();
        let like = |flat: Vec<f64>, value: &Value| {
            let data = TensorData::new(flat, value.shape()).convert_dtype(value.dtype());
            Value::from_data(data, &Device::flex())
        };
        for (i, direction) in &self.parameters {
            let theta = self.point[*i].to_vec().unwrap();
            let moved = theta.iter().zip(direction).map(|(x, u)| x + steps * u).collect();
            inputs[*i] = like(moved, &self.point[*i]);
        }
        let tangents = self.parameters.iter().map(|(i, direction)| like(direction.clone(), &self.point[*i]));
        let values = self.program.run(inputs.into_iter().chain(tangents), 5);
        let mut rest = values.as_slice();
        let mut groups = self.counts.iter().map(|&count| {
            let (first, others) = rest.split_at(count);
            rest = others;
            host(first)
        });
        let mut next = || groups.next().unwrap();
        Answers { loss: next(), gradient: next(), burn: next(), hvp: next(), data_gradient: next(), mixed: next() }
    }
}

/// The same computation with doubles in the place of all floats.
fn widened(trace: &Trace) -> Trace {
    let wide = |dtype: DType| if dtype.is_float() { DType::F64 } else { dtype };
    let mut graph = Graph::new();
    let mut image: Vec<NodeId> = Vec::new();
    for id in trace.graph.ids() {
        let node = trace.graph.node(id);
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| image[input.index()]).collect();
        image.push(match &node.op {
            Op::Input(_) => graph.input(&node.shape, wide(node.dtype)),
            Op::Literal(index) => graph.literal(trace.graph.literals()[*index].clone().convert_dtype(wide(node.dtype))),
            Op::Full(number) => graph.full(&node.shape, wide(node.dtype), number.as_f64()),
            Op::Random { distribution, .. } => graph.random(&node.shape, wide(node.dtype), *distribution),
            Op::Cast(dtype) => graph.push(Op::Cast(wide(*dtype)), &inputs).unwrap(),
            op => graph.push(op.clone(), &inputs).unwrap(),
        });
    }
    let to = |node: NodeId| image[node.index()];
    Trace {
        loss: to(trace.loss),
        burn_answers: trace.burn_answers.iter().map(|&(of, node)| (to(of), to(node))).collect(),
        inputs: trace.inputs.iter().map(|&(source, node)| (source, to(node))).collect(),
        is_coarse: false,
        burn_gradients: trace.burn_gradients.iter().map(|&(of, node)| (to(of), to(node))).collect(),
        metrics: trace.metrics.iter().map(|(name, node)| (name.clone(), to(*node))).collect(),
        operations: trace.operations.clone(),
        differentiable: trace.differentiable,
        updates: trace.updates.clone(),
        advances: trace.advances.iter().map(|&(source, node)| (source, to(node))).collect(),
        outputs: trace.outputs.iter().copied().map(to).collect(),
        graph,
    }
}

/// The gradient that Burn's autodiff finds, outside of any recording.
fn eager_gradient<M: Module, B: Batch>(module: &M, batch: &B, loss: impl Fn(&M, B) -> Tensor<1>) -> Vec<f64> {
    struct Collect {
        gradients: burn::tensor::Gradients,
        flat: Vec<f64>,
    }
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.base();
            if tensor.is_require_grad() {
                match tensor.grad(&self.gradients) {
                    Some(gradient) => self.flat.extend(gradient.into_data().iter::<f64>()),
                    None => self.flat.extend(vec![0.0; tensor.shape().num_elements()]),
                }
            }
        }
    }
    let training = module.clone().train();
    let gradients = loss(&training, batch.clone().map(&mut Taped)).backward();
    let mut collect = Collect { gradients, flat: Vec::new() };
    training.visit(&mut collect);
    collect.flat
}

/// Puts a batch on an autodiff device.
pub(crate) struct Taped;

impl BatchMapper for Taped {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        tensor.autodiff()
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        tensor.autodiff()
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        tensor.autodiff()
    }

    fn plain(&mut self, _hash: u64) {}
}

/// The module with its floats in another type.
pub(crate) fn cast<M: Module>(module: M, dtype: DType) -> M {
    struct Cast(DType);
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.cast(self.0))
        }
    }
    module.map(&mut Cast(dtype))
}
