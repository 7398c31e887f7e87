//! Levels whose steps begin at a new draw each time.
//!
//! The lower level moves from θ₀ towards `a + λ` by gradient descent on `½‖θ − a − λ‖²`, so that T steps of length α end at
//! `a + λ + (1 − α)ᵀ(θ₀ − a − λ)`, which tells the draw that it began at.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use betty_runtime::distributed::Threads;
use betty_runtime::{
    Engine, EngineError, Event, ProgramConfig, StartError, Stream, StreamPosition, multilevel, stop_gradient,
};
use betty_tests::vectors::{tensor, values};
use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{DType, Device, Distribution, Tensor};

const ALPHA: f64 = 0.3;
const STEPS: i32 = 3;
const SHIFT: [f64; 2] = [0.2, -0.3];
const A: [f64; 2] = [1.0, -2.0];
const B: [f64; 2] = [0.3, 0.8];

/// A part that is drawn anew, and one that stands still.
#[derive(Module, Debug)]
struct Point {
    x: Param<Tensor<1>>,
    still: Param<Tensor<1>>,
}

type Vector = Param<Tensor<1>>;

fn normal(device: &Device, count: usize) -> Vector {
    Param::from_tensor(Tensor::random([count], Distribution::Normal(0.5, 2.0), (device, DType::F64)))
}

thread_local! {
    /// How often the function below has run.
    static MADE: Cell<u32> = const { Cell::new(0) };
}

fn my_point(device: &Device) -> Point {
    MADE.set(MADE.get() + 1);
    Point { x: normal(device, 2), still: normal(device, 1) }
}

fn half_square(x: Tensor<1>) -> Tensor<1> {
    (x.clone() * x).sum().mul_scalar(0.5)
}

fn driven(point: &Point, shift: &Vector, a: Tensor<1>) -> Tensor<1> {
    half_square(point.x.val() - a - shift.val()) + stop_gradient(point.still.val() * 0.0).sum()
}

fn judged(_shift: &Vector, point: &Point, b: Tensor<1>) -> Tensor<1> {
    half_square(point.x.val() - b)
}

multilevel! {
    struct Drawn;

    level shift: Vector { lower: [point], batch: Tensor<1>, loss: judged, optimizer: sgd(lr = 0.5) }
    level point: Point {
        upper: [shift], start: fresh(my_point), freeze: [still], batch: Tensor<1>, loss: driven,
        optimizer: sgd(lr = 0.3, momentum = 0.0), unroll: 3, hypergradient: unrolled,
    }
}

fn given() -> Drawn {
    let parameter = |values: &[f64]| Param::from_tensor(tensor(values));
    Drawn { shift: parameter(&SHIFT), point: Point { x: parameter(&[9.0, 9.0]), still: parameter(&[7.0]) } }
}

