//! What one hypergradient takes and how far it is off, and where training with such hypergradients ends.

use std::time::Instant;

use betty_runtime::execute::launched;
use betty_runtime::{Engine, EngineError, ProgramConfig};
use burn::tensor::activation::sigmoid;

use crate::programs::{Deep, Parts, SOURCES};
use crate::ways::Way;

/// How thoroughly to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    /// Steps of the weights in training.
    pub(crate) steps: u64,
    /// Repetitions of which the fastest counts.
    pub(crate) repetitions: usize,
}

/// One hypergradient where the levels below have converged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) kernels: f64,
    pub(crate) milliseconds: f64,
    /// ‖found − reference‖ / ‖reference‖
    pub(crate) error: f64,
}

/// What training came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trained {
    /// The loss that the weights are learned by, and the accuracy on what nobody has seen, of classifiers that have converged under
    /// the weights learned.
    pub(crate) judged: f64,
    pub(crate) accuracy: f64,
    /// The weights of the sources.
    pub(crate) weights: [f64; SOURCES],
    pub(crate) seconds: f64,
}

/// Iterations in which the levels below come to their best responses.
const CONVERGED: u64 = 30;

/// Hypergradients of a single loop before the one that is measured.
const LOOPS: u64 = 60;

/// With the weights standing still.
fn still<P: Deep>(way: &Way) -> P::Config {
    let mut config: P::Config = way.configure();
    if let Some(weights) = config.levels_mut().into_iter().next() {
        weights.warmup = usize::MAX;
    }
    config
}

/// The levels below at their best responses to the weights.
pub(crate) fn converged<P: Deep>(problem: P, parts: &Parts) -> Result<P, EngineError> {
    let mut config = still::<P>(&Way::tuning());
    let mut levels = config.levels_mut();
    // Ties, if there are any, with few steps of their own, and the fine-tuned classifier with many.
    if let [_, ties @ .., tuned, _] = &mut levels[..] {
        ties.iter_mut().for_each(|ties| ties.unroll = 4);
        tuned.unroll = if ties.is_empty() { 60 } else { 20 };
    }
    let mut engine = Engine::new(problem, P::data(parts), config)?;
    engine.run(CONVERGED)?;
    Ok(engine.into_problem())
}

impl Measurement {
    /// The hypergradient by one way from a point, and what it took.
    pub(crate) fn hypergradient<P: Deep>(
        self,
        way: &Way,
        at: &P,
        parts: &Parts,
    ) -> Result<(Vec<f64>, f64, f64), EngineError> {
        let mut config = still::<P>(way);
        if way.goes_on {
            // Steps whose length is nothing.
            let weights = config.levels_mut().remove(0);
            weights.warmup = 0;
            weights.optimizer =
                Some(serde_json::from_value(serde_json::json!({ "name": "sgd", "lr": 1e-30 })).expect("an optimizer"));
        }
        let mut engine = Engine::new(at.copied(), P::data(parts), config)?;
        engine.run(if way.goes_on { LOOPS } else { 1 })?;
        let found = engine.gradient("weights")?.gradient.to_vec()?;
        let before = launched().kernels;
        engine.gradient("weights")?;
        let kernels = launched().kernels - before;
        let mut time = f64::INFINITY;
        for _ in 0..self.repetitions {
            let start = Instant::now();
            engine.gradient("weights")?;
            time = time.min(start.elapsed().as_secs_f64());
        }
        Ok((found, kernels, time))
    }

    /// The same, with the distance from the reference.
    pub(crate) fn taken<P: Deep>(
        self,
        way: &Way,
        at: &P,
        parts: &Parts,
        reference: &[f64],
    ) -> Result<Taken, EngineError> {
        let (found, kernels, time) = self.hypergradient(way, at, parts)?;
        let norm = |of: &mut dyn Iterator<Item = f64>| of.map(|x| x * x).sum::<f64>().sqrt();
        let gap = norm(&mut found.iter().zip(reference).map(|(x, y)| x - y));
        Ok(Taken { kernels, milliseconds: 1e3 * time, error: gap / norm(&mut reference.iter().copied()) })
    }

    /// Where training by one way ends.
    pub(crate) fn trained<P: Deep>(self, way: &Way, parts: &Parts) -> Result<Trained, EngineError> {
        let start = Instant::now();
        let mut engine = Engine::new(P::start(parts), P::data(parts), way.configure::<P::Config>())?;
        engine.run(self.steps)?;
        let problem = engine.into_problem();
        let seconds = start.elapsed().as_secs_f64();
        let problem = converged(problem, parts)?;
        let weights: Vec<f64> = sigmoid(problem.weights().val()).into_data().iter::<f64>().collect();
        Ok(Trained {
            judged: problem.tuned().cross_entropy(parts.judging.clone()).into_scalar(),
            accuracy: problem.tuned().accuracy(parts.test.clone()),
            weights: std::array::from_fn(|source| weights[source]),
            seconds,
        })
    }
}
