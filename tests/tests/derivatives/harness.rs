//! What is checked for every differentiable function, on random data:
//!
//! - its value and its loss equal Burn's eager ones;
//! - our gradient equals the one that Burn recorded and the one of Burn's eager autodiff;
//! - the Hessian-vector product (jvp of the gradient) equals central differences of the gradient and reverse over
//!   reverse, is symmetric and linear;
//! - `⟨c, J t⟩ = ⟨Jᵀ c, t⟩` for the function itself;
//! - mixed products `∂²L/∂λ∂θ · u`, λ being all floats of the batch, equal central differences.
//!
//! The loss of a function `f` is `Σ w·f + ½ Σ c·f²` with random `w` and `c`, so that second derivatives of linear
//! functions do not vanish and derivatives with respect to `w` give `f` itself.

use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Graph, NodeId, jvp, vjp};
use betty_runtime::trace::{AnyBatch, Leaf, LevelModule, Source, Trace, trace};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// One argument of a function under test.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// A parameter with distinct values in this range, away from 0.
    Parameter(Vec<usize>, f64, f64),
    /// A parameter with these values.
    Given(Vec<usize>, Vec<f64>),
    /// A float of the batch.
    Data(Vec<usize>, f64, f64),
    /// Integers of the batch, below a bound.
    Indices(Vec<usize>, usize),
}

/// A parameter between −1 and 1.1.
pub(crate) fn x<const D: usize>(shape: [usize; D]) -> Input {
    Input::Parameter(shape.to_vec(), -1.0, 1.1)
}

/// A parameter with values in a range.
pub(crate) fn within<const D: usize>(low: f64, high: f64, shape: [usize; D]) -> Input {
    Input::Parameter(shape.to_vec(), low, high)
}

/// A parameter with given values.
pub(crate) fn given<const D: usize>(shape: [usize; D], values: &[f64]) -> Input {
    Input::Given(shape.to_vec(), values.to_vec())
}

/// A float of the batch between −1 and 1.1.
pub(crate) fn data<const D: usize>(shape: [usize; D]) -> Input {
    Input::Data(shape.to_vec(), -1.0, 1.1)
}

/// Integers of the batch below `bound`.
pub(crate) fn indices<const D: usize>(bound: usize, shape: [usize; D]) -> Input {
    Input::Indices(shape.to_vec(), bound)
}

/// The arguments of a function under test, by kind and position.
pub(crate) struct Arguments {
    parameters: Vec<(Vec<usize>, Tensor<1>)>,
    data: Vec<(Vec<usize>, Tensor<1>)>,
    indices: Vec<(Vec<usize>, Tensor<1, Int>)>,
}

impl Arguments {
    /// The `i`-th parameter.
    pub(crate) fn x<const D: usize>(&self, i: usize) -> Tensor<D> {
        let (shape, tensor) = &self.parameters[i];
        tensor.clone().reshape::<D, _>(<[usize; D]>::try_from(shape.as_slice()).unwrap())
    }

    /// The `i`-th float of the batch.
    pub(crate) fn data<const D: usize>(&self, i: usize) -> Tensor<D> {
        let (shape, tensor) = &self.data[i];
        tensor.clone().reshape::<D, _>(<[usize; D]>::try_from(shape.as_slice()).unwrap())
    }

    /// The `i`-th integer tensor of the batch.
    pub(crate) fn indices<const D: usize>(&self, i: usize) -> Tensor<D, Int> {
        let (shape, tensor) = &self.indices[i];
        tensor.clone().reshape::<D, _>(<[usize; D]>::try_from(shape.as_slice()).unwrap())
    }
}

/// The function's result as one list.
pub(crate) fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let count = tensor.shape().num_elements();
    tensor.reshape([count])
}

/// One `#[test]` a line: `name(inputs) = |a| function;`. An option may stand before the `=`: `[kink]` where second
/// derivatives do not exist, `[single]` where Burn computes in single precision whatever it is given, `[f32]` where it
/// refuses doubles, `[eager < 1e-7]` where its eager derivative is only approximate, `[f32 < 1e-5]` where rounding is
/// amplified, `[random]` where values cannot be compared.
macro_rules! cases {
    ($($name:ident($($input:expr),* $(,)?) $([$($option:tt)*])? = |$a:ident| $body:expr;)*) => {$(
        #[test]
        fn $name() {
            let options = option!($($($option)*)?);
            $crate::harness::check(stringify!($name), &[$($input),*], options, |$a| $crate::harness::flat($body));
        }
    )*};
}

