//! Steps that would end in infinities or NaN, numbers that a float type does not hold, and devices without memory.

use std::fs;

use betty_runtime::execute::{Vector, reads};
use betty_runtime::hypergradient::{HypergradientError, Solved, System};
use betty_runtime::{
    Batch, CheckpointError, ConfigError, Engine, EngineError, HypergradientMethod, LevelModule, ProgramConfig, Stream,
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
fn below(low: &Point, high: &Point, slopes: Slopes) -> Tensor<1> {
    let x = low.x.val();
    (x.clone() * slopes.of).sum() + (x.clone() * high.x.val()).sum() + x.square().sum() * 0.5
}

fn above(high: &Point, low: &Point, _batch: ()) -> Tensor<1> {
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
            assert_eq!((level.as_str(), what.as_str(), *value, *rate), ("low", "low.x", f64::NEG_INFINITY, lr));
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
        matches!(&error, EngineError::NonFiniteStep { level, what, .. } if level == "high" && what == "high.x"),
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
    assert_eq!(what, "state 0 of `adagrad` for low.x");
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

/// A method whose device has no memory left, or is broken, when a batch says so.
#[derive(Debug)]
struct Exhausted;

impl HypergradientMethod for Exhausted {
    fn name(&self) -> &'static str {
        "exhausted"
    }

    fn solve(&self, _: &mut System<'_>, v: &Vector, _: Option<Vector>) -> Result<Solved, HypergradientError> {
        match v.to_vec()?[0] {
            2.0 => panic!("out of device memory allocating 4096 bytes"),
            3.0 => panic!("the cable came off"),
            _ => Ok(Solved { x: v.clone(), residual: None }),
        }
    }
}

fn scaled(_high: &Point, low: &Point, slopes: Slopes) -> Tensor<1> {
    (low.x.val() * slopes.of).sum()
}

multilevel! {
    struct OnSmallDevice;

    level high: Point { lower: [low], batch: Slopes, loss: scaled, optimizer: sgd(lr = 0.5) }
    level low: Point {
        upper: [high], batch: Slopes, loss: below, optimizer: sgd(lr = 0.25), hypergradient: custom(Exhausted),
    }
}

#[test]
fn a_device_without_memory_leaves_the_state_as_it_was() {
    let slopes = |first: f64| Slopes { of: tensor(&[first, 0.0], DType::F32) };
    let run = |batches: &[f64]| {
        let problem = OnSmallDevice { high: point(&[1.0, 1.0], DType::F32), low: point(&[0.5, 0.5], DType::F32) };
        let batches: Vec<_> = batches.iter().map(|&first| Ok::<_, std::io::Error>(slopes(first))).collect();
        let data = OnSmallDeviceData { high: Stream::batches(batches), low: Stream::constant(slopes(1.0)) };
        Engine::new(problem, data, OnSmallDeviceConfig::default()).unwrap()
    };
    let mut failing = run(&[1.0, 2.0, 3.0, 1.0]);
    failing.run(1).unwrap();
    let error = failing.run(1).unwrap_err();
    let EngineError::OutOfMemory { level, planned, .. } = &error else { panic!("{error}") };
    assert!(level == "high" && *planned > 0, "{error}");
    assert!(error.to_string().contains("4096 bytes") && error.to_string().contains("smaller batches"), "{error}");
    let error = failing.run(1).unwrap_err();
    assert!(
        matches!(&error, EngineError::Panicked { level, reason, .. } if level == "high" && reason.contains("cable"))
    );
    failing.run(1).unwrap();
    // The level below had taken its steps before; the level above took two in all.
    let report = failing.checkpoint().unwrap();
    assert_eq!((report.steps("high"), report.steps("low")), (Some(2), Some(2)));
    let mut whole = run(&[1.0, 1.0]);
    whole.run(2).unwrap();
    assert_eq!(values(&failing.problem().low), values(&whole.problem().low));
    assert_eq!(values(&failing.problem().high), values(&whole.problem().high));
}

/// Where a number that is not finite came from, of a loss below on these slopes.
fn origin(loss: Loss, slopes: &[f64]) -> (&'static str, String) {
    let problem = Causes { high: point(&[1.0, 1.0], DType::F32), low: point(&[0.5, -0.25], DType::F32) };
    let slopes = Slopes { of: tensor(slopes, DType::F32) };
    let data = CausesData { high: Stream::constant(()), low: Stream::constant((slopes, loss as u32)) };
    let error = Engine::new(problem, data, CausesConfig::default()).unwrap().run(1).unwrap_err();
    match error {
        EngineError::NonFinite { quantity, origin, .. } => (quantity, origin.expect("an origin")),
        error => panic!("{error}"),
    }
}

#[derive(Clone, Copy)]
enum Loss {
    Log,
    Root,
    Overflow,
    Plain,
    MaskedRow,
}

fn caused(low: &Point, high: &Point, (slopes, loss): (Slopes, u32)) -> Tensor<1> {
    let z = low.x.val() * high.x.val();
    if loss == Loss::Log as u32 {
        (z + slopes.of).log().sum()
    } else if loss == Loss::Root as u32 {
        ((z * 0.0) + slopes.of).sqrt().sum()
    } else if loss == Loss::Overflow as u32 {
        let large = (z + slopes.of).exp();
        (large.clone() / large).sum()
    } else if loss == Loss::MaskedRow as u32 {
        let hidden = z.clone().ones_like().greater_elem(0.5);
        burn::tensor::activation::log_softmax((z * slopes.of).mask_fill(hidden, f32::NEG_INFINITY), 0).sum()
    } else {
        (z * slopes.of).sum()
    }
}

multilevel! {
    struct Causes;

    level high: Point { lower: [low], batch: (), loss: above, optimizer: sgd(lr = 0.1) }
    level low: Point {
        upper: [high], batch: (Slopes, u32), loss: caused, optimizer: sgd(lr = 0.1), hypergradient: identity(scale = 1.0),
    }
}

#[test]
fn the_first_operation_that_makes_it_is_named() {
    let (quantity, text) = origin(Loss::Log, &[-1.0, 1.0]);
    assert!(quantity == "loss" && text.starts_with("`log` (f32[2]) made it of numbers from -5e-1 to 7.5e-1"), "{text}");
    // The loss is finite, its derivative at 0 is not.
    let (quantity, text) = origin(Loss::Root, &[0.0, 1.0]);
    assert!(quantity == "gradient" && text.contains("made it of"), "{quantity}: {text}");
    // ∞/∞ is what the overflow led to.
    let (_, text) = origin(Loss::Overflow, &[100.0, 0.0]);
    assert!(text.starts_with("`exp`"), "{text}");
    // The mask is meant, a softmax of nothing is not.
    let (_, text) = origin(Loss::MaskedRow, &[1.0, 1.0]);
    assert!(text.contains("softmax") || text.starts_with("`sub`"), "{text}");
    let (quantity, text) = origin(Loss::Plain, &[f64::NAN, 1.0]);
    assert!(quantity == "loss" && text.starts_with("tensor 0 of its batch"), "{text}");
}

#[test]
fn a_parameter_that_is_not_finite_from_the_start_is_named() {
    let problem = Steep { high: point(&[f64::INFINITY, 1.0], DType::F32), low: point(&[1.0, 1.0], DType::F32) };
    let data =
        SteepData { high: Stream::constant(()), low: Stream::constant(Slopes { of: tensor(&[1.0, 1.0], DType::F32) }) };
    let error = Engine::new(problem, data, SteepConfig::default()).unwrap().run(1).unwrap_err();
    assert!(error.to_string().contains("`high.x` has such an entry"), "{error}");
}
