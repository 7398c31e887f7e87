//! Gradients taken inside of a loss: their values, and derivatives of every order through them.

mod verified;

use betty_runtime::graph::{Op, vjp};
use betty_runtime::nn::{BatchNorm, BatchNormConfig, stopped};
use betty_runtime::trace::{AnyBatch, TraceError, Tracer, trace};
use betty_runtime::{Measured, gradient};
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::{close, float, random};
use crate::models::drawn;
use crate::whole::{EXACT, Tolerances, compare};

/// Burn's autodiff cannot see a gradient inside: what is computed from it can be compared, and differences.
const UNSEEN: Tolerances = Tolerances { eager: None, ..EXACT };

const X: [f64; 4] = [0.4, -0.9, 1.7, -0.2];

type Parameter = Param<Tensor<1>>;

fn parameter() -> Parameter {
    Param::from_tensor(float(&X, &Device::flex(), DType::F64))
}

fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let numbers = random(shape.iter().product(), &mut StdRng::seed_from_u64(seed));
    float(&numbers, &Device::flex(), DType::F64).reshape(shape)
}

/// Checks that `d loss / dx` is what `expected` says, and everything else by differences.
fn check(name: &str, loss: impl Fn(Tensor<1>) -> Tensor<1>, expected: impl Fn(f64) -> f64) {
    let found = compare(name, &parameter(), &(), UNSEEN, |x: &Parameter, ()| loss(x.val()));
    close(name, "closed form", &found, &X.map(expected), 1e-12);
}

#[test]
fn a_cube_three_times() {
    let cube = |x: Tensor<1>| x.clone() * x.clone() * x;
    check("once", |x| gradient(cube(x.clone()), x).sum(), |x| 6.0 * x);
    check("twice", |x| (gradient(gradient(cube(x.clone()), x.clone()), x.clone()) * x).sum(), |x| 12.0 * x);
    let thrice = |x: Tensor<1>| gradient(gradient(gradient(cube(x.clone()) * x.clone(), x.clone()), x.clone()), x);
    check("thrice", |x| thrice(x.clone()).square().sum(), |x| 2.0 * 24.0 * 24.0 * x);
    check("of any shape", |x| gradient(cube(x.clone()).reshape([2, 2]), x).sum(), |x| 6.0 * x);
}

#[test]
fn equal_computations_are_different_tensors() {
    // a and b are one node of the graph, but only a is asked for: ∂(a·b)/∂a = b.
    let of_one = |x: Tensor<1>| {
        let (a, b) = (x.clone() * 2.0, x * 2.0);
        (gradient(a.clone() * b.clone(), a) * b).sum()
    };
    check("of one", of_one, |x| 8.0 * x);
    // y is x as a node, and another tensor.
    let of_copy = |x: Tensor<1>| {
        let y = x.clone() * 1.0;
        (gradient(x.clone() * y.clone(), y) * x).sum()
    };
    check("of a copy", of_copy, |x| 2.0 * x);
    let of_source = |x: Tensor<1>| {
        let y = x.clone() * 1.0;
        gradient(x.clone() * y, x).sum()
    };
    check("of its source", of_source, |_| 2.0);
}

#[test]
fn several_tensors_have_total_derivatives() {
    // b = a², c = a·b: ∂c/∂a = 3a² along both paths, ∂c/∂b = a.
    let chain = |x: Tensor<1>| {
        let a = x * 2.0;
        let b = a.clone().square();
        let (of_a, [of_b]) = gradient(a.clone() * b.clone(), (a, [b]));
        of_a.sum() + of_b.square().sum()
    };
    check("chain", chain, |x| 24.0 * x + 8.0 * x);
    // The same tensor twice.
    check("twice", |x| gradient(x.clone().exp(), vec![x.clone(), x]).remove(1).sum(), f64::exp);
}

#[test]
fn what_does_not_matter_has_gradient_zero() {
    let independent = |x: Tensor<1>| {
        let other = x.clone().sin();
        let read = other.clone() * 0.0;
        let (of_x, (of_other, index)) =
            gradient(x.clone().exp(), (x.clone(), (other, Tensor::<1, burn::tensor::Int>::ones([1], &x.device()))));
        of_x.sum() + of_other.sum() + read.sum() + index.float().cast(DType::F64).sum() * 0.0
    };
    check("independent", independent, f64::exp);
    let constant = trace("level", &AnyBatch::new(()), |tracer: &mut Tracer<'_>| {
        let x = tracer.module(0, &parameter()).val();
        gradient(x.clone() * 3.0, x).sum()
    });
    assert!(matches!(constant, Err(TraceError::Disconnected { .. })), "the gradient is 3 everywhere");
}