macro_rules! option {
    () => {
        $crate::harness::Options::default()
    };
    (f32 < $tolerance:literal) => {
        $crate::harness::Options { f32_gradient: Some($tolerance), ..Default::default() }
    };
    (eager < $tolerance:literal) => {
        $crate::harness::Options { eager: Some($tolerance), ..Default::default() }
    };
    (f32) => {
        $crate::harness::Options { only_f32: true, ..Default::default() }
    };
    (noise) => {
        $crate::harness::Options { random: true, only_f32: true, ..Default::default() }
    };
    (single) => {
        $crate::harness::Options { single: true, ..Default::default() }
    };
    (random) => {
        $crate::harness::Options { random: true, ..Default::default() }
    };
    (kink) => {
        $crate::harness::Options { kink: true, ..Default::default() }
    };
}

/// What is special about a case.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// How far gradients in single precision may be apart.
    pub(crate) f32_gradient: Option<f64>,
    /// How far the derivative of Burn's eager autodiff may be off.
    pub(crate) eager: Option<f64>,
    /// Whether Burn refuses to compute the function in double precision.
    pub(crate) only_f32: bool,
    /// Whether to leave out what needs a second derivative.
    pub(crate) kink: bool,
    /// Whether to leave out differences, because there are kinks nearby.
    pub(crate) rough: bool,
    /// Whether the function computes in single precision whatever it is given.
    pub(crate) single: bool,
    /// Whether the function draws random numbers.
    pub(crate) random: bool,
}

impl Options {
    /// How well gradients agree with Burn's.
    fn gradient(&self, dtype: DType) -> f64 {
        let single = self.f32_gradient.unwrap_or(1e-6);
        if dtype == DType::F64 { self.tolerance(1e-12) } else { single }
    }

    fn tolerance(&self, tolerance: f64) -> f64 {
        if self.single || self.only_f32 { tolerance.max(1e-5) } else { tolerance }
    }
}

/// Host numbers of one case.
struct Numbers {
    parameters: Vec<(Vec<usize>, Vec<f64>)>,
    data: Vec<(Vec<usize>, Vec<f64>)>,
    indices: Vec<(Vec<usize>, Vec<i64>)>,
}

impl Numbers {
    fn draw(inputs: &[Input], rng: &mut StdRng) -> Self {
        let mut numbers = Numbers { parameters: Vec::new(), data: Vec::new(), indices: Vec::new() };
        for input in inputs {
            match input {
                Input::Parameter(shape, low, high) => {
                    numbers.parameters.push((shape.clone(), distinct(count(shape), *low, *high, rng)));
                }
                Input::Given(shape, values) => numbers.parameters.push((shape.clone(), values.clone())),
                Input::Data(shape, low, high) => {
                    numbers.data.push((shape.clone(), distinct(count(shape), *low, *high, rng)));
                }
                Input::Indices(shape, bound) => {
                    let values = (0..count(shape)).map(|_| rng.random_range(0..*bound as i64)).collect();
                    numbers.indices.push((shape.clone(), values));
                }
            }
        }
        numbers
    }

    fn arguments(&self, parameters: Vec<Tensor<1>>, data: Vec<Tensor<1>>, indices: Vec<Tensor<1, Int>>) -> Arguments {
        fn with<T, N>(of: &[(Vec<usize>, N)], tensors: Vec<T>) -> Vec<(Vec<usize>, T)> {
            of.iter().map(|(shape, _)| shape.clone()).zip(tensors).collect()
        }
        Arguments {
            parameters: with(&self.parameters, parameters),
            data: with(&self.data, data),
            indices: with(&self.indices, indices),
        }
    }

    fn int_tensors(&self, device: &Device) -> Vec<Tensor<1, Int>> {
        let tensor = |(_, values): &(_, Vec<i64>)| {
            Tensor::from_data(TensorData::new(values.clone(), [values.len()]), (device, DType::I64))
        };
        self.indices.iter().map(tensor).collect()
    }

    fn float_tensors(of: &[(Vec<usize>, Vec<f64>)], device: &Device, dtype: DType) -> Vec<Tensor<1>> {
        of.iter().map(|(_, values)| float(values, device, dtype)).collect()
    }
}

pub(crate) fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

pub(crate) fn float(values: &[f64], device: &Device, dtype: DType) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]).convert_dtype(dtype), (device, dtype))
}

