//! One mistake, made in a program or in a config, is told in the same words: those of `tests/ui`, which the compiler says.

use std::fs;
use std::path::Path;

use betty_runtime::{ConfigError, ConflictError, Multilevel, ProgramConfig, multilevel};
use burn::module::Param;
use burn::tensor::Tensor;

type Vector = Param<Tensor<1>>;

multilevel! {
    struct Sound;

    level weights: Vector { lower: [net], batch: Tensor<1>, loss: outer, optimizer: sgd(lr = 0.1) }
    level net: Vector {
        upper: [weights], batch: Tensor<1>, loss: inner, optimizer: sgd(lr = 0.1), unroll: 5, hypergradient: cg,
    }
}

fn outer(_: &Vector, net: &Vector, batch: Tensor<1>) -> Tensor<1> {
    (net.val() - batch).square().sum()
}

fn inner(net: &Vector, weights: &Vector, batch: Tensor<1>) -> Tensor<1> {
    (net.val() - weights.val() * batch).square().sum()
}

#[test]
fn a_config_is_refused_as_a_program_is() {
    for (written, path, config) in [
        (
            "truncate_of_more_steps_than_are_taken",
            "net.hypergradient.truncate",
            r#"{ "net": { "hypergradient": { "method": "unrolled", "truncate": 10 } } }"#,
        ),
        (
            "projection_that_the_method_does_not_see",
            "net.project",
            r#"{ "net": { "project": { "name": "norm_ball", "radius": 2 } } }"#,
        ),
        (
            "preconditioner_that_the_method_does_not_apply",
            "net.preconditioner",
            r#"{ "net": { "hypergradient": { "method": "neumann" }, "preconditioner": { "name": "diagonal" } } }"#,
        ),
        (
            "schedule_that_never_begins_again",
            "net.schedule.restart",
            r#"{ "net": { "schedule": { "name": "linear", "steps": 5, "restart": true } } }"#,
        ),
        (
            "solver_above_a_level_that_it_waits_for",
            "weights.solver",
            r#"{ "weights": { "solver": { "name": "lbfgs" } } }"#,
        ),
        ("hypergradient_missing", "net.hypergradient", r#"{ "net": { "hypergradient": null } }"#),
        (
            "hypergradient_never_used",
            "weights.hypergradient",
            r#"{ "weights": { "hypergradient": { "method": "cg" } } }"#,
        ),
        ("unroll_nobody_waits_for", "weights.unroll", r#"{ "weights": { "unroll": 5 } }"#),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("ui/{written}.stderr"));
        let told = fs::read_to_string(&file).unwrap();
        let told = told.lines().next().and_then(|line| line.strip_prefix("error: ")).unwrap();
        let error = SoundConfig::from_json(config).unwrap().validate(&Sound::SCHEDULE).unwrap_err();
        assert!(matches!(&error, ConfigError::Conflict(ConflictError::Broken { .. })), "{error}");
        assert_eq!(error.to_string(), format!("`{path}`: {told}"));
    }
}
