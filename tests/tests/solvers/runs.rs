//! Solvers in runs: checkpoints, other methods of the same program, levels between others.

use betty_runtime::watch::JsonLines;
use betty_runtime::{CheckpointError, EngineError, LevelSolverConfig, ProgramConfig, StreamPosition};
use betty_tests::vectors::values;

use crate::closed_forms::{RidgeConfig, assert_near, engine, solution};

#[test]
fn a_run_goes_on_where_it_was_saved() {
    let mut whole = engine(RidgeConfig::default());
    whole.run(4).unwrap();
    let mut first = engine(RidgeConfig::default());
    first.run(2).unwrap();
    let saved = first.checkpoint().unwrap();
    let mut second = engine(RidgeConfig::default());
    second.resume(&saved, StreamPosition::Start).unwrap();
    second.run(2).unwrap();
    assert_eq!(values(&second.problem().weights), values(&whole.problem().weights));
    assert_eq!(values(&second.problem().penalty), values(&whole.problem().penalty));
    // Steps of an optimizer are another run.
    let config = RidgeConfig::from_json(r#"{ "weights": { "optimizer": { "name": "sgd", "lr": 0.1 } } }"#).unwrap();
    let error = engine(config).resume(&saved, StreamPosition::Start).expect_err("another way to move");
    let EngineError::Checkpoint(reason) = &error else { panic!("{error}") };
    assert!(
        matches!(**reason, CheckpointError::OtherOptimizer { .. }) && error.to_string().contains("lbfgs"),
        "{error}"
    );
}

/// One word of a config puts steps in the place of the solver, and the other way round.
#[test]
fn a_config_chooses_between_steps_and_a_solver() {
    let steps = r#"{ "weights": { "optimizer": { "name": "sgd", "lr": 0.1 }, "unroll": 500 },
                     "penalty": { "optimizer": { "lr": 1e-13 } } }"#;
    let steps = RidgeConfig::from_json(steps).unwrap();
    assert!(steps.weights.solver.is_none());
    let mut engine = engine(steps.clone());
    engine.run(1).unwrap();
    assert_near(&values(&engine.problem().weights), &solution(0.2).0, 1e-9);
    // What is written is read again, and a config that has taken the place of another can be taken back.
    assert_eq!(RidgeConfig::from_json(&steps.to_json().unwrap()).unwrap(), steps);
    let solver = RidgeConfig::default();
    let json = solver.to_json().unwrap();
    assert!(!json.contains(r#""sgd", "lr": 1"#) && json.contains("lbfgs"), "{json}");
    assert_eq!(RidgeConfig::from_json(&json).unwrap(), solver);
    let other = RidgeConfig::from_json(r#"{ "weights": { "solver": { "memory": 3 } } }"#).unwrap();
    let Some(LevelSolverConfig::Lbfgs(lbfgs)) = other.weights.solver else { panic!("{other:?}") };
    assert_eq!((lbfgs.memory, lbfgs.tolerance), (3, 1e-12));
}

/// Where the weights are zero, the penalty moves nothing: two gradients that vanish agree.
#[test]
fn gradients_that_vanish_are_not_said_to_differ() {
    let check = engine(RidgeConfig::default()).verify_hypergradient("penalty").unwrap();
    assert_eq!((check.norm, check.reference_norm), (0.0, 0.0));
    let text = check.to_string();
    assert!(
        text.starts_with("the hypergradient of `penalty` vanishes, as the reference does\n  norm 0.000e0"),
        "{text}"
    );
}

/// Lines of a log have the iteration that a turn belongs to.
#[test]
fn a_log_tells_of_every_turn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    engine(RidgeConfig::default()).attach(JsonLines::new(&file)).run(2).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let solved: Vec<_> = lines.filter(|line| line["event"] == "solved").collect();
    assert_eq!(solved.len(), 2, "{text}");
    for (line, iteration) in solved.iter().zip(1..) {
        assert_eq!((&line["iteration"], &line["step"]), (&iteration.into(), &iteration.into()), "{text}");
        assert_eq!(
            (&line["level"], &line["solver"], &line["converged"]),
            (&"weights".into(), &"lbfgs".into(), &true.into())
        );
        assert!(
            line["gradient_norm"].as_f64().unwrap() <= 1e-12 && line["evaluations"].as_u64().unwrap() > 1,
            "{text}"
        );
    }
}