/// Values in a range that keep their distance from each other and from 0, in random order.
fn distinct(count: usize, low: f64, high: f64, rng: &mut StdRng) -> Vec<f64> {
    let gap = (high - low) / count as f64;
    let mut values: Vec<f64> = (0..count)
        .map(|k| {
            let value = low + gap * (k as f64 + 0.5 + rng.random_range(-0.2..0.2));
            if value.abs() < 0.01 { value.signum() * (0.01 + value.abs()) } else { value }
        })
        .collect();
    values.shuffle(rng);
    values
}

pub(crate) fn random(count: usize, rng: &mut StdRng) -> Vec<f64> {
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// `‖x − y‖` relative to the larger norm.
pub(crate) fn distance(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "as many numbers");
    let norm = |v: &[f64]| dot(v, v).sqrt();
    let gap: Vec<f64> = x.iter().zip(y).map(|(x, y)| x - y).collect();
    let (gap, scale) = (norm(&gap), norm(x).max(norm(y)));
    if gap == 0.0 { 0.0 } else { gap / scale }
}

#[track_caller]
pub(crate) fn close(case: &str, what: &str, x: &[f64], y: &[f64], tolerance: f64) {
    let distance = distance(x, y);
    if std::env::var_os("BETTY_SHOW_ERRORS").is_some() {
        println!("{case}\t{what}\t{distance:.1e}");
    }
    let (shown_x, shown_y) = (&x[..x.len().min(12)], &y[..y.len().min(12)]);
    assert!(distance <= tolerance, "{case}: {what} differs by {distance:.2e}:\n{shown_x:?}\n{shown_y:?}");
}

/// `Σ w·f + ½ Σ c·f²`
fn loss(f: Tensor<1>, w: Tensor<1>, c: Tensor<1>) -> Tensor<1> {
    (f.clone() * w).sum() + (f.clone() * f * c).sum() * 0.5
}

/// The numbers of a list of tensors, one after the other.
pub(crate) fn host(values: &[Value]) -> Vec<f64> {
    values.iter().flat_map(|value| value.to_vec().unwrap()).collect()
}

/// Splits a list like the tensors it belongs to.
fn split(flat: &[f64], like: &[(Vec<usize>, Vec<f64>)]) -> Vec<Vec<f64>> {
    let mut rest = flat;
    like.iter()
        .map(|(_, values)| {
            let (first, others) = rest.split_at(values.len());
            rest = others;
            first.to_vec()
        })
        .collect()
}

/// Checks everything in f64, and values and gradients in f32.
pub(crate) fn check(name: &str, inputs: &[Input], options: Options, f: impl Fn(&Arguments) -> Tensor<1>) {
    check_type(name, inputs, options, DType::F64, &f);
    check_type(&format!("{name} (f32)"), inputs, options, DType::F32, &f);
}

type Parts = (Vec<Tensor<1>>, Vec<Tensor<1, Int>>, Tensor<1>, Tensor<1>);

fn check_type(name: &str, inputs: &[Input], options: Options, dtype: DType, f: &impl Fn(&Arguments) -> Tensor<1>) {
    let mut rng = StdRng::seed_from_u64(7);
    let device = Device::flex();
    let numbers = Numbers::draw(inputs, &mut rng);

    // Burn, eagerly.
    let taped = device.clone().autodiff();
    let leaves: Vec<Tensor<1>> =
        Numbers::float_tensors(&numbers.parameters, &taped, dtype).into_iter().map(Tensor::require_grad).collect();
    let data = Numbers::float_tensors(&numbers.data, &taped, dtype);
    let eager = f(&numbers.arguments(leaves.clone(), data, numbers.int_tensors(&taped)));
    let size = eager.dims()[0];
    let (w, c) = (random(size, &mut rng), random(size, &mut rng));
    let eager_loss = loss(eager.clone(), float(&w, &taped, dtype), float(&c, &taped, dtype));
    let gradients = eager_loss.backward();
    let eager_gradient: Vec<f64> = leaves
        .iter()
        .flat_map(|leaf| match leaf.grad(&gradients) {
            Some(gradient) => gradient.into_data().iter::<f64>().collect(),
            None => vec![0.0; leaf.dims()[0]],
        })
        .collect();
    let eager: Vec<f64> = eager.inner().into_data().iter::<f64>().collect();

    // The trace.
    let parameters: Vec<Param<Tensor<1>>> =
        Numbers::float_tensors(&numbers.parameters, &device, dtype).into_iter().map(Param::from_tensor).collect();
    let batch = AnyBatch::new((
        Numbers::float_tensors(&numbers.data, &device, dtype),
        numbers.int_tensors(&device),
        float(&w, &device, dtype),
        float(&c, &device, dtype),
    ));
    let trace = trace(name, &batch, |tracer| {
        let parameters = tracer.module(0, &parameters);
        let (data, indices, w, c) = tracer.batch::<Parts>();
        let parameters = parameters.iter().map(Param::val).collect();
        loss(f(&numbers.arguments(parameters, data, indices)), w, c)
    });
    let trace = trace.unwrap_or_else(|error| panic!("{name}: {error}"));
    let problem = Problem::new(trace, dtype);
    let at = verify(name, &problem, &parameters.leaves(), &batch, options, dtype, &mut rng);
    let exact = precision(dtype);
    close(name, "value", &at.value, &eager, options.tolerance(exact));
    close(name, "loss", &at.loss, &eager_loss.inner().into_data().iter::<f64>().collect::<Vec<_>>(), exact * 10.0);
    let tolerance = options.eager.unwrap_or(0.0).max(options.gradient(dtype));
    close(name, "gradient, eager", &at.gradient, &eager_gradient, tolerance);
}

