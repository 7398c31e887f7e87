//! Steps whose numbers are read later, for many iterations together: the same results, and the same failures.

use std::cell::RefCell;
use std::fs;
use std::ops::ControlFlow;
use std::rc::Rc;

use betty_runtime::error::DataError;
use betty_runtime::{
    Current, Engine, EngineError, Event, Goal, Looks, Multilevel, Observer, ProgramConfig, Stream, Validation,
    multilevel,
};
use burn::tensor::{DType, Tensor};

use super::finite::{Point, Slopes, Steep, SteepConfig, SteepData, above, point, tensor, values};

/// `Σ (θ − λ)² · slopes / 2`, of which several steps are differentiated.
fn follow(low: &Point, high: &Point, slopes: Slopes) -> Tensor<1> {
    ((low.x.val() - high.x.val()).square() * slopes.of).sum() * 0.5
}

multilevel! {
    struct Ahead;

    level high: Point { lower: [low], batch: (), loss: above, optimizer: adam(lr = 0.05) }
    level low: Point {
        upper: [high], batch: Slopes, loss: follow, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 3, start: look_ahead,
        hypergradient: unrolled, schedule: cosine(steps = 40),
    }
}

multilevel! {
    struct Solved;

    level high: Point { lower: [low], batch: (), loss: above, optimizer: adam(lr = 0.05), tasks: 2 }
    level low: Point {
        upper: [high], batch: Slopes, loss: follow, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: cg(iterations = 3, damping = 1e-2, warm_start = true),
    }
}

multilevel! {
    struct Learned;

    level rate: Point { lower: [low], batch: (), loss: judged, optimizer: sgd(lr = 0.01) }
    level low: Point {
        upper: [rate], batch: Slopes, loss: alone, optimizer: sgd(lr = exp(rate.x)), unroll: 2, start: initial,
        hypergradient: unrolled,
    }
}

fn alone(low: &Point, _rate: &Point, slopes: Slopes) -> Tensor<1> {
    (low.x.val().square() * slopes.of).sum() * 0.5
}

fn judged(rate: &Point, low: &Point, _batch: ()) -> Tensor<1> {
    (low.x.val() - 0.25).square().sum() + rate.x.val().square().sum() * 1e-3
}

/// What happened, in words.
type Heard = Rc<RefCell<Vec<String>>>;

fn heard<P: Multilevel>(engine: Engine<P>) -> (Engine<P>, Heard) {
    let heard = Heard::default();
    let notes = Rc::clone(&heard);
    (engine.observe(move |event| notes.borrow_mut().push(format!("{event:?}"))), heard)
}

/// Batches whose slopes differ, and are none at all from this one on.
fn slopes(bad: usize, value: f64) -> Stream<Slopes> {
    slopes_in(DType::F64, bad, value)
}

fn slopes_in(dtype: DType, bad: usize, value: f64) -> Stream<Slopes> {
    let of = move |batch: usize| {
        let slope = if batch + 1 == bad { value } else { 1.0 + 0.125 * (batch % 5) as f64 };
        Slopes { of: tensor(&[slope, 0.5], dtype) }
    };
    Stream::of((0..).map(of))
}

fn steep(json: &str, bad: usize, value: f64) -> Engine<Steep> {
    steep_in(DType::F64, json, bad, value)
}

fn steep_in(dtype: DType, json: &str, bad: usize, value: f64) -> Engine<Steep> {
    let problem = Steep { high: point(&[1.0, -1.0], dtype), low: point(&[0.5, -0.25], dtype) };
    let data = SteepData { high: Stream::constant(()), low: slopes_in(dtype, bad, value) };
    Engine::new(problem, data, SteepConfig::from_json(json).unwrap()).unwrap()
}

fn ahead(json: &str, bad: usize, value: f64) -> Engine<Ahead> {
    let problem = Ahead { high: point(&[1.0, -1.0], DType::F64), low: point(&[0.5, -0.25], DType::F64) };
    let data = AheadData { high: Stream::constant(()), low: slopes(bad, value) };
    Engine::new(problem, data, AheadConfig::from_json(json).unwrap()).unwrap()
}

fn solved(json: &str, bad: usize, value: f64) -> Engine<Solved> {
    let f64s = |values: &[f64]| point(values, DType::F64);
    let problem = Solved { high: f64s(&[1.0, -1.0]), low: f64s(&[0.5, -0.25]) };
    let data = SolvedData { high: Stream::constant(()), low: slopes(bad, value) };
    Engine::new(problem, data, SolvedConfig::from_json(json).unwrap()).unwrap()
}

