//! Tangents that go along with the steps of other levels beside what they have nothing to do with, beside other tangents, and below what
//! waits for them, against central differences of what was run.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{Engine, EngineError, Event, ProgramConfig, StepsError, multilevel};
use burn::tensor::Tensor;

use crate::level::{Vector, assert_close};
use crate::order::{along, siblings, siblings_swapped};
use crate::run::{
    Batch, SETTINGS, compare, follow_both, follow_top, low, mid, pipeline, pipeline_of_two_uppers, stream, top, valley,
};
use crate::unrolled::square;

/// The rule of a level that one step of length 1 solves.
fn far(far: &Vector, top: &Vector, batch: Batch) -> Tensor<1> {
    square(far.x.val() - top.x.val().sin() - batch.mul_scalar(0.3)).mul_scalar(0.5)
}

fn reads_low(own: &Vector, top: &Vector, low: &Vector, batch: Batch) -> Tensor<1> {
    let (own, top, low) = (own.x.val(), top.x.val(), low.x.val());
    valley(own.clone(), top + batch.mul_scalar(0.2)) + square(low * own.cos()).mul_scalar(0.4)
}

/// What any three levels below come to, which are not alike.
fn above_three(top: &Vector, one: &Vector, two: &Vector, three: &Vector, batch: Batch) -> Tensor<1> {
    let (one, two, three) = (one.x.val(), two.x.val(), three.x.val());
    (one.exp() * two.clone()).sum().mul_scalar(0.3)
        + square(two - three.clone()).mul_scalar(0.2)
        + three.exp().sum().mul_scalar(0.1)
        + square(top.x.val() - batch).mul_scalar(0.02)
}

/// A chain beside a level that is solved.
macro_rules! beside_solved {
    ($name:ident, $lower:tt) => {
        mod $name {
            use super::*;
            multilevel! {
                pub(super) struct Run;
                level top: Vector { lower: $lower, batch: Batch, loss: above_three, optimizer: sgd(lr = 1.0) }
                level mid: Vector {
                    upper: [top], lower: [low], batch: Batch, loss: reads_low, optimizer: sgd(lr = 0.3), unroll: 3,
                    hypergradient: unrolled,
                }
                level low: Vector {
                    upper: [top], batch: Batch, loss: follow_top, optimizer: sgd(lr = 0.3), unroll: 2, hypergradient: unrolled,
                }
                level far: Vector {
                    upper: [top], batch: Batch, loss: far, optimizer: sgd(lr = 1.0), hypergradient: dense,
                }
            }
            pub(super) fn program() -> (Run, RunData) {
                let data = RunData { top: stream(0.1), mid: stream(0.5), low: stream(0.9), far: stream(1.3) };
                (Run { top: top(), mid: mid(), low: low(), far: low() }, data)
            }
        }
    };
}

beside_solved!(solved_last, [mid, low, far]);
beside_solved!(solved_first, [far, low, mid]);

#[test]
fn of_a_chain_beside_a_level_that_is_solved() {
    for json in ["{}", r#"{ "low": { "optimizer": { "momentum": 0.6 } }, "mid": { "start": "initial" } }"#] {
        compare(solved_last::program, (&along("mid", json), json), 0, |problem| &mut problem.top);
        compare(solved_first::program, (&along("mid", json), json), 0, |problem| &mut problem.top);
    }
}

/// Two levels that wait for one, which answers to the first of them if it reads that.
macro_rules! two_above_one {
    ($name:ident, $upper:tt $follow:ident) => {
        mod $name {
            use super::*;
            multilevel! {
                pub(super) struct Run;
                level top: Vector { lower: [mid, far, low], batch: Batch, loss: above_three, optimizer: sgd(lr = 1.0) }
                level mid: Vector {
                    upper: [top], lower: [low], batch: Batch, loss: reads_low, optimizer: sgd(lr = 0.3), unroll: 3,
                    hypergradient: unrolled,
                }
                level far: Vector {
                    upper: [top], lower: [low], batch: Batch, loss: reads_low, optimizer: sgd(lr = 0.2), unroll: 2,
                    hypergradient: unrolled,
                }
                level low: Vector {
                    upper: $upper, batch: Batch, loss: $follow, optimizer: sgd(lr = 0.3), unroll: 2, hypergradient: unrolled,
                }
            }
            pub(super) fn program() -> (Run, RunData) {
                let data = RunData { top: stream(0.1), mid: stream(0.5), far: stream(1.3), low: stream(0.9) };
                (Run { top: top(), mid: mid(), far: low(), low: low() }, data)
            }
        }
    };
}