/// Checks a module's derivatives like those of a function; its parameters are given, its batch is drawn.
pub(crate) fn check_module<M: Module + 'static>(
    name: &str,
    module: &M,
    inputs: &[Input],
    options: Options,
    f: impl Fn(&M, &Arguments) -> Tensor<1>,
) {
    for dtype in [DType::F64, DType::F32] {
        if options.only_f32 && dtype == DType::F64 {
            continue;
        }
        let name = &format!("{name} ({dtype:?})");
        let mut rng = StdRng::seed_from_u64(7);
        let device = Device::flex();
        let numbers = Numbers::draw(inputs, &mut rng);
        let module = module.clone().map(&mut Fill { dtype, rng: StdRng::seed_from_u64(11) });
        let data = Numbers::float_tensors(&numbers.data, &device, dtype);
        let eager = f(&module, &numbers.arguments(Vec::new(), data.clone(), numbers.int_tensors(&device)));
        let size = eager.dims()[0];
        let (w, c) = (random(size, &mut rng), random(size, &mut rng));
        let batch =
            AnyBatch::new((data, numbers.int_tensors(&device), float(&w, &device, dtype), float(&c, &device, dtype)));
        let trace = trace(name, &batch, |tracer| {
            let module = tracer.module(0, &module);
            let (data, indices, w, c) = tracer.batch::<Parts>();
            loss(f(&module, &numbers.arguments(Vec::new(), data, indices)), w, c)
        });
        let trace = trace.unwrap_or_else(|error| panic!("{name}: {error}"));
        let problem = Problem::new(trace, dtype);
        let at = verify(name, &problem, &module.leaves(), &batch, options, dtype, &mut rng);
        let eager: Vec<f64> = eager.into_data().iter::<f64>().collect();
        if !options.random {
            close(name, "value", &at.value, &eager, options.tolerance(precision(dtype)));
        }
    }
}

/// Gives a module's floats a type, and values that depend on nothing else: Burn's generator is one for all tests.
struct Fill {
    dtype: DType,
    rng: StdRng,
}

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let shape = tensor.dims();
            let values = random(count(&shape), &mut self.rng);
            float(&values, &tensor.device(), self.dtype).reshape(shape)
        })
    }
}

/// How well values agree.
fn precision(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-12 } else { 1e-6 }
}

