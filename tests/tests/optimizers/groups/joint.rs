//! Groups of several parts: one norm to clip and one ball for all of them, by hand and through whole runs.

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
use betty_tests::vectors::{tensor, values};
use burn::tensor::{DType, Device, Tensor};

use super::{Parts, START, TARGET, Vector, all, alone, check_differences, parts_of, plain, start};

multilevel! {
    struct Apart;

    level parts: Parts {
        batch: Tensor<1>,
        loss: plain,
        optimizer: sgd(lr = 0.2),
        groups: {
            outer: {
                paths: [log_lr, pixels.first, bias],
                optimizer: sgd(lr = 0.1),
                clip: norm(0.5),
                project: norm_ball(radius = 1.2),
            },
        },
    }
}

/// The steps of `Apart`, each with gradients of Burn's autodiff.
fn by_hand(steps: usize) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let mut at: Vec<Vec<f64>> = START.map(Vec::from).into();
    // Bias, the first tensor of pixels, and the logarithms; the second tensor of pixels is in no group.
    let outer = [0, 1, 3];
    let length = |of: &[Vec<f64>]| outer.iter().flat_map(|&i| &of[i]).map(|x| x * x).sum::<f64>().sqrt();
    for _ in 0..steps {
        let parts = parts_of(&at, &device);
        let target = Tensor::from_data(tensor(&TARGET).into_data(), (&device, DType::F64));
        let gradients = plain(&parts, target).backward();
        let gradient = |of: &Vector| of.val().grad(&gradients).unwrap().into_data().iter::<f64>().collect::<Vec<f64>>();
        let of = [&parts.bias, &parts.pixels.first, &parts.pixels.second, &parts.log_lr].map(gradient);
        let factor = (0.5 / length(&of)).min(1.0);
        for (index, (at, gradient)) in at.iter_mut().zip(&of).enumerate() {
            let rate = if outer.contains(&index) { 0.1 * factor } else { 0.2 };
            at.iter_mut().zip(gradient).for_each(|(x, g)| *x -= rate * g);
        }
        let factor = (1.2 / length(&at)).min(1.0);
        outer.iter().for_each(|&index| at[index].iter_mut().for_each(|x| *x *= factor));
    }
    at
}

#[test]
fn one_norm_is_clipped_and_one_ball_holds_all_parts() {
    let end = |json: &str, steps: u64| {
        let data = ApartData { parts: Stream::constant(tensor(&TARGET)) };
        let config = ApartConfig::from_json(json).unwrap();
        let mut engine = Engine::new(Apart { parts: start() }, data, config).unwrap();
        engine.run(steps).unwrap();
        all(&engine.problem().parts)
    };
    for steps in [1, 2, 9] {
        let (ours, theirs) = (end("{}", steps), by_hand(steps as usize).concat());
        assert!(ours.iter().zip(&theirs).all(|(x, y)| (x - y).abs() < 1e-12), "{steps}: {ours:?} is not {theirs:?}");
    }
    // Both limits hold something.
    for limit in ["clip", "project"] {
        let without = format!(r#"{{ "parts": {{ "groups": {{ "outer": {{ "{limit}": null }} }} }} }}"#);
        assert_ne!(end(&without, 2), end("{}", 2), "{limit}");
    }
}

/// A group of the tensors of a module is the group of the module, bit for bit.
#[test]
fn parts_that_are_a_whole_are_one_part() {
    let end = |json: &str| {
        let mut engine = alone(json).unwrap();
        engine.run(8).unwrap();
        all(&engine.problem().parts)
    };
    let listed = r#"{ "parts": { "groups": { "pixels": { "paths": ["pixels.second", "pixels.first"] } } } }"#;
    assert_eq!(end(listed), end("{}"));
    let fewer = r#"{ "parts": { "groups": { "pixels": { "paths": ["pixels.second"] } } } }"#;
    assert_ne!(end(fewer), end("{}"));
}

#[test]
fn hypergradients_through_a_joint_clip_are_derivatives_of_whole_runs() {
    let groups = r#""groups": {
        "outer": { "paths": ["pixels.first", "log_lr"], "optimizer": { "name": "sgd", "lr": 0.05, "momentum": 0.5 },
                   "clip": { "norm": 0.4 }, "project": { "name": "norm_ball", "radius": 1.1 } }
    }"#;
    let json = format!(r#"{{ "parts": {{ {groups}, "unroll": 6, "hypergradient": {{ "method": "unrolled" }} }} }}"#);
    check_differences(&json, [0.2, -0.3], "unrolled");
}

/// A parameter with two places is in a group that lists both.
#[test]
fn all_places_of_a_parameter_are_in_one_group() {
    let tied = |json: &str| {
        let mut parts = start();
        parts.log_lr = parts.bias.clone();
        let data = ApartData { parts: Stream::constant(tensor(&TARGET)) };
        Engine::new(Apart { parts }, data, ApartConfig::from_json(json).unwrap())
    };
    let mut engine = tied("{}").unwrap();
    engine.run(3).unwrap();
    let Apart { parts } = engine.problem();
    assert_eq!(values(&parts.bias), values(&parts.log_lr));
    assert_ne!(values(&parts.bias), START[0]);
    let error =
        tied(r#"{ "parts": { "groups": { "outer": { "paths": ["bias"] } } } }"#).map(drop).expect_err("half of it");
    assert_eq!(
        error.to_string(),
        "`parts.groups`: `bias` and `log_lr` are one parameter, which is in one group or in none; name all of its places"
    );
}
