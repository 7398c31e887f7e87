//! How much is compared, and what is no answer.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};

use super::*;
use crate::execute::Value;
use crate::trace::{AnyBatch, TraceError, trace_part};

type Matrix = Param<Tensor<2>>;
type Function = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;

/// A loss of what an encoder of three numbers makes of examples.
struct Given {
    loss: Function,
    batch: AnyBatch,
    encoder: Matrix,
    leaf: Value,
}

impl Given {
    fn new(loss: Function, numbers: &[f64]) -> Self {
        let device = Device::flex();
        let tensor = |numbers: Vec<f64>, shape: [usize; 2]| -> Tensor<2> {
            Tensor::from_data(TensorData::new(numbers, shape).convert_dtype(burn::tensor::DType::F32), &device)
        };
        let batch = AnyBatch::new(tensor(numbers.to_vec(), [numbers.len() / 3, 3]));
        let encoder = tensor(vec![0.5, -0.3, 0.8, 0.2, -0.6, 0.4], [3, 2]);
        Given { loss, batch, leaf: Value::from_tensor(encoder.clone()), encoder: Param::from_tensor(encoder) }
    }

    /// The comparison on few examples unless it has to be on more.
    fn compared(&self) -> Compared {
        let comparison = Comparison { source: self, seed: 3, memory: Memory(None), operations: 1.0 };
        comparison.compare(&self.record(None).unwrap()).unwrap()
    }
}

impl Source for Given {
    fn batch(&self) -> &AnyBatch {
        &self.batch
    }

    fn value(&self, input: LossInput) -> &Value {
        match input {
            LossInput::Leaf { .. } => &self.leaf,
            LossInput::Batch { index } => &self.batch.values()[index],
            LossInput::Constant { .. } => unreachable!("the encoder has none"),
        }
    }

    fn is_parameter(&self, input: LossInput) -> bool {
        matches!(input, LossInput::Leaf { .. })
    }

    fn record(&self, part: Option<Part>) -> Result<Trace, TraceError> {
        trace_part(&Device::flex(), "loss", &self.batch, part, |tracer| {
            let encoder = tracer.module(0, &self.encoder);
            (self.loss)(encoder.val(), tracer.batch::<Tensor<2>>())
        })
    }
}

/// So many examples that differ from one another.
fn examples(count: usize) -> Vec<f64> {
    (0..3 * count).map(|i| (i as f64 * 1.7).sin()).collect()
}

/// Each example is told from the others of its batch.
fn contrasted(encoded: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    let other = x.sin().slice([0..encoded.dims()[0], 0..2]);
    let scores = encoded.clone().matmul(other.clone().transpose());
    (scores.exp().sum_dim(1).log() - (encoded * other).sum_dim(1)).mean()
}

fn contrastive(w: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    contrasted(x.clone().matmul(w), x)
}

fn contrastive_with_detach(w: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    let encoded = x.clone().matmul(w);
    contrasted(encoded.clone() * encoded.detach().tanh(), x)
}

fn contrastive_with_decay(w: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    contrastive_with_detach(w.clone(), x) + w.square().sum() * 0.1
}

fn spread(encoded: Tensor<2>) -> Tensor<1> {
    let (variance, mean) = encoded.var_mean(0);
    (-variance.sqrt() + 1.0).clamp_min(0.0).sum() + mean.square().sum()
}

fn varied(w: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    spread(x.matmul(w))
}

fn varied_with_detach(w: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    let encoded = x.matmul(w);
    spread(encoded.clone() + encoded.detach().sin())
}

/// The mean over the examples whose first number is positive.
fn of_positive(w: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    let chosen = x.clone().slice([0..x.dims()[0], 0..1]).greater_scalar(0.0).float();
    (x.matmul(w).tanh() * chosen.clone()).sum() / chosen.sum()
}

fn squared(w: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    x.matmul(w).square().sum()
}

fn squared_with_detach(w: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    let encoded = x.matmul(w);
    (encoded.clone() * encoded.detach()).sum()
}

#[test]
fn large_models_are_compared_without_being_asked_for() {
    assert_eq!(Memory(None).of_numbers(1_000_000), LEAST);
    // The parameters, our gradient, Burn's and the rounded one of a network of a hundred million.
    assert!(Memory(None).of_numbers(100_000_000) >= 5 * 8 * 100_000_000);
    assert_eq!(Memory(Some(600)).of_numbers(100_000_000), 600);
}

#[test]
fn parts_are_halves_until_there_are_few() {
    assert_eq!(sizes(40), [20, 10, 5, 4, 3, 2, 1]);
    assert_eq!(sizes(3), [2, 1]);
    assert_eq!(sizes(1), [0; 0]);
    assert_eq!(sizes(0), [0; 0]);
}

#[test]
fn losses_of_examples_together_are_compared_on_several() {
    for (correct, wrong) in
        [(contrastive as Function, contrastive_with_detach as Function), (varied, varied_with_detach)]
    {
        let found = Given::new(correct, &examples(16)).compared();
        assert!(matches!(found, Compared::Equal { vanish: false }));
        assert!(matches!(Given::new(wrong, &examples(16)).compared(), Compared::Different(_)));
    }
    // Something else has a gradient on one example, too.
    assert!(matches!(Given::new(contrastive_with_decay, &examples(16)).compared(), Compared::Different(_)));
}

#[test]
fn a_gradient_that_vanishes_on_a_part_is_no_answer() {
    let late = [vec![0.0; 18], examples(10)].concat();
    let found = Given::new(squared, &late).compared();
    assert!(matches!(found, Compared::Equal { vanish: false }));
    assert!(matches!(Given::new(squared_with_detach, &late).compared(), Compared::Different(_)));
    // On the whole it is one, but none for other batches.
    let found = Given::new(squared, &[0.0; 48]).compared();
    assert!(matches!(found, Compared::Equal { vanish: true }));
}

#[test]
fn a_gradient_that_is_not_finite_on_a_part_is_no_answer() {
    let mut numbers = examples(16);
    for example in 0..6 {
        numbers[3 * example] = -numbers[3 * example].abs() - 0.1;
    }
    numbers[3 * 12] = 0.5;
    let found = Given::new(of_positive, &numbers).compared();
    assert!(matches!(found, Compared::Equal { vanish: false }));
    numbers[3 * 12..].iter_mut().for_each(|number| *number = -1.0);
    (6..12).for_each(|example| numbers[3 * example] = -0.2);
    let found = Given::new(of_positive, &numbers).compared();
    assert!(matches!(found, Compared::Unchecked(Unverified::NotFinite)));
}

#[test]
fn a_batch_of_one_example_says_nothing_of_others() {
    let found = Given::new(contrastive_with_detach, &examples(1)).compared();
    assert!(matches!(found, Compared::Equal { vanish: true }));
}