/// Its outputs do not lead back to what nothing reads, which the user took for a part of the input.
#[test]
fn a_tensor_that_nothing_reads_is_refused() {
    let refused = |name: &str, loss: &dyn Fn(Tensor<1>, &Unheard) -> Tensor<1>| {
        let traced = trace("level", &AnyBatch::new(()), |tracer: &mut Tracer<'_>| {
            let x = tracer.module(0, &parameter()).val();
            let net = tracer.module(1, &Unheard::new());
            loss(x, &net)
        });
        let error = traced.err().map(|error| (matches!(error, TraceError::GradientByUnread { .. }), error.to_string()));
        let (is_it, text) = error.unwrap_or_else(|| panic!("{name} is taken"));
        assert!(
            is_it && text.contains("the loss of level `level`") && text.contains("nothing reads"),
            "{name}: {text}"
        );
    };
    // Of a network at all of x, by a part of x that was taken for it.
    refused("a part", &|x, _| {
        let t = x.clone().slice(0..1);
        gradient(x.clone().exp(), t).square().sum() + x.sum()
    });
    refused("among others", &|x, _| {
        let y = x.clone() * 2.0;
        let (of_x, of_y) = gradient(x.clone().exp(), (x, y));
        of_x.sum() + of_y.square().sum()
    });
    refused("a gradient of a gradient", &|x, _| {
        let first = gradient(x.clone().exp() * x.clone(), x.clone());
        gradient(first, x.clone() * 1.0).square().sum() + x.sum()
    });
    // Each call stops another copy.
    refused("stopped once more", &|x, net| {
        let value = stopped(net).read.val() * x.clone();
        gradient(value, stopped(net).tensors()).into_iter().fold(x.sum(), |sum, part| sum + part.square().sum())
    });
}

#[test]
fn parts_of_modules_that_nothing_reads_have_gradient_zero() {
    let of_module = |x: Tensor<1>, net: &Unheard| {
        let [read, unread] = gradient(net.read.val() * x.clone(), net.tensors());
        (read * x).sum() + unread.square().sum()
    };
    let of_stopped = |x: Tensor<1>, net: &Unheard| of_module(x, &stopped(net));
    for is_stopped in [false, true] {
        let traced = trace("level", &AnyBatch::new(()), |tracer: &mut Tracer<'_>| {
            let x = tracer.module(0, &parameter()).val();
            let net = tracer.module(1, &Unheard::new());
            if is_stopped { of_stopped(x, &net) } else { of_module(x, &net) }
        });
        traced.unwrap();
    }
    // And the tensor itself, which no operation reads.
    check("itself", |x| (gradient(x.clone().exp() * 1.0, x.clone()) * x.clone()).sum(), |x| (1.0 + x) * x.exp());
    let of_itself = |x: Tensor<1>| {
        let y = x.clone().sin();
        (gradient(y.clone(), y) * x).sum()
    };
    check("of itself", of_itself, |_| 1.0);
}

#[derive(Module, Debug)]
struct Unheard {
    read: Parameter,
    unread: Parameter,
}

impl Unheard {
    fn new() -> Self {
        Unheard { read: parameter(), unread: parameter() }
    }

    fn tensors(&self) -> [Tensor<1>; 2] {
        [self.read.val(), self.unread.val()]
    }
}

#[derive(Module, Debug)]
struct Critic {
    first: Linear,
    second: Linear,
}

impl Critic {
    fn new() -> Self {
        let device = Device::flex();
        let critic =
            Critic { first: LinearConfig::new(3, 5).init(&device), second: LinearConfig::new(5, 1).init(&device) };
        drawn(critic, DType::F64)
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(self.first.forward(x).tanh())
    }
}

type Samples = (Tensor<2>, Tensor<2>, Tensor<2>);

fn samples() -> Samples {
    (tensor([4, 3], 1), tensor([4, 3], 2), tensor([4, 1], 3).abs())
}

/// Wasserstein loss of a critic with a gradient penalty at random interpolates (Gulrajani et al. 2017).
fn critic_loss(critic: &Critic, (real, fake, mix): Samples) -> Tensor<1> {
    let between = real.clone() * mix.clone() + fake.clone() * (mix.neg() + 1.0);
    let slope = gradient(critic.forward(between.clone()), between);
    let norm = slope.square().sum_dim(1).sqrt();
    critic.forward(fake).mean() - critic.forward(real).mean() + (norm - 1.0).square().mean() * 10.0
}

