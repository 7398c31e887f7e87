//! A function after each step that reads a parameter of the level itself which no step moves.
//!
//! The lower level goes along ½‖x − a‖² and after each step to the sphere of its radius, x ← r·x/‖x‖. It begins at the level above,
//! with x and r, so that the radius of the level above is a hyperparameter of every step, and no loss below reads it.

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

const ALPHA: f64 = 0.3;
const BETA: f64 = 0.2;
const STEPS: usize = 3;
const A: [f64; 2] = [1.5, -0.7];
const B: [f64; 2] = [0.2, 0.9];
const X: [f64; 2] = [0.8, 1.1];
const RADIUS: f64 = 1.4;

#[derive(Module, Debug)]
struct Sphere {
    x: Param<Tensor<1>>,
    radius: Param<Tensor<1>>,
}

impl Sphere {
    fn new(x: &[f64], radius: f64) -> Self {
        Sphere { x: parameter(x), radius: parameter(&[radius]) }
    }

    fn numbers(&self) -> [f64; 3] {
        [values(&self.x), values(&self.radius)].concat().try_into().unwrap()
    }
}

fn half_square(x: Tensor<1>) -> Tensor<1> {
    x.square().sum() * 0.5
}

fn support(point: &Sphere, a: Tensor<1>) -> Tensor<1> {
    half_square(point.x.val() - a)
}

fn onto_the_sphere(point: Sphere) -> Sphere {
    let radius = point.radius.val();
    Sphere { x: point.x.map(|x| x.clone() / x.square().sum().sqrt() * radius), ..point }
}

fn query(_meta: &Sphere, point: &Sphere, b: Tensor<1>) -> Tensor<1> {
    half_square(point.x.val() - b)
}

fn query_of_both(_meta: &Sphere, point: &Sphere, b: Tensor<1>) -> Tensor<1> {
    half_square(point.x.val() - b) + half_square(point.radius.val()) * 0.3
}

/// Only the function reads the radius, or the loss above does so, too.
macro_rules! program {
    ($name:ident, $data:ident, $config:ident, $loss:ident, $run:ident) => {
        multilevel! {
            struct $name;

            level meta: Sphere { lower: [point], batch: Tensor<1>, loss: $loss, optimizer: sgd(lr = 0.2) }
            level point: Sphere {
                start: from(meta), batch: Tensor<1>, loss: support, after_step: onto_the_sphere, optimizer: sgd(lr = 0.3),
                unroll: 3, hypergradient: unrolled,
            }
        }

        fn $run(json: &str) -> [f64; 3] {
            let problem = $name { meta: Sphere::new(&X, RADIUS), point: Sphere::new(&[9.0, 9.0], 9.0) };
            let data = $data { meta: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
            let mut engine = Engine::new(problem, data, $config::from_json(json).unwrap()).unwrap();
            engine.run(3).unwrap();
            engine.into_problem().meta.numbers()
        }
    };
}

program!(Unread, UnreadData, UnreadConfig, query, run_unread);
program!(Read, ReadData, ReadConfig, query_of_both, run_read);

fn loss([x, y, radius]: [f64; 3], share: f64) -> f64 {
    let mut x = [x, y];
    for _ in 0..STEPS {
        x = [0, 1].map(|i| x[i] - ALPHA * (x[i] - A[i]));
        let length = (x[0] * x[0] + x[1] * x[1]).sqrt();
        x = x.map(|x| x / length * radius);
    }
    (0..2).map(|i| 0.5 * (x[i] - B[i]).powi(2)).sum::<f64>() + 0.5 * share * radius * radius
}

/// Three steps along differences of the whole function.
fn run_by_hand(share: f64) -> [f64; 3] {
    let mut meta = [X[0], X[1], RADIUS];
    for _ in 0..3 {
        let gradient = [0, 1, 2].map(|i| {
            let h = 1e-3;
            let moved = |by: f64| {
                let mut moved = meta;
                moved[i] += by;
                loss(moved, share)
            };
            // Of the fourth order.
            (8.0 * (moved(h) - moved(-h)) - (moved(2.0 * h) - moved(-2.0 * h))) / (12.0 * h)
        });
        meta = [0, 1, 2].map(|i| meta[i] - BETA * gradient[i]);
    }
    meta
}

const WAYS: [&str; 4] = [
    r#"{ "point": { "hypergradient": { "method": "unrolled" } } }"#,
    r#"{ "point": { "hypergradient": { "method": "unrolled", "memory": 2 } } }"#,
    r#"{ "point": { "hypergradient": { "method": "forward" } } }"#,
    r#"{ "meta": { "vectorize": true } }"#,
];

fn assert_close(found: [f64; 3], expected: [f64; 3], way: &str) {
    let is_close = found.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-9);
    assert!(is_close, "{found:?} is not {expected:?}: {way}");
}

#[test]
fn what_a_function_makes_of_a_parameter_that_stands_still_counts_in_every_step() {
    let expected = run_by_hand(0.3);
    for way in WAYS {
        assert_close(run_read(way), expected, way);
    }
}

#[test]
fn a_parameter_that_nothing_but_the_function_reads_is_trained_where_steps_begin() {
    let expected = run_by_hand(0.0);
    assert!((expected[2] - RADIUS).abs() > 1e-2, "{expected:?}");
    for way in WAYS {
        assert_close(run_unread(way), expected, way);
    }
}