/// Checks everything that needs no eager computation.
fn verify(
    name: &str,
    problem: &Problem,
    leaves: &[Leaf],
    batch: &AnyBatch,
    options: Options,
    dtype: DType,
    rng: &mut StdRng,
) -> Answers {
    let device = Device::flex();
    let host_leaves: Vec<(Vec<usize>, Vec<f64>)> =
        leaves.iter().map(|leaf| (leaf.value.shape(), leaf.value.to_vec().unwrap())).collect();
    let values = |flat: &[f64]| -> Vec<Value> {
        let parts = split(flat, &host_leaves);
        let data = parts.into_iter().zip(&host_leaves).map(|(part, (shape, _))| TensorData::new(part, shape.clone()));
        data.map(|data| Value::from_data(data.convert_dtype(dtype), &device)).collect()
    };
    let theta: Vec<f64> = host_leaves.iter().flat_map(|(_, values)| values.clone()).collect();
    let (u, v, cotangent) = (random(theta.len(), rng), random(theta.len(), rng), random(problem.size, rng));
    let run = |theta: &[f64], u: &[f64]| -> Answers {
        let vectors = [values(theta), values(u), vec![Value::from_tensor(float(&cotangent, &device, dtype))]];
        problem.run(vectors.concat(), batch.values(), &device)
    };
    let at = run(&theta, &u);
    close(name, "gradient, recorded", &at.gradient, &at.burn, options.gradient(dtype));
    if (dtype != DType::F64 && !options.only_f32) || options.kink {
        return at;
    }
    close(name, "adjointness", &[dot(&cotangent, &at.jvp)], &[dot(&at.vjp, &u)], options.tolerance(1e-10));
    close(name, "reverse over reverse", &at.hvp, &at.reverse_hvp, options.tolerance(1e-10));
    let other = run(&theta, &v);
    close(name, "symmetry", &[dot(&v, &at.hvp)], &[dot(&u, &other.hvp)], options.tolerance(1e-9));
    let mixture: Vec<f64> = u.iter().zip(&v).map(|(u, v)| u + 2.0 * v).collect();
    let sum: Vec<f64> = at.hvp.iter().zip(&other.hvp).map(|(u, v)| u + 2.0 * v).collect();
    close(name, "linearity", &run(&theta, &mixture).hvp, &sum, options.tolerance(1e-10));
    if options.single || options.only_f32 || options.rough {
        return at;
    }
    // Fourth order: the error is h⁴/30 times a fifth derivative, and rounding divided by h.
    let h = 1e-4;
    let moved = |steps: f64| -> Answers {
        let theta: Vec<f64> = theta.iter().zip(&u).map(|(x, u)| x + steps * h * u).collect();
        run(&theta, &u)
    };
    let (one, back, two, back_two) = (moved(1.0), moved(-1.0), moved(2.0), moved(-2.0));
    let differences = |of: fn(&Answers) -> &Vec<f64>| -> Vec<f64> {
        (0..of(&one).len())
            .map(|i| (8.0 * (of(&one)[i] - of(&back)[i]) - (of(&two)[i] - of(&back_two)[i])) / (12.0 * h))
            .collect()
    };
    close(name, "jvp, differences", &at.jvp, &differences(|answers| &answers.value), 1e-8);
    close(name, "hvp, differences", &at.hvp, &differences(|answers| &answers.gradient), 1e-8);
    close(name, "mixed, differences", &at.mixed, &differences(|answers| &answers.data_gradient), 1e-8);
    at
}

/// A traced loss with its derivatives, all in one program.
struct Problem {
    graph: Graph,
    /// Number of elements of the function.
    size: usize,
    inputs: Vec<NodeId>,
    outputs: Vec<Vec<NodeId>>,
}

struct Answers {
    loss: Vec<f64>,
    value: Vec<f64>,
    gradient: Vec<f64>,
    burn: Vec<f64>,
    hvp: Vec<f64>,
    reverse_hvp: Vec<f64>,
    data_gradient: Vec<f64>,
    mixed: Vec<f64>,
    jvp: Vec<f64>,
    vjp: Vec<f64>,
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
    fn new(trace: Trace, dtype: DType) -> Self {
        let Trace { mut graph, loss, inputs, burn_gradients, .. } = trace;
        let leaves: Vec<NodeId> =
            inputs.iter().filter(|(source, _)| matches!(source, Source::Leaf { .. })).map(|&(_, node)| node).collect();
        let batch: Vec<NodeId> =
            inputs.iter().filter(|(source, _)| matches!(source, Source::Batch { .. })).map(|&(_, node)| node).collect();
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
        let outputs =
            vec![vec![loss], vec![value], gradient, burn, hvp, reverse_hvp, data_gradient, mixed, forward, backward];
        let size = graph.node(value).elements();
        Problem { graph, size, inputs: [leaves, tangents, vec![cotangent], batch].concat(), outputs }
    }

    fn run(&self, vectors: Vec<Value>, batch: &[Value], device: &Device) -> Answers {
        let program = Program::new(&self.graph, &self.inputs, &self.outputs.concat(), device);
        let values = program.run(vectors.into_iter().chain(batch.iter().cloned()), 5);
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
            data_gradient: next(),
            mixed: next(),
            jvp: next(),
            vjp: next(),
        }
    }
}