fn learned(bad: usize, value: f64) -> Engine<Learned> {
    let problem = Learned { rate: point(&[-2.0], DType::F64), low: point(&[0.5, -0.25], DType::F64) };
    let data = LearnedData { rate: Stream::constant(()), low: slopes(bad, value) };
    Engine::new(problem, data, LearnedConfig::default()).unwrap().unread("low", "rate").unwrap()
}

/// Runs both, and demands the same answer, the same state, and that everybody heard the same.
fn alike<P: Multilevel>(make: impl Fn() -> Engine<P>, every: u64, runs: &[u64]) -> Vec<Option<EngineError>> {
    let (mut watched, of_watched) = heard(make());
    let (mut late, of_late) = heard(make().read_every(every));
    let mut errors = Vec::new();
    for &iterations in runs {
        let (expected, found) = (watched.run(iterations), late.run(iterations));
        assert_eq!(late.iterations(), watched.iterations());
        let error = match (expected, found) {
            (Ok(expected), Ok(found)) => {
                assert_eq!((found.iterations, &found.levels), (expected.iterations, &expected.levels));
                None
            }
            (Err(expected), Err(found)) => {
                assert_eq!(found.to_string(), expected.to_string());
                Some(found)
            }
            (expected, found) => panic!("{expected:?} and {found:?}"),
        };
        errors.push(error);
        // Within an iteration there is no checkpoint, but there are parameters.
        let bits = |engine: &mut Engine<P>| {
            let modules = engine.problem().modules();
            let leaves = modules.iter().flat_map(|module| module.leaves());
            leaves.map(|leaf| leaf.value.to_vec().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(bits(&mut late), bits(&mut watched));
        assert_eq!(saved(&mut late), saved(&mut watched));
        assert_eq!(*of_late.borrow(), *of_watched.borrow());
    }
    errors
}

/// What a checkpoint holds: states of optimizers, counters and all.
fn saved<P: Multilevel>(engine: &mut Engine<P>) -> Option<Vec<u8>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    engine.checkpoint().ok()?.save(file.path()).unwrap();
    Some(fs::read(file.path()).unwrap())
}

#[test]
fn results_are_those_of_reading_every_step() {
    for every in [1, 4, 7, 64] {
        for json in ["{}", r#"{"low": {"accumulate": 2, "unroll": 3}}"#, r#"{"high": {"warmup": 2}}"#] {
            assert!(alike(|| steep(json, 0, 0.0), every, &[1, 9, 20]).iter().all(Option::is_none), "{json}");
        }
        for json in ["{}", r#"{"low": {"accumulate": 2}, "high": {"rounds": 2}}"#] {
            assert!(alike(|| ahead(json, 0, 0.0), every, &[3, 9]).iter().all(Option::is_none), "{json}");
        }
        assert!(alike(|| solved("{}", 0, 0.0), every, &[3, 9]).iter().all(Option::is_none));
        assert!(alike(|| learned(0, 0.0), every, &[3, 9]).iter().all(Option::is_none));
    }
}

#[test]
fn what_is_not_finite_at_step_7_and_read_at_64_leaves_step_6() {
    // Tensors of 16 bits are no host memory to betty: whether they are finite is a number that waits, as on any other device.
    let of = |dtype: DType| [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(|value| (dtype, value));
    let bad = [DType::F64, DType::F16, DType::BF16].map(of).concat();
    for (dtype, value) in bad.into_iter().chain([(DType::F64, 1e308)]) {
        let [error, again] = &alike(|| steep_in(dtype, "{}", 7, value), 64, &[64, 30])[..] else { panic!("two runs") };
        let error = error.as_ref().unwrap().to_string();
        assert!(error.contains("step 7"), "{dtype:?}: {error}");
        assert!(again.is_none());
        // Six whole iterations, to the bit.
        let mut late = steep_in(dtype, "{}", 7, value).read_every(64);
        late.run(64).unwrap_err();
        let mut six = steep_in(dtype, "{}", 0, 0.0);
        six.run(6).unwrap();
        assert_eq!((late.iterations(), six.iterations()), (6, 6));
        assert_eq!(values(&late.problem().low), values(&six.problem().low));
        assert_eq!(values(&late.problem().high), values(&six.problem().high));
    }
}

#[test]
fn whatever_fails_fails_as_it_would_have() {
    for bad in [2, 7, 8, 19] {
        for every in [3, 64] {
            for value in [f64::NAN, 1e300] {
                alike(|| steep(r#"{"low": {"accumulate": 2, "unroll": 3}}"#, bad, value), every, &[64, 5]);
                alike(|| ahead("{}", bad, value), every, &[20, 5]);
                alike(|| solved("{}", bad, value), every, &[20, 5]);
                alike(|| learned(bad, value), every, &[20, 5]);
            }
        }
    }
    // One step fails, and later another one, and in between some are read together again.
    let twice = || {
        let of = |batch: usize| Slopes { of: tensor(&[if batch % 9 == 8 { f64::NAN } else { 1.0 }, 0.5], DType::F64) };
        let problem = Steep { high: point(&[1.0, -1.0], DType::F64), low: point(&[0.5, -0.25], DType::F64) };
        let data = SteepData { high: Stream::constant(()), low: Stream::of((0..).map(of)) };
        Engine::new(problem, data, SteepConfig::default()).unwrap()
    };
    assert_eq!(alike(twice, 4, &[40, 40, 40]).iter().flatten().count(), 3);
}

#[test]
fn data_that_end_are_told_of_where_they_end() {
    let make = || {
        let of = |batch: usize| Slopes { of: tensor(&[1.0 + 0.1 * batch as f64, 0.5], DType::F64) };
        let problem = Steep { high: point(&[1.0, -1.0], DType::F64), low: point(&[0.5, -0.25], DType::F64) };
        let data = SteepData { high: Stream::constant(()), low: Stream::of((0..11).map(of)) };
        Engine::new(problem, data, SteepConfig::from_json(r#"{"low": {"unroll": 2}}"#).unwrap()).unwrap()
    };
    let errors = alike(make, 64, &[64, 1]);
    assert!(errors.iter().all(|error| matches!(error, Some(EngineError::OutOfData { batches: 11, .. }))), "{errors:?}");
}

#[test]
fn who_looks_sees_the_program_after_its_iteration() {
    let run = |every: Option<u64>| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let (of_closure, of_validation) = (Rc::clone(&seen), Rc::clone(&seen));
        let look = move |program: &Steep| of_closure.borrow_mut().push(values(&program.low));
        let validate = move |program: &Steep| {
            of_validation.borrow_mut().push(values(&program.high));
            Ok::<f64, DataError>(values(&program.high)[0])
        };
        let mut engine = steep("{}", 0, 0.0).validate(Validation::every(3, Goal::Min, validate));
        if let Some(every) = every {
            engine = engine.read_every(every);
        }
        let mut engine = engine.watch(move |event, program| {
            if let Event::Iteration { .. } = event {
                look(program);
            }
        });
        engine.run(10).unwrap();
        seen.take()
    };
    assert_eq!(run(Some(64)), run(None));
}

/// Notes the second parameter of the level below wherever it looks.
struct Looking {
    every: u64,
    seen: Rc<RefCell<Vec<(u64, f64, bool)>>>,
}

impl Observer<Steep> for Looking {
    fn hear(&mut self, event: &Event<'_>, program: &Current<'_, Steep>) -> Result<ControlFlow<String>, DataError> {
        if let Event::Iteration { iteration } = *event {
            self.seen.borrow_mut().push((iteration, values(&program.low)[1], program.checkpoint().is_ok()));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn looks(&self) -> Looks {
        Looks::Every(self.every)
    }
}

#[test]
fn an_observer_sees_what_it_said_that_it_looks_at() {
    let run = |late: bool| {
        let seen = Rc::default();
        let engine = steep("{}", 0, 0.0).attach(Looking { every: 4, seen: Rc::clone(&seen) });
        let mut engine = if late { engine.read_every(64) } else { engine };
        engine.run(10).unwrap();
        seen.take()
    };
    let (late, watched) = (run(true), run(false));
    for ((iteration, late, saved), (_, watched, _)) in late.into_iter().zip(watched) {
        // The last iteration of a run is read in any case.
        let looks = iteration % 4 == 0 || iteration == 10;
        assert_eq!((late == watched, saved), (looks, looks), "{iteration}");
    }
}

#[test]
fn a_run_that_is_asked_to_stop_is_read_and_stops() {
    let make = |asks: u64| {
        let asked = Rc::new(RefCell::new(0));
        steep("{}", 0, 0.0).stop_when(move || {
            *asked.borrow_mut() += 1;
            *asked.borrow() == asks
        })
    };
    for asks in [1, 2, 5, 9] {
        alike(|| make(asks), 64, &[20, 5]);
    }
}
