//! How often losses are recorded, counted: once for each kind of batch, whatever its numbers are.

use betty_tests::vectors::{parameter as vector, tensor, values};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use betty_runtime::{
    Batch, Engine, EngineError, Event, Multilevel, Number, ProgramConfig, Stream, StreamPosition, gradient, multilevel,
};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};

type Vector = Param<Tensor<1>>;

/// Recordings of one level after the first: how many, how many of them compared with Burn's autodiff, and the advice.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    count: u64,
    verified: u64,
    advice: Vec<String>,
}

fn watched<P: Multilevel>(engine: Engine<P>, of: &'static str) -> (Engine<P>, Rc<RefCell<Seen>>) {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let log = Rc::clone(&seen);
    let engine = engine.observe(move |event| {
        if let Event::Retraced { name, count, verified, advice, .. } = event
            && *name == of
        {
            let mut seen = log.borrow_mut();
            seen.count += 1;
            assert_eq!(seen.count + 1, *count);
            seen.verified += u64::from(*verified);
            seen.advice.extend(advice.map(ToOwned::to_owned));
        }
    });
    (engine, seen)
}

/// A batch with a number that the loss computes with.
#[derive(Clone, Batch)]
struct Tempered<N> {
    x: Tensor<1>,
    temperature: N,
}

/// ½·t·(θ − λ − mean x)²
fn tempered(theta: &Vector, lambda: &Vector, x: Tensor<1>, temperature: Tensor<1>) -> Tensor<1> {
    let gap = theta.val() - lambda.val() - x.mean();
    gap.square() * temperature * 0.5
}

fn with_number(theta: &Vector, lambda: &Vector, batch: Tempered<Number>) -> Tensor<1> {
    let temperature = batch.temperature.like(&batch.x);
    tempered(theta, lambda, batch.x, temperature)
}

fn with_plain(theta: &Vector, lambda: &Vector, batch: Tempered<f64>) -> Tensor<1> {
    let temperature = Tensor::ones([1], (&batch.x.device(), DType::F64)) * batch.temperature;
    tempered(theta, lambda, batch.x, temperature)
}

fn square(_lambda: &Vector, theta: &Vector, _: ()) -> Tensor<1> {
    theta.val().square() * 0.5
}

multilevel! {
    struct Numbers;
    level lambda: Vector { lower: [theta], batch: (), loss: square, optimizer: sgd(lr = 0.1), tasks: 2 }
    level theta: Vector {
        upper: [lambda], batch: Tempered<Number>, loss: with_number, optimizer: sgd(lr = 0.5), unroll: 2, start: initial,
        hypergradient: unrolled,
    }
}

multilevel! {
    struct Plain;
    level lambda: Vector { lower: [theta], batch: (), loss: square, optimizer: sgd(lr = 0.1), tasks: 2 }
    level theta: Vector {
        upper: [lambda], batch: Tempered<f64>, loss: with_plain, optimizer: sgd(lr = 0.5), unroll: 2, start: initial,
        hypergradient: unrolled,
    }
}

const LAMBDA: f64 = 0.4;
const THETA: f64 = -0.3;

fn temperature(step: u64) -> f64 {
    0.9_f64.powi(step as i32)
}

fn numbers(json: &str) -> Engine<Numbers> {
    let batch = |step| Tempered { x: tensor(&[0.25, 0.5]), temperature: Number::new(temperature(step)) };
    let data = NumbersData {
        lambda: Stream::constant(()),
        theta: Stream::batches((0..).map(move |step| Ok::<_, io::Error>(batch(step)))),
    };
    let problem = Numbers { lambda: vector(&[LAMBDA]), theta: vector(&[THETA]) };
    Engine::new(problem, data, NumbersConfig::from_json(json).unwrap()).unwrap()
}

fn plain() -> Engine<Plain> {
    let batch = |step| Tempered { x: tensor(&[0.25, 0.5]), temperature: temperature(step) };
    let data = PlainData {
        lambda: Stream::constant(()),
        theta: Stream::batches((0..).map(move |step| Ok::<_, io::Error>(batch(step)))),
    };
    Engine::new(Plain { lambda: vector(&[LAMBDA]), theta: vector(&[THETA]) }, data, PlainConfig::default()).unwrap()
}

