//! The programs: MAML with steps or with a best response, ANIL, and the training that they are compared with.

use std::convert::Infallible;

use betty_runtime::{Batch, Engine, EngineError, LevelConfig, Measured, Multilevel, Stream, multilevel};
use burn::tensor::{Device, Tensor};

use crate::model::{Head, Net, accuracy, cross_entropy};
use crate::tasks::{Examples, Tasks};

/// What a task is learned from, and how strongly the network is drawn to where it began; without, the loss does not read that.
#[derive(Clone, Debug, Batch)]
pub(crate) struct Support {
    examples: Examples,
    proximity: f64,
}

multilevel! {
    /// Where to begin, for steps of all parameters.
    pub(crate) struct Maml;

    /// Initial parameters, which are good when the adapted ones are.
    level meta: Net {
        lower: [adapted], batch: Examples, loss: query, optimizer: adam(lr = 2e-3), tasks: 8, vectorize: true,
    }

    /// The network that has taken its steps on a task.
    level adapted: Net {
        upper: [meta], start: from(meta), batch: Support, loss: support, optimizer: sgd(lr = 0.3), unroll: 5,
        hypergradient: unrolled,
    }
}

multilevel! {
    /// Where to begin, for steps of the head.
    pub(crate) struct Anil;

    level net: Net {
        lower: [change], batch: Examples, loss: query_with, optimizer: adam(lr = 2e-3), tasks: 8, vectorize: true,
    }

    /// What a task adds to the head.
    level change: Head {
        upper: [net], start: initial, batch: Examples, loss: support_with, optimizer: sgd(lr = 0.3), unroll: 5,
        hypergradient: unrolled,
    }
}

multilevel! {
    /// Telling all training classes apart.
    pub(crate) struct Pretraining;

    level net: Net { batch: Examples, loss: all_classes, optimizer: adam(lr = 2e-3) }
}

fn measured(scores: Tensor<2>, examples: Examples) -> Measured {
    let accuracy = accuracy(scores.clone(), examples.labels.clone());
    Measured::new(cross_entropy(scores, examples.labels)).with("accuracy", accuracy)
}

fn query(_meta: &Net, adapted: &Net, examples: Examples) -> Measured {
    measured(adapted.scores(examples.images.clone()), examples)
}

fn support(adapted: &Net, meta: &Net, support: Support) -> Tensor<1> {
    let Support { examples, proximity } = support;
    let loss = cross_entropy(adapted.scores(examples.images), examples.labels);
    if proximity == 0.0 { loss } else { loss + adapted.half_distance(meta) * proximity }
}

fn query_with(net: &Net, change: &Head, examples: Examples) -> Measured {
    measured(net.scores_with(change, examples.images.clone()), examples)
}

fn support_with(change: &Head, net: &Net, examples: Examples) -> Tensor<1> {
    cross_entropy(net.scores_with(change, examples.images), examples.labels)
}

fn all_classes(net: &Net, examples: Examples) -> Tensor<1> {
    cross_entropy(net.scores(examples.images), examples.labels)
}

/// How many batches the steps of one task take.
fn batches_of_a_task(above: &LevelConfig, below: &LevelConfig) -> usize {
    above.rounds * below.unroll * below.accumulate
}

impl Maml {
    /// An engine that begins at these parameters.
    pub(crate) fn engine(
        start: Net,
        tasks: &Tasks,
        proximity: f64,
        config: &MamlConfig,
        device: &Device,
    ) -> Result<Engine<Maml>, EngineError> {
        let support = tasks
            .support(batches_of_a_task(&config.meta, &config.adapted), device)
            .map(move |examples| Support { examples, proximity });
        let data = MamlData {
            meta: Stream::batches(tasks.query(device).map(Ok::<_, Infallible>)),
            adapted: Stream::batches(support.map(Ok::<_, Infallible>)),
        };
        Engine::new(Maml { adapted: start.clone(), meta: start }, data, config.clone())
    }

    /// The mean accuracy over some tasks after the steps from these parameters.
    pub(crate) fn accuracy(
        start: &Net,
        tasks: &Tasks,
        count: usize,
        proximity: f64,
        config: &MamlConfig,
        device: &Device,
    ) -> Result<f64, EngineError> {
        let mut config = config.clone();
        // Judged as it stands, whenever training begins to move it.
        (config.meta.tasks, config.meta.warmup, config.adapted.warmup) = (count, 0, 0);
        seen(Maml::engine(start.clone(), tasks, proximity, &config, device)?)
    }
}

impl Anil {
    /// An engine that begins at these parameters.
    pub(crate) fn engine(
        net: Net,
        tasks: &Tasks,
        config: &AnilConfig,
        device: &Device,
    ) -> Result<Engine<Anil>, EngineError> {
        let data = AnilData {
            net: Stream::batches(tasks.query(device).map(Ok::<_, Infallible>)),
            change: Stream::batches(
                tasks.support(batches_of_a_task(&config.net, &config.change), device).map(Ok::<_, Infallible>),
            ),
        };
        Engine::new(Anil { net, change: Head::zero(device) }, data, config.clone())
    }

    /// The mean accuracy over some tasks after the steps from these parameters.
    pub(crate) fn accuracy(
        net: &Net,
        tasks: &Tasks,
        count: usize,
        config: &AnilConfig,
        device: &Device,
    ) -> Result<f64, EngineError> {
        let mut config = config.clone();
        (config.net.tasks, config.net.warmup, config.change.warmup) = (count, 0, 0);
        seen(Anil::engine(net.clone(), tasks, &config, device)?)
    }
}

/// The accuracy that the uppermost level's loss sees on its tasks, before a step that nobody looks at; 0 where
/// the steps diverge.
fn seen<P: Multilevel>(engine: Engine<P>) -> Result<f64, EngineError> {
    // Training has held the same losses against Burn's gradients.
    let mut engine = engine.verification(false);
    let report = match engine.run(1) {
        Err(EngineError::NonFinite { .. } | EngineError::NonFiniteStep { .. }) => return Ok(0.0),
        report => report?,
    };
    let metrics = report.levels.first().map_or(&[][..], |level| &level.metrics);
    Ok(metrics.iter().find(|(name, _)| &**name == "accuracy").map_or(f64::NAN, |(_, value)| *value))
}
