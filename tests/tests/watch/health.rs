//! Health: every rule speaks of a run that is ill in its way, and none of one that is well.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::watch::{Health, OnUnhealthy};
use betty_runtime::{
    Batch, Engine, EngineError, Event, Multilevel, ProgramConfig, Stream, StreamPosition, Warning, multilevel,
};
use burn::tensor::{Device, Tensor};

use crate::problem::{Point, engine};

#[derive(Batch, Clone, Debug)]
pub(crate) struct Shift {
    at: Tensor<1>,
}

/// A target, what the levels have to do with each other, and the Hessian of the lower one, to be multiplied with 1, 2 and 3.
pub(crate) fn shift(target: f32, scale: f32, hessian: f32) -> Shift {
    Shift { at: Tensor::from_floats([target, scale, hessian, 2.0 * hessian, 3.0 * hessian], &Device::flex()) }
}

fn below(x: &Point, y: &Point, batch: Shift) -> Tensor<1> {
    let x = x.at.val();
    let own = (x.clone().square() * batch.at.clone().slice(2..5)).sum() * 0.5;
    own - x.sum() * y.at.val().slice(0..1) * batch.at.slice(1..2)
}

fn above(y: &Point, x: &Point, batch: Shift) -> Tensor<1> {
    (x.at.val() - batch.at.slice(0..1)).square().sum() + (y.at.val() - 1.0).square().sum()
}

multilevel! {
    pub(crate) struct Ill;

    level y: Point {
        lower: [x],
        batch: Shift,
        loss: above,
        optimizer: sgd(lr = 0.01),
    }
    level x: Point {
        upper: [y],
        batch: Shift,
        loss: below,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 2, damping = 0.0),
    }
}

pub(crate) fn problem() -> Ill {
    Ill { y: Point::new(&[0.3, 0.5]), x: Point::new(&[0.5, 0.4, 0.3]) }
}

/// A program with this Hessian and this scale of what the levels have to do with each other.
pub(crate) fn ill(hessian: f32, scale: f32, config: &str) -> Engine<Ill> {
    let constant = || Stream::constant(shift(1.0, scale, hessian));
    let data = IllData { y: constant(), x: constant() };
    Engine::new(problem(), data, IllConfig::from_json(config).unwrap()).unwrap()
}

/// What is warned of in a run, and how it ended.
fn warnings<P: Multilevel>(engine: Engine<P>, health: Health, iterations: u64) -> (Vec<Warning>, Option<EngineError>) {
    let told = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&told);
    let mut engine = engine.attach(health).observe(move |event| log.borrow_mut().extend(event.warning()));
    let error = engine.run(iterations).err();
    drop(engine);
    (told.take(), error)
}

pub(crate) fn rules<P: Multilevel>(engine: Engine<P>, iterations: u64) -> Vec<String> {
    // How long iterations take depends on who else uses the machine.
    let (told, error) = warnings(engine, Health::default().without("slowing"), iterations);
    assert!(error.is_none(), "{error:?}");
    for warning in &told {
        assert!(!warning.fact.ends_with('.') && !warning.advice.is_empty(), "{warning:?}");
    }
    told.into_iter().map(|warning| warning.rule).collect()
}

#[test]
fn nothing_is_said_of_a_healthy_run() {
    assert_eq!(rules(engine(), 600), Vec::<String>::new());
    assert_eq!(rules(ill(2.0, 1.0, "{}"), 600), Vec::<String>::new());
}

#[test]
fn a_hypergradient_that_vanishes_is_told_of() {
    assert_eq!(rules(ill(2.0, 1e-9, "{}"), 30), ["vanishing"]);
}

#[test]
fn a_solver_that_does_not_converge_is_told_of() {
    let slow = r#"{ "x": { "hypergradient": { "method": "neumann", "terms": 3, "step_size": 0.001 } } }"#;
    assert_eq!(rules(ill(2.0, 1.0, slow), 30), ["solver"]);
}

fn rows_below(x: &Point, y: &Point, curvatures: Tensor<1>) -> Tensor<1> {
    let x = x.at.val();
    (x.clone().square() * curvatures.clone()).sum() * 0.5 - (x * curvatures).sum() * y.at.val().slice(0..1)
}

fn rows_above(y: &Point, x: &Point, _: ()) -> Tensor<1> {
    (x.at.val() - 1.0).square().sum() + (y.at.val() - 1.0).square().sum()
}

multilevel! {
    struct Rows;

    level y: Point { lower: [x], batch: (), loss: rows_above, optimizer: sgd(lr = 1e-9) }
    level x: Point {
        upper: [y], batch: Tensor<1>, loss: rows_below, optimizer: sgd(lr = 0.1), hypergradient: cg(iterations = 8),
    }
}

/// A row of a table that the batch below leaves out, and the loss above reads.
#[test]
fn an_answer_that_is_worse_than_none_is_told_of_at_once() {
    let warned = |last: f32, method: &str| {
        let curvatures: Vec<f32> = (0..20).map(|k| 0.3 + 0.035 * k as f32).chain([last]).collect();
        let batch = Tensor::from_floats(curvatures.as_slice(), &Device::flex());
        let data = RowsData { y: ().into(), x: Stream::constant(batch) };
        let problem = Rows { y: Point::new(&[0.5]), x: Point::new(&[0.2; 21]) };
        let json = format!(r#"{{ "x": {{ "hypergradient": {{ "method": "{method}", "iterations": 8 }} }} }}"#);
        rules(Engine::new(problem, data, RowsConfig::from_json(&json).unwrap()).unwrap(), 1)
    };
    assert_eq!(warned(0.0, "cg"), ["solver"]);
    assert_eq!(warned(0.0, "minres"), Vec::<String>::new());
    assert_eq!(warned(0.5, "cg"), Vec::<String>::new());
}

#[test]
fn negative_curvature_ends_the_run_with_a_warning() {
    let (told, error) = warnings(ill(-2.0, 1.0, "{}"), Health::default(), 5);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].rule.as_str(), told[0].level.as_deref()), ("negative-curvature", Some("x")));
    assert!(told[0].advice.contains("raise the damping to"), "{told:?}");
    assert!(matches!(error, Some(EngineError::Hypergradient { .. })));
}

