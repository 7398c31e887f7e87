//! Mistakes in methods, optimizers and clips, each with its text and its place.

use super::{check_err, check_ok};

/// One mistake, in fields of the lower of two levels.
#[track_caller]
pub(super) fn check_net(text: &str, fields: &str) {
    check_err(
        text,
        &format!(
            "struct P;
             level weights: M {{ lower: [net], .. }}
             level net: M {{ upper: [weights], batch: B, loss: f, {fields} }}"
        ),
    );
}

#[track_caller]
fn check_method(text: &str, method: &str) {
    check_net(text, &format!("optimizer: sgd(lr = 0.1), hypergradient: {method}"));
}

#[track_caller]
fn check_optimizer(text: &str, optimizer: &str) {
    check_net(text, &format!("hypergradient: cg, optimizer: {optimizer}"));
}

#[track_caller]
fn check_clip(text: &str, clip: &str) {
    check_net(text, &format!("optimizer: sgd(lr = 0.1), hypergradient: cg, clip: {clip}"));
}

#[test]
fn unknown_method() {
    check_method(
        "unknown method `cgg` (did you mean `cg`?); the methods are `cg`, `minres`, `gmres`, `neumann`, `nystrom`, \
         `finite_difference`, `penalty`, `identity`, `sama`, `dense`, `unrolled`, `forward`, `forward_gradient`, \
         `evolution` and `custom`",
        ">>>cgg<<<(iterations = 5)",
    );
}

#[test]
fn unknown_option() {
    check_method(
        "`cg` has no option `iteration` (did you mean `iterations`?); it takes `iterations`, `tolerance`, `damping`, `warm_start` \
         and `batch`",
        "cg(>>>iteration<<< = 5)",
    );
}

#[test]
fn option_given_twice() {
    check_method("option `damping` of `cg` is given twice", "cg(damping = 1e-3, >>>damping<<< = 1e-4)");
}

#[test]
fn option_out_of_range() {
    let text = "`damping` of `cg` must be a number that is not negative";
    check_method(text, "cg(damping = >>>-1e-3<<<)");
    check_method(text, "cg(damping = >>>1e999<<<)");
    check_method("`step_size` of `neumann` must be a number greater than zero", "neumann(step_size = >>>0.0<<<)");
    check_method("`iterations` of `cg` must be an integer greater than zero", "cg(iterations = >>>0<<<)");
}

#[test]
fn numbers_may_be_constants() {
    for value in [
        "LR",
        "2.0 * 0.1",
        "-LOW",
        "defaults::LR",
        "STEPS as f64 / 2.0",
        "(LR)",
        "crate::defaults::lr() * 2.0",
        "if FAST { 0.1 } else { 0.01 }",
        "(STEPS as i32 - 1) as f64",
        "TABLE[2]",
        "Tuned::<f32, 8>::LR",
        "match KIND { 0 => 0.1, _ => 1.0 / STEPS.pow(2) as f64 }",
    ] {
        check_ok(&format!(
            "struct P; level a: M {{ batch: B, loss: f, optimizer: sgd(lr = {value}), clip: norm({value}) }}"
        ));
    }
    check_ok(
        "struct P;
         level a: M { lower: [b], warmup: LATE, accumulate: 2 * TWO, tasks: TASKS, rounds: ROUNDS, .. }
         level b: M { upper: [a], unroll: STEPS, hypergradient: unrolled(truncate = STEPS / 2, memory = KEPT), .. }",
    );
    check_ok(
        "struct P;
         level a: M { lower: [b], rounds: if FAST { 1 } else { 10 }, warmup: usize::pow(LATE, 2), .. }
         level b: M { upper: [a], unroll: (TOTAL as u32 / 2) as usize, hypergradient: cg(iterations = TOTAL.pow(2)), .. }",
    );
    // What small letters name is a level.
    check_err(
        "no level named `rate`; a constant is written in capital letters, a number known only at run time goes into the config",
        "struct P; level a: M { batch: B, loss: f, optimizer: sgd(lr = >>>rate<<<) }",
    );
}

