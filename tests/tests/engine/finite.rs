//! Steps that would end in infinities or NaN, and numbers that a float type does not hold.

use std::fs;

use betty_runtime::execute::reads;
use betty_runtime::{
    Batch, CheckpointError, ConfigError, Engine, EngineError, LearnedError, LevelModule, ProgramConfig, Stream,
    multilevel,
};
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor, TensorData};

#[derive(Module, Debug)]
pub(crate) struct Point {
    pub(crate) x: Param<Tensor<1>>,
}

pub(crate) fn tensor(values: &[f64], dtype: DType) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]).convert_dtype(dtype), (&Device::flex(), dtype))
}

pub(crate) fn point(values: &[f64], dtype: DType) -> Point {
    Point { x: Param::from_tensor(tensor(values, dtype)) }
}

pub(crate) fn values(point: &Point) -> Vec<f64> {
    point.leaves()[0].value.to_vec().unwrap()
}

#[derive(Batch, Clone, Debug)]
pub(crate) struct Slopes {
    pub(crate) of: Tensor<1>,
}

/// `⟨slopes, θ⟩ + ⟨λ, θ⟩ + ½‖θ‖²`
pub(crate) fn below(low: &Point, high: &Point, slopes: Slopes) -> Tensor<1> {
    let x = low.x.val();
    (x.clone() * slopes.of).sum() + (x.clone() * high.x.val()).sum() + x.square().sum() * 0.5
}

pub(crate) fn above(high: &Point, low: &Point, _batch: ()) -> Tensor<1> {
    low.x.val().sum() + high.x.val().square().sum() * 0.5
}

multilevel! {
    pub(crate) struct Steep;

    level high: Point { lower: [low], batch: (), loss: above, optimizer: sgd(lr = 0.1) }
    level low: Point {
        upper: [high], batch: Slopes, loss: below, optimizer: sgd(lr = 0.1), hypergradient: identity(scale = 1.0),
    }
}

fn steep_at(high: &[f64], slopes: &[f64], dtype: DType, json: &str) -> Result<Engine<Steep>, EngineError> {
    let problem = Steep { high: point(high, dtype), low: point(&[0.5, -0.25], dtype) };
    let data = SteepData { high: Stream::constant(()), low: Stream::constant(Slopes { of: tensor(slopes, dtype) }) };
    Engine::new(problem, data, SteepConfig::from_json(json)?)
}

fn steep(slopes: &[f64], json: &str) -> Engine<Steep> {
    steep_at(&[1.0, 1.0], slopes, DType::F32, json).unwrap()
}

