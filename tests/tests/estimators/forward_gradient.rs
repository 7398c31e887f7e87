//! Random directions: right on average, the same for the same seeds, other ones every round.

use betty_runtime::{Checkpoint, Stream, StreamPosition, multilevel};
use burn::tensor::Tensor;

use crate::linear::{Vector, engine as linear, estimates, exact, half_square, upper, vector};
use crate::problem::{engine, iteration, knobs, relative, trained};
use crate::statistics::{assert_unbiased, mean_and_error};

#[test]
fn the_mean_is_the_gradient_of_the_steps() {
    assert_unbiased(&estimates(r#"{ "method": "forward_gradient", "directions": 1 }"#, 3000), &exact());
}

#[test]
fn the_variance_falls_with_the_number_of_directions() {
    let error = |directions: usize| {
        let method = format!(r#"{{ "method": "forward_gradient", "directions": {directions} }}"#);
        mean_and_error(estimates(&method, 1000).iter().map(|estimate| estimate[0])).1
    };
    // The standard error of 1000 standard errors is about 2 %.
    let ratio = error(1) / error(16);
    assert!((ratio - 4.0).abs() < 0.4, "{ratio}");
}

#[test]
fn signs_are_exact_for_one_upper_parameter() {
    multilevel! {
        struct Single;
        level lambda: Vector { lower: [theta], batch: Tensor<1>, loss: upper, optimizer: sgd(lr = 0.1) }
        level theta: Vector {
            upper: [lambda], batch: Tensor<1>, loss: scaled, optimizer: adam(lr = 0.3), unroll: 4,
            hypergradient: forward_gradient(directions = 1),
        }
    }

    fn scaled(theta: &Vector, lambda: &Vector, b: Tensor<1>) -> Tensor<1> {
        half_square(theta.x.val() - b * lambda.x.val().exp())
    }

    let run = |method: &str| {
        let problem = Single { lambda: Vector::new(&[0.3]), theta: Vector::new(&[0.4, -0.2, 0.9]) };
        let stream = |values: &[f64]| Stream::constant(vector(values));
        let data = SingleData { lambda: stream(&[1.0, 0.5, -0.4]), theta: stream(&[1.0, -2.0, 0.5]) };
        let mut config = SingleConfig::default();
        config.theta.hypergradient = Some(method.parse().unwrap());
        let mut engine = betty_runtime::Engine::new(problem, data, config).unwrap();
        engine.run(5).unwrap();
        engine.into_problem().lambda.values()
    };
    let (found, expected) = (run("forward_gradient"), run("unrolled"));
    assert!((found[0] - expected[0]).abs() < 1e-12, "{found:?} is not {expected:?}");
}

#[test]
fn directions_are_those_of_the_seeds_and_of_the_round() {
    let gradients = |run: u64, option: u64| {
        let method = format!(r#"{{ "method": "forward_gradient", "directions": 2, "seed": {option} }}"#);
        let mut engine = linear(&method).seed(run);
        let mut round = || {
            engine.run(1).unwrap();
            engine.gradient("lambda").unwrap().gradient.to_vec().unwrap()
        };
        (0..12).map(|_| round()).collect::<Vec<_>>()
    };
    let first = gradients(7, 0);
    assert_eq!(gradients(7, 0), first);
    assert_ne!(gradients(8, 0), first);
    assert_ne!(gradients(7, 1), first);
    // Two signs in each of two directions: every round draws its own.
    assert!(first.iter().any(|round| relative(round, &first[0]) > 0.1), "{first:?}");
}

#[test]
fn the_mean_holds_through_a_network_with_masks_and_momentum() {
    let config = |method: &str| {
        format!(
            r#"{{ "net": {{ "optimizer": {{ "lr": 0.02, "momentum": 0.9 }}, "clip": {{ "norm": 1.0 }},
                  "accumulate": 2, "hypergradient": {method} }} }}"#
        )
    };
    let gradient = |method: &str| iteration(&config(method), 0.3, &knobs()).1;
    let exact = gradient(r#"{ "method": "unrolled" }"#);
    let estimates: Vec<Vec<f64>> = (0..60)
        .map(|seed| gradient(&format!(r#"{{ "method": "forward_gradient", "directions": 50, "seed": {seed} }}"#)))
        .collect();
    assert_unbiased(&estimates, &exact);
}

#[test]
fn a_resumed_run_draws_what_the_whole_run_would() {
    for method in ["forward", "forward_gradient", "evolution"] {
        let config = format!(
            r#"{{ "knobs": {{ "optimizer": {{ "lr": 0.2 }} }}, "net": {{ "optimizer": {{ "momentum": 0.5 }},
                  "hypergradient": {{ "method": "{method}" }} }} }}"#
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.safetensors");
        let mut whole = engine(&config, 0.3, &knobs());
        whole.run(2).unwrap();
        whole.checkpoint().unwrap().save(&file).unwrap();
        let mut resumed = engine(&config, 0.3, &knobs()).seed(99);
        resumed.resume(&Checkpoint::open(&file).unwrap(), StreamPosition::Start).unwrap();
        assert_eq!(trained(resumed, 2), trained(whole, 2), "{method}");
    }
}
