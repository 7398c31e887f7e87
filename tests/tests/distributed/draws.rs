//! Random draws: dropout masks are each rank's own, and the mean over masks is what it is without ranks.

use betty_runtime::distributed::{Collective, Threads};
use betty_runtime::{Engine, EngineError, Multilevel, Stream, multilevel};
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;

use super::problem::tensor;

#[derive(Module, Debug)]
struct Dropping {
    weight: Param<Tensor<1>>,
    dropout: Dropout,
}

/// Linear in the mask, so that the mean gradient is known.
fn drop_some(net: &Dropping, rows: Tensor<2>) -> Tensor<1> {
    (net.dropout.forward(rows) * net.weight.val().unsqueeze()).sum_dim(1).mean()
}

multilevel! {
    struct Linear;
    level net: Dropping { batch: Tensor<2>, loss: drop_some, optimizer: sgd(lr = 0.1) }
}

fn problem() -> Linear {
    let dropout = DropoutConfig::new(0.5).init();
    Linear { net: Dropping { weight: Param::from_tensor(tensor([2], vec![0.3, -0.2])), dropout } }
}

fn gradients(rank: impl Collective + 'static, seed: u64, count: u64) -> Result<Vec<Vec<f64>>, EngineError> {
    // The same rows on both ranks: what differs are the masks.
    let rows = tensor([3, 2], vec![1.0, 2.0, 3.0, -1.0, 0.5, 1.5]);
    let data = LinearData { net: Stream::constant(rows) };
    let config = <Linear as Multilevel>::Config::default();
    let mut engine = Engine::new(problem(), data, config)?.seed(seed).distributed(rank)?;
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(engine.gradient("net")?.gradient.to_vec()?);
        engine.run(1)?;
    }
    Ok(found)
}

#[test]
fn masks_are_each_ranks_own_and_unbiased() {
    let count = 1000;
    let found = Threads::run(2, |rank| gradients(rank, 7, count).expect("a gradient"));
    assert_eq!(found[0], found[1]);
    let alone = gradients(betty_runtime::distributed::SingleProcess, 7, count).expect("a gradient");
    // With p = 1/2 an entry of a mask is 0 or 2: a mean of means over three rows.
    let (expected, squares) = ([4.5 / 3.0, 2.5 / 3.0], [1.0 + 9.0 + 0.25, 4.0 + 1.0 + 2.25]);
    for (gradients, ranks) in [(&alone, 1.0), (&found[0], 2.0)] {
        for (entry, (expected, square)) in expected.iter().zip(squares).enumerate() {
            let n = count as f64;
            let mean = gradients.iter().map(|gradient| gradient[entry]).sum::<f64>() / n;
            let variance = gradients.iter().map(|gradient| (gradient[entry] - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let (theory, half) = (square / 9.0 / ranks, (square / 9.0 / ranks / n).sqrt());
            // Five standard deviations: one run in a million is outside. The variance halves with two ranks.
            assert!((mean - expected).abs() < 5.0 * half, "{ranks} ranks: {mean} is not {expected}");
            assert!((variance / theory - 1.0).abs() < 0.25, "{ranks} ranks: {variance} is not {theory}");
        }
    }
}
