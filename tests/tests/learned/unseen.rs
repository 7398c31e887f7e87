//! A learned number whose level also reads the level that learns it, under methods that see the loss alone.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{Engine, Event, ProgramConfig, Stream, Warning, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Rates {
    penalty: Param<Tensor<1>>,
    log_lr: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Point {
    x: Param<Tensor<1>>,
}

const PENALTY: f64 = 0.3;
const LOG_LR: f64 = -1.5;

fn judge(_: &Rates, point: &Point, _: Tensor<1>) -> Tensor<1> {
    (point.x.val() - 2.0).square().sum() * 0.5
}

/// Reads the penalty, and nothing of the rate.
fn penalized(point: &Point, rates: &Rates, a: Tensor<1>) -> Tensor<1> {
    ((point.x.val() - a).square().sum() + (rates.penalty.val() * point.x.val().square()).sum()) * 0.5
}

/// Reads the rate as well.
fn tied(point: &Point, rates: &Rates, a: Tensor<1>) -> Tensor<1> {
    penalized(point, rates, a) + (rates.log_lr.val() * point.x.val()).sum()
}

macro_rules! program {
    ($name:ident, $data:ident, $config:ident, $loss:path, $method:ident) => {
        multilevel! {
            struct $name;

            level rates: Rates { lower: [point], batch: (), loss: judge_alone, optimizer: sgd(lr = 0.1) }
            level point: Point {
                upper: [rates], batch: Tensor<1>, loss: $loss, unroll: 3, hypergradient: $method,
                optimizer: sgd(lr = exp(rates.log_lr), weight_decay = exp(rates.log_lr)),
            }
        }

        impl $name {
            /// What was told, and where the rate ends.
            fn run(config: &str) -> (Vec<Warning>, f64) {
                let problem = $name {
                    rates: Rates { penalty: parameter(&[PENALTY]), log_lr: parameter(&[LOG_LR]) },
                    point: Point { x: parameter(&[0.5]) },
                };
                let data = $data { rates: Stream::constant(()), point: Stream::constant(tensor(&[1.0])) };
                let told = Rc::new(RefCell::new(Vec::new()));
                let log = Rc::clone(&told);
                let config = $config::from_json(config).unwrap();
                let mut engine = Engine::new(problem, data, config).unwrap().observe(move |event| {
                    if let Event::Warning(warning) = event {
                        log.borrow_mut().push((*warning).clone());
                    }
                });
                engine.run(3).unwrap();
                let rate = values(&engine.into_problem().rates.log_lr)[0];
                (told.take(), rate)
            }
        }
    };
}

fn judge_alone(rates: &Rates, point: &Point, (): ()) -> Tensor<1> {
    let zero = point.x.val() * 0.0;
    judge(rates, point, zero)
}

program!(Written, WrittenData, WrittenConfig, penalized, cg);
program!(Through, ThroughData, ThroughConfig, penalized, unrolled);
program!(Read, ReadData, ReadConfig, tied, cg);

/// A decay decides where the steps come to rest, so that alone is learned.
const FIXED_RATE: &str = r#"{ "point": { "optimizer": { "lr": 0.2 } } }"#;
const FIXED_DECAY: &str = r#""optimizer": { "weight_decay": 0.0 }"#;

#[track_caller]
fn check_unseen((told, rate): (Vec<Warning>, f64)) {
    let [warning] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((warning.rule.as_str(), warning.level.as_deref()), ("unseen-number", Some("point")));
    assert_eq!(
        warning.fact,
        "`lr` of level `point` is `exp(rates.log_lr)`, but `cg` does not see the steps of `point`, and its loss reads nothing of that \
         either, so that no hypergradient through `point` moves it"
    );
    assert_eq!(
        warning.advice,
        "choose a method for `point` that goes through the steps, such as `unrolled`, or give `lr` a number"
    );
    assert_eq!(rate, LOG_LR, "nothing moves it");
}

#[test]
fn a_number_that_nothing_moves_is_told_once() {
    check_unseen(Written::run(&format!(r#"{{ "point": {{ {FIXED_DECAY} }} }}"#)));
    // Another method in JSON does not see it either.
    check_unseen(Through::run(&format!(
        r#"{{ "point": {{ {FIXED_DECAY}, "hypergradient": {{ "method": "cg" }} }} }}"#
    )));
}

#[test]
fn what_is_seen_is_no_news() {
    for (told, rate) in [
        Through::run(&format!(r#"{{ "point": {{ {FIXED_DECAY} }} }}"#)),
        Read::run(&format!(r#"{{ "point": {{ {FIXED_DECAY} }} }}"#)),
        Written::run(FIXED_RATE),
    ] {
        assert_eq!(told, []);
        assert_ne!(rate, LOG_LR);
    }
}
