//! What a step that failed leaves behind: nothing that questions or later steps could see.

use std::fs;
use std::io;

use betty_runtime::{Checkpoint, Engine, EngineError, Multilevel, ProgramConfig, Stream, StreamPosition, multilevel};
use burn::module::Param;
use burn::tensor::{Device, Tensor};

type Point = Param<Tensor<1>>;

fn below(x: &Point, y: &Point, batch: Tensor<1>) -> Tensor<1> {
    (x.val().square() * batch).sum() - (x.val() * y.val()).sum()
}

/// The first number scales what is asked of `x`; the second one is part of the loss and of no gradient.
fn above(y: &Point, x: &Point, batch: Tensor<1>) -> Tensor<1> {
    (x.val() - 1.0).square().sum() * batch.clone().slice(0..1) + y.val().square().sum() * 0.1 + batch.slice(1..2)
}

multilevel! {
    struct Pair;
    level y: Point { lower: [x], batch: Tensor<1>, loss: above, optimizer: sgd(lr = 0.1) }
    level x: Point {
        upper: [y], batch: Tensor<1>, loss: below, optimizer: sgd(lr = 0.05, momentum = 0.5), unroll: 3,
        hypergradient: cg(iterations = 1, batch = last, warm_start = true),
    }
}

fn follow(low: &Point, top: &Point, batch: Tensor<1>) -> Tensor<1> {
    let near = (low.val() - top.val()).square() + low.val().square() * top.val().square() * 0.1;
    (near * batch).sum()
}

fn judge(top: &Point, low: &Point, mid: &Point, _batch: ()) -> Tensor<1> {
    (mid.val() * low.val() - 1.0).square().sum() + top.val().square().sum() * 0.1
}

multilevel! {
    /// The tangents of `mid` follow the steps of `low`.
    struct Beside;
    level top: Point { lower: [low, mid], batch: (), loss: judge, optimizer: sgd(lr = 0.1) }
    level low: Point {
        upper: [top], batch: Tensor<1>, loss: follow, optimizer: sgd(lr = 0.05), unroll: 2, hypergradient: unrolled,
    }
    level mid: Point {
        upper: [top], batch: Tensor<1>, loss: follow, optimizer: sgd(lr = 0.05), unroll: 3, hypergradient: forward,
    }
}

fn point(values: [f32; 3]) -> Point {
    Param::from_tensor(Tensor::from_floats(values, &Device::flex()))
}

fn numbers(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &Device::flex())
}

/// A stream of different batches in which something is wrong with those of these numbers.
#[derive(Clone, Copy)]
enum Wrong {
    Nothing,
    /// It is not finite.
    Spoiled(usize),
    /// It does not come, and so many after it are left out.
    Missing(usize, usize),
    /// It is left out.
    LeftOut(usize),
}

impl Wrong {
    fn stream(self, batch: impl Fn(usize, bool) -> Tensor<1> + 'static) -> Stream<Tensor<1>> {
        let numbers = (0..).filter(move |&number| match self {
            Wrong::Missing(at, skipped) => number <= at || number > at + skipped,
            Wrong::LeftOut(at) => number != at,
            _ => true,
        });
        Stream::batches(numbers.map(move |number| match self {
            Wrong::Missing(at, _) if at == number => Err(io::Error::other("the disk is away")),
            Wrong::Spoiled(at) => Ok(batch(number, at == number)),
            _ => Ok(batch(number, false)),
        }))
    }
}

fn of_x(number: usize, is_spoiled: bool) -> Tensor<1> {
    let scale = 1.0 + (number as f32 * 0.7).sin() * 0.5;
    let first = if is_spoiled { f32::NAN } else { scale };
    numbers(&[first, 2.0 * scale, 4.0 * scale])
}

fn of_y(number: usize, is_spoiled: bool) -> Tensor<1> {
    let scale = if is_spoiled { 100.0 } else { 1.0 + (number as f32).cos() * 0.5 };
    numbers(&[scale, if is_spoiled { f32::INFINITY } else { 0.0 }])
}

fn pair(json: &str, y: Wrong, x: Wrong) -> Engine<Pair> {
    let problem = Pair { y: point([0.3, -0.5, 0.9]), x: point([0.1, 0.2, -0.3]) };
    let data = PairData { y: y.stream(of_y), x: x.stream(of_x) };
    Engine::new(problem, data, PairConfig::from_json(json).unwrap()).unwrap()
}

fn beside(json: &str, low: Wrong) -> Engine<Beside> {
    let problem = Beside { top: point([0.3, -0.5, 0.9]), low: point([0.4, 0.2, 0.1]), mid: point([0.1, 0.2, -0.3]) };
    let data = BesideData { top: ().into(), low: low.stream(of_x), mid: Wrong::Nothing.stream(of_x) };
    Engine::new(problem, data, BesideConfig::from_json(json).unwrap()).unwrap()
}

fn gradient<P: Multilevel>(engine: &mut Engine<P>, level: &str) -> Vec<f64> {
    engine.gradient(level).unwrap_or_else(|error| panic!("{error}")).gradient.to_vec().unwrap()
}

fn parameters(engine: &mut Engine<Pair>) -> Vec<f32> {
    let Pair { y, x } = engine.problem();
    [y, x].into_iter().flat_map(|point| point.val().into_data().iter::<f32>().collect::<Vec<_>>()).collect()
}

