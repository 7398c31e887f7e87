//! Gradient descent on a quadratic: steps, hypergradients of learned rates, and their derivatives, are known in closed form.
//!
//! On `½(θ − a)ᵀH(θ − a)`, K steps end at `a + (I − αH)ᴷ(θ₀ − a)`, so that their derivative in α is
//! `−K·H(I − αH)ᴷ⁻¹(θ₀ − a)`, of which each step has the same part.

use betty_tests::vectors::{parameter, tensor, values};
use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{Engine, Event, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};

#[derive(Module, Debug)]
struct Point {
    x: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Rates {
    log_lr: Param<Tensor<1>>,
    momentum: Param<Tensor<1>>,
}

const H: [[f64; 2]; 2] = [[1.5, 0.4], [0.4, 0.7]];
const A: [f64; 2] = [1.0, -2.0];
const B: [f64; 2] = [0.3, 0.8];
const START: [f64; 2] = [-0.6, 0.9];
const ALPHA: f64 = 0.3;
const STEPS: usize = 5;

/// `½(θ − a)ᵀH(θ − a)`
fn quadratic(point: &Point, a: Tensor<1>) -> Tensor<1> {
    let gap = point.x.val() - a;
    let h = Tensor::<2>::from_data(TensorData::new(H.concat(), [2, 2]), (&gap.device(), DType::F64));
    let product = h.matmul(gap.clone().unsqueeze_dim::<2>(1)).squeeze_dim::<1>(1);
    (gap * product).sum().mul_scalar(0.5)
}

fn distance(_rates: &Rates, point: &Point, b: Tensor<1>) -> Tensor<1> {
    (point.x.val() - b).powi_scalar(2).sum().mul_scalar(0.5)
}

multilevel! {
    struct Descent;

    level rates: Rates { lower: [point], batch: Tensor<1>, loss: distance, optimizer: sgd(lr = 1.0) }
    level point: Point {
        batch: Tensor<1>, loss: quadratic, optimizer: sgd(lr = exp(rates.log_lr)), unroll: 5, start: initial,
        hypergradient: unrolled,
    }
}

fn descent(config: &str, log_lr: &[f64], momentum: f64, goal: [f64; 2]) -> Engine<Descent> {
    let problem = Descent {
        rates: Rates { log_lr: parameter(log_lr), momentum: parameter(&[momentum]) },
        point: Point { x: parameter(&START) },
    };
    let data = DescentData { rates: Stream::constant(tensor(&goal)), point: Stream::constant(tensor(&A)) };
    Engine::new(problem, data, DescentConfig::from_json(config).unwrap()).unwrap()
}

fn times(m: [[f64; 2]; 2], x: [f64; 2]) -> [f64; 2] {
    [0, 1].map(|i| m[i][0] * x[0] + m[i][1] * x[1])
}

/// `(I − αH)ᵗ x`
fn shrunk(steps: usize, x: [f64; 2]) -> [f64; 2] {
    (0..steps).fold(x, |x, _| {
        let product = times(H, x);
        [0, 1].map(|i| x[i] - ALPHA * product[i])
    })
}

#[test]
fn a_learned_rate_of_gradient_descent_has_its_closed_form() {
    let from_a = [0, 1].map(|i| START[i] - A[i]);
    let end = shrunk(STEPS, from_a);
    let by_step = times(H, shrunk(STEPS - 1, from_a));
    for (steps, config) in [
        (STEPS, "{}"),
        (3, r#"{ "point": { "hypergradient": { "truncate": 3 } } }"#),
        (1, r#"{ "point": { "hypergradient": { "truncate": 1 } } }"#),
        (3, r#"{ "point": { "hypergradient": { "truncate": 3, "memory": 1 } } }"#),
    ] {
        let mut engine = descent(config, &[ALPHA.ln()], 0.5, B);
        engine.run(1).unwrap();
        let rates = engine.into_problem().rates;
        // dC/d(log α) = α · dC/dα
        let slope: f64 = (0..2).map(|i| -(steps as f64) * by_step[i] * (A[i] + end[i] - B[i])).sum();
        let found = ALPHA.ln() - values(&rates.log_lr)[0];
        assert!((found - ALPHA * slope).abs() < 1e-13, "{config}: {found} is not {}", ALPHA * slope);
        assert_eq!(values(&rates.momentum), [0.5], "{config}: nothing depends on the momentum");
    }
}

/// `v ← μv + H(θ − a)` and `θ ← θ − D·v`, differentiated forwards by hand in each rate of `D` and in `μ`.
#[test]
fn a_rate_for_each_entry_and_a_momentum_follow_their_recursion() {
    let (rates, mu) = ([0.25, 0.4], 0.6);
    let (mut x, mut v) = (START, [0.0; 2]);
    // Derivatives in both rates and in the momentum.
    let (mut dx, mut dv) = ([[0.0; 2]; 3], [[0.0; 2]; 3]);
    for _ in 0..STEPS {
        let g = times(H, [x[0] - A[0], x[1] - A[1]]);
        for k in 0..3 {
            let dg = times(H, dx[k]);
            dv[k] = [0, 1].map(|i| mu * dv[k][i] + dg[i] + if k == 2 { v[i] } else { 0.0 });
        }
        v = [0, 1].map(|i| mu * v[i] + g[i]);
        for k in 0..3 {
            dx[k] = [0, 1].map(|i| dx[k][i] - rates[i] * dv[k][i] - if k == i { v[i] } else { 0.0 });
        }
        x = [0, 1].map(|i| x[i] - rates[i] * v[i]);
    }
    let slope = |k: usize| (0..2).map(|i| dx[k][i] * (x[i] - B[i])).sum::<f64>();
    let config = r#"{ "point": { "optimizer": { "lr": "rates.log_lr", "momentum": "rates.momentum" } } }"#;
    let mut engine = descent(config, &rates, mu, B);
    engine.run(1).unwrap();
    let after = engine.into_problem().rates;
    let found = [values(&after.log_lr), values(&after.momentum)].concat();
    for (k, (before, after)) in rates.into_iter().chain([mu]).zip(found).enumerate() {
        assert!((before - after - slope(k)).abs() < 1e-13, "{k}: {} is not {}", before - after, slope(k));
    }
}

/// A rate that is a hundred times too small is found, and the loss above falls by as much as there is to gain.
#[test]
fn a_rate_that_is_too_small_is_learned() {
    let config = r#"{
        "rates": { "optimizer": { "name": "adam", "lr": 0.2 } },
        "point": { "unroll": 10, "optimizer": { "lr": "exp(rates.log_lr)", "momentum": "sigmoid(rates.momentum)" } }
    }"#;
    let losses = Rc::new(RefCell::new(Vec::new()));
    let steps = Rc::new(RefCell::new(Vec::new()));
    let (seen, taken) = (Rc::clone(&losses), Rc::clone(&steps));
    // The level above wants the level below at its own minimum.
    let mut engine = descent(config, &[0.003_f64.ln()], -3.0, A).observe(move |event| match event {
        Event::Step { name: "rates", loss, .. } => seen.borrow_mut().push(*loss),
        Event::Step { name: "point", learning_rate, .. } => taken.borrow_mut().push(*learning_rate),
        _ => {}
    });
    engine.run(60).unwrap();
    let (losses, rates) = (losses.borrow(), steps.borrow());
    assert!((rates[0] - 0.003).abs() < 1e-15, "{}", rates[0]);
    assert!(rates.last().unwrap() > &0.3, "the rate is still {:?}", rates.last());
    assert!(losses.last().unwrap() < &(1e-3 * losses[0]), "{:?} against {}", losses.last(), losses[0]);
}

fn half_square(point: &Point, a: Tensor<1>) -> Tensor<1> {
    (point.x.val() - a).powi_scalar(2).sum().mul_scalar(0.5)
}

fn from_above(_above: &Point, point: &Point, b: Tensor<1>) -> Tensor<1> {
    half_square(point, b)
}

multilevel! {
    /// Meta-SGD: where to start, and how far to go along each entry.
    struct MetaSgd;

    level meta: Point { lower: [point], batch: Tensor<1>, loss: from_above, optimizer: sgd(lr = 1.0) }
    level rates: Point { lower: [point], batch: Tensor<1>, loss: from_above, optimizer: sgd(lr = 1.0) }
    level point: Point {
        start: from(meta), batch: Tensor<1>, loss: half_square, optimizer: sgd(lr = rates), unroll: 5,
        hypergradient: unrolled,
    }
}

/// Entry by entry, K steps end at `a + (1 − α)ᴷ(φ − a)`. The two levels above step one after the other on the same steps.
#[test]
fn where_to_start_and_how_far_to_go_are_learned_together() {
    let (phi, alpha) = ([0.4, -1.1], [0.3, 0.15]);
    let problem = MetaSgd {
        meta: Point { x: parameter(&phi) },
        rates: Point { x: parameter(&alpha) },
        point: Point { x: parameter(&[9.0, 9.0]) },
    };
    let (a, b) = (Stream::constant(tensor(&A)), || Stream::constant(tensor(&B)));
    let data = MetaSgdData { meta: b(), rates: b(), point: a };
    let mut engine = Engine::new(problem, data, MetaSgdConfig::default()).unwrap();
    engine.run(1).unwrap();
    let trained = engine.into_problem();
    let (meta, rates) = (values(&trained.meta.x), values(&trained.rates.x));
    for i in 0..2 {
        let kept = (1.0 - alpha[i]).powi(STEPS as i32);
        let gap = A[i] + kept * (phi[i] - A[i]) - B[i];
        let by_rate = -(STEPS as f64) * kept / (1.0 - alpha[i]) * (phi[i] - A[i]);
        assert!((phi[i] - meta[i] - kept * gap).abs() < 1e-14, "{meta:?}");
        assert!((alpha[i] - rates[i] - by_rate * gap).abs() < 1e-14, "{rates:?}");
    }
}

/// What a task is adapted to, or judged by.
fn of_task(task: usize, phase: f64) -> [f64; 2] {
    [0.7, 1.3].map(|frequency| (frequency * task as f64 + phase).sin())
}

/// Each of the two levels above has so many tasks of its own at each of its steps: the model adapts to the data of each, from where
/// `meta` stands by then, and is judged by what belongs to the same task.
#[test]
fn tasks_of_two_levels_above_are_their_own() {
    let tasks_of = |iteration: usize, root: usize, counts: [usize; 2]| {
        let begin = iteration * (counts[0] + counts[1]) + root * counts[0];
        begin..begin + counts[root]
    };
    for counts in [[4, 4], [1, 3], [2, 1]] {
        let (mut phi, mut alpha) = ([0.4, -1.1], [0.3, 0.15]);
        let problem = MetaSgd {
            meta: Point { x: parameter(&phi) },
            rates: Point { x: parameter(&alpha) },
            point: Point { x: parameter(&[9.0, 9.0]) },
        };
        let queries = move |root| {
            let tasks = (0..).flat_map(move |iteration| tasks_of(iteration, root, counts));
            Stream::of(tasks.map(|task| tensor(&of_task(task, 0.5))))
        };
        let supports = Stream::of((0..).map(|step| tensor(&of_task(step / STEPS, 0.0))));
        let data = MetaSgdData { meta: queries(0), rates: queries(1), point: supports };
        let config = format!(
            r#"{{
                "meta": {{ "tasks": {}, "optimizer": {{ "lr": 0.1 }} }},
                "rates": {{ "tasks": {}, "optimizer": {{ "lr": 0.01 }} }}
            }}"#,
            counts[0], counts[1]
        );
        let mut engine = Engine::new(problem, data, MetaSgdConfig::from_json(&config).unwrap()).unwrap();
        engine.run(3).unwrap();
        for iteration in 0..3 {
            for root in 0..2 {
                let tasks = tasks_of(iteration, root, counts);
                let slopes = tasks.clone().map(|task| {
                    let (a, b) = (of_task(task, 0.0), of_task(task, 0.5));
                    [0, 1].map(|i| {
                        let kept = (1.0 - alpha[i]).powi(STEPS as i32);
                        let gap = a[i] + kept * (phi[i] - a[i]) - b[i];
                        let by_rate = -(STEPS as f64) * kept / (1.0 - alpha[i]) * (phi[i] - a[i]);
                        gap * if root == 0 { kept } else { by_rate }
                    })
                });
                let sum = slopes.fold([0.0; 2], |sum, slope| [sum[0] + slope[0], sum[1] + slope[1]]);
                let (moved, lr) = if root == 0 { (&mut phi, 0.1) } else { (&mut alpha, 0.01) };
                (0..2).for_each(|i| moved[i] -= lr * sum[i] / tasks.len() as f64);
            }
        }
        let trained = engine.into_problem();
        for (found, expected) in [(values(&trained.meta.x), phi), (values(&trained.rates.x), alpha)] {
            assert!(
                (0..2).all(|i| (found[i] - expected[i]).abs() < 1e-13),
                "{counts:?}: {found:?} is not {expected:?}"
            );
        }
    }
}