#[test]
fn option_of_the_wrong_kind() {
    let text = "`iterations` of `cg` must be an integer greater than zero";
    for value in ["1.5", "many", "\"10\"", "2 * many", "-3", "true"] {
        check_method(text, &format!("cg(iterations = >>>{value}<<<)"));
    }
    for value in ["-1", "1.5", "18446744073709551616"] {
        let text = "`seed` of `nystrom` must be an integer that is not negative";
        check_method(text, &format!("nystrom(seed = >>>{value}<<<)"));
    }
    check_method("`batch` of `cg` must be `last` or `fresh`", "cg(batch = >>>newest<<<)");
    check_method("`damping` of `cg` must be a number that is not negative", "cg(damping = >>>small<<<)");
}

#[test]
fn option_without_a_name() {
    check_method("the options of `cg` have names: `cg(iterations = …)`", "cg(>>>10<<<)");
}

#[test]
fn option_without_a_value() {
    check_method("expected a value", "cg(damping = >>>,<<< iterations = 5)");
}

#[test]
fn method_that_is_not_a_name() {
    check_method("`hypergradient` takes a name and its options: `hypergradient: cg(iterations = 10)`", ">>>\"cg\"<<<");
}

#[test]
fn unknown_optimizer() {
    check_optimizer(
        "unknown optimizer `adamm` (did you mean `adam`?); the optimizers are `sgd`, `adam`, `adamw`, \
         `rmsprop`, `adagrad` and `custom`",
        ">>>adamm<<<(lr = 0.1)",
    );
}

#[test]
fn optimizer_without_a_learning_rate() {
    check_optimizer("`sgd` needs `lr`: `sgd(lr = …)`", ">>>sgd<<<(momentum = 0.9)");
    check_optimizer("`adam` needs `lr`: `adam(lr = …)`", ">>>adam<<<");
}

#[test]
fn optimizer_options() {
    check_optimizer(
        "`momentum` of `sgd` must be a number that is not negative and less than 1",
        "sgd(lr = 0.1, momentum = >>>1.0<<<)",
    );
    check_optimizer("`nesterov` of `sgd` must be `true` or `false`", "sgd(lr = 0.1, nesterov = >>>1<<<)");
    check_optimizer("`lr` of `adam` must be a number greater than zero", "adam(lr = >>>0<<<)");
    check_optimizer(
        "`adam` has no option `beta1` (did you mean `beta_1`?); it takes `lr`, `beta_1`, `beta_2`, `epsilon` and \
         `weight_decay`",
        "adam(lr = 0.1, >>>beta1<<< = 0.9)",
    );
}

#[test]
fn a_mistyped_learning_rate_is_not_missing_as_well() {
    check_optimizer(
        "`sgd` has no option `llr` (did you mean `lr`?); it takes `lr`, `momentum`, `dampening`, `nesterov` and \
         `weight_decay`",
        "sgd(>>>llr<<< = 0.1)",
    );
}

#[track_caller]
fn check_projection(text: &str, projection: &str) {
    check_net(text, &format!("optimizer: sgd(lr = 0.1), hypergradient: unrolled, project: {projection}"));
}

#[test]
fn projections() {
    check_projection(
        "unknown projection `simplx` (did you mean `simplex`?); the projections are `at_least`, `clamp`, `simplex` and \
         `norm_ball`",
        ">>>simplx<<<",
    );
    check_projection("`radius` of `norm_ball` must be a number greater than zero", "norm_ball(radius = >>>0<<<)");
    check_projection("`low` of `at_least` must be a number", "at_least(low = >>>zero<<<)");
    check_projection("`high` of `clamp` must be greater than `low`", "clamp(low = -1.0, high = >>>-1<<<)");
    check_projection("`high` of `clamp` must be greater than `low`", "clamp(low = >>>2.0<<<)");
}

#[test]
fn clips() {
    check_clip("unknown clip `norn` (did you mean `norm`?); the clips are `norm` and `value`", ">>>norn<<<(1.0)");
    let text = "`norm` takes one number greater than zero: `clip: norm(1.0)`";
    check_clip(text, ">>>norm<<<");
    check_clip(text, "norm(>>>0.0<<<)");
    check_clip(text, "norm(>>>-1.0<<<)");
    check_clip(text, "norm(limit = >>>1.0<<<)");
}

