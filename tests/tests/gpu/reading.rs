//! What is read from the device: as many numbers as `explain` says.

use betty_runtime::execute::{launched, reads};
use betty_runtime::{Engine, EngineError, ProgramConfig, Stream, multilevel};
use betty_tests::devices::other;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

type Numbers = Param<Tensor<1>>;

#[derive(Module, Debug)]
struct Parts {
    parts: Vec<Numbers>,
}

/// A quadratic with a spread of eigenvalues, so that no solver is done early.
fn below(low: &Parts, high: &Numbers, _batch: ()) -> Tensor<1> {
    let terms = low.parts.iter().enumerate().map(|(k, x)| {
        let x = x.val();
        (x.clone() * high.val()).sum() + x.square().sum() * (0.25 + 0.125 * k as f64)
    });
    terms.reduce(|sum, term| sum + term).expect("there are parts")
}

fn above(high: &Numbers, low: &Parts, _batch: ()) -> Tensor<1> {
    let terms = low.parts.iter().enumerate().map(|(k, x)| x.val().sum() * (1.0 + k as f64));
    terms.reduce(|sum, term| sum + term).expect("there are parts") + high.val().square().sum() * 0.5
}

multilevel! {
    struct Divided;
    level high: Numbers { lower: [low], batch: (), loss: above, optimizer: sgd(lr = 0.1) }
    level low: Parts { upper: [high], batch: (), loss: below, optimizer: sgd(lr = 0.1), hypergradient: cg(iterations = 3) }
}

fn engine(method: &str) -> Engine<Divided> {
    let device = other();
    let number = |x: [f32; 2]| Param::from_tensor(Tensor::from_floats(x, &device));
    let low = Parts { parts: (0..12).map(|_| number([0.5, -0.25])).collect() };
    let problem = Divided { high: number([1.0, 0.5]), low };
    let data = DividedData { high: Stream::constant(()), low: Stream::constant(()) };
    let json = format!(r#"{{"low": {{"hypergradient": {method}}}}}"#);
    Engine::new(problem, data, DividedConfig::from_json(&json).unwrap()).unwrap()
}

#[test]
fn a_question_reads_what_explain_says() {
    for method in [
        r#"{"method": "cg", "iterations": 3, "tolerance": 0.0}"#,
        r#"{"method": "minres", "iterations": 3, "tolerance": 0.0}"#,
        r#"{"method": "neumann", "terms": 4, "step_size": 0.1}"#,
        r#"{"method": "finite_difference", "perturbation": 0.1}"#,
        r#"{"method": "identity", "scale": 1.0}"#,
        r#"{"method": "nystrom", "rank": 2, "damping": 1.0}"#,
        r#"{"method": "penalty"}"#,
        r#"{"method": "dense"}"#,
        r#"{"method": "sama", "perturbation": 0.1}"#,
        r#"{"method": "unrolled"}"#,
        r#"{"method": "forward"}"#,
        r#"{"method": "forward_gradient", "directions": 20}"#,
        r#"{"method": "evolution", "pairs": 5, "sigma": 0.1}"#,
    ] {
        let mut engine = engine(method);
        engine.run(1).unwrap();
        let explained = engine.explain().unwrap();
        let (read, run) = (reads(), launched().kernels);
        engine.gradient("high").unwrap();
        let counted = reads() - read;
        println!("{method}: {counted} reads, {} kernels", launched().kernels - run);
        assert_eq!(counted, explained.levels[0].reads, "{method}");
    }
}

#[test]
fn an_iteration_reads_the_device_three_times() {
    let mut engine = engine(r#"{"method": "identity", "scale": 1.0}"#);
    engine.run(1).unwrap();
    let before = reads();
    engine.run(4).unwrap();
    // The level below reads once, and the level above its loss before it solves and its whole gradient's norm afterwards.
    assert_eq!(reads() - before, 4 * 3);
}

#[test]
fn steps_that_are_read_later_are_read_together() {
    for (method, solves) in [
        (r#"{"method": "identity", "scale": 1.0}"#, 0),
        (r#"{"method": "cg", "iterations": 3, "tolerance": 0.0}"#, 1),
        (r#"{"method": "neumann", "terms": 4, "step_size": 0.1}"#, 1),
    ] {
        let mut watched = engine(method);
        let mut late = engine(method).read_every(16);
        let start = reads();
        watched.run(1).unwrap();
        late.run(1).unwrap();
        let before = reads();
        watched.run(32).unwrap();
        let between = reads();
        late.run(32).unwrap();
        println!("{method}: {} reads at first, then {} and {}", before - start, between - before, reads() - between);
        assert_eq!((between - before, reads() - between), (32 * (3 + solves), 32 * solves + 2), "{method}");
        let values = |engine: &mut Engine<Divided>| engine.problem().high.val().into_data();
        assert_eq!(values(&mut late), values(&mut watched), "{method}");
    }
}

/// A batch that is none at the seventh step is read with those of 64.
#[test]
fn what_is_not_finite_is_found_late_and_taken_back() {
    let device = other();
    let number = |x: [f32; 2]| Param::from_tensor(Tensor::<1>::from_floats(x, &device));
    let slopes = |batch: usize| Tensor::<1>::from_floats([if batch == 6 { f32::NAN } else { 1.0 }, 0.5], &device);
    let six = |every: u64| {
        let problem = Steep { high: number([1.0, 0.5]), low: number([0.5, -0.25]) };
        let data = SteepData { high: Stream::constant(()), low: Stream::of((0..8).map(slopes).collect::<Vec<_>>()) };
        let mut engine = Engine::new(problem, data, SteepConfig::default()).unwrap().read_every(every);
        let error = engine.run(8).unwrap_err().to_string();
        assert!(error.contains("step 7"), "{error}");
        (engine.iterations(), engine.problem().low.val().into_data())
    };
    assert_eq!(six(64), six(1));
    assert_eq!(six(64).0, 6);
}

fn steep(low: &Numbers, high: &Numbers, slopes: Tensor<1>) -> Tensor<1> {
    (low.val() * slopes).sum() + (low.val() * high.val()).sum() + low.val().square().sum() * 0.5
}

fn judged(high: &Numbers, low: &Numbers, _batch: ()) -> Tensor<1> {
    low.val().sum() + high.val().square().sum() * 0.5
}

multilevel! {
    struct Steep;
    level high: Numbers { lower: [low], batch: (), loss: judged, optimizer: sgd(lr = 0.1) }
    level low: Numbers {
        upper: [high], batch: Tensor<1>, loss: steep, optimizer: sgd(lr = 0.1), hypergradient: identity(scale = 1.0),
    }
}

#[test]
fn a_loss_that_is_not_finite_is_an_error() {
    let device = other();
    let huge = |x: f32| Param::from_tensor(Tensor::<1>::from_floats([x, 1.0], &device));
    for start in [f32::NAN, 3e38, f32::INFINITY] {
        let problem = Divided { high: huge(1.0), low: Parts { parts: vec![huge(start)] } };
        let data = DividedData { high: Stream::constant(()), low: Stream::constant(()) };
        let mut engine = Engine::new(problem, data, DividedConfig::default()).unwrap().allow_unverified(true);
        let error = engine.run(1).unwrap_err();
        assert!(matches!(error, EngineError::NonFinite { .. } | EngineError::NonFiniteStep { .. }), "{start}: {error}");
    }
}
