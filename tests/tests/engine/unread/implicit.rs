//! Implicit methods: what no derivative of the loss below leads to has an answer that does not depend on anything, however much the
//! loss above reads it. Against the whole matrix of what moves, whole runs, and the program without the rest.

use serde_json::{Value, json};

use super::heads::judge_heads;
use super::*;

/// Some of it is fitted, some is read with its gradient stopped, and some not at all.
#[derive(Module, Debug)]
struct Parts {
    head: Point,
    x: Point,
    scale: Point,
}

const A: [[f64; 3]; 3] = [[2.0, 0.5, -0.3], [0.5, 1.0, 0.4], [-0.3, 0.4, 0.6]];
const FITTED: [f64; 3] = [0.4, -0.2, 0.9];
const ABOVE: [f64; 3] = [0.3, 0.5, -0.7];
const SCALE: f64 = 2.0;
/// Long beside the rest.
const HEAD: [f64; 2] = [40.0, -30.0];

fn parts() -> Parts {
    Parts { head: parameter(&HEAD), x: parameter(&FITTED), scale: parameter(&[SCALE]) }
}

/// `s·(½⟨x, Ax⟩ − ⟨λ, x⟩)`
fn quadratic(x: Tensor<1>, lambda: Tensor<1>) -> Tensor<1> {
    let rows = A.iter().map(|row| (constant(row, &x) * x.clone()).sum() * 0.5);
    (Tensor::cat(rows.collect(), 0) * x.clone()).sum() - (lambda * x).sum()
}

fn fit_parts(net: &Parts, lambda: &Point, _: ()) -> Tensor<1> {
    quadratic(net.x.val(), lambda.val()) * betty_runtime::stop_gradient(net.scale.val())
}

fn judge_parts(lambda: &Point, net: &Parts, _: ()) -> Tensor<1> {
    let unread = net.head.val().square().sum() + net.scale.val().square().sum() * 50.0;
    (net.x.val() - 0.25).square().sum() * net.scale.val() + unread + lambda.val().square().sum() * 0.1
}

multilevel! {
    struct Judged;

    level lambda: Point { lower: [net], batch: (), loss: judge_parts, optimizer: sgd(lr = 0.1) }
    level net: Parts { upper: [lambda], batch: (), loss: fit_parts, optimizer: sgd(lr = 0.2), hypergradient: cg }
}

fn judged(lambda: &[f64], net: Parts, change: &Value) -> Engine<Judged> {
    let data = JudgedData { lambda: Stream::constant(()), net: Stream::constant(()) };
    let config = JudgedConfig::from_json(&change.to_string()).unwrap();
    Engine::new(Judged { lambda: parameter(lambda), net }, data, config).unwrap()
}

/// The solution of a system of three, by Cramer's rule.
fn solved(matrix: [[f64; 3]; 3], right: [f64; 3]) -> [f64; 3] {
    let det = |m: [[f64; 3]; 3]| {
        (0..3).map(|i| m[0][i] * (m[1][(i + 1) % 3] * m[2][(i + 2) % 3] - m[1][(i + 2) % 3] * m[2][(i + 1) % 3])).sum()
    };
    let whole: f64 = det(matrix);
    std::array::from_fn(|j| {
        let mut with = matrix;
        (0..3).for_each(|i| with[i][j] = right[i]);
        det(with) / whole
    })
}

/// The hypergradient at these parameters, of what moves alone.
fn by_hand(decay: f64) -> [f64; 3] {
    let matrix = std::array::from_fn(|i| std::array::from_fn(|j| SCALE * A[i][j] + if i == j { decay } else { 0.0 }));
    let q = solved(matrix, std::array::from_fn(|i| 2.0 * SCALE * (FITTED[i] - 0.25)));
    std::array::from_fn(|i| SCALE * q[i] + 0.2 * ABOVE[i])
}

fn assert_near(found: &[f64], expected: &[f64], within: f64, of: &str) {
    let far = |(x, y): (&f64, &f64)| (x - y).abs() > within * expected.iter().fold(0.0, |most, y| y.abs().max(most));
    assert_eq!(found.len(), expected.len());
    assert!(!found.iter().zip(expected).any(far), "{of}: {found:?} is not {expected:?}");
}

