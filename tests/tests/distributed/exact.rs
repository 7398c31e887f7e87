//! Every method, at every place of programs of two and three levels and of a diamond.

use betty_runtime::{Engine, EngineError, ProgramConfig, multilevel};
use betty_schema::{METHODS, Way};
use burn::tensor::Tensor;

use super::problem::{Knobs, Net, Outcome, Samples, View, assert_exact, both};

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let moved = Samples { x: batch.x + knobs.shift.val().unsqueeze(), y: batch.y };
    net.error(moved) + net.second.val().powi_scalar(2).sum() * knobs.penalty.val().exp() + net.penalty()
}

fn choose(_knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
}

fn tune(knobs: &Knobs, top: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
        + (knobs.shift.val() - top.shift.val()).powi_scalar(2).sum()
        + (knobs.penalty.val() - top.penalty.val()).powi_scalar(2).sum()
}

fn judge(top: &Knobs, knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + (knobs.shift.val() * top.shift.val()).sum()
}

fn fit_both(net: &Net, left: &Knobs, right: &Knobs, batch: Samples) -> Tensor<1> {
    let moved = Samples { x: batch.x + left.shift.val().unsqueeze(), y: batch.y };
    net.error(moved) + net.penalty() * (right.penalty.val().exp() + 1.0)
}

fn follow(knobs: &Knobs, top: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    tune(knobs, top, net, batch)
}

fn oversee(top: &Knobs, left: &Knobs, right: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + (left.shift.val() * top.shift.val()).sum() + (right.penalty.val() * top.penalty.val()).sum()
}

multilevel! {
    struct Two;
    level knobs: Knobs { lower: [net], batch: Samples, loss: choose, optimizer: adam(lr = 0.01) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1, momentum = 0.5, weight_decay = 0.02),
        unroll: 3, hypergradient: cg,
    }
}

multilevel! {
    struct Solved;
    level knobs: Knobs { lower: [net], batch: Samples, loss: choose, optimizer: adam(lr = 0.01) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: fit, solver: lbfgs(iterations = 5), hypergradient: cg(damping = 1.0),
    }
}

multilevel! {
    struct Three;
    level top: Knobs { lower: [mid, net], batch: Samples, loss: judge, optimizer: sgd(lr = 0.01) }
    level mid: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: tune, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: cg,
    }
    level net: Net {
        upper: [mid], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1), unroll: 3, hypergradient: cg,
    }
}

multilevel! {
    struct Diamond;
    level top: Knobs { lower: [left, right, net], batch: Samples, loss: oversee, optimizer: sgd(lr = 0.01) }
    level left: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: follow, optimizer: sgd(lr = 0.1), hypergradient: cg(damping = 0.1),
    }
    level right: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: follow, optimizer: sgd(lr = 0.1), hypergradient: cg(damping = 0.1),
    }
    level net: Net {
        upper: [left, right], batch: Samples, loss: fit_both, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: cg(damping = 0.1),
    }
}

/// Even, uneven, and changing shares.
const EVEN: &[&[usize]] = &[&[3, 3]];
const UNEVEN: &[&[usize]] = &[&[2, 4], &[5, 1], &[3, 3]];
const THREE: &[&[usize]] = &[&[1, 3, 2], &[4, 1, 1]];

/// Every method but those of users.
pub(crate) fn methods() -> impl Iterator<Item = &'static str> {
    METHODS.rows.iter().filter(|row| row.way != Way::Given).map(|row| row.name)
}

fn two(json: &str) -> impl Fn(View) -> Result<Engine<Two>, EngineError> + Sync {
    move |view| {
        let data = TwoData { knobs: view.samples(1), net: view.samples(2) };
        Engine::new(Two { knobs: Knobs::new(0), net: Net::new(1) }, data, TwoConfig::from_json(json)?)
    }
}

fn values_of_two(engine: &mut Engine<Two>) -> Vec<f64> {
    [engine.problem().knobs.values(), engine.problem().net.values()].concat()
}

