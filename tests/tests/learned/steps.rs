//! Numbers of an optimizer of which every step has its own: rows of what a level above learns.

use betty_tests::vectors::{parameter, tensor, values};
use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{Engine, EngineError, Event, LearnedError, ProgramConfig, Stream, StreamPosition, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Two vectors, so that a level has two parameters.
#[derive(Module, Debug)]
struct Point {
    x: Param<Tensor<1>>,
    y: Param<Tensor<1>>,
}

/// Numbers of four steps: one for all parameters, one for each, and one for each entry.
#[derive(Module, Debug)]
struct Rows {
    one: Param<Tensor<1>>,
    other: Param<Tensor<1>>,
    each: Param<Tensor<2>>,
    entries: Entries,
}

#[derive(Module, Debug)]
struct Entries {
    x: Param<Tensor<2>>,
    y: Param<Tensor<2>>,
}

const STEPS: usize = 4;
/// Of `one`, `other`, `each` and `entries`.
const LENGTHS: [usize; 5] = [STEPS, STEPS, 2 * STEPS, 2 * STEPS, STEPS];

fn square(x: Tensor<1>) -> Tensor<1> {
    x.powi_scalar(2).sum()
}

/// A valley that is no parabola, and another one with every batch.
fn descend(point: &Point, at: Tensor<1>) -> Tensor<1> {
    let (x, y) = (point.x.val(), point.y.val());
    square(x.clone() - at.clone()).mul_scalar(0.5)
        + square(x.clone() * x.clone()).mul_scalar(0.1)
        + (y.clone() * x.sum()).sum().mul_scalar(0.3)
        + square(y - at.sum()).mul_scalar(0.7)
}

fn judge(_rows: &Rows, point: &Point, goal: Tensor<1>) -> Tensor<1> {
    square(point.x.val() - goal) + square(point.y.val()).mul_scalar(0.5)
}

multilevel! {
    struct ByStep;

    level rows: Rows { lower: [point], batch: Tensor<1>, loss: judge, optimizer: sgd(lr = 1.0) }
    level point: Point {
        batch: Tensor<1>, loss: descend, optimizer: sgd(lr = exp(rows.one[step])), unroll: STEPS, start: initial,
        hypergradient: unrolled,
    }
}

fn matrix(values: &[f64], columns: usize) -> Param<Tensor<2>> {
    let shape = [values.len() / columns, columns];
    Param::from_tensor(Tensor::from_data(TensorData::new(values.to_vec(), shape), (&Device::flex(), DType::F64)))
}

fn rows(at: &[f64]) -> Rows {
    let mut parts = Vec::new();
    let mut left = at;
    for length in LENGTHS {
        let (part, rest) = left.split_at(length);
        (left, _) = (rest, parts.push(part));
    }
    Rows {
        one: parameter(parts[0]),
        other: parameter(parts[1]),
        each: matrix(parts[2], 2),
        entries: Entries { x: matrix(parts[3], 2), y: matrix(parts[4], 1) },
    }
}

/// All different, about −2 and for `other` about 0.3.
fn first_values() -> Vec<f64> {
    let around =
        |index: usize| 0.3 * (index as f64 * 1.7).sin() + if (STEPS..2 * STEPS).contains(&index) { 0.3 } else { -2.0 };
    (0..LENGTHS.iter().sum()).map(around).collect()
}

/// Batches that all differ, the same in every run.
fn data() -> ByStepData {
    let at = |number: u64| tensor(&[1.0 + 0.1 * number as f64, -0.5 * (number as f64).cos()]);
    ByStepData {
        rows: Stream::constant(tensor(&[0.3, 0.8])),
        point: Stream::batches((0..).map(move |number| Ok::<_, std::io::Error>(at(number)))),
    }
}

fn engine(config: &str, at: &[f64]) -> Engine<ByStep> {
    let problem = ByStep { rows: rows(at), point: Point { x: parameter(&[-0.6, 0.9]), y: parameter(&[0.4]) } };
    Engine::new(problem, data(), ByStepConfig::from_json(config).unwrap()).unwrap().verification(false)
}

fn all(rows: &Rows) -> Vec<f64> {
    let flat = |rows: &Param<Tensor<2>>| rows.val().into_data().try_to_vec::<f64>().unwrap();
    [values(&rows.one), values(&rows.other), flat(&rows.each), flat(&rows.entries.x), flat(&rows.entries.y)].concat()
}

/// The upper loss of one iteration, and the hypergradient, which is the whole step of length 1.
fn iteration(config: &str, at: &[f64]) -> (f64, Vec<f64>) {
    let mut engine = engine(config, at);
    let loss = engine.run(1).unwrap().levels[0].loss.unwrap();
    let after = all(&engine.problem().rows);
    (loss, at.iter().zip(after).map(|(before, after)| before - after).collect())
}

fn optimizer(text: &str) -> String {
    format!(r#"{{ "point": {{ "optimizer": {{ {text} }} }} }}"#)
}

/// Against central differences of fourth order of whole runs along three directions; nothing arrives at rows that no number is
/// made of.
#[track_caller]
fn check(config: &str) {
    let at = first_values();
    let (_, found) = iteration(config, &at);
    let mut random = StdRng::seed_from_u64(5);
    for _ in 0..3 {
        let direction: Vec<f64> = at.iter().map(|_| random.random_range(-1.0..1.0)).collect();
        let loss = |by: f64| {
            let moved: Vec<f64> = at.iter().zip(&direction).map(|(at, along)| at + by * along).collect();
            iteration(config, &moved).0
        };
        let h = 1e-3;
        let slope = (8.0 * (loss(h) - loss(-h)) - (loss(2.0 * h) - loss(-2.0 * h))) / (12.0 * h);
        let found: f64 = found.iter().zip(&direction).map(|(x, along)| x * along).sum();
        assert!(slope.abs() > 1e-3, "{config}: nothing is learned");
        assert!((found - slope).abs() < 1e-9 * slope.abs().max(1.0), "{config}: {found} is not {slope}");
    }
    let paths = ["one", "other", "each", "entries", "entries"];
    let mut rows = found.iter();
    for (path, length) in paths.into_iter().zip(LENGTHS) {
        let is_read = config.contains(&format!("rows.{path}[")) || (path == "one" && !config.contains("\"lr\""));
        let part: Vec<f64> = rows.by_ref().take(length).copied().collect();
        assert_eq!(part.iter().any(|x| *x != 0.0), is_read, "{config}: {path} has {part:?}");
    }
}

#[test]
fn every_number_of_every_optimizer_in_every_arrangement() {
    for path in ["one", "each", "entries"] {
        check(&optimizer(&format!(r#""lr": "exp(rows.{path}[step])""#)));
    }
    check(&optimizer(
        r#""lr": "exp(rows.one[step])", "momentum": "sigmoid(rows.other[step])", "weight_decay": "softplus(rows.entries[step])""#,
    ));
    check(&optimizer(
        r#""name": "adam", "lr": "exp(rows.each[step])", "beta_1": "sigmoid(rows.other[step])", "epsilon": "exp(rows.one[step])""#,
    ));
    check(&optimizer(
        r#""name": "rmsprop", "lr": 0.05, "alpha": "sigmoid(rows.other[step])", "momentum": "sigmoid(rows.one[step])", "epsilon": 0.1"#,
    ));
}

/// Steps that are taken again, that are followed by tangents, and that are all one program.
#[test]
fn every_way_through_the_steps() {
    let lr = r#""optimizer": { "lr": "exp(rows.each[step])", "momentum": "sigmoid(rows.other[step])" }"#;
    let unrolled = iteration(&format!(r#"{{ "point": {{ {lr} }} }}"#), &first_values()).1;
    for other in [r#"{ "method": "unrolled", "memory": 4 }"#, r#"{ "method": "forward" }"#] {
        let (_, found) = iteration(&format!(r#"{{ "point": {{ {lr}, "hypergradient": {other} }} }}"#), &first_values());
        assert_eq!(found.len(), unrolled.len());
        for (found, expected) in found.iter().zip(&unrolled) {
            assert!((found - expected).abs() < 1e-13, "{other}: {found} is not {expected}");
        }
    }
    // Each task and each round begins at the first row.
    let tasks =
        |vectorize: bool| format!(r#"{{ "rows": {{ "tasks": 3, "vectorize": {vectorize} }}, "point": {{ {lr} }} }}"#);
    check(&tasks(false));
    check(&tasks(true));
    check(&format!(r#"{{ "rows": {{ "rounds": 2 }}, "point": {{ {lr} }} }}"#));
}

/// On `½h‖θ − a‖²` the steps end at `a + Π(1 − hαₜ)(θ₀ − a)`.
#[test]
fn rates_of_steps_of_gradient_descent_have_their_closed_form() {
    fn parabola(point: &Param<Tensor<1>>, a: Tensor<1>) -> Tensor<1> {
        square(point.val() - a).mul_scalar(0.35)
    }
    fn distance(_rates: &Param<Tensor<1>>, point: &Param<Tensor<1>>, b: Tensor<1>) -> Tensor<1> {
        square(point.val() - b).mul_scalar(0.5)
    }
    multilevel! {
        struct Parabola;

        level rates: Param<Tensor<1>> { lower: [point], batch: Tensor<1>, loss: distance, optimizer: sgd(lr = 1.0) }
        level point: Param<Tensor<1>> {
            batch: Tensor<1>, loss: parabola, optimizer: sgd(lr = rates[step]), unroll: 3, hypergradient: unrolled,
        }
    }
    let (a, b, start, h, rates) = (1.5, -0.2, 4.0, 0.7, [0.2, 0.9, 0.5]);
    let problem = Parabola { rates: parameter(&rates), point: parameter(&[start]) };
    let data = ParabolaData { rates: Stream::constant(tensor(&[b])), point: Stream::constant(tensor(&[a])) };
    let mut engine = Engine::new(problem, data, ParabolaConfig::default()).unwrap();
    engine.run(1).unwrap();
    let factors = rates.map(|rate| 1.0 - h * rate);
    let end = a + factors.iter().product::<f64>() * (start - a);
    for (t, (before, after)) in rates.into_iter().zip(values(&engine.problem().rates)).enumerate() {
        let others: f64 = (0..3).filter(|&s| s != t).map(|s| factors[s]).product();
        let slope = -h * others * (start - a) * (end - b);
        assert!((before - after - slope).abs() < 1e-14, "{t}: {} is not {slope}", before - after);
    }
}

/// The rates that observers are told of, row by row, and from the first one again for each step above.
fn told(engine: Engine<ByStep>, iterations: u64) -> Vec<f64> {
    let rates = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&rates);
    let mut engine = engine.observe(move |event| {
        if let Event::Step { name: "point", learning_rate, .. } = event {
            seen.borrow_mut().push(*learning_rate);
        }
    });
    engine.run(iterations).unwrap();
    rates.take()
}

#[test]
fn observers_are_told_of_the_rate_of_each_step() {
    let at = first_values();
    // Nothing above moves.
    let still = |point: &str, rows: &str| {
        format!(r#"{{ "rows": {{ "optimizer": {{ "lr": 1e-300 }} {rows} }}, "point": {{ {point} }} }}"#)
    };
    let one: Vec<f64> = at[..STEPS].iter().map(|x| x.exp()).collect();
    for (start, rows, turns) in [
        ("kept", "", 2),
        ("initial", "", 2),
        ("look_ahead", "", 4),
        ("initial", r#", "tasks": 2"#, 4),
        ("initial", r#", "tasks": 2, "vectorize": true"#, 4),
        ("kept", r#", "rounds": 2"#, 4),
    ] {
        let config = still(&format!(r#""start": "{start}""#), rows);
        assert_eq!(told(engine(&config, &at), 2), one.repeat(turns), "{start} {rows}");
    }
    let each = still(r#""optimizer": { "lr": "exp(rows.each[step])" }"#, "");
    let first = 2 * STEPS;
    let mean = |t: usize| (at[first + 2 * t].exp() + at[first + 2 * t + 1].exp()) / 2.0;
    assert_eq!(told(engine(&each, &at), 1), (0..STEPS).map(mean).collect::<Vec<_>>());
}

/// A run that is broken off within a round goes on at the row where it was, also from a checkpoint.
#[test]
fn a_round_that_is_broken_off_is_gone_on_with() {
    type Vector = Param<Tensor<1>>;
    fn pulled(point: &Vector, rates: &Vector, at: Tensor<1>) -> Tensor<1> {
        square(point.val() - at) + (point.val() * rates.val().sum()).sum()
    }
    fn distance(_rates: &Vector, point: &Vector, b: Tensor<1>) -> Tensor<1> {
        square(point.val() - b)
    }
    multilevel! {
        struct Pulled;

        level rates: Vector { lower: [point], batch: Tensor<1>, loss: distance, optimizer: sgd(lr = 1e-3) }
        level point: Vector {
            upper: [rates], batch: Tensor<1>, loss: pulled, optimizer: sgd(lr = exp(rates[step])), unroll: 4,
            hypergradient: identity,
        }
    }
    let engine = |fails_at: Option<u64>| {
        let problem = Pulled { rates: parameter(&first_values()[..STEPS]), point: parameter(&[0.7]) };
        let at = move |number: u64| match fails_at {
            Some(at) if at == number => Err(std::io::Error::other("no such file")),
            _ => Ok(tensor(&[number as f64])),
        };
        let data = PulledData { rates: Stream::constant(tensor(&[0.2])), point: Stream::batches((0..).map(at)) };
        Engine::new(problem, data, PulledConfig::default()).unwrap()
    };
    let mut whole = engine(None);
    whole.run(3).unwrap();
    let mut broken = engine(Some(6));
    broken.run(3).unwrap_err();
    let checkpoint = broken.checkpoint().unwrap();
    assert_eq!(checkpoint.steps("point"), Some(6));
    let mut resumed = engine(None);
    resumed.resume(&checkpoint, StreamPosition::Start).unwrap();
    resumed.run_until(3).unwrap();
    let ends = |engine: &mut Engine<Pulled>| [values(&engine.problem().rates), values(&engine.problem().point)];
    assert_eq!(ends(&mut resumed), ends(&mut whole));
}

#[test]
fn what_does_not_fit_the_steps_is_named() {
    let refused = |config: &str| {
        let problem =
            ByStep { rows: rows(&first_values()), point: Point { x: parameter(&[0.0, 1.0]), y: parameter(&[0.4]) } };
        Engine::new(problem, data(), ByStepConfig::from_json(config).unwrap()).err().unwrap()
    };
    let error = refused(r#"{ "point": { "unroll": 5 } }"#);
    assert!(
        matches!(&error, EngineError::Learned(LearnedError::Rows { place, found, unroll: 5, .. })
            if place == "point.optimizer.lr" && *found == [4]),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "`point.optimizer.lr` is `exp(rows.one[step])`, which takes a row of each parameter there for each of the 5 steps of \
         `point`, and one has the shape [4]; make its first dimension as long as `unroll`"
    );
    let error = refused(&optimizer(r#""lr": "exp(rows[step])""#));
    assert!(matches!(&error, EngineError::Learned(LearnedError::Mismatch { .. })), "{error}");
    // Without the index, the vector is neither one number nor one for each of two parameters.
    let error = refused(&optimizer(r#""lr": "exp(rows.one)""#));
    assert!(matches!(&error, EngineError::Learned(LearnedError::Mismatch { .. })), "{error}");
    for text in ["exp(rows.one[steps])", "exp(rows.one)[step]", "rows.one[0]", "rows[step].one"] {
        let error = ByStepConfig::from_json(&optimizer(&format!(r#""lr": "{text}""#))).unwrap_err().to_string();
        assert!(error.contains("it must be a number, or the path"), "{text}: {error}");
    }
    for text in ["exp(rows.one[step])", "rows.each[step]", "rows[step]"] {
        let config = ByStepConfig::from_json(&optimizer(&format!(r#""lr": "{text}""#))).unwrap();
        let written = config.to_json().unwrap();
        assert!(written.contains(&format!(r#""lr": "{text}""#)), "{written}");
        assert_eq!(ByStepConfig::from_json(&written).unwrap(), config);
    }
}
