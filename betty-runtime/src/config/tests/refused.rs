//! JSON that is refused: each mistake with its text.

use serde_json::json;

use super::{Config, ProgramConfig, check_err};

#[test]
fn not_json() {
    let error = Config::from_json("{ \"net\": ").expect_err("the text ends too early");
    assert_eq!(error.to_string(), "the config is not JSON: EOF while parsing a value at line 1 column 9");
}

#[test]
fn names_that_are_given_twice() {
    for (text, expected) in [
        (r#"{"net": {}, "net": {"unroll": 2}}"#, "`net` is given twice, the second time in line 1; keep one of them"),
        (
            "{\"net\": {\"optimizer\": {\"lr\": 0.1,\n\"name\": \"sgd\",\n\"lr\": 0.2}}}",
            "`net.optimizer.lr` is given twice, the second time in line 3; keep one of them",
        ),
        (
            r#"{"net": {"clip": {"norm": 1, "norm": 1}}}"#,
            "`net.clip.norm` is given twice, the second time in line 1; keep one of them",
        ),
    ] {
        let error = Config::from_json(text).expect_err(text);
        assert!(matches!(error, super::ConfigError::Repeated { .. }));
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn unknown_names() {
    check_err(
        "`config`: unknown level `nett` (did you mean `net`?); known are `net` and `weights`",
        json!({ "nett": {} }),
    );
    check_err(
        "`net`: unknown field `unrol` (did you mean `unroll`?); known are `optimizer`, `schedule`, `groups`, `solver`, `unroll`, `warmup`, `hypergradient`, \
         `preconditioner`, `curvature`, `solve`, `clip`, `project`, `accumulate`, `start`, `tasks`, `rounds`, `vectorize`, `train`, `freeze` and \
         `precision`",
        json!({ "net": { "unrol": 5 } }),
    );
    check_err(
        "`net.hypergradient`: unknown option `iteration` (did you mean `iterations`?); known are `iterations`, \
         `tolerance`, `damping`, `warm_start`, `batch` and `method`",
        json!({ "net": { "hypergradient": { "iteration": 5 } } }),
    );
    check_err(
        "`net.hypergradient.method`: unknown method `cgg` (did you mean `cg`?); known are `cg`, `minres`, `gmres`, \
         `neumann`, `nystrom`, `finite_difference`, `penalty`, `identity`, `sama`, `dense`, `unrolled`, \
         `forward`, `forward_gradient`, `evolution` and `custom`",
        json!({ "net": { "hypergradient": { "method": "cgg" } } }),
    );
    check_err(
        "`net.optimizer.name`: unknown optimizer `adamm` (did you mean `adam`?); known are `sgd`, `adam`, `adamw`, `rmsprop`, \
         `adagrad` and `custom`",
        json!({ "net": { "optimizer": { "name": "adamm" } } }),
    );
    check_err(
        "`net.project.name`: unknown projection `simplx` (did you mean `simplex`?); known are `at_least`, `clamp`, `simplex` \
         and `norm_ball`",
        json!({ "net": { "project": { "name": "simplx" } } }),
    );
    check_err(
        "`net.clip`: unknown clip `limit`; known are `norm` and `value`",
        json!({ "net": { "clip": { "limit": 1 } } }),
    );
    check_err(
        "`net.start`: unknown start `initail` (did you mean `initial`?); known are `kept`, `initial`, `fresh`, `look_ahead` and `from`",
        json!({ "net": { "start": "initail" } }),
    );
    check_err(
        "`net.precision`: unknown precision `fp8`; known are `f32`, `bf16` and `f16`",
        json!({ "net": { "precision": "fp8" } }),
    );
}

#[test]
fn options_of_another_method() {
    check_err(
        "`net.hypergradient`: unknown option `iterations`; known are `scale`, `batch` and `method`",
        json!({ "net": { "hypergradient": { "method": "identity", "iterations": 5 } } }),
    );
}

#[test]
fn values_out_of_range() {
    let cases = [
        ("`net.unroll` is 0; it must be an integer greater than zero", json!({ "unroll": 0 })),
        ("`net.unroll` is -1; it must be an integer greater than zero", json!({ "unroll": -1 })),
        ("`net.warmup` is -1; it must be an integer that is not negative", json!({ "warmup": -1 })),
        ("`net.accumulate` is 1.5; it must be an integer greater than zero", json!({ "accumulate": 1.5 })),
        (
            "`net.hypergradient.iterations` is 0; it must be an integer greater than zero",
            json!({ "hypergradient": { "iterations": 0 } }),
        ),
        (
            "`net.hypergradient.damping` is -0.1; it must be a number that is not negative",
            json!({ "hypergradient": { "damping": -0.1 } }),
        ),
        (
            "`net.hypergradient.batch` is \"newest\"; it must be `last` or `fresh`",
            json!({ "hypergradient": { "batch": "newest" } }),
        ),
        (
            "`net.hypergradient.seed` is -1; it must be an integer that is not negative",
            json!({ "hypergradient": { "method": "nystrom", "seed": -1 } }),
        ),
        (
            "`net.optimizer.lr` is \"fast\"; it must be a number greater than zero",
            json!({ "optimizer": { "lr": "fast" } }),
        ),
        (
            "`net.optimizer.beta_1` is 1.0; it must be a number that is not negative and less than 1",
            json!({ "optimizer": { "beta_1": 1.0 } }),
        ),
        (
            "`net.optimizer.nesterov` is 1; it must be `true` or `false`",
            json!({ "optimizer": { "name": "sgd", "lr": 1, "nesterov": 1 } }),
        ),
        (
            "`net.project.radius` is 0; it must be a number greater than zero",
            json!({ "project": { "name": "norm_ball", "radius": 0 } }),
        ),
        ("`net.project.high` is 1; it must be greater than `low`", json!({ "project": { "name": "clamp", "low": 2 } })),
        ("`net.clip.norm` is 0; it must be a number greater than zero", json!({ "clip": { "norm": 0 } })),
    ];
    for (text, level) in cases {
        check_err(text, json!({ "net": level }));
    }
}

#[test]
fn values_of_the_wrong_shape() {
    check_err("`config` is []; it must be an object with the levels of the program", json!([]));
    check_err("`net` is 5; it must be an object with the numbers of the level", json!({ "net": 5 }));
    check_err(
        "`net.optimizer` is \"sgd\"; it must be an object with the `name` of an optimizer",
        json!({ "net": { "optimizer": "sgd" } }),
    );
    check_err(
        "`net.hypergradient` is \"cg\"; it must be an object with a `method`",
        json!({ "net": { "hypergradient": "cg" } }),
    );
    check_err(
        "`weights.hypergradient.method` is missing; it must be a string",
        json!({ "weights": { "hypergradient": { "iterations": 5 } } }),
    );
    check_err(
        "`net.clip` is {\"norm\":1,\"value\":1}; it must be `null`, or an object with one of `norm` and `value`",
        json!({ "net": { "clip": { "norm": 1, "value": 1 } } }),
    );
}

#[test]
fn options_along_a_momentum_that_there_is_not() {
    let text = |option: &str| {
        format!(
            "`net.optimizer.{option}` is given, but without `momentum` it changes nothing; give the optimizer a `momentum`, or leave it out"
        )
    };
    let sgd = |option: &str, value: serde_json::Value| {
        let mut optimizer = json!({ "name": "sgd", "lr": 1 });
        optimizer[option] = value;
        json!({ "net": { "optimizer": optimizer } })
    };
    check_err(&text("nesterov"), sgd("nesterov", json!(true)));
    check_err(&text("dampening"), sgd("dampening", json!(0.5)));
    check_err(&text("dampening"), sgd("dampening", json!("sigmoid(weights)")));
    for (option, value) in
        [("nesterov", json!(false)), ("dampening", json!(0)), ("momentum", json!("sigmoid(weights)"))]
    {
        super::read(sgd(option, value));
    }
    super::read(
        json!({ "net": { "optimizer": { "name": "sgd", "lr": 1, "momentum": 0.5, "dampening": 0.5, "nesterov": true } } }),
    );
}
