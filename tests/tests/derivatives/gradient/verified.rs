//! What verification sees of gradients inside of a loss, and what is made of them.

use betty_runtime::{Engine, EngineError, Stream, gradient, multilevel};
use burn::tensor::{DType, Tensor};

use super::{Critic, Parameter, Samples, critic_loss, parameter, samples};

fn generator(shift: &Parameter, critic: &Critic, (real, fake, _): Samples) -> Tensor<1> {
    critic.forward(fake + shift.val().slice(0..3).unsqueeze()).mean() * -1.0 + (real * 0.0).sum()
}

fn penalised(critic: &Critic, shift: &Parameter, (real, fake, mix): Samples) -> Tensor<1> {
    critic_loss(critic, (real, fake + shift.val().slice(0..3).unsqueeze(), mix))
}

fn detached(critic: &Critic, shift: &Parameter, (real, fake, mix): Samples) -> Tensor<1> {
    let loss = penalised(critic, shift, (real.clone(), fake, mix));
    loss * critic.forward(real).mean().detach()
}

macro_rules! adversarial {
    ($name:ident, $loss:path) => {
        multilevel! {
            struct $name;

            level shift: Parameter { lower: [critic], batch: Samples, loss: generator, optimizer: sgd(lr = 0.01) }
            level critic: Critic {
                upper: [shift], batch: Samples, loss: $loss, optimizer: sgd(lr = 0.01),
                unroll: 2, hypergradient: identity(scale = 0.1),
            }
        }
    };
}

adversarial!(Adversarial, penalised);
adversarial!(Detached, detached);

#[test]
fn verification_sees_what_is_made_of_inner_gradients() {
    let data = AdversarialData { shift: Stream::constant(samples()), critic: Stream::constant(samples()) };
    let problem = Adversarial { shift: parameter(), critic: Critic::new() };
    Engine::new(problem, data, AdversarialConfig::default()).unwrap().run(2).unwrap();
    let data = DetachedData { shift: Stream::constant(samples()), critic: Stream::constant(samples()) };
    let problem = Detached { shift: parameter(), critic: Critic::new() };
    let error = Engine::new(problem, data, DetachedConfig::default()).unwrap().run(1).expect_err("it uses `detach`");
    assert!(matches!(error, EngineError::Verification { .. }), "{error}");
}

/// A step of an inner problem, taken for a constant: the first order of Finn et al. 2017.
fn first_order(critic: &Critic, shift: &Parameter, (real, fake, _): Samples) -> Tensor<1> {
    let weight = critic.second.weight.val();
    let error = |weight: Tensor<2>, x: Tensor<2>| critic.first.forward(x).tanh().matmul(weight).square().mean();
    let slope = gradient(error(weight.clone(), real), weight.clone()).detach();
    error(weight - slope * 0.5, fake + shift.val().slice(0..3).unsqueeze())
}

/// Weights of examples from how the error elsewhere responds to them (Ren et al. 2018), with a `detach` where `stop_gradient` belongs.
fn reweighted(critic: &Critic, shift: &Parameter, batch: Samples) -> Tensor<1> {
    weighed(critic, shift, batch, |weights| weights.detach())
}

fn reweighted_rightly(critic: &Critic, shift: &Parameter, batch: Samples) -> Tensor<1> {
    weighed(critic, shift, batch, betty_runtime::stop_gradient)
}

fn weighed(
    critic: &Critic,
    shift: &Parameter,
    (real, fake, _): Samples,
    stop: impl Fn(Tensor<2>) -> Tensor<2>,
) -> Tensor<1> {
    let (first, second) = (&critic.first, critic.second.weight.val());
    let errors = |weight: Tensor<2>, x: Tensor<2>| (first.forward(x).tanh().matmul(weight) - 0.3).square();
    let share = Tensor::<2>::zeros([4, 1], &real.device()).cast(DType::F64);
    let slope = gradient((share.clone() * errors(second.clone(), real.clone())).sum(), second.clone());
    let elsewhere = errors(second.clone() - slope * 0.1, fake + shift.val().slice(0..3).unsqueeze()).mean();
    let weights = stop(gradient(elsewhere, share));
    (weights * errors(second, real)).sum()
}

adversarial!(FirstOrder, first_order);
adversarial!(Reweighted, reweighted);
adversarial!(ReweightedRightly, reweighted_rightly);

#[test]
fn a_detach_behind_a_gradient_is_found() {
    macro_rules! run {
        ($name:ident, $data:ident, $config:ident) => {{
            let data = $data { shift: Stream::constant(samples()), critic: Stream::constant(samples()) };
            let problem = $name { shift: parameter(), critic: Critic::new() };
            Engine::new(problem, data, $config::default()).unwrap().run(1)
        }};
    }
    for found in
        [run!(FirstOrder, FirstOrderData, FirstOrderConfig), run!(Reweighted, ReweightedData, ReweightedConfig)]
    {
        assert!(matches!(found, Err(EngineError::Verification { .. })), "{found:?}");
    }
    run!(ReweightedRightly, ReweightedRightlyData, ReweightedRightlyConfig).unwrap();
}