fn methods() -> Vec<(Value, f64)> {
    let diagonal = json!({ "name": "diagonal", "probes": 3 });
    let nystrom = json!({ "name": "nystrom", "rank": 2 });
    let mut all = vec![
        (json!({ "hypergradient": { "method": "neumann", "terms": 400, "step_size": 0.2 } }), 1e-9),
        (json!({ "hypergradient": { "method": "nystrom", "rank": 3, "damping": 1e-9 } }), 1e-6),
        (json!({ "hypergradient": { "method": "dense" } }), 1e-11),
        (json!({ "hypergradient": { "method": "dense", "limit": 3 } }), 1e-11),
        (json!({ "hypergradient": { "method": "penalty", "steps": 400, "step_size": 0.2, "multiplier": 1e3 } }), 1e-6),
    ];
    for method in ["cg", "minres", "gmres"] {
        for preconditioner in [&Value::Null, &diagonal, &nystrom] {
            for warm in [false, true] {
                let method = json!({ "method": method, "warm_start": warm });
                all.push((json!({ "hypergradient": method, "preconditioner": preconditioner }), 1e-9));
            }
        }
    }
    all
}

#[test]
fn systems_are_those_of_what_moves() {
    for (change, within) in methods() {
        for decay in [0.0, 1e-4, 0.5] {
            let mut change = json!({ "net": change });
            change["net"]["optimizer"] = json!({ "name": "sgd", "lr": 0.2, "weight_decay": decay });
            let mut engine = judged(&ABOVE, parts(), &change);
            let found = engine.gradient("lambda").unwrap().gradient.to_vec().unwrap();
            assert_near(&found, &by_hand(decay), within, &change.to_string());
        }
    }
}

/// A hypergradient where the steps have come to rest, and the loss above after runs from here and there.
#[test]
fn whole_runs_change_by_that_much() {
    let long = json!({ "net": { "unroll": 400, "start": "initial", "hypergradient": { "method": "cg" } } });
    let mut engine = judged(&ABOVE, parts(), &long);
    engine.run(1).unwrap();
    let found: Vec<f64> = values(&engine.problem().lambda).iter().zip(ABOVE).map(|(x, y)| (y - x) / 0.1).collect();
    let loss = |lambda: [f64; 3]| judged(&lambda, parts(), &long).run(1).unwrap().levels[0].loss.unwrap();
    let h = 1e-3;
    let expected: Vec<f64> = (0..3)
        .map(|k| {
            let [ahead, behind] = [h, -h].map(|by| {
                let mut lambda = ABOVE;
                lambda[k] += by;
                loss(lambda)
            });
            (ahead - behind) / (2.0 * h)
        })
        .collect();
    // The loss is in the thousands, which is how exact differences are.
    assert_near(&found, &expected, 1e-6, "runs");
}

#[test]
fn what_looks_at_the_next_step_sees_it_whole() {
    for method in ["sama", "identity", "finite_difference"] {
        let change = json!({ "net": { "hypergradient": { "method": method } } });
        let found = judged(&ABOVE, parts(), &change).gradient("lambda").unwrap().gradient.to_vec().unwrap();
        // Of plain steps the derivative is the rate; the others take 1 for the inverse.
        let inverse = if method == "sama" { 0.2 } else { 1.0 };
        let at = |i: usize| SCALE * inverse * 2.0 * SCALE * (FITTED[i] - 0.25) + 0.2 * ABOVE[i];
        assert_near(&found, &[0, 1, 2].map(at), 1e-9, method);
    }
}

#[test]
fn a_check_judges_and_sees_what_moves() {
    for method in ["cg", "dense", "unrolled"] {
        let slow = json!({ "optimizer": { "name": "sgd", "lr": 1e-6 } });
        let change = json!({ "net": { "hypergradient": { "method": method }, "unroll": 200 }, "lambda": slow });
        let mut engine = judged(&ABOVE, parts(), &change);
        engine.run(1).unwrap();
        let check = engine.verify_hypergradient("lambda").unwrap();
        assert!(check.is_judged() && check.relative_error < 1e-3, "{check}");
        let response = &check.responses[0];
        assert!(response.reference_residual < 1e-9, "{check}");
        // 2A has its eigenvalues between these.
        let (low, high) = (response.spectrum.smallest.value, response.spectrum.largest.value);
        assert!(0.3 < low && low < 0.6 && 4.0 < high && high < 5.0, "{check}");
        assert!(response.distance < 1e-2, "{check}");
    }
}

#[test]
fn products_are_counted_of_what_moves() {
    let change = json!({ "net": { "hypergradient": { "method": "dense" } } });
    let mut engine = judged(&ABOVE, parts(), &change);
    let explained = engine.explain().unwrap();
    assert_eq!(explained.levels[0].responses[0].products, Some(4), "{explained}");
}

/// A step that hands back what it does not move.
fn stepped(net: &Parts, lambda: &Point, _: ()) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let x = net.x.val();
    let slopes = A.iter().map(|row| (constant(row, &x) * x.clone()).sum());
    let next = x.clone() - (Tensor::cat(slopes.collect(), 0) - lambda.val()) * 0.2 * net.scale.val();
    (net.head.val(), next, net.scale.val())
}