two_above_one!(two_above, [top] follow_top);
two_above_one!(one_of_two_above, [mid, top] follow_both);

#[test]
fn of_two_levels_with_tangents_that_read_one() {
    let settings = [
        "{}",
        r#"{ "low": { "optimizer": { "momentum": 0.6 } }, "mid": { "start": "initial" } }"#,
        r#"{ "far": { "start": "look_ahead" }, "mid": { "start": "look_ahead" } }"#,
    ];
    for json in settings {
        let both = along("far", &along("mid", json));
        compare(two_above::program, (&both, json), 0, |problem| &mut problem.top);
        compare(one_of_two_above::program, (&both, json), 0, |problem| &mut problem.top);
        // One of them follows the other, whichever has the tangents.
        compare(two_above::program, (&along("far", json), json), 0, |problem| &mut problem.top);
    }
}

#[test]
fn of_a_level_with_tangents_that_others_wait_for() {
    // With several tasks, one step of the level above reads it at several places.
    for json in SETTINGS.into_iter().filter(|json| !json.contains("tasks")) {
        compare(pipeline::program, (&along("low", json), json), 0, |problem| &mut problem.top);
        compare(pipeline_of_two_uppers::program, (&along("low", json), json), 0, |problem| &mut problem.top);
        let both = along("mid", &along("low", json));
        compare(pipeline_of_two_uppers::program, (&both, json), 0, |problem| &mut problem.top);
    }
}

#[test]
fn what_is_truncated_beside_tangents_stays_so() {
    let json = r#"{ "mid": { "hypergradient": { "method": "unrolled", "truncate": 1 } } }"#;
    macro_rules! stands {
        ($name:ident, $json:expr) => {{
            let (problem, data) = $name::program();
            let config = ProgramConfig::from_json($json).unwrap();
            let mut engine = Engine::new(problem, data, config).unwrap();
            engine.run(2).unwrap();
            engine.into_problem().top.values()
        }};
    }
    assert_close(&stands!(siblings, &along("low", json)), &stands!(siblings, json), 1e-12);
    assert_close(&stands!(siblings_swapped, &along("low", json)), &stands!(siblings_swapped, json), 1e-12);
}

/// Two methods whose tangents go along different directions cannot go along with each other.
#[test]
fn steps_that_cannot_be_followed_are_refused() {
    let refused = |json: &str| {
        let (problem, data) = two_above::program();
        Engine::new(problem, data, ProgramConfig::from_json(json).unwrap()).err()
    };
    let json = r#"{
        "mid": { "hypergradient": { "method": "forward" } }, "far": { "hypergradient": { "method": "forward_gradient" } },
        "low": { "start": "kept" }
    }"#;
    let Some(EngineError::Steps(StepsError::NotFollowed { level, read, above })) = refused(json) else { panic!() };
    assert_eq!((level.as_str(), read.as_str(), above.as_str()), ("far", "low", "top"));
    assert!(refused(&json.replace("kept", "initial")).is_none());
    assert!(refused(&json.replace("forward_gradient", "unrolled")).is_none());
}

/// `evolution` takes its own steps again, but not those that they read.
#[test]
fn steps_that_displaced_ones_read_are_told_of() {
    for (start, is_told) in [("kept", true), ("initial", false)] {
        let json = format!(
            r#"{{ "mid": {{ "hypergradient": {{ "method": "evolution" }} }}, "low": {{ "start": "{start}" }} }}"#
        );
        let told = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&told);
        let (problem, data) = solved_last::program();
        let engine = Engine::new(problem, data, ProgramConfig::from_json(&json).unwrap()).unwrap();
        let mut engine = engine.observe(move |event| {
            if let Event::LastRead { name, read, .. } = event {
                seen.borrow_mut().push((name.to_string(), read.to_string(), event.warning().unwrap().fact));
            }
        });
        engine.run(2).unwrap();
        let told = told.take();
        assert_eq!(told.len(), usize::from(is_told), "{told:?}");
        for (name, read, text) in told {
            assert_eq!((name.as_str(), read.as_str()), ("mid", "low"));
            assert!(text.contains("where that ended"), "{text}");
        }
    }
}
