//! Batches that are computed from the program: of its current parameters, and resumed bit for bit.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fs;
use std::io;
use std::rc::Rc;

use betty_runtime::nn::{BatchNorm, BatchNormConfig};
use betty_runtime::{
    BatchStream, Engine, EngineError, LevelModule, Number, ProgramConfig, Stream, StreamError, StreamPosition,
    multilevel,
};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::problem::{
    Cleaning, CleaningConfig, CleaningData, Examples, TRAIN, data, examples, first_weight, logits, losses, problem,
    seeded,
};

type Point = Param<Tensor<1>>;

fn double(x: f64) -> Tensor<1> {
    Tensor::from_data(TensorData::new(vec![x], [1]), (&Device::flex(), DType::F64))
}

fn value(point: &Point) -> f64 {
    point.val().into_data().iter::<f64>().next().unwrap()
}

/// `½ (θ − b − λ)²`
fn below(theta: &Point, lambda: &Point, b: Tensor<1>) -> Tensor<1> {
    (theta.val() - b - lambda.val()).square() * 0.5
}

/// `½ (λ − c)² + θ`, with total derivative `λ − c + 1`
fn above(lambda: &Point, theta: &Point, c: Tensor<1>) -> Tensor<1> {
    (lambda.val() - c).square() * 0.5 + theta.val()
}

multilevel! {
    struct Moving;

    level lambda: Point { lower: [theta], batch: Tensor<1>, loss: above, optimizer: sgd(lr = 0.2) }
    level theta: Point {
        upper: [lambda], batch: Tensor<1>, loss: below, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: dense(damping = 0.0),
    }
}

#[test]
fn each_batch_is_made_of_the_parameters_as_they_are() {
    let at = |x: f64| Param::from_tensor(double(x));
    let data = MovingData {
        lambda: Stream::of_program(|program: &Moving, number| {
            Ok::<_, Infallible>(double(value(&program.theta).sin() + number as f64))
        }),
        theta: Stream::of_program(|program: &Moving, number| {
            Ok::<_, Infallible>(double((value(&program.theta) + value(&program.lambda)).cos() - 0.1 * number as f64))
        }),
    };
    let mut engine = Engine::new(Moving { lambda: at(0.5), theta: at(-1.0) }, data, MovingConfig::default()).unwrap();
    engine.run(6).unwrap();
    // The same by hand.
    let (mut lambda, mut theta) = (0.5_f64, -1.0_f64);
    for step in 0..6 {
        for inner in 0..2 {
            let b = (theta + lambda).cos() - 0.1 * f64::from(2 * step + inner);
            theta -= 0.1 * (theta - b - lambda);
        }
        let c = theta.sin() + f64::from(step);
        lambda -= 0.2 * (lambda - c + 1.0);
    }
    let Moving { lambda: found, theta: other } = engine.problem();
    assert!((value(found) - lambda).abs() < 1e-13, "{} {lambda}", value(found));
    assert!((value(other) - theta).abs() < 1e-13, "{} {theta}", value(other));
}

/// A network with running statistics, and a scale.
#[derive(Module, Debug)]
struct Normed {
    linear: Linear,
    norm: BatchNorm,
}

fn fit(normed: &Normed, scale: &Point, x: Tensor<2>) -> Tensor<1> {
    let answer = normed.norm.forward(normed.linear.forward(x.clone()));
    (answer - x * scale.val().reshape([1, 4])).square().mean()
}

fn judge(_scale: &Point, normed: &Normed, x: Tensor<2>) -> Tensor<1> {
    normed.norm.forward(normed.linear.forward(x)).square().mean()
}

multilevel! {
    struct Scaled;

    level scale: Point { lower: [normed], batch: Tensor<2>, loss: judge, optimizer: sgd(lr = 0.5) }
    level normed: Normed {
        upper: [scale], batch: Tensor<2>, loss: fit, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: cg(iterations = 3, damping = 10.0),
    }
}

fn inputs(number: u64) -> Tensor<2> {
    let values: Vec<f32> = (0..32).map(|i| ((i as f32) * 0.7 + number as f32).sin()).collect();
    Tensor::from_data(TensorData::new(values, [8, 4]), &Device::flex())
}

fn scaled(data: ScaledData, json: &str) -> Vec<f64> {
    let device = Device::flex();
    let normed =
        Normed { linear: burn::nn::LinearConfig::new(4, 4).init(&device), norm: BatchNormConfig::new(4).init(&device) };
    let start = Scaled { scale: Param::from_tensor(Tensor::ones([4], &device)), normed };
    let start = Scaled { normed: Normed { linear: seeded(start.normed.linear), ..start.normed }, ..start };
    let mut engine = Engine::new(start, data, ScaledConfig::from_json(json).unwrap()).unwrap();
    engine.run(4).unwrap();
    let Scaled { scale, normed } = engine.into_problem();
    let leaves = normed.leaves().into_iter().chain(scale.leaves());
    leaves.flat_map(|leaf| leaf.value.to_vec().unwrap()).collect()
}