#[test]
fn wasserstein_with_gradient_penalty() {
    compare("penalty", &Critic::new(), &samples(), UNSEEN, critic_loss);
    // Of a linear critic the slope is its weight, so Burn can differentiate the same penalty without `gradient`.
    let linear = drawn(LinearConfig::new(3, 1).init(&Device::flex()), DType::F64);
    let ours = compare("linear", &linear, &samples().0, UNSEEN, |critic: &Linear, x: Tensor<2>| {
        let slope = gradient(critic.forward(x.clone()), x);
        (slope.square().sum_dim(1).sqrt() - 1.0).square().mean()
    });
    let burn = compare("weight", &linear, &samples().0, EXACT, |critic: &Linear, x: Tensor<2>| {
        let bias = critic.bias.as_ref().map(Param::val).unwrap().sum() * 0.0;
        (critic.weight.val().square().sum().sqrt() - 1.0).square() + bias + x.sum() * 0.0
    });
    close("linear", "gradient of the penalty", &ours, &burn, 1e-12);
}

#[test]
fn a_physics_informed_loss() {
    // u'' + u = 0 at the given points, with u a network of one input.
    let device = Device::flex();
    let net = (LinearConfig::new(1, 6).init(&device), LinearConfig::new(6, 1).init(&device));
    let net = drawn(net, DType::F64);
    compare("oscillator", &net, &tensor([5, 1], 4), UNSEEN, |(first, second): &(Linear, Linear), t: Tensor<2>| {
        let u = second.forward(first.forward(t.clone()).tanh());
        let velocity = gradient(u.clone(), t.clone());
        let acceleration = gradient(velocity, t);
        (acceleration + u).square().mean()
    });
}

#[test]
fn an_inner_step_of_gradient_descent() {
    // Parameters after one step of a lower problem, as in model-agnostic meta-learning (Finn et al. 2017).
    let device = Device::flex();
    let model = drawn(LinearConfig::new(3, 2).init(&device), DType::F64);
    let batch = (tensor([4, 3], 5), tensor([4, 2], 6), tensor([4, 3], 7), tensor([4, 2], 8));
    compare("inner step", &model, &batch, UNSEEN, |model: &Linear, (x, y, to_x, to_y)| {
        let (weight, bias) = (model.weight.val(), model.bias.as_ref().map(Param::val).unwrap());
        let fit = |weight: Tensor<2>, bias: Tensor<1>, x: Tensor<2>, y: Tensor<2>| {
            ((x.matmul(weight) + bias.unsqueeze()).tanh() - y).square().mean()
        };
        let inner = fit(weight.clone(), bias.clone(), x, y);
        let (of_weight, of_bias) = gradient(inner, (weight.clone(), bias.clone()));
        fit(weight - of_weight * 0.5, bias - of_bias * 0.5, to_x, to_y)
    });
}

#[derive(Module, Debug)]
struct Stateful {
    linear: Linear,
    norm: BatchNorm,
    dropout: Dropout,
}

#[test]
fn statistics_advance_once_and_masks_are_shared() {
    let device = Device::flex();
    let module = Stateful {
        linear: LinearConfig::new(3, 4).init(&device),
        norm: BatchNormConfig::new(4).init(&device),
        dropout: DropoutConfig::new(0.5).init(),
    };
    let module = drawn(module, DType::F64);
    let traced = |penalty: bool| {
        let traced = trace("level", &AnyBatch::new(tensor([4, 3], 5)), |tracer| {
            let (module, x) = (tracer.module(0, &module), tracer.batch::<Tensor<2>>());
            let out = module.dropout.forward(module.norm.forward(module.linear.forward(x.clone())).tanh());
            let slope = if penalty { gradient(out.clone(), x).square().mean() } else { x.square().mean() };
            out.square().mean() + slope
        });
        traced.unwrap()
    };
    let (with, without) = (traced(true), traced(false));
    assert_eq!(with.advances.len(), 2);
    assert_eq!(with.advances, without.advances, "the same nodes of the same forward pass");
    let draws = with.graph.ids().filter(|&id| matches!(with.graph.node(id).op, Op::Random { .. })).count();
    assert_eq!(draws, 1);
    // No variable of the expansion is left behind.
    let mut graph = with.graph.clone();
    let given: Vec<_> = with.inputs.iter().map(|&(_, node)| node).collect();
    let one = graph.full_like(with.loss, 1.0);
    let gradients = vjp(&mut graph, &[(with.loss, one)], &given).unwrap();
    let burns = with.burn_gradients.iter().chain(&with.burn_answers).map(|&(_, gradient)| gradient);
    let roots: Vec<_> = gradients.into_iter().flatten().chain([with.loss]).chain(burns).collect();
    let needed = betty_runtime::graph::reachable(&graph, &roots);
    let inputs = graph.ids().filter(|&id| needed[id.index()] && matches!(graph.node(id).op, Op::Input(_)));
    assert!(inputs.into_iter().all(|id| given.contains(&id)));
}

