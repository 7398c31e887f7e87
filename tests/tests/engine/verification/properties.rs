//! No correct program is stopped, and no hidden `detach` is overlooked.

use betty_runtime::{Engine, EngineError, Stream};
use burn::tensor::{DType, Device};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::drawn::{Case, Parameters, Random, RandomConfig, RandomData, Start, cases, low, modules, with_detach};

/// How many programs are tried; another number where somebody asks.
fn programs(usual: u32) -> u32 {
    std::env::var("BETTY_PROGRAMS").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

fn runner(cases: u32) -> TestRunner {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn train(case: &Case) -> Result<(), EngineError> {
    let (device, dtype) = (Device::flex(), case.dtype());
    let (factors, net) = modules(&case.parameters(0.0), dtype, &device);
    let batch = case.batch(dtype, &device);
    let data = RandomData { factors: Stream::constant(batch.clone()), net: Stream::constant(batch) };
    Engine::new(Random { factors, net }, data, RandomConfig::default())?.run(2).map(|_| ())
}

#[test]
fn correct_programs_are_not_stopped() {
    let outcome = runner(programs(500))
        .run(&cases(), |case| train(&case).map_err(|error| TestCaseError::fail(format!("{error}"))));
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Along one direction for each parameter, at a displaced point in f64: the largest difference of Burn's gradient and central
/// differences of the loss, relative to the larger.
fn hidden(case: &Case) -> f64 {
    let (device, taped) = (Device::flex(), Device::flex().autodiff());
    let at = case.parameters(0.1);
    let value = |parameters: &Parameters| {
        let (factors, net) = modules(parameters, DType::F64, &device);
        low(&net, &factors, case.batch(DType::F64, &device)).into_scalar::<f64>()
    };
    let (factors, net) = modules(&at, DType::F64, &taped);
    let gradients = low(&net, &factors, case.batch(DType::F64, &taped)).backward();
    let directions = Case { seed: case.seed + 2, start: Start::Random, ..case.clone() }.parameters(0.0);
    let mut worst = 0.0_f64;
    for (i, parameter) in [&net.a, &net.b, &net.c, &factors.w].into_iter().enumerate() {
        let gradient = parameter.val().grad(&gradients);
        let gradient: Vec<f64> = gradient.map_or(Vec::new(), |gradient| gradient.into_data().iter::<f64>().collect());
        let burn: f64 = gradient.iter().zip(&directions[i]).map(|(x, u)| x * u).sum();
        let h = 1e-4;
        let moved = |steps: f64| {
            let mut moved = at.clone();
            moved[i].iter_mut().zip(&directions[i]).for_each(|(x, u)| *x += steps * h * u);
            value(&moved)
        };
        let differences = (8.0 * (moved(1.0) - moved(-1.0)) - (moved(2.0) - moved(-2.0))) / (12.0 * h);
        // A derivative that vanishes has no scale of its own; arguments here are of order one.
        worst = worst.max((burn - differences).abs() / burn.abs().max(differences.abs()).max(1e-3));
    }
    worst
}

#[test]
fn hidden_detaches_are_not_overlooked() {
    let (mut seen, mut zero) = (0, 0);
    let mut runner = runner(0);
    let wanted = programs(200);
    while seen < wanted {
        let case = with_detach().new_tree(&mut runner).unwrap().current();
        // Differences can be judged by where they are right without the `detach`: away from kinks and sharp bends.
        if hidden(&case) <= 1e-6 || hidden(&case.without_detach()) > 1e-8 {
            continue;
        }
        seen += 1;
        zero += u32::from(!matches!(case.start, Start::Random | Start::Tiny));
        let outcome = train(&case);
        assert!(matches!(outcome, Err(EngineError::Verification { .. })), "{case:?}: {outcome:?}");
    }
    assert!(zero * 4 >= wanted, "a quarter of them begin at zeros or symmetric: {zero} of {seen}");
}

#[test]
fn differences_agree_with_burn_where_nothing_is_hidden() {
    // The judge of the test above is itself right: at smooth programs it sees nothing.
    let mut runner = runner(0);
    let mut smooth = 0;
    while smooth < 50 {
        let case = cases().new_tree(&mut runner).unwrap().current();
        // Kinks, and what a network that begins near zero is divided by.
        if case.rows > 8 || case.steps.iter().any(|step| [7, 10, 11, 20, 21].contains(&step.0)) {
            continue;
        }
        smooth += 1;
        assert!(hidden(&case) <= 1e-8, "{case:?}");
    }
}
