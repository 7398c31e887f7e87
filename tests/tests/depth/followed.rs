//! How many directions `forward` follows: those of the levels above all that its tangents go along with, however large a level is
//! whose steps they follow.

use betty_runtime::{Engine, ProgramConfig, multilevel};
use burn::tensor::Tensor;

use crate::level::{Vector, assert_close};
use crate::unrolled::{Nothing, nothing, square};

/// More than `forward` follows directions of.
const MANY: usize = 100;

fn prepared(pretrained: &Vector, weights: &Vector, _: Nothing) -> Tensor<1> {
    square(pretrained.x.val() - weights.x.val().sin().sum()).mul_scalar(0.5)
}

fn adapted(tuned: &Vector, pretrained: &Vector, _: Nothing) -> Tensor<1> {
    square(tuned.x.val() - pretrained.x.val().narrow(0, 0, 2).exp()).mul_scalar(0.5)
}

fn judged(_weights: &Vector, tuned: &Vector, pretrained: &Vector, _: Nothing) -> Tensor<1> {
    square(tuned.x.val()) + square(pretrained.x.val()).mul_scalar(0.01)
}

multilevel! {
    struct Transfer;
    level weights: Vector { lower: [tuned, pretrained], batch: Nothing, loss: judged, optimizer: sgd(lr = 0.1) }
    level tuned: Vector {
        lower: [pretrained], batch: Nothing, loss: adapted, optimizer: sgd(lr = 0.2), unroll: 3, hypergradient: forward,
    }
    level pretrained: Vector {
        upper: [weights], batch: Nothing, loss: prepared, optimizer: sgd(lr = 0.3), unroll: 2, hypergradient: unrolled,
    }
}

#[test]
fn a_large_level_that_tangents_follow_adds_no_directions() {
    let run = |method: &str| {
        let problem = Transfer {
            weights: Vector::new(&[0.4, -0.7]),
            tuned: Vector::new(&[0.1, 0.2]),
            pretrained: Vector::new(&[0.3; MANY]),
        };
        let data = TransferData { weights: nothing(), tuned: nothing(), pretrained: nothing() };
        let config = format!(r#"{{ "tuned": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let mut engine = Engine::new(problem, data, TransferConfig::from_json(&config).unwrap()).unwrap();
        engine.run(2).unwrap();
        engine.into_problem().weights.values()
    };
    assert_close(&run("forward"), &run("unrolled"), 1e-12);
}

fn judged_the_other_way_round(weights: &Vector, pretrained: &Vector, tuned: &Vector, batch: Nothing) -> Tensor<1> {
    judged(weights, tuned, pretrained, batch)
}

multilevel! {
    struct PretrainedFirst;
    level weights: Vector {
        lower: [pretrained, tuned], batch: Nothing, loss: judged_the_other_way_round, optimizer: sgd(lr = 0.1),
    }
    level tuned: Vector {
        lower: [pretrained], batch: Nothing, loss: adapted, optimizer: sgd(lr = 0.2), unroll: 3, hypergradient: forward,
    }
    level pretrained: Vector {
        upper: [weights], batch: Nothing, loss: prepared, optimizer: sgd(lr = 0.3), unroll: 2, hypergradient: unrolled,
    }
}

#[test]
fn steps_that_are_taken_before_those_that_follow_them_count() {
    let run = |method: &str, unroll: usize| {
        let problem = PretrainedFirst {
            weights: Vector::new(&[0.4, -0.7]),
            tuned: Vector::new(&[0.1, 0.2]),
            pretrained: Vector::new(&[0.3, 0.3]),
        };
        let data = PretrainedFirstData { weights: nothing(), pretrained: nothing(), tuned: nothing() };
        let config = format!(r#"{{ "tuned": {{ "unroll": {unroll}, "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let mut engine = Engine::new(problem, data, PretrainedFirstConfig::from_json(&config).unwrap()).unwrap();
        engine.run(2).unwrap();
        engine.into_problem().weights.values()
    };
    // With one step, that of `tuned` takes none of `pretrained` itself: all that moves was taken before.
    for unroll in [1, 3] {
        assert_close(&run("forward", unroll), &run("unrolled", unroll), 1e-12);
    }
}
