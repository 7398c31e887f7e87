//! Every method at every place of a program of three levels: it runs, or says why not.

use betty_runtime::hypergradient::HypergradientError;
use betty_runtime::{Engine, EngineError, ProgramConfig, multilevel};
use betty_schema::METHODS;
use burn::tensor::Tensor;

use super::problem::{Knobs, Net, Samples, samples};

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    net.error(Samples { x: batch.x + knobs.shift.val().unsqueeze(), y: batch.y })
        + net.second.val().powi_scalar(2).sum() * knobs.penalty.val().exp()
        + net.first.val().powi_scalar(2).sum()
        + net.bias.val().powi_scalar(2).sum()
}

fn tune(knobs: &Knobs, top: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
        + (knobs.shift.val() - top.shift.val()).powi_scalar(2).sum()
        + (knobs.penalty.val() - top.penalty.val()).powi_scalar(2).sum()
}

fn judge(top: &Knobs, knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + (knobs.shift.val() * top.shift.val()).sum()
}

multilevel! {
    struct Three;
    level top: Knobs { lower: [mid, net], batch: Samples, loss: judge, optimizer: sgd(lr = 0.01) }
    level mid: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: tune, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: cg,
    }
    level net: Net {
        upper: [mid], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1), unroll: 3, hypergradient: cg,
    }
}

fn run(json: &str) -> Result<(), EngineError> {
    let data = ThreeData { top: samples(1, |_| 4), mid: samples(2, |_| 3), net: samples(3, |_| 4) };
    let problem = Three { top: Knobs::new(0), mid: Knobs::new(1), net: Net::new(2) };
    let config = ThreeConfig::from_json(json)?;
    let mut engine = Engine::new(problem, data, config)?;
    engine.explain()?;
    engine.run(2)?;
    engine.gradient("top")?;
    engine.verify_hypergradient("mid").map(drop)
}

#[test]
fn every_method_at_every_place() {
    for mid in METHODS.names() {
        for net in METHODS.names() {
            let json = format!(
                r#"{{ "mid": {{ "hypergradient": {{ "method": "{mid}" }} }}, "net": {{ "hypergradient": {{ "method": "{net}" }} }} }}"#
            );
            // No panic; and where a run fails, a config or a solver says so.
            match run(&json) {
                Ok(()) => {}
                Err(EngineError::Config(_)) => {}
                Err(EngineError::Hypergradient { source, .. }) => {
                    assert!(matches!(*source, HypergradientError::Solve(_)), "{mid}, {net}: {source}");
                }
                Err(error) => panic!("{mid}, {net}: {error}"),
            }
        }
    }
}
