//! Losses of examples together, compared on a part of the batch: what they are of one example says nothing.

use std::cell::Cell;
use std::rc::Rc;

use betty_runtime::{Engine, EngineError, Event, Multilevel, Stream, Unverified, multilevel};
use burn::module::Param;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

type Matrix = Param<Tensor<2>>;

const FEATURES: usize = 400;

fn numbers(rows: usize, columns: usize) -> Tensor<2> {
    let entries: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 1.7).sin()).collect();
    Tensor::from_data(TensorData::new(entries, [rows, columns]), &Device::flex())
}

/// InfoNCE: each example is told from the others by a slightly different view of it.
fn contrasted(encoded: Tensor<2>, other: Tensor<2>) -> Tensor<1> {
    let scores = encoded.matmul(other.transpose());
    let right = Tensor::<1, Int>::arange(0..scores.dims()[0] as i64, &scores.device());
    -log_softmax(scores, 1).gather(1, right.unsqueeze_dim(1)).mean()
}

fn contrastive(encoder: &Matrix, x: Tensor<2>) -> Tensor<1> {
    contrasted(x.clone().matmul(encoder.val()), x.cos().matmul(encoder.val()))
}

fn contrastive_with_detach(encoder: &Matrix, x: Tensor<2>) -> Tensor<1> {
    contrasted(x.clone().matmul(encoder.val()), x.cos().matmul(encoder.val()).detach())
}

/// VICReg without the pairs: every feature varies over the batch, and none is told by another.
fn regularized(encoded: Tensor<2>) -> Tensor<1> {
    let count = encoded.dims()[0] as f64;
    let centred = encoded.clone() - encoded.clone().mean_dim(0);
    let covariance = centred.clone().transpose().matmul(centred) / (count - 1.0);
    (-(encoded.var(0) + 1e-4).sqrt() + 1.0).clamp_min(0.0).mean() + covariance.square().mean()
}

fn varied(encoder: &Matrix, x: Tensor<2>) -> Tensor<1> {
    regularized(x.matmul(encoder.val()))
}

fn varied_with_detach(encoder: &Matrix, x: Tensor<2>) -> Tensor<1> {
    let encoded = x.matmul(encoder.val());
    regularized(encoded.clone() * 0.5 + encoded.detach() * 0.5)
}

macro_rules! programs {
    ($($program:ident, $data:ident, $config:ident: $loss:path;)*) => {$(
        multilevel! {
            struct $program;
            level encoder: Matrix { batch: Tensor<2>, loss: $loss, optimizer: sgd(lr = 0.01) }
        }

        impl $program {
            fn engine(examples: usize) -> Engine<Self> {
                let encoder = Param::from_tensor(numbers(FEATURES, 2) * 0.05);
                let data = $data { encoder: Stream::constant(numbers(examples, FEATURES)) };
                Engine::new($program { encoder }, data, $config::default()).unwrap()
            }
        }
    )*};
}

programs! {
    Contrastive, ContrastiveData, ContrastiveConfig: contrastive;
    ContrastiveWithDetach, ContrastiveWithDetachData, ContrastiveWithDetachConfig: contrastive_with_detach;
    Varied, VariedData, VariedConfig: varied;
    VariedWithDetach, VariedWithDetachData, VariedWithDetachConfig: varied_with_detach;
}

/// How many bytes a comparison on the whole batch takes.
fn needed<P: Multilevel>(engine: Engine<P>) -> usize {
    match engine.verification_memory(1).run(100).unwrap_err() {
        EngineError::Unverified { source: Unverified::TooLarge { needed, .. }, .. } => needed,
        error => panic!("{error}"),
    }
}

/// A run that has just too little memory to compare on the whole batch, and whether it tells that it could not compare.
fn run<P: Multilevel>(engine: fn(usize) -> Engine<P>, examples: usize) -> (Result<(), EngineError>, bool) {
    let memory = needed(engine(examples)) - 1;
    let told = Rc::new(Cell::new(false));
    let tell = Rc::clone(&told);
    let mut engine = engine(examples).verification_memory(memory).observe(move |event| {
        if let Event::Unverified { .. } = event {
            tell.set(true);
        }
    });
    (engine.run(2).map(|_| ()), told.get())
}

#[test]
fn correct_losses_of_examples_together_are_compared_on_a_part() {
    for examples in [3, 16] {
        for (outcome, told) in [run(Contrastive::engine, examples), run(Varied::engine, examples)] {
            outcome.unwrap_or_else(|error| panic!("{examples} examples: {error}"));
            assert!(!told, "{examples} examples can be compared");
        }
    }
}

#[test]
fn a_detach_does_not_hide_behind_the_zeros_of_one_example() {
    for examples in [3, 16] {
        let outcomes = [run(ContrastiveWithDetach::engine, examples).0, run(VariedWithDetach::engine, examples).0];
        for outcome in outcomes {
            assert!(matches!(outcome, Err(EngineError::Verification { .. })), "{examples} examples: {outcome:?}");
        }
    }
}

#[test]
fn what_vanishes_on_all_that_fits_is_told() {
    // Room for one example of two.
    let memory = needed(ContrastiveWithDetach::engine(2)) - 1;
    let error = ContrastiveWithDetach::engine(2).verification_memory(memory).run(100).unwrap_err();
    assert!(matches!(&error, EngineError::Unverified { source: Unverified::TooLarge { .. }, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("1 example") && text.contains("vanish") && text.contains("verification_memory"), "{text}");
}

#[test]
fn a_first_batch_of_one_example_does_not_stand_for_others() {
    let encoder = Param::from_tensor(numbers(FEATURES, 2) * 0.05);
    let batches = [1, 4].map(|examples| Ok::<_, std::io::Error>(numbers(examples, FEATURES)));
    let data = ContrastiveWithDetachData { encoder: Stream::batches(batches) };
    let mut engine =
        Engine::new(ContrastiveWithDetach { encoder }, data, ContrastiveWithDetachConfig::default()).unwrap();
    let outcome = engine.run(2);
    assert!(matches!(outcome, Err(EngineError::Verification { .. })), "{outcome:?}");
}
