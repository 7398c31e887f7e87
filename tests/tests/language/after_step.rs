//! Functions that follow each step of a level.
//!
//! The lower level follows `½‖x − a‖²` by gradient descent with momentum, and after each step `x ← s·x/(1 + ‖x‖²) + c·m` with the
//! scale `s` of the level above, a constant `c` in a plain field and a part `m` of the module that stands still. Nothing but the
//! function reads the level above.

mod edited;

use betty_runtime::error::rules::Violation;
use betty_runtime::{
    AfterStepError, ConfigError, ConflictError, Engine, EngineError, ProgramConfig, Stream, StreamPosition, multilevel,
};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::{Module, Param};
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Distribution, Tensor};

const ALPHA: f64 = 0.3;
const MOMENTUM: f64 = 0.6;
const BETA: f64 = 0.4;
const STEPS: usize = 4;
const A: [f64; 2] = [1.5, -0.7];
const B: [f64; 2] = [0.2, 0.9];
const X: [f64; 2] = [0.8, 1.1];
const SCALE: [f64; 2] = [1.2, 0.7];
const STILL: [f64; 2] = [0.3, -0.1];
const SHIFT: [f64; 2] = [0.5, 0.25];

type Vector = Param<Tensor<1>>;

#[derive(Module, Debug)]
struct Point {
    x: Vector,
    /// Nothing reads it but the function after the step.
    unread: Vector,
    still: Vector,
    shift: Tensor<1>,
}

impl Point {
    fn new() -> Self {
        Point { x: parameter(&X), unread: parameter(&[2.0]), still: parameter(&STILL), shift: tensor(&SHIFT) }
    }
}

fn half_square(x: Tensor<1>) -> Tensor<1> {
    x.square().sum() * 0.5
}

fn driven(point: &Point, _scale: &Vector, a: Tensor<1>) -> Tensor<1> {
    half_square(point.x.val() - a)
}

fn judged(_scale: &Vector, point: &Point, b: Tensor<1>) -> Tensor<1> {
    half_square(point.x.val() - b)
}

fn squeezed(point: Point, scale: &Vector) -> Point {
    let (still, shift) = (point.still.val(), point.shift.clone());
    let size = point.x.val().square().sum() + 1.0;
    // 2 − 2 + 0: what no loss reads stays what it was, and is seen as such.
    let unmoved = point.unread.val() - 2.0;
    Point {
        x: point.x.map(|x| x * scale.val() / size + still * shift + unmoved),
        unread: point.unread.map(|unread| unread * 0.5),
        ..point
    }
}

multilevel! {
    struct Squeezed;

    level scale: Vector { lower: [point], batch: Tensor<1>, loss: judged, optimizer: sgd(lr = 0.4) }
    level point: Point {
        upper: [scale], batch: Tensor<1>, loss: driven, after_step: squeezed, freeze: [still],
        optimizer: sgd(lr = 0.3, momentum = 0.6, weight_decay = 0.1), unroll: 4, hypergradient: unrolled,
    }
}

