//! Influence on the test loss, and what it is held against.

use betty_examples::data::{Noisy, WrongLabel, digits};
use betty_examples::failure::Failure;
use betty_examples::penalized::{Classifier, Examples};
use betty_runtime::linalg::{CgOptions, RitzValue};
use betty_runtime::{Derivatives, Eigenvalues, Estimate, SpectralDensity};
use burn::tensor::{DType, Device, Tensor, TensorData};
use indicatif::ProgressBar;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;

use crate::cli::Options;
use crate::training::{losses, objective, train};

/// Products for the ends of the spectrum, and for each start of its density.
const PRODUCTS: usize = 60;
/// Starts of the density.
const STARTS: usize = 10;
/// Samples of the trace.
const SAMPLES: usize = 40;

/// An example that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct LeftOut {
    /// Its number among the training examples.
    pub(crate) example: usize,
    /// By how much the test loss is predicted to rise without it.
    pub(crate) predicted: f64,
    /// By how much it does.
    pub(crate) actual: f64,
}

/// A number with its standard error, or with a bound of its error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

/// The results.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) parameters: usize,
    /// Share of test examples that are classified right.
    pub(crate) accuracy: f64,
    /// Mean cross-entropy on the test examples.
    pub(crate) loss: f64,
    /// By how much the test loss is predicted to rise without each training example.
    pub(crate) influence: Vec<f64>,
    /// Which training examples have a wrong label.
    pub(crate) wrong: Vec<bool>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) smallest: Measured,
    pub(crate) largest: Measured,
    pub(crate) trace: Measured,
    /// Eigenvalues of the Hessian, each with the share of the spectrum that it stands for.
    pub(crate) density: Vec<(f64, f64)>,
}

/// Trains, predicts, and trains anew.
pub(crate) fn run(options: &Options, device: &Device) -> Result<Outcome, Failure> {
    let mut rng = StdRng::seed_from_u64(options.setting.seed);
    let digits = digits();
    let mut order: Vec<usize> = (0..digits.len()).collect();
    order.shuffle(&mut rng);
    let (training, rest) = order.split_at(options.train);
    let noisy = Noisy::corrupt(&digits.subset(training), options.noise, WrongLabel::Any, &mut rng)?;
    let (examples, test) =
        (Examples::of(&noisy.examples, device), Examples::of(&digits.subset(&rest[..options.test]), device));
    let start = Classifier::new(digits.pixels(), options.hidden, digits.classes(), &mut rng, device);

    let weighted = |left_out: Option<usize>| {
        let weight = |example: usize| if Some(example) == left_out { 0.0 } else { 1.0 };
        let weights = TensorData::from((0..options.train).map(weight).collect::<Vec<f64>>().as_slice());
        (examples.clone(), Tensor::from_data(weights, (device, DType::F64)), options.penalty.into())
    };
    let mut fitted = Derivatives::of(objective, &start, &weighted(None))?;
    let classifier = train(&mut fitted, start)?;
    let mut tested =
        Derivatives::of(|classifier: &Classifier, test: Examples| losses(classifier, test).mean(), &classifier, &test)?;
    let (loss, cotangent) = tested.value_and_gradient()?;

    // Left out, an example moves the minimum by H⁻¹·∇ℓᵢ/n to first order, and the test loss by ⟨∇L, H⁻¹·∇ℓᵢ⟩/n. With
    // s = H⁻¹·∇L these are, for all examples at once, the product of the Jacobian of their losses with s (Koh and Liang 2017).
    let system = CgOptions { iterations: 5000, tolerance: 1e-8, damping: options.damping };
    let s = fitted.hessian()?.conjugate_gradient(&cotangent, &system)?.x;
    let moved: Tensor<1> = Derivatives::of_output(losses, &classifier, &examples)?.jvp(&s)?;
    let influence: Vec<f64> = moved.into_data().iter::<f64>().map(|moved| moved / options.train as f64).collect();

    let mut hessian = fitted.hessian()?;
    let found = hessian.eigenvalues(PRODUCTS, options.setting.seed)?;
    let trace = hessian.trace(SAMPLES, options.setting.seed)?;
    let SpectralDensity { points: density } = hessian.density(STARTS, PRODUCTS, options.setting.seed)?;

    let chosen = evenly(&influence, options.retrain);
    let bar = if options.setting.machine.quiet { ProgressBar::hidden() } else { ProgressBar::new(chosen.len() as u64) };
    let mut left_out = Vec::with_capacity(chosen.len());
    for example in chosen {
        fitted.on(&weighted(Some(example)))?;
        let without = train(&mut fitted, classifier.clone())?;
        let actual = tested.at(&without)?.value()? - loss;
        left_out.push(LeftOut { example, predicted: influence[example], actual });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let (smallest, largest) = ends(&found);
    let Estimate { value, error, .. } = trace;
    Ok(Outcome {
        parameters: classifier.size(),
        accuracy: classifier.accuracy(test),
        loss,
        influence,
        wrong: noisy.corrupted,
        left_out,
        smallest,
        largest,
        trace: Measured { value, error },
        density,
    })
}

fn ends(found: &Eigenvalues) -> (Measured, Measured) {
    let measured = |RitzValue { value, error, .. }: RitzValue| Measured { value, error };
    (measured(found.smallest()), measured(found.largest()))
}

/// So many numbers of a list, at even distances in its order: the first is the smallest, the last the largest.
fn evenly(numbers: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&i, &j| numbers[i].total_cmp(&numbers[j]));
    (0..count).map(|k| order[k * (numbers.len() - 1) / (count - 1).max(1)]).collect()
}