#[test]
fn a_parameter_that_would_overflow_is_not_moved() {
    for (dtype, lr) in [(DType::F32, 1e38), (DType::F64, 1e307), (DType::F16, 1e4), (DType::BF16, 1e38)] {
        for more in ["", r#", "accumulate": 2"#, r#", "clip": { "value": 50 }"#] {
            let json = format!(r#"{{ "low": {{ "optimizer": {{ "lr": {lr:e} }}{more} }} }}"#);
            let mut engine = steep_at(&[1.0, 1.0], &[100.0, 0.0], dtype, &json).unwrap();
            let error = engine.run(1).unwrap_err();
            let EngineError::NonFiniteStep { level, step: 1, what, value, rate: Some(rate), .. } = &error else {
                panic!("{dtype:?}{more}: {error}")
            };
            assert_eq!((level.as_str(), what.as_str(), *value, *rate), ("low", "`low.x`", f64::NEG_INFINITY, lr));
            assert_eq!(values(&engine.problem().low), [0.5, -0.25]);
            assert_eq!(values(&engine.problem().high), [1.0, 1.0]);
            // The same again, as if nothing had happened.
            assert!(matches!(engine.run(1), Err(EngineError::NonFiniteStep { step: 1, .. })));
        }
    }
}

#[test]
fn the_level_above_does_not_take_such_a_step_either() {
    let json = r#"{ "high": { "optimizer": { "lr": 1e38 } } }"#;
    let mut engine = steep_at(&[50.0, 0.0], &[0.0, 0.0], DType::F32, json).unwrap();
    let error = engine.run(1).unwrap_err();
    assert!(
        matches!(&error, EngineError::NonFiniteStep { level, what, .. } if level == "high" && what == "`high.x`"),
        "{error}"
    );
    assert_eq!(values(&engine.problem().high), [50.0, 0.0]);
    assert_eq!(engine.iterations(), 0);
}

#[test]
fn a_state_that_would_overflow_is_not_kept() {
    // Adagrad sums the squares of gradients of 1e19 up: 4e38 is more than single precision holds.
    let json = r#"{ "low": { "optimizer": { "name": "adagrad", "lr": 1e-3 } } }"#;
    let mut engine = steep(&[1e19, 0.0], json);
    engine.run(3).unwrap();
    let before = values(&engine.problem().low);
    let error = engine.run(1).unwrap_err();
    let EngineError::NonFiniteStep { step: 4, what, .. } = &error else { panic!("{error}") };
    assert_eq!(what, "state 0 of `adagrad` for `low.x`");
    assert_eq!(values(&engine.problem().low), before);
}

#[test]
fn what_was_infinite_before_the_step_may_stay_so() {
    fn masked(low: &Point, high: &Point, _slopes: Slopes) -> Tensor<1> {
        (relu(low.x.val()) - high.x.val()).square().sum()
    }
    multilevel! {
        struct Masked;

        level high: Point { lower: [low], batch: (), loss: reads_first, optimizer: sgd(lr = 0.1) }
        level low: Point {
            upper: [high], batch: Slopes, loss: masked, optimizer: sgd(lr = 0.25), hypergradient: identity(scale = 1.0),
        }
    }
    fn reads_first(high: &Point, low: &Point, _batch: ()) -> Tensor<1> {
        low.x.val().slice(0..1) + high.x.val().square().sum() * 0.5
    }
    let problem = Masked { high: point(&[1.0, 1.0], DType::F64), low: point(&[0.5, f64::NEG_INFINITY], DType::F64) };
    let data = MaskedData {
        high: Stream::constant(()),
        low: Stream::constant(Slopes { of: tensor(&[0.0, 0.0], DType::F64) }),
    };
    let mut engine = Engine::new(problem, data, MaskedConfig::default()).unwrap();
    engine.run(1).unwrap();
    // θ ← θ − ¼·2(θ − 1)
    assert_eq!(values(&engine.problem().low), [0.75, f64::NEG_INFINITY]);
}

/// Reads the first entry of what the steps led to.
fn reads_first(_meta: &Point, task: &Point, _batch: ()) -> Tensor<1> {
    task.x.val().slice(0..1)
}

fn fall(task: &Point, slopes: Slopes) -> Tensor<1> {
    (task.x.val() * slopes.of).sum()
}

multilevel! {
    struct Together;

    level meta: Point { lower: [task], batch: (), loss: reads_first, optimizer: sgd(lr = 0.1), tasks: 2, vectorize: true }
    level task: Point {
        start: from(meta), batch: Slopes, loss: fall, optimizer: sgd(lr = 1e38), hypergradient: unrolled,
    }
}

#[test]
fn tasks_that_are_computed_together_do_not_end_there_either() {
    let problem = Together { meta: point(&[0.5, 0.5], DType::F32), task: point(&[0.0, 0.0], DType::F32) };
    let data = TogetherData {
        meta: Stream::constant(()),
        task: Stream::constant(Slopes { of: tensor(&[0.0, 10.0], DType::F32) }),
    };
    let mut engine = Engine::new(problem, data, TogetherConfig::default()).unwrap();
    let error = engine.run(1).unwrap_err();
    assert!(matches!(&error, EngineError::NonFiniteStep { level, .. } if level == "task"), "{error}");
    assert_eq!(values(&engine.problem().task), [0.0, 0.0]);
    assert_eq!(values(&engine.problem().meta), [0.5, 0.5]);
}

#[test]
fn a_rate_of_a_schedule_that_is_infinite_moves_nothing() {
    let scheduler = burn::lr_scheduler::constant::ConstantLr::new(1e39);
    let mut engine = steep(&[1.0, 0.0], "{}").scheduler("low", scheduler).unwrap();
    let error = engine.run(1).unwrap_err();
    assert!(matches!(&error, EngineError::NonFiniteStep { rate: Some(1e39), .. }), "{error}");
    assert_eq!(values(&engine.problem().low), [0.5, -0.25]);
}

multilevel! {
    struct Learning;

    level high: Point { lower: [low], batch: (), loss: above, optimizer: sgd(lr = 0.1) }
    level low: Point {
        upper: [high], batch: Slopes, loss: below, optimizer: sgd(lr = exp(high.x)), hypergradient: unrolled,
    }
}

#[test]
fn so_is_a_number_that_another_level_learns() {
    let engine = |log: f64, dtype: DType| {
        let problem = Learning { high: point(&[log], dtype), low: point(&[0.5], dtype) };
        let data =
            LearningData { high: Stream::constant(()), low: Stream::constant(Slopes { of: tensor(&[1.0], dtype) }) };
        Engine::new(problem, data, LearningConfig::default())
    };
    for log in [100.0, -200.0] {
        let error = engine(log, DType::F32).err().unwrap();
        assert!(
            matches!(&error, EngineError::Learned(LearnedError::OutOfRange { place, .. }) if place == "low.optimizer.lr"),
            "{error}"
        );
        assert!(engine(log, DType::F64).is_ok());
    }
    assert!(engine(-2.0, DType::F32).is_ok());
}

#[test]
fn a_step_reads_the_device_once() {
    // The level above reads its loss before it solves, and its whole gradient's norm afterwards, which the host knows at once
    // where tensors are in its memory; those of 16 bits are treated like those of any other device.
    for (dtype, expected) in [(DType::F32, 2), (DType::F64, 2), (DType::F16, 3), (DType::BF16, 3)] {
        let mut engine = steep_at(&[1.0, 1.0], &[1.0, 0.0], dtype, "{}").unwrap();
        engine.run(1).unwrap();
        let before = reads();
        engine.run(4).unwrap();
        assert_eq!(reads() - before, 4 * expected, "{dtype:?}");
    }
}

#[test]
fn no_checkpoint_that_is_not_finite_replaces_one_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let mut engine = steep(&[1.0, 0.0], "{}").save_every(1, &file);
    engine.run(2).unwrap();
    let good = fs::read(&file).unwrap();
    engine.edit(|problem| problem.low.x = Param::from_tensor(tensor(&[f64::NAN, 0.0], DType::F32))).unwrap();
    let poisoned = engine.checkpoint().unwrap();
    let error = poisoned.save(&file).unwrap_err();
    assert!(matches!(&error, CheckpointError::NotFinite { tensor, .. } if tensor == "low.x"), "{error}");
    assert!(matches!(engine.run(1), Err(EngineError::NonFinite { .. })));
    assert_eq!(fs::read(&file).unwrap(), good);
    // Where there is none, and where there is one like it, nothing is lost.
    let other = folder.path().join("other.safetensors");
    poisoned.save(&other).unwrap();
    poisoned.save(&other).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn numbers_that_the_float_type_does_not_hold_are_refused() {
    let cases = [
        (DType::F32, "low.optimizer.lr", r#"{ "low": { "optimizer": { "lr": 1e39 } } }"#),
        (DType::F32, "low.optimizer.lr", r#"{ "low": { "optimizer": { "lr": 1e-46 } } }"#),
        (DType::F32, "low.optimizer.weight_decay", r#"{ "low": { "optimizer": { "weight_decay": 1e39 } } }"#),
        (
            DType::F32,
            "high.optimizer.epsilon",
            r#"{ "high": { "optimizer": { "name": "adam", "lr": 1, "epsilon": 1e-46 } } }"#,
        ),
        // ε·√(1 − β₂) is what the first step adds.
        (
            DType::F32,
            "high.optimizer.epsilon",
            r#"{ "high": { "optimizer": { "name": "adamw", "lr": 1, "epsilon": 1e-44 } } }"#,
        ),
        (
            DType::F32,
            "low.optimizer.epsilon",
            r#"{ "low": { "optimizer": { "name": "rmsprop", "lr": 1, "epsilon": 1e-46 } } }"#,
        ),
        (DType::F32, "low.clip.norm", r#"{ "low": { "clip": { "norm": 1e39 } } }"#),
        // Norms are compared by their squares.
        (DType::F32, "low.clip.norm", r#"{ "low": { "clip": { "norm": 1e20 } } }"#),
        (DType::F32, "low.clip.value", r#"{ "low": { "clip": { "value": 1e-46 } } }"#),
        (DType::F32, "high.project.low", r#"{ "high": { "project": { "name": "at_least", "low": 1e39 } } }"#),
        (DType::F32, "high.project.radius", r#"{ "high": { "project": { "name": "norm_ball", "radius": 1e-30 } } }"#),
        (DType::F16, "high.project.low", r#"{ "high": { "project": { "name": "at_least", "low": 1e5 } } }"#),
        (
            DType::F32,
            "low.hypergradient.damping",
            r#"{ "low": { "hypergradient": { "method": "cg", "damping": 1e39 } } }"#,
        ),
        (
            DType::F16,
            "low.hypergradient.damping",
            r#"{ "low": { "hypergradient": { "method": "minres", "damping": 1e5 } } }"#,
        ),
        (
            DType::BF16,
            "low.hypergradient.damping",
            r#"{ "low": { "hypergradient": { "method": "cg", "damping": 1e39 } } }"#,
        ),
        (
            DType::F32,
            "low.hypergradient.step_size",
            r#"{ "low": { "hypergradient": { "method": "neumann", "step_size": 1e-46 } } }"#,
        ),
        (
            DType::F32,
            "low.hypergradient.perturbation",
            r#"{ "low": { "hypergradient": { "method": "finite_difference", "perturbation": 1e-46 } } }"#,
        ),
        (
            DType::F16,
            "low.hypergradient.perturbation",
            r#"{ "low": { "hypergradient": { "method": "sama", "perturbation": 1e-9 } } }"#,
        ),
        (DType::F32, "low.hypergradient.scale", r#"{ "low": { "hypergradient": { "scale": 1e39 } } }"#),
        (
            DType::F32,
            "low.hypergradient.multiplier",
            r#"{ "low": { "hypergradient": { "method": "penalty", "multiplier": 1e39 } } }"#,
        ),
    ];
    for (dtype, place, json) in cases {
        let error = steep_at(&[1.0, 1.0], &[1.0, 0.0], dtype, json).err().unwrap_or_else(|| panic!("{json}"));
        let EngineError::Config(ConfigError::Rounded { path, dtype: named, .. }) = &error else {
            panic!("{json}: {error}")
        };
        let expected = if dtype == DType::F16 && !place.contains("optimizer") { "f16" } else { named.as_str() };
        assert_eq!((path.as_str(), named.as_str()), (place, expected), "{error}");
        assert!(error.to_string().contains(named.as_str()), "{error}");
        // Double precision holds all of them.
        assert!(steep_at(&[1.0, 1.0], &[1.0, 0.0], DType::F64, json).is_ok(), "{json}");
    }
    // Products of 16 bits leave the numbers of a level in its parameters' type.
    let json = r#"{ "low": { "precision": "f16", "hypergradient": { "method": "cg", "damping": 1e5 } } }"#;
    assert!(steep_at(&[1.0, 1.0], &[1.0, 0.0], DType::F32, json).is_ok());
    // A tolerance stays on the host, and steps of 16 bits are computed in 32.
    for json in [
        r#"{ "low": { "hypergradient": { "method": "cg", "tolerance": 1e-60 } } }"#,
        r#"{ "low": { "optimizer": { "lr": 1e-10 } } }"#,
    ] {
        assert!(steep_at(&[1.0, 1.0], &[1.0, 0.0], DType::F16, json).is_ok(), "{json}");
    }
}

#[test]
fn a_config_that_is_written_by_hand_is_refused_alike() {
    let mut config = SteepConfig::default();
    config.low.clip = Some(betty_runtime::Clip::Norm(1e39));
    let problem = Steep { high: point(&[1.0], DType::F32), low: point(&[1.0], DType::F32) };
    let data =
        SteepData { high: Stream::constant(()), low: Stream::constant(Slopes { of: tensor(&[1.0], DType::F32) }) };
    let error = Engine::new(problem, data, config).err().unwrap();
    let text = "`low.clip.norm` is 1e39, which is inf in f32, the float type that the level computes it in; choose a number \
                that fits, or give the level parameters of a wider type";
    assert_eq!(error.to_string(), text);
}

multilevel! {
    struct Written;

    level high: Point { lower: [low], batch: (), loss: above, optimizer: adam(lr = 0.1, epsilon = 1e-46) }
    level low: Point {
        upper: [high], batch: Slopes, loss: below, optimizer: sgd(lr = 0.1), hypergradient: identity(scale = 1.0),
    }
}

#[test]
fn so_is_a_number_in_the_program() {
    let problem = Written { high: point(&[1.0], DType::F32), low: point(&[1.0], DType::F32) };
    let data =
        WrittenData { high: Stream::constant(()), low: Stream::constant(Slopes { of: tensor(&[1.0], DType::F32) }) };
    let error = Engine::new(problem, data, WrittenConfig::default()).err().unwrap();
    assert!(error.to_string().starts_with("`high.optimizer.epsilon` is 1e-46, which is 0 in f32"), "{error}");
}

#[test]
fn a_parameter_that_is_not_finite_from_the_start_is_named() {
    let problem = Steep { high: point(&[f64::INFINITY, 1.0], DType::F32), low: point(&[1.0, 1.0], DType::F32) };
    let data =
        SteepData { high: Stream::constant(()), low: Stream::constant(Slopes { of: tensor(&[1.0, 1.0], DType::F32) }) };
    let error = Engine::new(problem, data, SteepConfig::default()).unwrap().run(1).unwrap_err();
    assert!(error.to_string().contains("`high.x` has such an entry"), "{error}");
}

fn weigh(low: &Point, high: &Point, slopes: Slopes) -> Tensor<1> {
    (low.x.val() * slopes.of.clone()).sum() + (high.x.val() * slopes.of * low.x.val()).sum()
}

fn read_little(high: &Point, low: &Point, _batch: ()) -> Tensor<1> {
    low.x.val().slice(0..1) * 1e-38 + high.x.val().square().sum()
}

multilevel! {
    struct Huge;

    level high: Point { lower: [low], batch: (), loss: read_little, optimizer: sgd(lr = 0.25) }
    level low: Point {
        upper: [high], batch: Slopes, loss: weigh, optimizer: sgd(lr = 0.1), hypergradient: identity(scale = 1.0),
    }
}

#[test]
fn large_numbers_whose_sum_overflows_are_finite() {
    for (dtype, large) in [(DType::F32, 3e38), (DType::BF16, f64::from_bits(0x47ec_0000_0000_0000))] {
        let problem = Huge { high: point(&[1.0, 1.0], dtype), low: point(&[large, large], dtype) };
        let slopes = Slopes { of: tensor(&[0.0, 0.0], dtype) };
        let data = HugeData { high: Stream::constant(()), low: Stream::constant(slopes) };
        let mut engine = Engine::new(problem, data, HugeConfig::default()).unwrap();
        let before = values(&engine.problem().low);
        engine.run(3).unwrap();
        assert_eq!(values(&engine.problem().low), before, "{dtype:?}");
        assert_eq!(values(&engine.problem().high), [0.125, 0.125], "{dtype:?}");
    }
}