fn engine(json: &str) -> Engine<Squeezed> {
    let problem = Squeezed { scale: parameter(&SCALE), point: Point::new() };
    let data = SqueezedData { scale: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
    Engine::new(problem, data, SqueezedConfig::from_json(json).unwrap()).unwrap()
}

fn both(engine: &mut Engine<Squeezed>) -> [[f64; 2]; 2] {
    let Squeezed { scale, point } = engine.problem();
    [&scale.clone(), &point.x].map(|of| values(of).try_into().unwrap())
}

/// Position and velocity.
type At = ([f64; 2], [f64; 2]);

fn by_hand(shift: [f64; 2], scale: [f64; 2], (mut x, mut velocity): At) -> At {
    for _ in 0..STEPS {
        for i in 0..2 {
            // Burn's momentum: velocity ← 0.6·velocity + gradient.
            velocity[i] = MOMENTUM * velocity[i] + (x[i] - A[i] + 0.1 * x[i]);
            x[i] -= ALPHA * velocity[i];
        }
        let size = 1.0 + x[0] * x[0] + x[1] * x[1];
        x = [0, 1].map(|i| x[i] * scale[i] / size + STILL[i] * shift[i]);
    }
    (x, velocity)
}

fn loss(shift: [f64; 2], scale: [f64; 2], from: At) -> f64 {
    let (x, _) = by_hand(shift, scale, from);
    (0..2).map(|i| 0.5 * (x[i] - B[i]).powi(2)).sum()
}

/// One turn with this constant: the level above follows differences of whole turns.
fn turn_by_hand(shift: [f64; 2], scale: [f64; 2], at: At) -> ([f64; 2], At) {
    let gradient = [0, 1].map(|i| {
        let h = 1e-4;
        let moved = |by: f64| {
            let mut moved = scale;
            moved[i] += by;
            loss(shift, moved, at)
        };
        // Of the fourth order.
        (8.0 * (moved(h) - moved(-h)) - (moved(2.0 * h) - moved(-2.0 * h))) / (12.0 * h)
    });
    ([0, 1].map(|i| scale[i] - BETA * gradient[i]), by_hand(shift, scale, at))
}

/// Turns, which begin at `X` if they start anew.
fn run_by_hand(iterations: usize, anew: bool) -> [[f64; 2]; 2] {
    let (mut scale, mut at) = (SCALE, (X, [0.0; 2]));
    for _ in 0..iterations {
        if anew {
            at = (X, [0.0; 2]);
        }
        (scale, at) = turn_by_hand(SHIFT, scale, at);
    }
    [scale, at.0]
}

fn assert_close(found: [[f64; 2]; 2], expected: [[f64; 2]; 2]) {
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    // Differences are exact to 1e-11.
    assert!(pairs.into_iter().all(|(x, y)| (x - y).abs() < 1e-10), "{found:?} is not {expected:?}");
}

#[test]
fn steps_and_hypergradients_are_those_of_a_loop_by_hand() {
    for method in [r#""unrolled""#, r#""unrolled", "memory": 2"#, r#""forward""#] {
        let mut engine = engine(&format!(r#"{{ "point": {{ "hypergradient": {{ "method": {method} }} }} }}"#));
        engine.run(3).unwrap();
        assert_close(both(&mut engine), run_by_hand(3, false));
        let Squeezed { point, .. } = engine.problem();
        assert_eq!(values(&point.unread), [2.0]);
        assert_eq!(values(&point.still), STILL);
    }
}

#[test]
fn tasks_one_by_one_and_together_are_the_same() {
    for vectorize in [false, true] {
        let json =
            format!(r#"{{ "scale": {{ "tasks": 2, "vectorize": {vectorize} }}, "point": {{ "start": "initial" }} }}"#);
        let mut engine = engine(&json);
        engine.run(3).unwrap();
        assert_close(both(&mut engine), run_by_hand(3, true));
    }
}

#[test]
fn a_resumed_run_goes_on_as_the_whole_one() {
    let (mut whole, mut first, mut resumed) = (engine("{}"), engine("{}"), engine("{}"));
    whole.run(4).unwrap();
    first.run(2).unwrap();
    resumed.resume(&first.checkpoint().unwrap(), StreamPosition::Start).unwrap();
    resumed.run(2).unwrap();
    assert_eq!(both(&mut resumed), both(&mut whole));
}

#[test]
fn an_edited_constant_is_what_the_function_reads_from_then_on() {
    let mut engine = engine(r#"{ "point": { "unroll": 1 } }"#);
    engine.edit(|problem| problem.point.shift = tensor(&[0.0, 0.0])).unwrap();
    engine.run(1).unwrap();
    let velocity = [0, 1].map(|i| X[i] - A[i] + 0.1 * X[i]);
    let x = [0, 1].map(|i| X[i] - ALPHA * velocity[i]);
    let size = 1.0 + x[0] * x[0] + x[1] * x[1];
    let [_, found] = both(&mut engine);
    assert!((0..2).all(|i| (found[i] - x[i] * SCALE[i] / size).abs() < 1e-14), "{found:?}");
}

#[test]
fn an_implicit_method_is_refused() {
    for method in ["cg", "sama", "identity"] {
        let json = format!(r#"{{ "point": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let problem = Squeezed { scale: parameter(&SCALE), point: Point::new() };
        let data = SqueezedData { scale: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
        let error = Engine::new(problem, data, SqueezedConfig::from_json(&json).unwrap()).err().unwrap();
        assert!(
            matches!(
                error,
                EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                    rule: Violation::FollowedResponse,
                    ..
                }))
            ),
            "{error}"
        );
        assert!(error.to_string().contains("`condition: fixed_point(my_map)`"), "{error}");
    }
}

#[test]
fn there_is_no_best_response_to_compare_with() {
    let mut engine = engine("{}");
    engine.run(1).unwrap();
    let error = engine.verify_hypergradient("scale").err().unwrap();
    assert!(matches!(&error, EngineError::NoReference { through, .. } if through == "point"), "{error}");
}

/// The error of a level that this function follows.
macro_rules! refused_with {
    ($function:ident) => {{
        multilevel! {
            struct Refused;
            level scale: Vector { lower: [point], batch: Tensor<1>, loss: judged, optimizer: sgd(lr = 0.4) }
            level point: Point {
                upper: [scale], batch: Tensor<1>, loss: driven, after_step: $function, freeze: [still],
                optimizer: sgd(lr = 0.3), hypergradient: unrolled,
            }
        }
        let problem = Refused { scale: parameter(&SCALE), point: Point::new() };
        let data = RefusedData { scale: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
        match Engine::new(problem, data, RefusedConfig::default()).err().unwrap() {
            EngineError::AfterStep(error) => (error.to_string(), error),
            other => panic!("{other}"),
        }
    }};
}

fn longer(point: Point, _: &Vector) -> Point {
    Point { x: point.x.map(|x| Tensor::cat(vec![x.clone(), x], 0)), ..point }
}

fn moved(point: Point, _: &Vector) -> Point {
    Point { still: point.still.map(|still| still + 1.0), ..point }
}

fn drawn(point: Point, _: &Vector) -> Point {
    Point { x: point.x.map(|x| x.clone() + x.random_like(Distribution::Default)), ..point }
}

fn read(point: Point, _: &Vector) -> Point {
    let size: f64 = point.x.val().abs().sum().into_scalar();
    Point { x: point.x.map(|x| x / size), ..point }
}

fn replaced(_: Point, _: &Vector) -> Point {
    Point::new()
}

#[test]
fn what_is_no_function_of_the_module_is_refused() {
    let (text, error) = refused_with!(longer);
    assert!(matches!(&error, AfterStepError::Returned { parameter, .. } if parameter == "x"), "{text}");
    assert!(text.contains("F64 [4]") && text.contains("F64 [2]"), "{text}");
    let (text, error) = refused_with!(moved);
    assert!(matches!(&error, AfterStepError::Returned { parameter, .. } if parameter == "still"), "{text}");
    let (text, error) = refused_with!(drawn);
    assert!(matches!(error, AfterStepError::Draws { .. }), "{text}");
    for (text, error) in [refused_with!(read), refused_with!(replaced)] {
        assert!(matches!(error, AfterStepError::Unrecorded { .. }), "{text}");
        assert!(text.contains("recorded once"), "{text}");
    }
}

/// A derivative that Burn's tape does not see and ours does.
fn detached(point: Point, scale: &Vector) -> Point {
    Point { x: point.x.map(|x| x.clone().detach() * scale.val()), ..point }
}

#[test]
fn derivatives_are_compared_with_burns() {
    multilevel! {
        struct Detached;
        level scale: Vector { lower: [point], batch: Tensor<1>, loss: judged, optimizer: sgd(lr = 0.4) }
        level point: Point {
            upper: [scale], batch: Tensor<1>, loss: driven, after_step: detached, optimizer: sgd(lr = 0.3),
            hypergradient: unrolled,
        }
    }
    let problem = Detached { scale: parameter(&SCALE), point: Point::new() };
    let data = DetachedData { scale: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
    let mut engine = Engine::new(problem, data, DetachedConfig::default()).unwrap();
    let error = engine.run(1).err().unwrap();
    assert!(matches!(&error, EngineError::Verification { level, .. } if level == "point"), "{error}");
}

fn alone(weights: &Vector, target: Tensor<1>) -> Tensor<1> {
    half_square(weights.val() - target)
}

/// A set that none of the built-in projections is.
fn rounded_up(weights: Vector) -> Vector {
    weights.map(|weights| softplus(weights, 10.0))
}

multilevel! {
    struct Alone;
    level weights: Vector { batch: Tensor<1>, loss: alone, after_step: rounded_up, optimizer: sgd(lr = 0.5), project: at_least(low = -0.5) }
}

#[test]
fn a_level_of_its_own_comes_after_its_projection() {
    let problem = Alone { weights: parameter(&[1.0, -3.0]) };
    let data = AloneData { weights: Stream::constant(tensor(&[0.5, -2.0])) };
    let mut engine = Engine::new(problem, data, AloneConfig::default()).unwrap();
    engine.run(2).unwrap();
    let step = |x: f64, target: f64| {
        let moved: f64 = (x - 0.5 * (x - target)).max(-0.5);
        (1.0 + (10.0 * moved).exp()).ln() / 10.0
    };
    let expected = [(1.0, 0.5), (-3.0, -2.0)].map(|(x, target)| step(step(x, target), target));
    let found = values(&engine.problem().weights);
    assert!(found.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-13), "{found:?} is not {expected:?}");
    let on_cpu = Device::flex();
    assert_eq!(engine.problem().weights.val().device(), on_cpu);
}

fn judged_above(_top: &Vector, middle: &Vector, b: Tensor<1>) -> Tensor<1> {
    half_square(middle.val() - b)
}

fn judged_between(middle: &Vector, top: &Vector, low: &Vector, _: ()) -> Tensor<1> {
    let (m, x) = (middle.val(), low.val());
    half_square(m.clone() - top.val()) + (m * x.clone()).sum() * 0.3 + half_square(x)
}

fn driven_below(low: &Vector, middle: &Vector, _top: &Vector, a: Tensor<1>) -> Tensor<1> {
    half_square(low.val() - a - middle.val() * 0.2)
}

fn bent(low: Vector, middle: &Vector, top: &Vector) -> Vector {
    low.map(|x| x.tanh() * middle.val() + top.val() * 0.1)
}

multilevel! {
    /// Only the lowest level moves: the rates of the others are too small to change a number.
    struct Nested;

    level top: Vector { lower: [middle], batch: Tensor<1>, loss: judged_above, optimizer: sgd(lr = 1e-40) }
    level middle: Vector {
        upper: [top], lower: [low], batch: (), loss: judged_between, optimizer: sgd(lr = 1e-40), hypergradient: dense,
    }
    level low: Vector {
        upper: [middle, top], batch: Tensor<1>, loss: driven_below, after_step: bent, start: initial,
        optimizer: sgd(lr = 0.3), unroll: 3, hypergradient: unrolled,
    }
}

/// The total gradient of the middle level: of ½(m − s)² + 0.3·m·x + ½x² with x = φ(m, s).
fn total(m: f64, s: f64) -> f64 {
    let (mut x, mut dx) = (X[0], 0.0);
    for _ in 0..3 {
        x -= ALPHA * (x - A[0] - 0.2 * m);
        dx -= ALPHA * (dx - 0.2);
        let bend = x.tanh();
        (x, dx) = (bend * m + 0.1 * s, (1.0 - bend * bend) * dx * m + bend);
    }
    (m - s) + 0.3 * (x + m * dx) + x * dx
}

#[test]
fn a_level_whose_steps_it_follows_nests_below_one_that_is_differentiated() {
    let (m, s, b) = (1.3, 0.6, -0.4);
    let problem = Nested { top: parameter(&[s]), middle: parameter(&[m]), low: parameter(&[X[0]]) };
    let data =
        NestedData { top: Stream::constant(tensor(&[b])), middle: ().into(), low: Stream::constant(tensor(&[A[0]])) };
    let mut engine = Engine::new(problem, data, NestedConfig::default()).unwrap();
    engine.run(1).unwrap();
    let found = engine.gradient("top").unwrap().gradient.to_vec().unwrap()[0];
    let slope = |of: &dyn Fn(f64) -> f64| {
        let h = 1e-3;
        (8.0 * (of(h) - of(-h)) - (of(2.0 * h) - of(-2.0 * h))) / (12.0 * h)
    };
    let (by_m, by_s) = (slope(&|h| total(m + h, s)), slope(&|h| total(m, s + h)));
    let expected = -(m - b) * by_s / by_m;
    // Differences are exact to 1e-11.
    assert!((found - expected).abs() < 1e-10, "{found} is not {expected}");
}