multilevel! {
    struct Fixed;

    level lambda: Point { lower: [net], batch: (), loss: judge_parts, optimizer: sgd(lr = 0.1) }
    level net: Parts {
        upper: [lambda], batch: (), loss: fit_parts, condition: fixed_point(stepped), optimizer: sgd(lr = 0.2), hypergradient: gmres,
    }
}

#[test]
fn what_a_map_hands_back_stands_still() {
    for (method, within) in [
        (json!({ "method": "gmres" }), 1e-10),
        (json!({ "method": "dense" }), 1e-10),
        (json!({ "method": "neumann", "terms": 400, "step_size": 1.0 }), 1e-9),
    ] {
        let data = FixedData { lambda: Stream::constant(()), net: Stream::constant(()) };
        let config = FixedConfig::from_json(&json!({ "net": { "hypergradient": method } }).to_string()).unwrap();
        let mut engine = Engine::new(Fixed { lambda: parameter(&ABOVE), net: parts() }, data, config).unwrap();
        let found = engine.gradient("lambda").unwrap().gradient.to_vec().unwrap();
        // (∂T/∂λ)ᵀ(I − ∂T/∂x)⁻ᵀ = A⁻¹, wherever the point is.
        assert_near(&found, &by_hand(0.0), within, &method.to_string());
    }
}

/// A level of which nothing is read answers nothing.
fn fit_nothing(net: &Parts, lambda: &Point, _: ()) -> Tensor<1> {
    (betty_runtime::stop_gradient(net.x.val()) * lambda.val()).sum()
}

multilevel! {
    struct Unmoved;

    level lambda: Point { lower: [net], batch: (), loss: judge_parts, optimizer: sgd(lr = 0.1) }
    level net: Parts { upper: [lambda], batch: (), loss: fit_nothing, optimizer: sgd(lr = 0.2), hypergradient: cg }
}

#[test]
fn a_level_that_nothing_moves_answers_nothing() {
    for method in ["cg", "minres", "gmres", "dense", "nystrom", "neumann"] {
        let data = UnmovedData { lambda: Stream::constant(()), net: Stream::constant(()) };
        let json = json!({ "net": { "hypergradient": { "method": method } } });
        let config = UnmovedConfig::from_json(&json.to_string()).unwrap();
        let mut engine = Engine::new(Unmoved { lambda: parameter(&ABOVE), net: parts() }, data, config).unwrap();
        let found = engine.gradient("lambda").unwrap().gradient.to_vec().unwrap();
        assert_near(&found, &ABOVE.map(|x| 0.2 * x), 1e-14, method);
    }
}

multilevel! {
    struct Chosen;

    level lambda: Point { lower: [net], batch: (), loss: judge_heads, optimizer: sgd(lr = 0.5) }
    level net: heads::Heads {
        upper: [lambda], batch: heads::Sample, loss: heads::fit_head, optimizer: sgd(lr = 0.1), hypergradient: cg,
    }
}

/// The condition is that of the batches of a step: of a head that none of them reads it says nothing.
#[test]
fn a_head_counts_where_a_batch_of_the_step_reads_it() {
    let (lambda, x, y) = (0.8, [0.5, -1.0], (1.5, 0.7));
    // ½(first − 1.5λ)² and ½(second·λ − 0.7)²
    let of_first = x[0] * y.0;
    let of_second = -(x[1] - 2.0) * (2.0 * x[1] * lambda - y.1) / (lambda * lambda);
    let both = |(first, second): (bool, bool)| f64::from(first) * of_first + f64::from(second) * of_second;
    for (turns, expected) in [
        (vec![(true, false)], both((true, false))),
        (vec![(false, true)], both((false, true))),
        (vec![(true, true)], both((true, true))),
        (vec![(true, false), (false, true)], both((true, true))),
        (vec![(true, false), (true, false)], both((true, false))),
    ] {
        for method in ["cg", "dense", "gmres"] {
            let turns = turns.clone();
            let json = json!({ "net": { "accumulate": turns.len(), "hypergradient": { "method": method } } });
            let net = Stream::epochs(move |_| turns.clone().into_iter().map(heads::sample));
            let data = ChosenData { lambda: Stream::constant(()), net };
            let config = ChosenConfig::from_json(&json.to_string()).unwrap();
            let problem = Chosen { lambda: parameter(&[lambda]), net: heads::at(x) };
            let mut engine = Engine::new(problem, data, config).unwrap();
            let found = engine.gradient("lambda").unwrap().gradient.to_vec().unwrap();
            assert_near(&found, &[expected], 1e-12, &json.to_string());
        }
    }
}
