//! The two levels: initial parameters above, their adaptation to a task below.

use std::convert::Infallible;

use betty_runtime::{Stream, multilevel};
use burn::tensor::{Device, Tensor};

use crate::model::{Regressor, Samples, Support};
use crate::task::tasks;

multilevel! {
    /// Model-agnostic meta-learning (Finn, Abbeel and Levine, 2017, arXiv:1703.03400, section 5.1), and with implicit
    /// gradients (Rajeswaran, Finn, Kakade and Levine, 2019, arXiv:1909.04630).
    pub(crate) struct Maml;

    /// Initial parameters from which few steps on few points of a task lead far.
    level meta: Regressor {
        lower: [adapted],
        batch: Samples,
        loss: query_loss,
        optimizer: adam(lr = 1e-3),
        tasks: 25,
        vectorize: true,
    }

    /// The network that has taken its steps on one task. It reads the initial parameters where it is drawn to them.
    level adapted: Regressor {
        upper: [meta],
        start: from(meta),
        batch: Support,
        loss: support_loss,
        optimizer: sgd(lr = 0.01),
        unroll: 1,
        hypergradient: unrolled,
    }
}

/// The error of the adapted network on other points of its task.
fn query_loss(_meta: &Regressor, adapted: &Regressor, query: Samples) -> Tensor<1> {
    adapted.error(query)
}

/// The error on the points to learn from, and how far the network is from the initial parameters.
fn support_loss(adapted: &Regressor, meta: &Regressor, support: Support) -> Tensor<1> {
    adapted.regularized(meta, support)
}

impl MamlData {
    /// Tasks without end: the points to learn from, as often as the steps of a task take a batch, then the points to judge by.
    pub(crate) fn endless(shots: usize, config: &MamlConfig, proximity: f64, seed: u64, device: &Device) -> Self {
        let batches = config.meta.rounds * config.adapted.unroll * config.adapted.accumulate;
        let (here, there) = (device.clone(), device.clone());
        let support = tasks(shots, seed).flat_map(move |task| {
            let support = Support { samples: task.support.to_device(&here), proximity };
            std::iter::repeat_n(support, batches)
        });
        let query = tasks(shots, seed).map(move |task| task.query.to_device(&there));
        MamlData {
            meta: Stream::batches(query.map(Ok::<_, Infallible>)),
            adapted: Stream::batches(support.map(Ok::<_, Infallible>)),
        }
    }
}