fn engine(json: &str, seed: u64) -> Engine<Drawn> {
    let data = DrawnData { shift: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
    Engine::new(given(), data, DrawnConfig::from_json(json).unwrap()).unwrap().seed(seed)
}

fn both(engine: &mut Engine<Drawn>) -> ([f64; 2], [f64; 2]) {
    let Drawn { shift, point } = engine.problem();
    (values(shift).try_into().unwrap(), values(&point.x).try_into().unwrap())
}

/// Where the steps began that ended at `theta` under `shift`.
fn begun(shift: [f64; 2], theta: [f64; 2]) -> [f64; 2] {
    let kept = (1.0 - ALPHA).powi(STEPS);
    [0, 1].map(|i| {
        let target = A[i] + shift[i];
        target + (theta[i] - target) / kept
    })
}

#[test]
fn every_turn_begins_at_a_draw_of_its_own_and_is_differentiated_from_there() {
    let mut engine = engine("{}", 5);
    let (mut shift, mut starts) = (SHIFT, Vec::new());
    let moved = 1.0 - (1.0 - ALPHA).powi(STEPS);
    for _ in 0..400 {
        engine.run(1).unwrap();
        let (after, theta) = both(&mut engine);
        starts.push(begun(shift, theta));
        // dθ_T/dλ = 1 − (1 − α)ᵀ, wherever the steps began.
        for i in 0..2 {
            let expected = shift[i] - 0.5 * moved * (theta[i] - B[i]);
            assert!((after[i] - expected).abs() < 1e-13, "{} is not {expected}", after[i]);
        }
        shift = after;
    }
    assert_eq!(MADE.get(), 1);
    let mut entries: Vec<f64> = starts.concat();
    let count = entries.len() as f64;
    let mean = entries.iter().sum::<f64>() / count;
    let variance = entries.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    // N(½, 2²): five deviations of the mean, 2/√800, and of the variance, 4·√(2/800).
    assert!((mean - 0.5).abs() < 5.0 * 2.0 / count.sqrt(), "{mean}");
    assert!((variance - 4.0).abs() < 5.0 * 4.0 * (2.0 / count).sqrt(), "{variance}");
    entries.sort_by(f64::total_cmp);
    assert!(entries.windows(2).all(|pair| pair[1] - pair[0] > 1e-9), "two draws are one");
    // What is not trained is not drawn.
    assert_eq!(values(&engine.problem().point.still), [7.0]);
}

#[test]
fn a_resumed_run_draws_what_the_whole_one_does() {
    let (mut whole, mut first, mut resumed) = (engine("{}", 5), engine("{}", 5), engine("{}", 99));
    whole.run(5).unwrap();
    first.run(3).unwrap();
    resumed.resume(&first.checkpoint().unwrap(), StreamPosition::Start).unwrap();
    resumed.run(2).unwrap();
    assert_eq!(both(&mut resumed), both(&mut whole));
    let mut other = engine("{}", 6);
    other.run(5).unwrap();
    assert_ne!(both(&mut other), both(&mut whole));
}

/// The losses at which the tasks of two iterations begin, and where everything ends.
fn tasks(vectorize: bool) -> (Vec<f64>, ([f64; 2], [f64; 2])) {
    let losses = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&losses);
    let json = format!(r#"{{ "shift": {{ "tasks": 4, "vectorize": {vectorize} }} }}"#);
    let mut engine = engine(&json, 5).observe(move |event| {
        if let Event::Step { name: "point", loss, .. } = event {
            log.borrow_mut().push(*loss);
        }
    });
    engine.run(2).unwrap();
    let ended = both(&mut engine);
    let firsts = losses.borrow().iter().step_by(STEPS as usize).copied().collect();
    (firsts, ended)
}

#[test]
fn every_task_has_a_draw_of_its_own_and_the_same_computed_together() {
    let ((one_by_one, ended), (together, ended_together)) = (tasks(false), tasks(true));
    assert_eq!((one_by_one.len(), together.len()), (8, 8));
    let close = |x: &f64, y: &f64| (x - y).abs() < 1e-12 * (1.0 + y.abs());
    assert!(one_by_one.iter().zip(&together).all(|(x, y)| close(x, y)), "{one_by_one:?} is not {together:?}");
    let all = |(shift, theta): ([f64; 2], [f64; 2])| [shift, theta].concat();
    assert!(all(ended).iter().zip(&all(ended_together)).all(|(x, y)| close(x, y)));
    let mut sorted = one_by_one;
    sorted.sort_by(f64::total_cmp);
    assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 1e-9), "two tasks began at one place");
}

#[test]
fn all_ranks_begin_at_the_same_draw() {
    let found = Threads::run(2, |rank| {
        let mut engine =
            engine("{}", 5).distributed(rank).unwrap().replicated("point").unwrap().replicated("shift").unwrap();
        engine.run(3).unwrap();
        both(&mut engine)
    });
    assert_eq!(found[0], found[1]);
    let mut alone = engine("{}", 5);
    alone.run(3).unwrap();
    let (expected, found) = (both(&mut alone), found[0]);
    let close = |x: [f64; 2], y: [f64; 2]| x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-13);
    assert!(close(found.0, expected.0) && close(found.1, expected.1), "{found:?} is not {expected:?}");
}

const INPUTS: usize = 64;
const OUTPUTS: usize = 48;