fn run_two(engine: &mut Engine<Two>) -> Outcome {
    let report = engine.run(4)?;
    let losses = report.levels.iter().map(|level| level.loss.unwrap_or(f64::NAN));
    Ok(losses.chain(values_of_two(engine)).collect())
}

#[test]
fn every_method_below_one_level() {
    for method in methods() {
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
        // Differences of gradients lose half of the digits, and small ones more.
        let tolerance = match method {
            "finite_difference" | "sama" | "penalty" | "evolution" => 1e-8,
            _ => 1e-12,
        };
        for sizes in [EVEN, UNEVEN, THREE] {
            let (whole, ranks) = both(sizes, two(&json), run_two);
            let whole = whole.unwrap_or_else(|error| panic!("{method}: {error}"));
            assert_exact(&whole, &ranks, tolerance, &format!("{method} on {sizes:?}"));
        }
    }
}

#[test]
fn what_goes_around_a_gradient_goes_around_the_joined_one() {
    let options = [
        r#""net": { "clip": { "norm": 0.05 } }"#,
        r#""net": { "accumulate": 2 }"#,
        r#""net": { "start": "initial" }"#,
        r#""net": { "optimizer": { "name": "adam", "lr": 0.05 }, "hypergradient": { "method": "unrolled", "truncate": 2 } }"#,
        r#""net": { "unroll": 6, "hypergradient": { "method": "unrolled", "memory": 4 } }"#,
        r#""net": { "hypergradient": { "method": "cg", "batch": "fresh" } }"#,
        r#""knobs": { "tasks": 3 }, "net": { "start": "initial", "hypergradient": { "method": "unrolled" } }"#,
    ];
    for option in options {
        let json = format!("{{ {option} }}");
        let (whole, ranks) = both(UNEVEN, two(&json), run_two);
        let whole = whole.unwrap_or_else(|error| panic!("{option}: {error}"));
        assert_exact(&whole, &ranks, 1e-12, option);
    }
}

#[test]
fn a_level_that_a_solver_takes_to_its_best_response() {
    let prepare = |view: View| {
        let data = SolvedData { knobs: view.samples(1), net: view.samples(2) };
        Engine::new(Solved { knobs: Knobs::new(0), net: Net::new(1) }, data, SolvedConfig::default())
    };
    let run = |engine: &mut Engine<Solved>| {
        engine.run(3)?;
        Ok([engine.problem().knobs.values(), engine.problem().net.values()].concat())
    };
    let (whole, ranks) = both(UNEVEN, prepare, run);
    assert_exact(&whole.expect("it runs"), &ranks, 1e-10, "lbfgs");
}

#[test]
fn questions_have_the_answers_of_the_joined_batch() {
    let ask = |engine: &mut Engine<Two>| {
        engine.run(2)?;
        let before = values_of_two(engine);
        let found = engine.gradient("knobs")?;
        let check = engine.verify_hypergradient("knobs")?;
        engine.explain()?;
        assert_eq!(values_of_two(engine), before);
        let mut numbers = vec![found.loss, found.norm, check.norm, check.reference_norm, check.cosine];
        numbers.extend(found.gradient.to_vec().expect("a gradient in host memory"));
        Ok(numbers)
    };
    for json in ["{}", r#"{ "net": { "accumulate": 3 } }"#] {
        let (whole, ranks) = both(UNEVEN, two(json), ask);
        assert_exact(&whole.expect("it runs"), &ranks, 1e-12, json);
    }
}