#[test]
fn truncate_is_a_count_or_the_word_all() {
    for value in ["0", "-1", "some", "2.5"] {
        check_method(
            "`truncate` of `unrolled` must be an integer greater than zero, or `all`",
            &format!("unrolled(truncate = >>>{value}<<<)"),
        );
    }
}

#[test]
fn truncate_of_more_steps_than_are_taken() {
    check_net(
        "`unrolled` looks back 10 steps, but `net` takes only 5 before a level above takes one; lower `truncate` or raise `unroll`",
        "optimizer: sgd(lr = 0.1), unroll: 5, hypergradient: unrolled(truncate = >>>10<<<)",
    );
    check_method(
        "`unrolled` looks back 2 steps, but `net` takes only 1 before a level above takes one; lower `truncate` or raise `unroll`",
        "unrolled(truncate = >>>2<<<)",
    );
}

#[test]
fn starts() {
    let check = |text: &str, start: &str| {
        check_net(text, &format!("optimizer: sgd(lr = 0.1), hypergradient: cg, start: {start}"));
    };
    check(
        "unknown start `initail` (did you mean `initial`?); the starts are `kept`, `initial`, `fresh`, `look_ahead` and \
         `from`",
        ">>>initail<<<",
    );
    check("`from` takes the name of a level: `start: from(meta)`", ">>>from<<<");
    for option in ["5", "net", "elsewhere", "STEPS"] {
        check("`initial` takes no options", &format!("initial(>>>{option}<<<)"));
    }
    let fresh =
        "`fresh` takes the path of a function that makes the level's module on a device: `start: fresh(my_net)`";
    for written in ["", "()", "(a, b)", "(make = a)"] {
        check(fresh, &format!(">>>fresh<<<{written}"));
    }
}

#[test]
fn custom_takes_one_value() {
    let text = "`custom` takes one value whose type implements `HypergradientMethod`: `custom(MyMethod)`";
    check_method(text, ">>>custom<<<");
    check_method(text, ">>>custom<<<(A, B)");
    check_method(
        "`custom` has no option `bach` (did you mean `batch`?); it takes `batch`",
        "custom(MyMethod { steps: 10 }, >>>bach<<< = fresh)",
    );
}

#[test]
fn a_value_may_have_commas_between_angle_brackets() {
    for value in
        ["Mine::<f32, 8>::new()", "closed_form::<3, Net>", "<Mine<f32, 8> as Default>::default()", "|a, b| a < b"]
    {
        for options in ["", ", batch = fresh"] {
            check_ok(&format!(
                "struct P;
                 level weights: M {{ lower: [net], .. }}
                 level net: M {{ upper: [weights], hypergradient: custom({value}{options}), .. }}"
            ));
        }
    }
}

#[test]
fn along_a_momentum() {
    let text = |option: &str| {
        format!("`{option}` of `sgd` changes nothing without `momentum`; give that as well, or take `{option}` away")
    };
    let check = |option: &str, optimizer: &str| check_optimizer(&text(option), optimizer);
    check("nesterov", "sgd(lr = 0.1, >>>nesterov<<< = true)");
    check("dampening", "sgd(lr = 0.1, momentum = 0, >>>dampening<<< = 0.5)");
    check("dampening", "sgd(lr = 0.1, >>>dampening<<< = sigmoid(weights.x))");
    check_optimizer(
        "`sgd` has no option `momentun` (did you mean `momentum`?); it takes `lr`, `momentum`, `dampening`, `nesterov` and \
         `weight_decay`",
        "sgd(lr = 0.1, >>>momentun<<< = 0.9, nesterov = true)",
    );
    for sound in [
        "sgd(lr = 0.1, nesterov = false, dampening = 0.0)",
        "sgd(lr = 0.1, momentum = 0.9, nesterov = true, dampening = 0.5)",
        // Known where the engine is made.
        "sgd(lr = 0.1, momentum = MOMENTUM, nesterov = true)",
        "rmsprop(lr = 0.1, momentum = 0.0)",
    ] {
        check_ok(&format!("struct P; level net: M {{ batch: B, loss: f, optimizer: {sound} }}"));
    }
}
