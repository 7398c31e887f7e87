//! Steps that stand although a number is not finite, which is seen only where each step is read.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::execute::launched;
use betty_runtime::{Engine, EngineError, Event, Stream, multilevel};
use burn::tensor::{DType, Tensor};

use super::finite::{Point, Slopes, point, tensor, values};

/// An entry of `-inf` stays where it is, as that of a mask that is added to logits.
fn masked(x: &Point, slopes: Slopes) -> Tensor<1> {
    (x.x.val().clamp(-1.0, 1.0).square() * slopes.of).sum() * 0.5
}

multilevel! {
    struct Masked;

    level x: Point { batch: Slopes, loss: masked, optimizer: sgd(lr = 0.1) }
}

/// With a batch that no step stands on, if there is one.
fn masked_engine(bad: Option<usize>) -> Engine<Masked> {
    let of = move |batch: usize| {
        let slope = if Some(batch) == bad { f64::NAN } else { 1.0 };
        Slopes { of: tensor(&[1.0, slope], DType::F64) }
    };
    let x = Stream::of((0..).map(of));
    let problem = Masked { x: point(&[f64::NEG_INFINITY, 0.5], DType::F64) };
    Engine::new(problem, MaskedData { x }, MaskedConfig::default()).unwrap().verification(false)
}

/// What is warned of in a run, the kernels that it takes, and where it ends.
fn run(every: Option<u64>) -> (Vec<String>, f64, Vec<f64>) {
    let warned = Rc::new(RefCell::new(Vec::new()));
    let notes = Rc::clone(&warned);
    let engine = masked_engine(None);
    let engine = match every {
        Some(every) => engine.read_every(every),
        None => engine,
    };
    let mut engine = engine.observe(move |event| {
        if let Event::Warning(warning) = event {
            notes.borrow_mut().push(warning.rule.clone());
        }
    });
    let before = launched().kernels;
    engine.run(400).unwrap();
    let taken = launched().kernels - before;
    let at = values(&engine.problem().x);
    drop(engine);
    (warned.take(), taken, at)
}

#[test]
fn steps_that_stand_are_not_taken_twice_for_ever() {
    let (warned, each, at) = run(None);
    assert_eq!((warned.len(), at[0]), (0, f64::NEG_INFINITY));
    for every in [1, 8] {
        let (warned, late, at_late) = run(Some(every));
        assert_eq!(warned, ["reading"]);
        assert_eq!(at_late, at);
        assert!(late < 1.25 * each, "{late} kernels in the place of {each}");
    }
}

/// What does fail is no reason to read each step from then on.
#[test]
fn a_step_that_fails_is_still_found() {
    let mut engine = masked_engine(Some(100)).read_every(8);
    let error = engine.run(400).unwrap_err();
    assert!(matches!(error, EngineError::NonFinite { step: 101, .. }), "{error}");
    assert_eq!(engine.iterations(), 100);
    engine.run(20).unwrap();
    assert_eq!(engine.iterations(), 120);
}