/// Two steps of θ ← θ − ½t(θ − λ − m), twice from the same place, and the mean of C' over both: by hand.
fn by_hand(iterations: u64) -> f64 {
    let (mut lambda, mut step) = (LAMBDA, 0);
    for _ in 0..iterations {
        let mut slope = 0.0;
        for _ in 0..2 {
            let (mut theta, mut by_lambda) = (THETA, 0.0);
            for _ in 0..2 {
                let rate = 0.5 * temperature(step);
                theta -= rate * (theta - lambda - 0.375);
                by_lambda += rate * (1.0 - by_lambda);
                step += 1;
            }
            slope += theta * by_lambda / 2.0;
        }
        lambda -= 0.1 * slope;
    }
    lambda
}

#[test]
fn a_number_of_the_batch_is_an_input() {
    for json in ["{}", r#"{ "lambda": { "vectorize": true } }"#] {
        let (mut engine, seen) = watched(numbers(json), "theta");
        engine.run(10).unwrap();
        let found = values(&engine.problem().lambda)[0];
        assert!((found - by_hand(10)).abs() < 1e-14, "{json}: {found} is not {}", by_hand(10));
        assert_eq!(*seen.borrow(), Seen::default());
    }
}

#[test]
fn a_plain_number_is_recorded_anew_and_that_is_told_once() {
    let (mut engine, seen) = watched(plain(), "theta");
    engine.run(10).unwrap();
    assert!((values(&engine.problem().lambda)[0] - by_hand(10)).abs() < 1e-14);
    // Four steps an iteration, each with a value of its own.
    let Seen { count, verified, advice } = seen.borrow().clone();
    assert_eq!((count, verified), (39, 39));
    let [advice] = advice.as_slice() else { panic!("{advice:?}") };
    assert!(
        advice.starts_with("the loss of level `theta` has been recorded 4 times, because another value"),
        "{advice}"
    );
    assert!(advice.contains("now of `temperature`") && advice.contains("`betty_runtime::Number`"), "{advice}");
    assert!(!advice.contains("`x`"), "{advice}");
}

/// In single precision a number is rounded once, where it is used.
#[test]
fn a_number_takes_the_type_of_what_it_goes_with() {
    let device = Device::flex();
    let data = |dtype| TensorData::new(vec![1.0, 2.0, 3.0, 4.0], [2, 2]).convert_dtype(dtype);
    for dtype in [DType::F32, DType::F64] {
        let x = Tensor::<2>::from_data(data(dtype), (&device, dtype));
        let third = Number::new(1.0 / 3.0).like(&x);
        assert_eq!((third.dims(), third.dtype()), ([1, 1], dtype));
        let expected = if dtype == DType::F64 { 1.0 / 3.0 } else { f64::from(1.0_f32 / 3.0) };
        assert_eq!(third.into_data().iter::<f64>().collect::<Vec<_>>(), [expected]);
    }
    assert_eq!([Number::from(0.5_f32), Number::from(7_u32)].map(|number| number.value()), [Some(0.5), Some(7.0)]);
}

/// ∂(Σ t·θ²)/∂t = Σ θ², so that the loss is ½Σθ² + λ·Σθ
fn sloped(theta: &Vector, lambda: &Vector, number: Number) -> Tensor<1> {
    let square = theta.val().square();
    let slope = gradient(square.clone() * number.like(&square), number).like(&square);
    slope * 0.5 + lambda.val() * theta.val().sum()
}

multilevel! {
    struct Sloped;
    level lambda: Vector { lower: [theta], batch: (), loss: square, optimizer: sgd(lr = 0.1) }
    level theta: Vector { upper: [lambda], batch: Number, loss: sloped, optimizer: sgd(lr = 0.5), hypergradient: dense }
}

