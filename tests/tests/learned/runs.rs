//! Runs in which numbers are learned: bits, checkpoints, schedulers, what observers see, and the tools around training.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{Checkpoint, Engine, EngineError, Event, LearnedError, ProgramConfig, StreamPosition, multilevel};
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::tensor::Tensor;

use crate::problem::{Knobs, Net, TuningData, data, engine, held_out, iteration, training};

const ALL: &str = r#""optimizer": { "name": "adam", "lr": "exp(knobs.entries)", "beta_1": "sigmoid(knobs.other)",
    "beta_2": "sigmoid(knobs.vector)", "epsilon": "exp(knobs.each)", "weight_decay": "exp(knobs.one)" }"#;

/// Steps between the kept ones are taken again with the numbers of their time, which the level above has changed since.
#[test]
fn steps_taken_again_give_the_same_bits() {
    let run = |memory: &str| {
        let knobs = r#""knobs": { "optimizer": { "lr": 0.5 } }"#;
        let net = format!(r#"{ALL}, "unroll": 13, "accumulate": 2, "hypergradient": {{ "memory": {memory} }}"#);
        let mut engine = engine(&format!(r#"{{ {knobs}, "net": {{ {net} }} }}"#), &Knobs::first_values());
        engine.run(4).unwrap();
        engine.into_problem().knobs.values()
    };
    let plain = run("\"all\"");
    for memory in ["1", "4", "5", "7", "8", "12", "13", "100"] {
        assert_eq!(run(memory), plain, "memory {memory}");
    }
}

/// A number is the same whether it is fixed or a knob has its value.
#[test]
fn learned_numbers_take_the_steps_of_fixed_ones() {
    let at = Knobs::first_values();
    let (rate, share) = (at[0].exp(), 1.0 / (1.0 + (-at[1]).exp()));
    for (name, share_of, rest) in [
        ("sgd", "momentum", r#""dampening": 0.2, "nesterov": true"#),
        ("adam", "beta_1", r#""epsilon": 0.01"#),
        ("adamw", "beta_2", r#""beta_1": 0.5"#),
        ("rmsprop", "alpha", r#""momentum": 0.3"#),
        ("adagrad", "lr_decay", r#""weight_decay": 0.1"#),
    ] {
        let loss = |lr: &str, share: &str| {
            iteration(
                &format!(
                    r#"{{ "net": {{ "optimizer": {{ "name": "{name}", "lr": {lr}, "{share_of}": {share}, {rest} }} }} }}"#
                ),
                &at,
            )
            .0
        };
        let learned = loss(r#""exp(knobs.one)""#, r#""sigmoid(knobs.other)""#);
        let fixed = loss(&rate.to_string(), &share.to_string());
        assert!((learned - fixed).abs() < 1e-14, "{name}: {learned} is not {fixed}");
    }
}

/// Tasks that are computed together are those that are computed one by one.
#[test]
fn tasks_together_are_tasks_one_by_one() {
    let run = |vectorize: bool, told: bool| {
        let knobs = format!(r#""knobs": {{ "tasks": 3, "vectorize": {vectorize}, "optimizer": {{ "lr": 0.5 }} }}"#);
        let config = format!(r#"{{ {knobs}, "net": {{ {ALL}, "start": "initial", "accumulate": 2 }} }}"#);
        let mut engine = engine(&config, &Knobs::first_values());
        let rates = Rc::new(RefCell::new(Vec::new()));
        if told {
            let seen = Rc::clone(&rates);
            engine = engine.observe(move |event| {
                if let Event::Step { learning_rate, .. } = event {
                    seen.borrow_mut().push(*learning_rate);
                }
            });
        }
        engine.run(2).unwrap();
        let knobs = engine.into_problem().knobs.values();
        (knobs, rates.take())
    };
    let (together, rates) = run(true, true);
    let (one_by_one, expected) = run(false, true);
    assert!(together.iter().zip(&one_by_one).all(|(x, y)| (x - y).abs() < 1e-12), "{together:?} is not {one_by_one:?}");
    assert_eq!(rates, expected);
    assert_eq!(run(true, false).0, together);
}

#[test]
fn a_run_continues_from_a_checkpoint() {
    let config = format!(r#"{{ "knobs": {{ "optimizer": {{ "lr": 0.5 }} }}, "net": {{ {ALL} }} }}"#);
    let fresh = || engine(&config, &Knobs::first_values());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.safetensors");
    let mut whole = fresh();
    whole.run(5).unwrap();
    let mut first = fresh();
    first.run(2).unwrap();
    first.checkpoint().unwrap().save(&file).unwrap();
    let mut second = fresh();
    second.resume(&Checkpoint::open(&file).unwrap(), StreamPosition::Start).unwrap();
    // Nothing is lost on the way, the rates of the last steps included, of which learned ones are none.
    let again = directory.path().join("again.safetensors");
    second.checkpoint().unwrap().save(&again).unwrap();
    assert!(std::fs::read(&again).unwrap() == std::fs::read(&file).unwrap());
    second.run(3).unwrap();
    assert_eq!(second.into_problem().knobs.values(), whole.into_problem().knobs.values());
}

#[test]
fn observers_see_the_rate_that_a_step_was_taken_with() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let rates = Rc::clone(&seen);
    let config = r#"{ "net": { "optimizer": { "lr": "exp(knobs.vector)" } } }"#;
    let at = Knobs::first_values();
    let mut engine = engine(config, &at).observe(move |event| {
        if let Event::Step { name: "net", learning_rate, .. } = event {
            rates.borrow_mut().push(*learning_rate);
        }
    });
    engine.run(2).unwrap();
    let seen = seen.borrow();
    let first = (at[4].exp() + at[5].exp()) / 2.0;
    assert!(seen[..6].iter().all(|rate| (rate - first).abs() < 1e-15), "{seen:?} does not begin with {first}");
    assert!(seen[6] != first && seen[6..].iter().all(|rate| *rate == seen[6]), "{seen:?}");
}

#[test]
fn a_scheduler_cannot_rule_a_learned_rate() {
    let schedule = |config: &str| engine(config, &Knobs::first_values()).scheduler("net", ModuleLrScheduler::new(0.5));
    let error = schedule("{}").err().unwrap();
    assert!(matches!(&error, EngineError::Learned(LearnedError::Scheduled { level, .. }) if level == "net"), "{error}");
    assert!(error.to_string().contains("`exp(knobs.one)`"), "{error}");
    // The other numbers may be learned beside a schedule.
    let fixed = r#"{ "net": { "optimizer": { "lr": 0.1, "momentum": "sigmoid(knobs.other)" } } }"#;
    assert!(schedule(fixed).is_ok());
}

#[test]
fn there_is_no_reference_for_what_no_best_response_depends_on() {
    let mut engine = engine("{}", &Knobs::first_values());
    engine.run(1).unwrap();
    let error = engine.verify_hypergradient("knobs").unwrap_err();
    assert!(matches!(&error, EngineError::NoReference { through, .. } if through == "net"), "{error}");
    assert!(engine.gradient("knobs").unwrap().norm > 0.0);
}

#[test]
fn a_fixed_number_leaves_the_level_above_with_its_direct_gradient() {
    let at = Knobs::first_values();
    let (_, found) = iteration(r#"{ "net": { "optimizer": { "lr": 0.1 } } }"#, &at);
    assert!((found[0] - 2e-3 * at[0]).abs() < 1e-15);
    assert!(found[1..].iter().all(|entry| *entry == 0.0), "{found:?}");
}

#[test]
fn an_iteration_is_explained() {
    let plain = engine(r#"{ "net": { "optimizer": { "lr": 0.1 } } }"#, &Knobs::first_values()).explain().unwrap();
    let learned = engine("{}", &Knobs::first_values()).explain().unwrap();
    assert!(learned.levels[1].step.kernels > plain.levels[1].step.kernels);
}

type Samples = (Tensor<2>, Tensor<2>);

fn shrunk(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    training(net, batch) + knobs.other.val().exp().mul_scalar(0.01) * net.square()
}

multilevel! {
    /// The lower loss reads the level that learns its rate, so that implicit methods see that much of it.
    struct Both;

    level knobs: Knobs { lower: [net], batch: Samples, loss: held_out, optimizer: sgd(lr = 1.0) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: shrunk, optimizer: adam(lr = exp(knobs.one)), unroll: 3, hypergradient: sama,
    }
}

#[test]
fn sama_looks_at_the_coming_step_with_its_learned_numbers() {
    let at = Knobs::first_values();
    let run = |optimizer: &str, method: &str| {
        let config = format!(
            r#"{{ "net": {{ "optimizer": {{ {optimizer} }}, "hypergradient": {{ "method": "{method}" }} }} }}"#
        );
        let TuningData { knobs, net } = data();
        let problem = Both { knobs: Knobs::new(&at), net: Net::new() };
        let config = BothConfig::from_json(&config).unwrap();
        let mut engine: Engine<Both> = Engine::new(problem, BothData { knobs, net }, config).unwrap();
        engine.run(1).unwrap();
        let after = engine.into_problem().knobs.values();
        after.iter().zip(&at).map(|(after, before)| before - after).collect::<Vec<f64>>()
    };
    let fixed = format!(r#""lr": {}"#, at[0].exp());
    for method in ["sama", "dense"] {
        let (learned, fixed) = (run("", method), run(&fixed, method));
        assert!(learned[1].abs() > 1e-6, "{learned:?}");
        for (learned, fixed) in learned.iter().zip(&fixed) {
            assert!((learned - fixed).abs() < 1e-14, "{method}: {learned} is not {fixed}");
        }
    }
    // What is differentiated step by step has both.
    let (learned, fixed) = (run("", "unrolled"), run(&fixed, "unrolled"));
    assert!((learned[1] - fixed[1]).abs() < 1e-14);
    assert!((learned[0] - fixed[0]).abs() > 1e-6, "{learned:?}");
}