#[test]
fn looking_at_the_program_changes_nothing() {
    // Where statistics stand elsewhere for a moment, steps are undone, and levels start again.
    for json in [
        r#"{ "normed": { "accumulate": 3 }, "scale": { "accumulate": 2 } }"#,
        r#"{ "normed": { "start": "look_ahead", "accumulate": 2 } }"#,
        r#"{ "normed": { "start": "initial", "hypergradient": { "method": "unrolled" } }, "scale": { "tasks": 2 } }"#,
    ] {
        let plain = || Stream::batches((0..).map(|number| Ok::<_, io::Error>(inputs(number))));
        let seen = Rc::new(Cell::new(0.0));
        let looking = |seen: &Rc<Cell<f64>>| {
            let seen = Rc::clone(seen);
            Stream::of_program(move |program: &Scaled, number| {
                seen.set(seen.get() + program.normed.leaves()[0].value.to_f64().unwrap());
                Ok::<_, io::Error>(inputs(number))
            })
        };
        let whole = scaled(ScaledData { scale: plain(), normed: plain() }, json);
        let looked = scaled(ScaledData { scale: looking(&seen), normed: looking(&seen) }, json);
        assert_eq!(whole, looked, "{json}");
        assert!(seen.get() != 0.0);
    }
}

/// The eight examples that the model is worst at, counted as they are made.
fn hard(made: &Rc<Cell<u64>>) -> Stream<Examples> {
    let (all, made) = (examples(TRAIN, 2), Rc::clone(made));
    Stream::of_program(move |program: &Cleaning, number| {
        made.set(made.get() + 1);
        let shifted = Examples { x: all.x.clone() + 0.01 * (number as f32), ..all.clone() };
        let worst: Tensor<1, Int> = losses(&program.model, &shifted).argsort_descending(0).slice(0..8);
        let Examples { x, y, index } = shifted;
        let [x, y, index] = [
            x.select(0, worst.clone()).flatten::<1>(0, 1),
            y.select(0, worst.clone()).float(),
            index.select(0, worst).float(),
        ];
        Ok::<_, Infallible>(Examples { x: x.reshape([8, crate::problem::FEATURES]), y: y.int(), index: index.int() })
    })
}

/// Both levels take program-dependent batches, alone and together with others.
fn combined(made: &Rc<Cell<u64>>) -> CleaningData {
    let plain =
        |first: u64| Stream::epochs(move |_| (first..first + 3).map(|seed| Ok::<_, io::Error>(examples(8, seed))));
    let join = |(a, b): (Examples, Examples)| Examples {
        x: Tensor::cat(vec![a.x, b.x], 0),
        y: Tensor::cat(vec![a.y, b.y], 0),
        index: Tensor::cat(vec![a.index, b.index], 0),
    };
    let numbered = hard(made).zip(plain(30)).numbered(0);
    let model = numbered.map(move |(both, number): (_, Number)| {
        let Examples { x, y, index } = join(both);
        Examples { x: x * (1.0 + 0.01 * number.value().unwrap()), y, index }
    });
    let weights = Stream::mix([(1.0, hard(made)), (1.0, plain(60))], 3).unwrap();
    CleaningData { weights, model }
}

fn fresh(made: &Rc<Cell<u64>>, json: &str) -> Engine<Cleaning> {
    Engine::new(problem(0.3), combined(made), CleaningConfig::from_json(json).unwrap()).unwrap().seed(4)
}

fn saved(engine: &Engine<Cleaning>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    engine.checkpoint().unwrap().save(&file).unwrap();
    fs::read(&file).unwrap()
}

