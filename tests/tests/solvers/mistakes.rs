//! What a solver cannot be beside, said by configs and engines.

use betty_runtime::{ConfigError, ConflictError, Engine, EngineError, Multilevel, ProgramConfig};
use betty_tests::vectors::parameter;

use crate::closed_forms::{Ridge, RidgeConfig, RidgeData, engine, held_out, train};

fn refused(json: &str) -> ConfigError {
    match RidgeConfig::from_json(json) {
        Ok(config) => config.validate(&Ridge::SCHEDULE).expect_err("the config has a mistake"),
        Err(error) => error,
    }
}

#[test]
fn what_it_cannot_be_beside() {
    for (fields, reason) in [
        (r#""clip": { "norm": 1.0 }"#, "it follows no gradient that `clip` could limit; take `clip` away"),
        (
            r#""project": { "name": "simplex" }"#,
            "it knows nothing of the set in `project`; take `project` away, or choose an optimizer",
        ),
        (r#""accumulate": 2"#, "it solves for one batch, and `accumulate` asks for several; put them into one"),
        (
            r#""hypergradient": { "method": "unrolled" }"#,
            "`unrolled` follows the steps of an optimizer, and there are none; choose a method that solves a system, such as \
             `cg`",
        ),
        (
            r#""hypergradient": { "method": "sama" }"#,
            "`sama` follows the steps of an optimizer, and there are none; choose a method that solves a system, such as `cg`",
        ),
    ] {
        let error = refused(&format!(r#"{{ "weights": {{ {fields} }} }}"#));
        let text = format!("`weights.solver`: no solver can find the best response of `weights`: {reason}");
        let told = error.to_string();
        assert!(told == text || (fields.contains("project") && told.contains("constraint")), "{told}\n{text}");
    }
    let waiting = refused(r#"{ "penalty": { "solver": { "name": "lbfgs" } } }"#).to_string();
    assert!(waiting.contains("it waits for `weights`, which would have to be solved again"), "{waiting}");
}

#[test]
fn a_level_has_one_of_both() {
    let both = r#"{ "weights": { "solver": { "memory": 3 }, "optimizer": { "name": "sgd", "lr": 0.1 } } }"#;
    assert_eq!(
        refused(both).to_string(),
        "`weights.solver` is given, but `weights` has an `optimizer` or `groups`, whose place it takes; keep one of them"
    );
    let none = r#"{ "weights": { "solver": null } }"#;
    assert_eq!(
        refused(none).to_string(),
        "`weights.optimizer` is missing, and `weights` has no `solver` either, so that nothing moves it; give it one of them"
    );
    let mut config = RidgeConfig::default();
    config.weights.optimizer = config.penalty.optimizer.clone();
    let problem = Ridge { penalty: parameter(&[0.2]), weights: parameter(&[0.0, 0.0]) };
    let data = RidgeData { penalty: held_out().into(), weights: train().into() };
    let error = Engine::new(problem, data, config).map(drop).expect_err("both");
    assert!(matches!(error, EngineError::Config(ConfigError::Conflict(ConflictError::MovedTwice { .. }))), "{error}");
}

#[test]
fn numbers_and_names() {
    assert_eq!(
        refused(r#"{ "weights": { "solver": { "memory": 0 } } }"#).to_string(),
        "`weights.solver.memory` is 0; it must be an integer greater than zero"
    );
    assert_eq!(
        refused(r#"{ "weights": { "solver": { "name": "lbgfs" } } }"#).to_string(),
        "`weights.solver.name`: unknown solver `lbgfs` (did you mean `lbfgs`?); known are `lbfgs` and `custom`"
    );
}

#[test]
fn a_scheduler_has_nothing_to_schedule() {
    let error = engine(RidgeConfig::default()).scheduler("weights", 0.1).map(drop).expect_err("no learning rate");
    assert!(matches!(error, EngineError::NoRate { .. }));
    assert_eq!(
        error.to_string(),
        "level `weights` cannot have a scheduler, because its solver has no learning rate; give the level an optimizer"
    );
}