fn my_layer(device: &Device) -> Linear {
    LinearConfig::new(INPUTS, OUTPUTS).init(device)
}

/// Linear in the parameters, so that a step of rate 1 takes 1/8 from each.
fn slope(layer: &Linear, scale: &Param<Tensor<1>>, _: ()) -> Tensor<1> {
    (layer.weight.val().sum() + layer.bias.as_ref().unwrap().val().sum()) * 0.125 + scale.val()
}

fn size(scale: &Param<Tensor<1>>, layer: &Linear, _: ()) -> Tensor<1> {
    scale.val() * layer.weight.val().square().sum()
}

multilevel! {
    struct Layers;
    level scale: Param<Tensor<1>> { lower: [layer], batch: (), loss: size, optimizer: sgd(lr = 0.1) }
    level layer: Linear {
        upper: [scale], start: fresh(my_layer), batch: (), loss: slope, optimizer: sgd(lr = 1.0), hypergradient: unrolled,
    }
}

#[test]
fn a_layer_has_the_distribution_of_its_initializer() {
    let device = Device::flex();
    let data = LayersData { scale: ().into(), layer: ().into() };
    let problem = Layers { scale: Param::from_tensor(Tensor::ones([1], &device)), layer: my_layer(&device) };
    let mut engine = Engine::new(problem, data, LayersConfig::default()).unwrap();
    let mut drawn: Vec<f64> = Vec::new();
    for _ in 0..4 {
        engine.run(1).unwrap();
        let data = engine.problem().layer.weight.val().into_data();
        drawn.extend(data.iter::<f64>().map(|x| x + 0.125));
    }
    // Kaiming's uniform initializer, with the gain 1/√3 of a layer: ±1/√inputs.
    let bound = 1.0 / (INPUTS as f64).sqrt();
    let count = drawn.len() as f64;
    let mean = drawn.iter().sum::<f64>() / count;
    let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let (deviation, of_squares) = (bound / 3_f64.sqrt(), bound.powi(2) * (4.0_f64 / 45.0).sqrt());
    // Five deviations of each.
    assert!(mean.abs() < 5.0 * deviation / count.sqrt(), "{mean}");
    assert!((variance - deviation.powi(2)).abs() < 5.0 * of_squares / count.sqrt(), "{variance}");
    let largest = drawn.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    assert!(largest < bound + 1e-7 && largest > 0.999 * bound, "{largest} with a bound of {bound}");
}

/// What one draw of a matrix of this shape by an initializer is.
type Matrix = Param<Tensor<2>>;

fn weighed(matrix: &Matrix, scale: &Param<Tensor<1>>, _: ()) -> Tensor<1> {
    matrix.val().sum() * 0.125 + scale.val()
}

fn seen(scale: &Param<Tensor<1>>, matrix: &Matrix, _: ()) -> Tensor<1> {
    scale.val() * matrix.val().square().sum()
}

fn orthogonal(device: &Device) -> Matrix {
    Initializer::Orthogonal { gain: 1.0 }.init([5, 3], device)
}

multilevel! {
    struct Matrices;
    level scale: Param<Tensor<1>> { lower: [matrix], batch: (), loss: seen, optimizer: sgd(lr = 0.1) }
    level matrix: Matrix {
        upper: [scale], start: fresh(orthogonal), batch: (), loss: weighed, optimizer: sgd(lr = 1.0), hypergradient: unrolled,
    }
}

#[test]
fn orthogonal_matrices_are_drawn_as_such() {
    let device = Device::flex();
    let data = MatricesData { scale: ().into(), matrix: ().into() };
    let problem = Matrices { scale: Param::from_tensor(Tensor::ones([1], &device)), matrix: orthogonal(&device) };
    let mut engine = Engine::new(problem, data, MatricesConfig::default()).unwrap();
    let mut before = Vec::new();
    for _ in 0..3 {
        engine.run(1).unwrap();
        let q: Vec<f64> = engine.problem().matrix.val().into_data().iter::<f64>().map(|x| x + 0.125).collect();
        for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
            let product: f64 = (0..5).map(|row| q[3 * row + i] * q[3 * row + j]).sum();
            let expected = f64::from(u8::from(i == j));
            assert!((product - expected).abs() < 1e-5, "column {i} times column {j} is {product}");
        }
        assert_ne!(q, before);
        before = q;
    }
}