#[test]
fn a_derivative_in_a_number_is_taken_inside_of_a_loss() {
    let data = SlopedData { lambda: Stream::constant(()), theta: Stream::constant(Number::new(3.0)) };
    let problem = Sloped { lambda: vector(&[LAMBDA]), theta: vector(&[THETA]) };
    let mut engine = Engine::new(problem, data, SlopedConfig::default()).unwrap();
    engine.run(1).unwrap();
    let theta = THETA - 0.5 * (THETA + LAMBDA);
    assert!((values(&engine.problem().theta)[0] - theta).abs() < 1e-15);
    // θ* = −λ
    assert!((values(&engine.problem().lambda)[0] - (LAMBDA + 0.1 * theta)).abs() < 1e-15);
}

fn mean(theta: &Vector, lambda: &Vector, x: Tensor<1>) -> Tensor<1> {
    tempered(theta, lambda, x, Tensor::ones([1], (&theta.val().device(), DType::F64)))
}

multilevel! {
    struct Shapes;
    level lambda: Vector { lower: [theta], batch: (), loss: square, optimizer: sgd(lr = 0.1) }
    level theta: Vector {
        upper: [lambda], batch: Tensor<1>, loss: mean, optimizer: sgd(lr = 0.5), unroll: 3, hypergradient: dense,
    }
}

const SIZES: usize = 12;

/// Batches of 2, …, 13 numbers, round and round.
fn shapes() -> Engine<Shapes> {
    let batch = |step: usize| {
        let size = 2 + step % SIZES;
        tensor(&(0..size).map(|i| (i * step % 7) as f64).collect::<Vec<_>>())
    };
    let data = ShapesData {
        lambda: Stream::constant(()),
        theta: Stream::batches((0..).map(move |step| Ok::<_, io::Error>(batch(step)))),
    };
    Engine::new(Shapes { lambda: vector(&[LAMBDA]), theta: vector(&[THETA]) }, data, ShapesConfig::default()).unwrap()
}

/// Twelve iterations go through all sizes three times.
fn recordings_of_shapes(engine: Engine<Shapes>) -> (Vec<f64>, Seen) {
    let (mut engine, seen) = watched(engine, "theta");
    engine.run(12).unwrap();
    let found = [values(&engine.problem().lambda), values(&engine.problem().theta)].concat();
    let seen = seen.borrow().clone();
    (found, seen)
}

#[test]
fn every_shape_is_recorded_once_and_compared_once_for_all_sizes() {
    let (kept, seen) = recordings_of_shapes(shapes());
    assert_eq!((seen.count, seen.verified), (SIZES as u64 - 1, 0));
    let [advice] = seen.advice.as_slice() else { panic!("{seen:?}") };
    assert!(advice.contains("now `the batch` ([4], then [5])") && advice.contains("`Engine::traces`"), "{advice}");
    // Fewer are kept where that is asked for, by number or by memory, and then they are made again: to the same bits.
    for few in [shapes().traces(4), shapes().trace_memory(1)] {
        let (found, seen) = recordings_of_shapes(few);
        assert_eq!((seen.count, seen.verified), (3 * SIZES as u64 - 1, 0));
        assert_eq!(found, kept);
    }
    let (found, seen) = recordings_of_shapes(shapes().verification(false));
    assert_eq!((seen.count, seen.verified, found), (SIZES as u64 - 1, 0, kept));
}

fn above(mid: &Vector, top: &Vector, net: &Vector, _: ()) -> Tensor<1> {
    (mid.val() - top.val()).square() * 0.5 + net.val().square() * 0.2
}

multilevel! {
    struct InRounds;
    level top: Vector { lower: [mid], batch: (), loss: square, optimizer: sgd(lr = 0.1) }
    level mid: Vector {
        upper: [top], lower: [net], batch: (), loss: above, optimizer: sgd(lr = 0.5), rounds: 3, hypergradient: dense,
    }
    level net: Vector {
        upper: [mid], batch: Tensor<1>, loss: mean, optimizer: sgd(lr = 0.3), unroll: 3, hypergradient: unrolled,
    }
}

