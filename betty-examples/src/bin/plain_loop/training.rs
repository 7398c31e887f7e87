//! The same training three times: as a plain loop, as that loop with ten lines more, and by the engine.

use betty_runtime::{Engine, EngineError, Hypergradient};
use burn::nn::Linear;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};

use crate::problem::{Cleaning, CleaningConfig, CleaningData, Examples, mean_loss};

fn sgd(momentum: f64) -> ModuleOptimizer {
    SgdConfig::new().with_momentum(Some(MomentumConfig { momentum, dampening: 0.0, nesterov: false })).init()
}

/// A plain loop.
pub(crate) fn plain(mut classifier: Linear, noisy: &Examples, steps: u64) -> Linear {
    let mut optimizer = sgd(0.9);
    for _ in 0..steps {
        let loss = mean_loss(&classifier, noisy.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &classifier);
        classifier = optimizer.step(0.5, classifier, gradients);
    }
    classifier
}

/// The loop above with ten lines more, in the place of the two that took the gradient of a loss without weights.
pub(crate) fn hyper_cleaned(
    mut all: Cleaning,
    noisy: &Examples,
    clean: &Examples,
    steps: u64,
) -> Result<Cleaning, EngineError> {
    let mut optimizer = sgd(0.9);
    // Two of the ten lines stand here …
    let mut upper_optimizer = sgd(0.5);
    let mut hypergradient = Hypergradient::new(&all, CleaningConfig::default())?;
    for step in 1..=steps {
        // … two here, …
        let batches = CleaningData { weights: clean.clone().into(), classifier: noisy.clone().into() };
        let gradients = hypergradient.direct("classifier", &all, batches)?.gradient;
        all.classifier = optimizer.step(0.5, all.classifier, gradients);
        // … and the others here.
        if step.is_multiple_of(10) {
            let batches = CleaningData { weights: clean.clone().into(), classifier: noisy.clone().into() };
            let gradients = hypergradient.total("weights", &all, batches)?.gradient;
            all.weights = upper_optimizer.step(100.0, all.weights, gradients);
        }
    }
    Ok(all)
}

/// The engine, which takes the steps itself.
pub(crate) fn by_engine(
    all: Cleaning,
    noisy: &Examples,
    clean: &Examples,
    steps: u64,
) -> Result<Cleaning, EngineError> {
    let data = CleaningData { weights: clean.clone().into(), classifier: noisy.clone().into() };
    let mut engine = Engine::new(all, data, CleaningConfig::default())?;
    engine.run(steps)?;
    Ok(engine.into_problem())
}
