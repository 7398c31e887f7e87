//! A program of one level: plain training, by the same engine.

use betty_runtime::{Checkpoint, Engine, EngineError, Stream, StreamPosition, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::Param;
use burn::tensor::Tensor;

type Vector = Param<Tensor<1>>;

multilevel! {
    struct Plain;

    level net: Vector {
        batch: Tensor<1>,
        loss: fit,
        optimizer: sgd(lr = 0.1, momentum = 0.9),
        accumulate: 2,
        clip: norm(0.8),
    }
}

fn fit(net: &Vector, target: Tensor<1>) -> Tensor<1> {
    (net.val() - target).square().sum() * 0.5
}

fn engine() -> Engine<Plain> {
    let targets = (0..100).map(|index| Ok::<_, std::io::Error>(tensor(&[f64::from(index % 3), 1.0])));
    let data = PlainData { net: Stream::batches(targets) };
    Engine::new(Plain { net: parameter(&[2.0, -1.0]) }, data, PlainConfig::default()).unwrap()
}

/// Momentum on the clipped mean of two gradients, by hand.
fn by_hand(steps: usize) -> Vec<f64> {
    let (mut x, mut momentum) = ([2.0, -1.0], None);
    for step in 0..steps {
        let mut gradient = [0.0; 2];
        for index in [2 * step, 2 * step + 1] {
            let target = [(index % 3) as f64, 1.0];
            (0..2).for_each(|at| gradient[at] += (x[at] - target[at]) / 2.0);
        }
        let norm = gradient[0].hypot(gradient[1]);
        let scale = (0.8 / norm).min(1.0);
        let gradient = gradient.map(|entry| scale * entry);
        let moved = match momentum {
            None => gradient,
            Some(before) => {
                let before: [f64; 2] = before;
                [0.9 * before[0] + gradient[0], 0.9 * before[1] + gradient[1]]
            }
        };
        momentum = Some(moved);
        (0..2).for_each(|at| x[at] -= 0.1 * moved[at]);
    }
    x.to_vec()
}

#[test]
fn it_trains() {
    let mut engine = engine();
    engine.run(7).unwrap();
    for (found, expected) in values(&engine.problem().net).iter().zip(by_hand(7)) {
        assert!((found - expected).abs() < 1e-13, "{found} {expected}");
    }
}

#[test]
fn what_an_engine_does_it_does_for_one_level() {
    let mut whole = engine();
    whole.run(6).unwrap();
    let mut first = engine();
    first.run(4).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.betty");
    first.checkpoint().unwrap().save(&file).unwrap();
    let mut second = engine();
    second.resume(&Checkpoint::open(&file).unwrap(), StreamPosition::Start).unwrap();
    second.run(2).unwrap();
    assert_eq!(values(&second.problem().net), values(&whole.problem().net));
    let explanation = second.explain().unwrap().to_string();
    assert!(explanation.contains("net"), "{explanation}");
    let error = second.verify_hypergradient("net").map(drop).expect_err("there is no hypergradient");
    assert!(matches!(error, EngineError::NoHypergradient { .. }), "{error}");
}