fn saved<P: Multilevel>(engine: &Engine<P>) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    engine.checkpoint().unwrap().save(file.path()).unwrap();
    fs::read(file.path()).unwrap()
}

#[test]
fn the_last_batch_is_that_of_the_last_step_that_was_taken() {
    // The second step of the third round.
    let mut spoiled = pair("{}", Wrong::Nothing, Wrong::Spoiled(7));
    let mut missing = pair("{}", Wrong::Nothing, Wrong::Missing(7, 0));
    let error = spoiled.run(5).unwrap_err();
    assert!(matches!(&error, EngineError::NonFinite { level, step: 8, .. } if level == "x"), "{error}");
    assert!(matches!(missing.run(5).unwrap_err(), EngineError::Data { .. }));
    let expected = gradient(&mut missing, "y");
    assert_eq!(gradient(&mut spoiled, "y"), expected);
    // A run that goes on from a checkpoint knows it as well.
    let file = tempfile::NamedTempFile::new().unwrap();
    spoiled.checkpoint().unwrap().save(file.path()).unwrap();
    let mut resumed = pair("{}", Wrong::Nothing, Wrong::Spoiled(7));
    resumed.resume(&Checkpoint::open(file.path()).unwrap(), StreamPosition::Start).unwrap();
    assert_eq!(gradient(&mut resumed, "y"), expected);
}

#[test]
fn solves_start_from_the_solution_of_the_last_step_that_was_taken() {
    // (Config, spoiled batch of the level above, which of its batches did not come, and how many more the failed step has used.)
    for (json, spoiled, missing, skipped) in
        [("{}", 2, 2, 0), (r#"{ "y": { "accumulate": 2 } }"#, 5, 4, 1), (r#"{ "y": { "accumulate": 2 } }"#, 4, 4, 0)]
    {
        let mut failed = pair(json, Wrong::Spoiled(spoiled), Wrong::Nothing);
        let mut never = pair(json, Wrong::Missing(missing, skipped), Wrong::Nothing);
        let error = failed.run(5).unwrap_err();
        assert!(matches!(&error, EngineError::NonFinite { level, .. } if level == "y"), "{error}");
        assert!(matches!(never.run(5).unwrap_err(), EngineError::Data { .. }));
        assert_eq!(gradient(&mut failed, "y"), gradient(&mut never, "y"), "{json}");
    }
}

#[test]
fn the_steps_of_the_round_before_are_still_there() {
    for method in [
        r#""unrolled""#,
        r#""forward""#,
        r#""forward_gradient", "directions": 2"#,
        r#""evolution", "pairs": 2, "sigma": 0.01"#,
    ] {
        let json = format!(r#"{{ "x": {{ "hypergradient": {{ "method": {method} }} }} }}"#);
        let mut whole = pair(&json, Wrong::Nothing, Wrong::Nothing);
        whole.run(2).unwrap();
        let expected = gradient(&mut whole, "y");
        // The first batch of the third round does not come, or is none.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.safetensors");
        let mut missing = pair(&json, Wrong::Nothing, Wrong::Missing(6, 0)).save_every(100, &file);
        assert!(matches!(missing.run(5).unwrap_err(), EngineError::Data { .. }));
        assert_eq!(gradient(&mut missing, "y"), expected, "{method}");
        assert!(fs::read(&file).unwrap() == saved(&whole), "{method}");
        let mut spoiled = pair(&json, Wrong::Nothing, Wrong::Spoiled(6));
        assert!(matches!(spoiled.run(5).unwrap_err(), EngineError::NonFinite { .. }));
        assert_eq!(gradient(&mut spoiled, "y"), expected, "{method}");
        // It goes on as if nothing had happened, and nobody had asked.
        let mut unasked = pair(&json, Wrong::Nothing, Wrong::Missing(6, 0));
        assert!(unasked.run(5).is_err());
        for engine in [&mut missing, &mut unasked] {
            engine.run(2).unwrap();
        }
        let mut left_out = pair(&json, Wrong::Nothing, Wrong::LeftOut(6));
        left_out.run(4).unwrap();
        for engine in [&mut missing, &mut unasked] {
            assert!(parameters(engine) == parameters(&mut left_out), "{method}");
        }
    }
}

#[test]
fn tangents_that_follow_other_steps_are_still_there() {
    for json in ["{}", r#"{ "low": { "start": "initial" } }"#, r#"{ "top": { "rounds": 2 } }"#] {
        let mut whole = beside(json, Wrong::Nothing);
        whole.run(2).unwrap();
        let expected = gradient(&mut whole, "top");
        // The first batch of `low` in the third iteration.
        let missing = if json.contains("rounds") { 8 } else { 4 };
        let mut cut = beside(json, Wrong::Missing(missing, 0));
        assert!(matches!(cut.run(5).unwrap_err(), EngineError::Data { .. }));
        assert_eq!(gradient(&mut cut, "top"), expected, "{json}");
        // Nobody sees later that it was asked.
        let mut unasked = beside(json, Wrong::Missing(missing, 0));
        assert!(unasked.run(5).is_err());
        let mut left_out = beside(json, Wrong::LeftOut(missing));
        left_out.run(4).unwrap();
        for engine in [&mut cut, &mut unasked] {
            engine.run(2).unwrap();
            assert_eq!(gradient(engine, "top"), gradient(&mut left_out, "top"), "{json}");
        }
    }
}