#[test]
fn a_run_on_batches_of_the_program_resumes_bit_for_bit() {
    let damped = r#""hypergradient": { "method": "cg", "iterations": 3, "damping": 3.0 }"#;
    for json in [
        format!(r#"{{ "model": {{ {damped} }} }}"#),
        format!(r#"{{ "model": {{ {damped}, "start": "look_ahead" }} }}"#),
        format!(r#"{{ "model": {{ {damped}, "accumulate": 2 }}, "weights": {{ "accumulate": 2 }} }}"#),
        r#"{ "model": { "hypergradient": { "method": "unrolled" }, "start": "initial" } }"#.into(),
    ] {
        let made = Rc::new(Cell::new(0));
        let mut whole = fresh(&made, &json);
        let mut checkpoints = Vec::new();
        for _ in 0..5 {
            checkpoints.push(whole.checkpoint().unwrap());
            whole.run(1).unwrap();
        }
        let expected = saved(&whole);
        for checkpoint in checkpoints {
            let mut resumed = fresh(&made, &json);
            made.set(0);
            resumed.resume(&checkpoint, StreamPosition::Start).unwrap();
            assert_eq!(made.get(), 0, "batches from before cannot be made again");
            resumed.run_until(5).unwrap();
            assert!(saved(&resumed) == expected, "{json}, from {}", checkpoint.iterations());
        }
    }
}

#[test]
fn questions_change_nothing() {
    let made = Rc::new(Cell::new(0));
    let json =
        r#"{ "model": { "hypergradient": { "method": "cg", "iterations": 3, "damping": 3.0, "batch": "fresh" } } }"#;
    let (mut silent, mut asked) = (fresh(&made, json), fresh(&made, json));
    for _ in 0..3 {
        silent.run(1).unwrap();
        let first = asked.gradient("weights").unwrap().gradient.to_vec().unwrap();
        asked.explain().unwrap();
        asked.gradient("model").unwrap();
        assert_eq!(asked.gradient("weights").unwrap().gradient.to_vec().unwrap(), first);
        asked.run(1).unwrap();
        assert!(saved(&asked) == saved(&silent));
    }
}

#[test]
fn mistakes_are_errors_of_the_level() {
    let run = |model: Stream<Examples>| {
        let mut engine =
            Engine::new(problem(0.0), CleaningData { model, ..data() }, CleaningConfig::default()).unwrap();
        match engine.run(2).unwrap_err() {
            EngineError::Data { level, source } if level == "model" => (source, engine.into_problem()),
            error => panic!("{error}"),
        }
    };
    // It fails in the fifth step, and the steps before stay.
    let (source, left) = run(Stream::of_program(|_: &Cleaning, number| match number {
        0..4 => Ok(examples(8, number)),
        _ => Err("the simulator is gone"),
    }));
    assert_eq!(source.to_string(), "the simulator is gone");
    assert_ne!(logits(&left), logits(&problem(0.0)));
    let (source, _) = run(Stream::of_program(|_: &Cleaning, number| -> Result<Examples, Infallible> {
        panic!("no rollout {number}")
    }));
    assert!(source.to_string().contains("it panicked: no rollout 0"), "{source}");
    let (source, left) = run(Stream::of_program(|_: &Moving, number| Ok::<_, Infallible>(examples(8, number))));
    assert!(matches!(source.downcast_ref(), Some(StreamError::OtherProgram { wanted }) if wanted.ends_with("Moving")));
    assert_eq!(first_weight(&left), first_weight(&problem(0.0)));
    // Without any program.
    let mut alone = Stream::of_program(|_: &Cleaning, number| Ok::<_, Infallible>(number));
    let error = alone.next_batch().err().unwrap();
    assert!(matches!(error.downcast_ref(), Some(StreamError::NoProgram)), "{error}");
    // In a source of several, it is named.
    let broken = Stream::of_program(|_: &Moving, _| Ok::<_, Infallible>(examples(8, 1)));
    let (source, _) = run(Stream::constant(examples(8, 2)).zip(broken).map(|(a, _)| a));
    assert!(matches!(source.downcast_ref(), Some(StreamError::Source { number: 2, .. })), "{source}");
}

#[test]
fn tasks_that_are_computed_together_have_no_batches_of_the_program() {
    let json = r#"{ "weights": { "tasks": 2, "vectorize": true },
        "model": { "start": "initial", "hypergradient": { "method": "unrolled" } } }"#;
    let config = || CleaningConfig::from_json(json).unwrap();
    let stream = || Stream::of_program(|_: &Cleaning, number| Ok::<_, Infallible>(examples(8, number)));
    for data in [CleaningData { model: stream(), ..data() }, CleaningData { weights: stream(), ..data() }] {
        let error = Engine::new(problem(0.0), data, config()).err().unwrap();
        assert!(matches!(&error, EngineError::DataTogether { above, .. } if above == "weights"), "{error}");
    }
}

#[test]
fn a_stream_sees_the_program_after_an_edit() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let weights = Stream::of_program(move |program: &Cleaning, number| {
        log.borrow_mut().push((number, logits(program)[0]));
        Ok::<_, Infallible>(examples(12, 1))
    });
    let mut engine = Engine::new(problem(0.0), CleaningData { weights, ..data() }, CleaningConfig::default()).unwrap();
    engine.run(1).unwrap();
    let edited = Param::from_tensor(Tensor::<1>::ones([TRAIN], &Device::flex()) * 0.25);
    engine.edit(|problem| problem.weights.logits = edited).unwrap();
    engine.run(1).unwrap();
    assert_eq!(*seen.borrow(), [(0, 0.0), (1, 0.25)]);
}
