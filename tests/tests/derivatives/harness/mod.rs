//! What is checked for every differentiable function, on random data:
//!
//! - its value and its loss equal Burn's eager ones;
//! - our gradient equals the one that Burn recorded and the one of Burn's eager autodiff;
//! - the Hessian-vector product (jvp of the gradient) equals central differences of the gradient and reverse over
//!   reverse, is symmetric and linear, and is what a level forms of a point that it keeps;
//! - `⟨c, J t⟩ = ⟨Jᵀ c, t⟩` for the function itself;
//! - the derivative of the Hessian-vector product along its own direction, a third derivative, equals its differences;
//! - mixed products `∂²L/∂λ∂θ · u`, λ being all floats of the batch, equal central differences;
//! - verification, which compares our gradient with Burn's recorded one in double precision, finds them equal;
//! - value, gradient and Hessian-vector product computed for several inputs at once equal those computed one after the
//!   other, and the gradient of a sum of losses is the sum of their gradients;
//! - in a build with another device (`BETTY_DEVICE`, or the first feature among `cuda`, `wgpu` and `rocm`), all of it is the same there in
//!   single precision.
//!
//! The loss of a function `f` is `Σ w·f + ½ Σ c·f²` with random `w` and `c`, so that second derivatives of linear
//! functions do not vanish and derivatives with respect to `w` give `f` itself.

#[macro_use]
mod options;
mod agreement;
mod compare;
mod eager;
mod elsewhere;
mod input;
mod lanes;
mod problem;
mod verify;

use betty_runtime::trace::{AnyBatch, Leaf, LevelModule, Tracer, trace};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Int, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub(crate) use compare::{close, distance, dot, float, host, random};
use compare::{close_at, norm};
pub(crate) use eager::SingleErrors;
pub(crate) use input::{Arguments, Input, apart, apart_along, count, data, given, indices, within, x};
pub(crate) use lanes::Lanes;
pub(crate) use options::Options;
pub(crate) use problem::{input_like, or_zeros};

use agreement::agree;
use input::Numbers;
use options::precision;
use problem::Problem;
use verify::verify;

/// The function's result as one list.
pub(crate) fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    tensor.flatten(0, D - 1)
}

/// `Σ w·f + ½ Σ c·f²`
fn loss(f: Tensor<1>, w: Tensor<1>, c: Tensor<1>) -> Tensor<1> {
    (f.clone() * w).sum() + (f.clone() * f * c).sum() * 0.5
}

/// Checks everything in f64, and values and gradients in f32.
pub(crate) fn check(name: &str, inputs: &[Input], options: Options, f: impl Fn(&Arguments) -> Tensor<1>) {
    let errors = check_single(name, inputs, options, f);
    assert!(errors.is_none(), "{name}: nobody looks at the errors in single precision");
}

/// The same; with `against_double`, f32 gradients are not judged but measured.
pub(crate) fn check_single(
    name: &str,
    inputs: &[Input],
    options: Options,
    f: impl Fn(&Arguments) -> Tensor<1>,
) -> Option<SingleErrors> {
    if !options.only_f32 {
        check_type(name, inputs, options, DType::F64, &f);
    }
    check_type(&format!("{name} (f32)"), inputs, options, DType::F32, &f)
}

/// A function that is checked. What checks it is compiled once, and not for every function.
type Function<'a> = &'a dyn Fn(&Arguments) -> Tensor<1>;

type Parts = (Vec<Tensor<1>>, Vec<Tensor<1, Int>>, Tensor<1>, Tensor<1>);

fn check_type(name: &str, inputs: &[Input], options: Options, dtype: DType, f: Function<'_>) -> Option<SingleErrors> {
    let mut rng = StdRng::seed_from_u64(7);
    let device = Device::flex();
    let numbers = Numbers::draw(inputs, &mut rng);

    let size = numbers.eager(dtype, f, None).value.len();
    let (w, c) = (random(size, &mut rng), random(size, &mut rng));
    let eager = numbers.eager(dtype, f, Some((&w, &c)));

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
    agree(name, &trace, &parameters.leaves(), &batch);
    let problem = Problem::new(trace, dtype);
    let at = verify(name, &problem, &parameters.leaves(), &batch, options, dtype, &mut rng);
    let exact = precision(dtype);
    close(name, "value", &at.value, &eager.value, options.tolerance(exact));
    close_at(name, "loss", &at.loss, &eager.loss, norm(&eager.value), exact * 10.0);
    if options.against_double && dtype == DType::F32 {
        return Some(numbers.against_double(f, &w, &c, &at.gradient, &eager.gradient));
    }
    let tolerance = options.eager.unwrap_or(0.0).max(options.gradient(dtype));
    close(name, "gradient, eager", &at.gradient, &eager.gradient, tolerance);
    None
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
        let module = module.clone().map(&mut Fill { dtype, rng: StdRng::seed_from_u64(11) });
        let f = &f;
        let recorded = |tracer: &mut Tracer<'_>| -> Box<dyn Fn(&Arguments) -> Tensor<1> + '_> {
            let module = tracer.module(0, &module);
            Box::new(move |arguments| f(&module, arguments))
        };
        let name = format!("{name} ({dtype:?})");
        check_filled(&name, &module.leaves(), (inputs, options, dtype), &|arguments| f(&module, arguments), &recorded);
    }
}

/// A module of any kind as a function of its arguments, while it is recorded.
type Recorded<'a> = &'a dyn Fn(&mut Tracer<'_>) -> Box<dyn Fn(&Arguments) -> Tensor<1> + 'a>;

fn check_filled(
    name: &str,
    leaves: &[Leaf],
    (inputs, options, dtype): (&[Input], Options, DType),
    f: Function<'_>,
    recorded: Recorded<'_>,
) {
    let mut rng = StdRng::seed_from_u64(7);
    let device = Device::flex();
    let numbers = Numbers::draw(inputs, &mut rng);
    let data = Numbers::float_tensors(&numbers.data, &device, dtype);
    let eager = f(&numbers.arguments(Vec::new(), data.clone(), numbers.int_tensors(&device)));
    let size = eager.dims()[0];
    let (w, c) = (random(size, &mut rng), random(size, &mut rng));
    let batch =
        AnyBatch::new((data, numbers.int_tensors(&device), float(&w, &device, dtype), float(&c, &device, dtype)));
    let trace = trace(name, &batch, |tracer| {
        let f = recorded(tracer);
        let (data, indices, w, c) = tracer.batch::<Parts>();
        loss(f(&numbers.arguments(Vec::new(), data, indices)), w, c)
    });
    let trace = trace.unwrap_or_else(|error| panic!("{name}: {error}"));
    agree(name, &trace, leaves, &batch);
    let problem = Problem::new(trace, dtype);
    let at = verify(name, &problem, leaves, &batch, options, dtype, &mut rng);
    let eager: Vec<f64> = eager.into_data().iter::<f64>().collect();
    if !options.random {
        close(name, "value", &at.value, &eager, options.tolerance(precision(dtype)));
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
