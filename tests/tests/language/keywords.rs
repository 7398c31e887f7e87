//! Modules with fields that are called like keywords.

use betty_runtime::{Engine, LevelModule, ProgramConfig, Stream, multilevel};
use betty_tests::vectors::{parameter, values};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Inner {
    r#in: Param<Tensor<1>>,
    out: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Net {
    r#type: Inner,
    r#gen: Param<Tensor<1>>,
    other: Param<Tensor<1>>,
}

multilevel! {
    struct Keywords;

    level rates: Inner { lower: [net], batch: (), loss: judge, optimizer: sgd(lr = 0.5), train: [r#in] }
    level net: Net {
        batch: (), loss: fit, unroll: 2, hypergradient: unrolled, start: initial,
        optimizer: sgd(lr = exp(rates.r#in)), freeze: [r#type.out], groups: { r#gen: { optimizer: sgd(lr = 0.25) } },
    }
}

fn judge(_rates: &Inner, net: &Net, _: ()) -> Tensor<1> {
    net.r#type.r#in.val().square().sum()
}

/// Half the squares of all.
fn fit(net: &Net, _: ()) -> Tensor<1> {
    let all = [&net.r#type.r#in, &net.r#type.out, &net.r#gen, &net.other];
    all.into_iter().map(|part| part.val().square().sum() * 0.5).reduce(|sum, part| sum + part).unwrap()
}

fn engine(config: &str) -> Engine<Keywords> {
    let inner = |first: f64| Inner { r#in: parameter(&[first]), out: parameter(&[1.0]) };
    let net = Net { r#type: inner(1.0), r#gen: parameter(&[1.0]), other: parameter(&[1.0]) };
    let data = KeywordsData { rates: Stream::constant(()), net: Stream::constant(()) };
    Engine::new(Keywords { rates: inner(-1.0), net }, data, KeywordsConfig::from_json(config).unwrap()).unwrap()
}

#[test]
fn they_are_trained_frozen_grouped_and_learned_by_their_names() {
    let config = r#"{ "net": { "train": ["type", "gen"], "optimizer": { "lr": "exp(rates.in)" } } }"#;
    for (config, other) in [("{}", (1.0 - f64::exp(-1.0)).powi(2)), (config, 1.0)] {
        let mut engine = engine(config);
        let paths: Vec<String> = engine.problem().net.leaves().into_iter().map(|leaf| leaf.path).collect();
        assert_eq!(paths, ["type.in", "type.out", "gen", "other"]);
        engine.run(1).unwrap();
        let Keywords { rates, net } = engine.into_problem();
        // Two steps of `x ← x − αx`, with a rate of its own, the learned one, or none.
        let alpha = f64::exp(-1.0);
        let learned = (1.0 - alpha).powi(2);
        for (part, expected) in
            [(&net.r#type.r#in, learned), (&net.r#type.out, 1.0), (&net.r#gen, 0.75 * 0.75), (&net.other, other)]
        {
            assert!((values(part)[0] - expected).abs() < 1e-12, "{} is not {expected}", values(part)[0]);
        }
        // d(x₂²)/d log α = 2·x₂·2(1 − α)·(−α), and a step of a half along it.
        let gradient = -4.0 * learned * (1.0 - alpha) * alpha;
        let moved = values(&rates.r#in)[0];
        assert!((moved + 1.0 + 0.5 * gradient).abs() < 1e-12, "{moved}");
        assert_eq!(values(&rates.out), [1.0]);
    }
}