#[test]
fn a_number_that_is_not_finite_ends_the_run_with_a_warning() {
    let wild = r#"{ "x": { "optimizer": { "name": "sgd", "lr": 1e9 }, "unroll": 9 } }"#;
    let (told, error) = warnings(ill(2.0, 1.0, wild), Health::default(), 5);
    assert_eq!(told.last().unwrap().rule, "non-finite", "{told:?}");
    assert!(matches!(error, Some(EngineError::NonFinite { .. } | EngineError::NonFiniteStep { .. })), "{error:?}");
}

#[test]
fn a_level_that_gets_away_from_its_best_response_is_told_of() {
    let away = r#"{ "x": { "optimizer": { "name": "sgd", "lr": 0.335 } } }"#;
    let told = rules(ill(2.0, 1.0, away), 250);
    assert!(told.contains(&"far".to_owned()), "{told:?}");
}

#[test]
fn parameters_that_do_not_move_are_told_of() {
    let still = r#"{ "y": { "optimizer": { "name": "sgd", "lr": 1e-12 } } }"#;
    assert_eq!(rules(ill(2.0, 1.0, still), 400), ["still"]);
}

#[test]
fn parameters_at_a_bound_are_told_of() {
    let bound = r#"{ "y": { "project": { "name": "clamp", "low": 0.0, "high": 0.3 } } }"#;
    let told = rules(ill(0.3, 0.3, bound), 200);
    assert!(told.contains(&"bound".to_owned()), "{told:?}");
}

#[test]
fn what_the_engine_finds_is_told_of_too() {
    let target = |step: u64| if step > 40 { 1e6 } else { 1.0 };
    let targets = (1..).map(move |step| Ok::<_, std::io::Error>(shift(target(step), 1.0, 2.0)));
    let data = IllData { y: Stream::batches(targets), x: Stream::constant(shift(1.0, 1.0, 2.0)) };
    let engine = Engine::new(problem(), data, IllConfig::default()).unwrap();
    let (told, _) = warnings(engine, Health::default().on_unhealthy(OnUnhealthy::Stop), 60);
    assert_eq!(told.first().unwrap().rule, "runaway", "{told:?}");
}

#[test]
fn a_joint_solve_that_uses_up_its_iterations_is_told_of() {
    let few = r#"{ "y": { "solve": { "name": "joint", "iterations": 1, "prepare": false, "tolerance": 1e-14 } } }"#;
    let told = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&told);
    let mut engine = ill(2.0, 1.0, few).observe(move |event| {
        if let Event::Unfinished { through, iterations, residual, tolerance, .. } = *event {
            log.borrow_mut().push((through.to_owned(), iterations, residual > tolerance, event.warning().is_some()));
        }
    });
    engine.run(5).unwrap();
    assert_eq!(*told.borrow(), [("x".to_owned(), 1, true, true)]);
}

#[test]
fn a_question_silences_no_warning_of_the_run() {
    let few = r#"{ "y": { "solve": { "name": "joint", "iterations": 1, "prepare": false, "tolerance": 1e-14 } } }"#;
    let told = Rc::new(RefCell::new(0));
    let log = Rc::clone(&told);
    let mut engine = ill(2.0, 1.0, few).observe(move |event| {
        *log.borrow_mut() += u32::from(matches!(event, Event::Unfinished { .. }));
    });
    // Each question answers for itself.
    engine.gradient("y").unwrap();
    engine.gradient("y").unwrap();
    assert_eq!(told.replace(0), 2);
    engine.run(5).unwrap();
    assert_eq!(told.replace(0), 1);
    engine.run(5).unwrap();
    assert_eq!(told.replace(0), 0);
}

/// Steps that are taken again lead to the same parameters, to the bit.
#[test]
fn a_level_moves_in_a_part_of_a_run_that_is_taken_again() {
    let slow = r#"{ "y": { "optimizer": { "name": "sgd", "lr": 1e-5 } } }"#;
    let told = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&told);
    let engine = ill(2.0, 1.0, slow).attach(Health::default().without("slowing"));
    let mut engine = engine.observe(move |event| log.borrow_mut().extend(event.warning()));
    engine.run(150).unwrap();
    let saved = engine.checkpoint().unwrap();
    engine.run_until(200).unwrap();
    engine.resume(&saved, StreamPosition::Placed).unwrap();
    engine.run_until(200).unwrap();
    assert_eq!(*told.borrow(), []);
}

#[test]
fn an_unhealthy_run_can_end() {
    let health = Health::default().on_unhealthy(OnUnhealthy::Stop);
    let mut engine = ill(2.0, 1e-9, "{}").attach(health);
    let report = engine.run(100).unwrap();
    assert!(report.interrupted && report.iterations == 20, "{report:?}");
    assert!(report.reason.unwrap().starts_with("nothing comes up to level `y`"));
    let health = Health::default().on_unhealthy(OnUnhealthy::Stop).without("vanishing");
    assert_eq!(ill(2.0, 1e-9, "{}").attach(health).run(100).unwrap().iterations, 100);
}