/// As a loss of derivatives in one coordinate after the other is written, none of which leads to another.
#[test]
fn gradients_beside_each_other_are_expanded_once_each() {
    let nodes = |count: usize, chain: bool| {
        let traced = trace("level", &AnyBatch::new(()), |tracer: &mut Tracer<'_>| {
            let x = tracer.module(0, &parameter()).val();
            let slope = gradient(x.clone().exp().square(), x.clone());
            let mut direction = x.clone().sin();
            let mut sum = x.clone().sum();
            for k in 0..count {
                let along = gradient((slope.clone() * direction.clone() * (k as f64 + 1.5)).sum(), x.clone());
                sum = sum + along.clone().square().sum();
                if chain {
                    direction = betty_runtime::stop_gradient(along);
                }
            }
            sum
        });
        traced.unwrap().graph.len()
    };
    for chain in [false, true] {
        let [few, more, most] = [4, 8, 24].map(|count| nodes(count, chain));
        assert_eq!(most - more, 4 * (more - few), "{few}, {more} and {most} nodes");
    }
    // And they are right: power iteration with the Hessian diag(4·e^{2x}), whose derivative goes through the last product only.
    let iterated = |x: Tensor<1>| {
        let slope = gradient(x.clone().exp().square(), x.clone());
        let product = |v: Tensor<1>| gradient((slope.clone() * v).sum(), x.clone());
        let v = betty_runtime::stop_gradient(product(x.clone().ones_like()));
        product(v).sum()
    };
    // Differences would move what is stopped.
    let tolerances = Tolerances { differences: None, ..UNSEEN };
    let found = compare("iterated", &parameter(), &(), tolerances, |x: &Parameter, ()| iterated(x.val()));
    close("iterated", "closed form", &found, &X.map(|x| 32.0 * (4.0 * x).exp()), 1e-12);
}

/// What is read behind the call is read.
#[test]
fn a_tensor_may_be_read_later() {
    let later = |x: Tensor<1>| {
        let (a, b) = (x.clone().exp(), x.sin());
        let (of_a, of_b) = gradient(a.clone().square(), (a.clone(), b.clone()));
        (a * b).sum() + of_a.square().sum() + of_b.square().sum()
    };
    check("later", later, |x| x.exp() * (x.sin() + x.cos()) + 8.0 * (2.0 * x).exp());
}

#[test]
fn a_gradient_in_a_metric_makes_no_loss_differentiable() {
    let traced = trace("level", &AnyBatch::new(()), |tracer: &mut Tracer<'_>| {
        let x = tracer.module(0, &parameter()).val();
        let slope = gradient(x.clone().exp(), x.clone());
        Measured::new(x.greater_elem(0.5).float().mean()).with("slope", slope.square().sum())
    });
    assert!(matches!(traced, Err(TraceError::NoDerivative { .. })), "{:?}", traced.map(|traced| traced.differentiable));
    let traced = trace("level", &AnyBatch::new(()), |tracer: &mut Tracer<'_>| {
        let x = tracer.module(0, &parameter()).val();
        gradient(x.clone().exp(), x).square().sum()
    });
    assert!(traced.unwrap().differentiable);
}

#[test]
fn outside_of_a_loss_burn_answers() {
    let x = float(&X, &Device::flex().autodiff(), DType::F64).require_grad();
    let (found, zero) = gradient(x.clone().exp(), (x.clone(), x.clone().detach().require_grad()));
    assert_eq!(found.into_data().iter::<f64>().collect::<Vec<_>>(), X.map(f64::exp));
    assert_eq!(zero.into_data().iter::<f64>().collect::<Vec<_>>(), [0.0; 4]);
}