fn longer(device: &Device) -> Vector {
    normal(device, 3)
}

fn single(device: &Device) -> Vector {
    Param::from_tensor(Tensor::random([2], Distribution::Default, (device, DType::F32)))
}

fn read(device: &Device) -> Vector {
    let drawn = normal(device, 2);
    let first: f64 = drawn.val().into_data().iter::<f64>().sum();
    Param::from_tensor(drawn.val() * first)
}

fn elsewhere(_: &Device) -> Vector {
    normal(&Device::flex(), 2)
}

fn pulled(point: &Vector, scale: &Vector, _: ()) -> Tensor<1> {
    half_square(point.val() - scale.val())
}

fn watched(scale: &Vector, point: &Vector, _: ()) -> Tensor<1> {
    half_square(point.val() - scale.val())
}

/// The error of a program whose starts this function draws.
macro_rules! refused_with {
    ($start:ident $(($function:path))?, $json:expr) => {{
        multilevel! {
            struct Refused;
            level scale: Vector { lower: [point], batch: (), loss: watched, optimizer: sgd(lr = 0.1) }
            level point: Vector {
                upper: [scale], start: $start $(($function))?, batch: (), loss: pulled, optimizer: sgd(lr = 0.1),
                hypergradient: unrolled,
            }
        }
        let data = RefusedData { scale: ().into(), point: ().into() };
        let parameter = |values: &[f64]| Param::from_tensor(tensor(values));
        let problem = Refused { scale: parameter(&[1.0, 2.0]), point: parameter(&[1.0, 2.0]) };
        match Engine::new(problem, data, RefusedConfig::from_json($json).unwrap()).err().unwrap() {
            EngineError::Start(error) => (error.to_string(), error),
            other => panic!("{other}"),
        }
    }};
}

#[test]
fn what_makes_another_module_or_cannot_be_recorded_is_refused() {
    let (text, error) = refused_with!(fresh(longer), "{}");
    assert!(matches!(&error, StartError::Drawn { level, .. } if level == "point"), "{text}");
    assert!(text.contains("F64 [2]") && text.contains("F64 [3]") && text.contains("of the same types"), "{text}");
    let (text, _) = refused_with!(fresh(single), "{}");
    assert!(text.contains("F64 [2]") && text.contains("F32 [2]"), "{text}");
    for (text, error) in [refused_with!(fresh(read), "{}"), refused_with!(fresh(elsewhere), "{}")] {
        assert!(matches!(&error, StartError::Unrecorded { level, .. } if level == "point"), "{text}");
        assert!(text.contains("of random draws and constants"), "{text}");
    }
    let (text, error) = refused_with!(initial, r#"{ "point": { "start": "fresh" } }"#);
    assert!(matches!(&error, StartError::NoFunction { level } if level == "point"), "{text}");
    assert!(text.contains("`start: fresh(my_net)`"), "{text}");
}

fn left(device: &Device) -> Point {
    Point { still: normal(device, 1), x: normal(device, 3) }
}

#[test]
fn the_parameter_that_does_not_fit_is_named() {
    multilevel! {
        struct Named;
        level shift: Vector { lower: [point], batch: Tensor<1>, loss: judged, optimizer: sgd(lr = 0.5) }
        level point: Point {
            upper: [shift], start: fresh(left), batch: Tensor<1>, loss: driven, optimizer: sgd(lr = 0.3),
            hypergradient: unrolled,
        }
    }
    let Drawn { shift, point } = given();
    let data = NamedData { shift: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
    let error = Engine::new(Named { shift, point }, data, NamedConfig::default()).err().unwrap();
    assert!(matches!(&error, EngineError::Start(StartError::Drawn { parameter, .. }) if parameter == "x"), "{error}");
}
