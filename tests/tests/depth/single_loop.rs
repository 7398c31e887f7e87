//! A single loop at any depth: one iteration for every system below a level at each step, from the solution of the step before,
//! comes to the solution of the whole program. (That of quadratic programs of every shape is tested beside them.)

use betty_runtime::{Checkpoint, Engine, Multilevel, ProgramConfig, StreamPosition};
use serde_json::json;

use crate::level::Vector;
use crate::smooth::{Chain3, Chain3Config, Chain3Data, Chain4, Chain4Data, high_gradient, methods, nothing};

/// One iteration for every system at each step, prepared by one of each level.
pub(crate) fn single_loop<P: Multilevel>(warm_start: bool) -> P::Config {
    let mut config = P::Config::default();
    methods(&mut config, r#"{"method": "cg", "iterations": 1, "tolerance": 0.0}"#);
    let joint = json!({ "name": "joint", "iterations": 1, "tolerance": 0.0, "warm_start": warm_start });
    for (level, spec) in config.levels_mut().into_iter().zip(P::SCHEDULE.levels) {
        level.solve = (!spec.sweep.is_empty()).then(|| serde_json::from_value(joint.clone()).unwrap());
    }
    config
}

/// The largest norm of an exact total gradient.
fn left<P: Multilevel>(problem: P, data: P::Data) -> f64 {
    let mut exact = Engine::new(problem, data, P::Config::default()).unwrap();
    let norms = P::SCHEDULE.levels.iter().map(|level| exact.gradient(level.name).unwrap().norm);
    norms.fold(0.0, f64::max)
}

fn three(config: Chain3Config) -> Engine<Chain3> {
    let problem = Chain3 { lambda: Vector::new(&[0.3, -0.7]), x: Vector::new(&[0.0; 2]), y: Vector::new(&[0.0; 3]) };
    Engine::new(problem, three_data(), config).unwrap()
}

fn three_data() -> Chain3Data {
    Chain3Data { lambda: nothing(), x: nothing(), y: nothing() }
}

#[test]
fn a_chain_of_three_comes_to_its_solution() {
    let run = |warm_start| {
        let mut engine = three(single_loop::<Chain3>(warm_start));
        engine.run(300).unwrap();
        engine.into_problem()
    };
    let solution = run(true);
    // The reference is made of differences of the whole nested solve.
    assert!(high_gradient(&solution.lambda.values()).iter().all(|gradient| gradient.abs() < 1e-11));
    assert!(left(solution, three_data()) < 1e-12);
    // Every step from zero anew is not enough.
    assert!(left(run(false), three_data()) > 0.1);
}

#[test]
fn a_chain_of_four_comes_to_its_solution() {
    let data = || Chain4Data { nu: nothing(), lambda: nothing(), x: nothing(), y: nothing() };
    let run = |warm_start| {
        let problem = Chain4 {
            nu: Vector::new(&[0.6]),
            lambda: Vector::new(&[0.3, -0.7]),
            x: Vector::new(&[0.0; 2]),
            y: Vector::new(&[0.0; 3]),
        };
        let mut config = single_loop::<Chain4>(warm_start);
        config.nu.optimizer = serde_json::from_value(json!({ "name": "sgd", "lr": 1.0 })).unwrap();
        let mut engine = Engine::new(problem, data(), config).unwrap();
        engine.run(400).unwrap();
        left(engine.into_problem(), data())
    };
    assert!(run(true) < 1e-10);
    assert!(run(false) > 0.1);
}

/// What the next step starts from is a part of where a run stands.
#[test]
fn a_run_resumes_bit_for_bit() {
    for prepare in [true, false] {
        let mut config = single_loop::<Chain3>(true);
        let joint = json!({ "name": "joint", "iterations": 2, "warm_start": true, "prepare": prepare });
        config.lambda.solve = serde_json::from_value(joint).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let saved = |engine: &Engine<Chain3>| {
            let file = folder.path().join("run.safetensors");
            engine.checkpoint().unwrap().save(&file).unwrap();
            std::fs::read(&file).unwrap()
        };
        let (mut whole, mut first) = (three(config.clone()), three(config.clone()));
        whole.run(6).unwrap();
        first.run(3).unwrap();
        saved(&first);
        let mut second = three(config.clone());
        let checkpoint = Checkpoint::open(folder.path().join("run.safetensors")).unwrap();
        second.resume(&checkpoint, StreamPosition::Start).unwrap();
        second.run(3).unwrap();
        assert!(saved(&second) == saved(&whole));
        // Another way to solve starts from what it can use of that, and drops the rest.
        config.lambda.solve = None;
        methods(&mut config, r#"{"method": "cg", "iterations": 8, "warm_start": true}"#);
        let mut other = three(config);
        other.resume(&checkpoint, StreamPosition::Start).unwrap();
        other.run(1).unwrap();
    }
}