/// The steps of three rounds are one function of the level in the middle: nine sizes are differentiated together.
#[test]
fn all_that_one_gradient_needs_is_kept() {
    let trained = |traces: usize| {
        let sizes = (0..).map(|step| Ok::<_, io::Error>(tensor(&vec![0.1 * (step % 7) as f64; 2 + step % SIZES])));
        let data = InRoundsData { top: Stream::constant(()), mid: Stream::constant(()), net: Stream::batches(sizes) };
        let problem = InRounds { top: vector(&[LAMBDA]), mid: vector(&[THETA]), net: vector(&[0.3]) };
        let mut engine = Engine::new(problem, data, InRoundsConfig::default()).unwrap().traces(traces);
        engine.run(4).unwrap();
        values(&engine.problem().top)
    };
    assert_eq!(trained(4), trained(100));
}

/// Batches of one size hold part of the gradient back, where Burn's recording does not show it.
fn holds_back(theta: &Vector, lambda: &Vector, x: Tensor<1>) -> Tensor<1> {
    let held = if x.dims() == [5] { theta.val().detach() } else { theta.val() };
    mean(theta, lambda, x) + held.square() * 0.5
}

multilevel! {
    struct Held;
    level lambda: Vector { lower: [theta], batch: (), loss: square, optimizer: sgd(lr = 0.1) }
    level theta: Vector {
        upper: [lambda], batch: Tensor<1>, loss: holds_back, optimizer: sgd(lr = 0.5), unroll: 3, hypergradient: dense,
    }
}

#[test]
fn another_size_is_compared_anew_where_burns_gradient_is_another() {
    let run = |sizes: [usize; 3]| {
        let sizes = sizes.map(|size| Ok::<_, io::Error>(tensor(&vec![0.5; size])));
        let data = HeldData { lambda: Stream::constant(()), theta: Stream::batches(sizes) };
        let problem = Held { lambda: vector(&[LAMBDA]), theta: vector(&[THETA]) };
        Engine::new(problem, data, HeldConfig::default()).unwrap().run(1)
    };
    run([3, 4, 6]).unwrap();
    let error = run([3, 4, 5]).unwrap_err();
    assert!(matches!(error, EngineError::Verification { .. }), "{error}");
}

/// ½(θ − λ)²·n in step number n
fn by_step(theta: &Vector, lambda: &Vector, (_, step): ((), Number)) -> Tensor<1> {
    let gap = theta.val() - lambda.val();
    gap.clone().square() * step.like(&gap) * 0.5
}

multilevel! {
    struct Counted;
    level lambda: Vector { lower: [theta], batch: (), loss: square, optimizer: sgd(lr = 0.1) }
    level theta: Vector {
        upper: [lambda], batch: ((), Number), loss: by_step, optimizer: sgd(lr = 0.01), unroll: 3, hypergradient: unrolled,
    }
}

fn counted() -> Engine<Counted> {
    let data = CountedData { lambda: Stream::constant(()), theta: Stream::constant(()).numbered(1) };
    Engine::new(Counted { lambda: vector(&[LAMBDA]), theta: vector(&[THETA]) }, data, CountedConfig::default()).unwrap()
}

#[test]
fn a_loss_knows_the_number_of_its_step() {
    let (mut engine, seen) = watched(counted(), "theta");
    engine.run(2).unwrap();
    let saved = engine.checkpoint().unwrap();
    engine.run(2).unwrap();
    let (mut lambda, mut theta) = (LAMBDA, THETA);
    for iteration in 0..4 {
        let mut by_lambda = 0.0;
        for number in 1..4 {
            let rate = 0.01 * f64::from(3 * iteration + number);
            theta -= rate * (theta - lambda);
            by_lambda += rate * (1.0 - by_lambda);
        }
        lambda -= 0.1 * theta * by_lambda;
    }
    let found = [values(&engine.problem().lambda)[0], values(&engine.problem().theta)[0]];
    assert!((found[0] - lambda).abs() < 1e-15 && (found[1] - theta).abs() < 1e-15, "{found:?} {lambda} {theta}");
    assert_eq!(seen.borrow().count, 0);
    // A resumed run counts on.
    let mut resumed = counted();
    resumed.resume(&saved, StreamPosition::Start).unwrap();
    resumed.run(2).unwrap();
    assert_eq!([values(&resumed.problem().lambda)[0], values(&resumed.problem().theta)[0]], found);
}
