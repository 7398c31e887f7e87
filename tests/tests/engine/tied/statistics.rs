//! A layer with running statistics that is used twice.

use super::*;

#[derive(Module, Debug)]
struct Normed<N> {
    first: N,
    second: N,
    scale: Point,
}

fn normalised(net: &Normed<BatchNorm>, lambda: &Point, x: Tensor<2>) -> Tensor<1> {
    let once = net.first.forward(x) * net.scale.val().unsqueeze();
    net.second.forward(once * 3.0 + 1.0).square().mean() + lambda.val().square().sum() * net.scale.val().sum()
}

fn judge_normalised(_lambda: &Point, net: &Normed<BatchNorm>, _: Tensor<2>) -> Tensor<1> {
    net.scale.val().square().sum()
}

multilevel! {
    struct Layers;

    level lambda: Point { lower: [net], batch: Tensor<2>, loss: judge_normalised, optimizer: sgd(lr = 0.1) }
    level net: Normed<BatchNorm> {
        upper: [lambda], batch: Tensor<2>, loss: normalised, optimizer: sgd(lr = 0.05), unroll: 2, hypergradient: identity,
    }
}

/// A layer that is used twice has one running statistic, which sees the inputs of both uses, one after the other.
#[test]
fn a_layer_in_two_places_has_one_running_statistic() {
    let rows = [[0.5, -1.0], [1.5, 2.0], [-0.25, 0.75]];
    let x = Tensor::<2>::from_data(rows, (&Device::flex(), DType::F64));
    let engine = || {
        let first = BatchNormConfig::new(2).init(&Device::flex());
        struct Doubles;
        impl burn::module::ModuleMapper for Doubles {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                param.map(|tensor| tensor.cast(DType::F64))
            }
        }
        let first = first.map(&mut Doubles);
        let net = Normed { second: first.clone(), first, scale: parameter(&[1.0, 1.0]) };
        let data = LayersData { lambda: Stream::constant(x.clone()), net: Stream::constant(x.clone()) };
        let mut config = LayersConfig::default();
        // The numbers below hold as long as nothing else moves.
        config.net.freeze =
            vec!["first.gamma".into(), "first.beta".into(), "second.gamma".into(), "second.beta".into()];
        Engine::new(Layers { lambda: parameter(&[0.0]), net }, data, config).unwrap()
    };
    let mut whole = engine();
    whole.run(1).unwrap();
    let scales = values(&whole.problem().net.scale);
    let of = |norm: &BatchNorm| -> Vec<f64> { norm.running_mean.value().into_data().iter::<f64>().collect() };
    let net = &whole.problem().net;
    // Two steps, each (1 − 0.1)·running + 0.1·batch twice: the mean of the input, then 1, that of the second use.
    let mut expected = [0.0, 0.0];
    for _ in 0..2 {
        for (c, expected) in expected.iter_mut().enumerate() {
            let mean = rows.iter().map(|row| row[c]).sum::<f64>() / 3.0;
            *expected = 0.9 * (0.9 * *expected + 0.1 * mean) + 0.1;
        }
    }
    assert!(
        of(&net.first).iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-14),
        "{:?} {expected:?}",
        of(&net.first)
    );
    assert_eq!(of(&net.first), of(&net.second));
    assert_ne!(scales, [1.0, 1.0]);

    let mut resumed = engine();
    resumed.resume(&whole.checkpoint().unwrap(), StreamPosition::Start).unwrap();
    resumed.run(2).unwrap();
    whole.run(2).unwrap();
    assert_eq!(of(&resumed.problem().net.second), of(&whole.problem().net.second));
    assert_eq!(of(&resumed.problem().net.first), of(&whole.problem().net.first));
}