/// Every method at both places, and all pairs with `BETTY_PAIRS=all`.
#[test]
fn every_pair_of_methods_in_a_chain_of_three() {
    let all = std::env::var("BETTY_PAIRS").is_ok_and(|pairs| pairs == "all");
    let (mut exact, mut refused) = (0, 0);
    for (number, mid) in methods().enumerate() {
        for (other, net) in methods().enumerate() {
            if !all && (number + 3 * other) % methods().count() > 1 {
                continue;
            }
            let of = format!("{mid} above {net}");
            let json = format!(
                r#"{{ "mid": {{ "hypergradient": {{ "method": "{mid}" }} }}, "net": {{ "hypergradient": {{ "method": "{net}" }} }} }}"#
            );
            let prepare = |view: View| {
                let data = ThreeData { top: view.samples(1), mid: view.samples(2), net: view.samples(3) };
                let problem = Three { top: Knobs::new(0), mid: Knobs::new(1), net: Net::new(2) };
                Ok(Engine::new(problem, data, ThreeConfig::from_json(&json)?)?.verification(mid == "cg"))
            };
            let run = |engine: &mut Engine<Three>| {
                engine.run(2)?;
                let Three { top, mid, net } = engine.problem();
                Ok([top.values(), mid.values(), net.values()].concat())
            };
            let (whole, ranks) = both(&UNEVEN[..2], prepare, run);
            match whole {
                Ok(whole) => {
                    let rough = ["finite_difference", "sama", "penalty", "evolution"];
                    let tolerance = if rough.iter().any(|of| [mid, net].contains(of)) { 1e-6 } else { 1e-11 };
                    assert_exact(&whole, &ranks, tolerance, &of);
                    exact += 1;
                }
                Err(error) => {
                    let is_same = |found: &Outcome| found.as_ref().is_err_and(|of| of.to_string() == error.to_string());
                    assert!(ranks.iter().all(is_same), "{of}: {error} is not {ranks:?}");
                    refused += 1;
                }
            }
        }
    }
    println!("{exact} pairs are exact, {refused} are refused, as in one process");
    let least = if all { 130 } else { 19 };
    assert!(exact >= least, "{exact} are exact, {refused} refused");
}

#[test]
fn a_diamond() {
    for solve in ["", r#""top": { "solve": { "name": "joint" } }"#] {
        let json = format!("{{ {solve} }}");
        let prepare = |view: View| {
            let data = DiamondData {
                top: view.samples(1),
                left: view.samples(2),
                right: view.samples(3),
                net: view.samples(4),
            };
            let [top, left, right] = [0, 1, 2].map(Knobs::new);
            Engine::new(Diamond { top, left, right, net: Net::new(3) }, data, DiamondConfig::from_json(&json)?)
        };
        let run = |engine: &mut Engine<Diamond>| {
            engine.run(2)?;
            let Diamond { top, left, right, net } = engine.problem();
            Ok([top.values(), left.values(), right.values(), net.values()].concat())
        };
        let (whole, ranks) = both(THREE, prepare, run);
        assert_exact(&whole.expect("it runs"), &ranks, 1e-11, solve);
    }
}

#[test]
fn tasks_that_are_computed_together_are_shared_by_their_examples() {
    const STEADY: &[&[usize]] = &[&[2, 1, 4]];
    let together = r#""knobs": { "tasks": 3, "vectorize": true }, "net": { "start": "initial", "hypergradient": { "method": "unrolled" } }"#;
    let messages = |vectorize: bool, sizes| {
        let json = format!("{{ {} }}", together.replace("true", &vectorize.to_string()));
        let counted = |engine: &mut Engine<Two>| {
            let before = betty_runtime::execute::launched().messages;
            let mut found = run_two(engine)?;
            found.push(betty_runtime::execute::launched().messages - before);
            Ok(found)
        };
        let (whole, mut ranks) = both(sizes, two(&json), counted);
        let sent = |found: &mut Outcome| found.as_mut().ok().and_then(Vec::pop).expect("a number of messages");
        let sent = ranks.iter_mut().map(sent).fold(0.0, f64::max);
        let mut whole = whole.expect("it runs");
        whole.pop();
        assert_exact(&whole, &ranks, 1e-12, &json);
        sent
    };
    let (together, apart) = (messages(true, STEADY), messages(false, STEADY));
    assert!(together * 2.0 < apart, "{together} messages where tasks one after the other take {apart}");
    // Where the shares of one rank differ from task to task, all take them one after the other.
    messages(true, &[&[2, 4], &[2, 4], &[3, 4]]);
}
