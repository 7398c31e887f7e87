//! Every mistake that the macro knows, one a test, with its text and its place.

use super::{check_err, check_errs, check_ok};

#[test]
fn a_correct_program_has_no_mistakes() {
    check_ok(
        "/// Docs.
         pub struct P;
         /// Docs of a level.
         level weights: Weights { lower: [net], .. }
         level net: Net {
             upper: [weights],
             batch: (Images<A, B>, Labels),
             loss: losses::weighted,
             optimizer: adamw(lr = 1e-3, beta_1 = 0.8, weight_decay = 0),
             unroll: 10,
             hypergradient: neumann(terms = 5, step_size = 0.2, batch = fresh),
             clip: value(1),
             accumulate: 4
         }",
    );
}

#[test]
fn a_cycle_prints_itself() {
    check_err(
        "these levels are each solved before the next, in a circle: a -> b -> c -> a; a level that is read while it is \
         still being solved belongs in `upper`",
        "struct P;
         level a: M { lower: [b], .. }
         level b: M { lower: [c], .. }
         level c: M { lower: [>>>a<<<], .. }",
    );
}

#[test]
fn a_cycle_between_two_levels() {
    check_err(
        "these levels are each solved before the next, in a circle: a -> b -> a; a level that is read while it is still \
         being solved belongs in `upper`",
        "struct P;
         level a: M { lower: [b], .. }
         level b: M { lower: [>>>a<<<], .. }",
    );
}

#[test]
fn two_cycles_are_two_mistakes() {
    check_errs(
        &[
            "these levels are each solved before the next, in a circle: a -> b -> a; a level that is read while it is \
             still being solved belongs in `upper`",
            "these levels are each solved before the next, in a circle: a -> c -> a; a level that is read while it is \
             still being solved belongs in `upper`",
        ],
        "struct P;
         level a: M { lower: [b, c], .. }
         level b: M { lower: [>>>a<<<], .. }
         level c: M { lower: [>>>a<<<], .. }",
    );
}

#[test]
fn unknown_level() {
    check_err(
        "no level named `nett` (did you mean `net`?)",
        "struct P;
         level weights: M { lower: [>>>nett<<<], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn unknown_level_without_a_likeness() {
    check_err(
        "no level named `elsewhere`",
        "struct P;
         level weights: M { lower: [net, >>>elsewhere<<<], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn level_declared_twice() {
    check_err(
        "level `net` is declared twice",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }
         level >>>net<<<: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn self_reference() {
    check_err(
        "level `net` cannot depend on itself",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights, >>>net<<<], hypergradient: cg, .. }",
    );
}

#[test]
fn entry_listed_twice() {
    check_err(
        "`weights` is listed twice for level `net`",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights, >>>weights<<<], hypergradient: cg, .. }",
    );
}

#[test]
fn entry_in_both_lists() {
    check_err(
        "`net` is both an upper and a lower level of `z`; it must be one",
        "struct P;
         level z: M { upper: [>>>net<<<], lower: [net], .. }
         level net: M { upper: [z], hypergradient: cg, .. }",
    );
}

#[test]
fn upper_without_a_way_back() {
    check_err(
        "`weights` is an upper level of `net`, but nothing in `net` ever reaches `weights`; list `net`, or a level above \
         it, under `lower` of `weights`",
        "struct P;
         level weights: M { .. }
         level net: M { upper: [>>>weights<<<], unroll: 5, hypergradient: cg, .. }",
    );
}

#[test]
fn upper_in_the_wrong_direction() {
    check_err(
        "`net` is an upper level of `x`, but nothing in `x` ever reaches `net`; `net` is solved before `x`, so list it \
         under `lower`",
        "struct P;
         level x: M { upper: [>>>net<<<], lower: [between], .. }
         level between: M { upper: [x], lower: [net], hypergradient: cg, .. }
         level net: M { upper: [between], hypergradient: cg, .. }",
    );
}

#[test]
fn upper_whose_hypergradient_gets_lost() {
    check_err(
        "`a` is an upper level of `c`, but no hypergradient leads from `c` back to `a`; list `c` under `lower` of `a`",
        "struct P;
         level a: M { lower: [b], .. }
         level b: M { lower: [c], .. }
         level c: M { upper: [b, >>>a<<<], hypergradient: cg, .. }",
    );
}

#[test]
fn lower_that_never_reads_the_level() {
    check_err(
        "`other` is a lower level of `weights`, but its best response never depends on `weights`; list `weights` under \
         `upper` of `other`",
        "struct P;
         level weights: M { lower: [net, >>>other<<<], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }
         level other: M { .. }",
    );
}

#[test]
fn isolated_level() {
    check_err(
        "level `other` depends on no other level and none depends on it",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }
         level >>>other<<<: M { unroll: 5, hypergradient: cg, .. }",
    );
}

#[test]
fn two_separate_programs() {
    check_err(
        "`c` and `d` share nothing with `a` and `b`; write two programs",
        "struct P;
         level a: M { lower: [b], .. }
         level b: M { upper: [a], hypergradient: cg, .. }
         level >>>c<<<: M { lower: [d], .. }
         level d: M { upper: [c], hypergradient: cg, .. }",
    );
}

#[test]
fn the_smaller_program_is_the_other_one() {
    check_err(
        "`a` and `b` share nothing with `c`, `d` and `e`; write two programs",
        "struct P;
         level >>>a<<<: M { lower: [b], .. }
         level b: M { upper: [a], hypergradient: cg, .. }
         level c: M { lower: [d, e], .. }
         level d: M { upper: [c], hypergradient: cg, .. }
         level e: M { upper: [c], hypergradient: cg, .. }",
    );
}

#[test]
fn no_upper_anywhere() {
    check_err(
        "no level of `P` has an upper level, so no hypergradient is ever computed",
        "struct >>>P<<<;
         level a: M { lower: [b], .. }
         level b: M { hypergradient: cg, .. }",
    );
}

#[test]
fn fewer_than_two_levels() {
    let text = "`P` needs at least two levels, one above the other";
    check_err(text, "struct >>>P<<<; level a: M { .. }");
    check_err(text, "struct >>>P<<<;");
}

#[test]
fn unroll_of_zero() {
    check_err(
        "`unroll` is the number of steps `net` takes before the levels above it; it must be at least 1",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], unroll: >>>0<<<, hypergradient: cg, .. }",
    );
}

#[test]
fn unroll_that_is_not_an_integer() {
    for value in ["1.5", "-3", "many", "\"3\"", "2 * 5"] {
        check_err(
            "expected integer literal",
            &format!(
                "struct P;
                 level weights: M {{ lower: [net], .. }}
                 level net: M {{ upper: [weights], unroll: >>>{value}<<<, hypergradient: cg, .. }}"
            ),
        );
    }
}

#[test]
fn unroll_that_is_too_large() {
    check_err(
        "`99999999999` is too large; the largest count is 4294967295",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], unroll: >>>99999999999<<<, hypergradient: cg, .. }",
    );
}

#[test]
fn unroll_nobody_waits_for() {
    check_err(
        "no level is solved after `weights`, so its `unroll` is never used",
        "struct P;
         level weights: M { lower: [net], unroll: >>>5<<<, .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn accumulate_of_zero() {
    check_err(
        "`accumulate` is the number of batches `net` averages for a step; it must be at least 1",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], accumulate: >>>0<<<, hypergradient: cg, .. }",
    );
}

#[test]
fn hypergradient_missing_on_a_path() {
    check_err(
        "a hypergradient passes through `net`: add `hypergradient: …` to say how it is computed",
        "struct P;
         level weights: M { lower: [net], .. }
         level >>>net<<<: M { upper: [weights], .. }",
    );
}

#[test]
fn hypergradient_off_every_path() {
    check_err(
        "no hypergradient passes through `weights`, so its `hypergradient` is never used",
        "struct P;
         level weights: M { lower: [net], hypergradient: >>>cg<<<(iterations = 5), .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn best_responses_that_depend_on_each_other() {
    check_err(
        "the best responses of `f`, `g`, `p` and `q` depend on each other, so none can be differentiated before the \
         others; remove one of the edges between them",
        "struct P;
         level a: M { lower: [f, g], .. }
         level >>>f<<<: M { upper: [a], lower: [p, q], hypergradient: cg, .. }
         level g: M { upper: [a], lower: [p, q], hypergradient: cg, .. }
         level p: M { upper: [f], hypergradient: cg, .. }
         level q: M { upper: [g], hypergradient: cg, .. }",
    );
}

/// One mistake, in fields of the lower of two levels.
#[track_caller]
fn check_net(text: &str, fields: &str) {
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
    check_net(
        text,
        &format!("optimizer: sgd(lr = 0.1), hypergradient: {method}"),
    );
}

#[track_caller]
fn check_optimizer(text: &str, optimizer: &str) {
    check_net(text, &format!("hypergradient: cg, optimizer: {optimizer}"));
}

#[track_caller]
fn check_clip(text: &str, clip: &str) {
    check_net(
        text,
        &format!("optimizer: sgd(lr = 0.1), hypergradient: cg, clip: {clip}"),
    );
}

#[test]
fn unknown_method() {
    check_method(
        "unknown method `cgg` (did you mean `cg`?); the methods are `cg`, `neumann`, `finite_difference`, `identity` and \
         `dense`",
        ">>>cgg<<<(iterations = 5)",
    );
}

#[test]
fn unknown_option() {
    check_method(
        "`cg` has no option `iteration` (did you mean `iterations`?); it takes `iterations`, `tolerance`, `damping` and \
         `batch`",
        "cg(>>>iteration<<< = 5)",
    );
}

#[test]
fn option_given_twice() {
    check_method(
        "option `damping` of `cg` is given twice",
        "cg(damping = 1e-3, >>>damping<<< = 1e-4)",
    );
}

#[test]
fn option_out_of_range() {
    let text = "`damping` of `cg` must be a number that is not negative";
    check_method(text, "cg(damping = >>>-1e-3<<<)");
    check_method(text, "cg(damping = >>>1e999<<<)");
    check_method(
        "`step_size` of `neumann` must be a number greater than zero",
        "neumann(step_size = >>>0.0<<<)",
    );
    check_method(
        "`iterations` of `cg` must be an integer greater than zero",
        "cg(iterations = >>>0<<<)",
    );
}

#[test]
fn option_of_the_wrong_kind() {
    let text = "`iterations` of `cg` must be an integer greater than zero";
    for value in ["1.5", "many", "\"10\"", "2 * 5", "-3", "true"] {
        check_method(text, &format!("cg(iterations = >>>{value}<<<)"));
    }
    check_method(
        "`batch` of `cg` must be `last` or `fresh`",
        "cg(batch = >>>newest<<<)",
    );
    check_method(
        "`damping` of `cg` must be a number that is not negative",
        "cg(damping = >>>small<<<)",
    );
}

#[test]
fn option_without_a_name() {
    check_method(
        "the options of `cg` have names: `cg(iterations = …)`",
        "cg(>>>10<<<)",
    );
}

#[test]
fn option_without_a_value() {
    check_method("expected a value", "cg(damping = >>>,<<< iterations = 5)");
}

#[test]
fn method_that_is_not_a_name() {
    check_method(
        "`hypergradient` takes a name and its options: `hypergradient: cg(iterations = 10)`",
        ">>>\"cg\"<<<",
    );
}

#[test]
fn unknown_optimizer() {
    check_optimizer(
        "unknown optimizer `adamm` (did you mean `adam`?); the optimizers are `sgd`, `adam` and `adamw`",
        ">>>adamm<<<(lr = 0.1)",
    );
}

#[test]
fn optimizer_without_a_learning_rate() {
    check_optimizer(
        "`sgd` needs `lr`: `sgd(lr = …)`",
        ">>>sgd<<<(momentum = 0.9)",
    );
    check_optimizer("`adam` needs `lr`: `adam(lr = …)`", ">>>adam<<<");
}

#[test]
fn optimizer_options() {
    check_optimizer(
        "`momentum` of `sgd` must be a number that is not negative and less than 1",
        "sgd(lr = 0.1, momentum = >>>1.0<<<)",
    );
    check_optimizer(
        "`nesterov` of `sgd` must be `true` or `false`",
        "sgd(lr = 0.1, nesterov = >>>1<<<)",
    );
    check_optimizer(
        "`lr` of `adam` must be a number greater than zero",
        "adam(lr = >>>0<<<)",
    );
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

#[test]
fn clips() {
    check_clip(
        "unknown clip `norn` (did you mean `norm`?); the clips are `norm` and `value`",
        ">>>norn<<<(1.0)",
    );
    let text = "`norm` takes one number greater than zero: `clip: norm(1.0)`";
    check_clip(text, ">>>norm<<<");
    check_clip(text, "norm(>>>0.0<<<)");
    check_clip(text, "norm(>>>-1.0<<<)");
    check_clip(text, "norm(limit = >>>1.0<<<)");
}

#[test]
fn unknown_field() {
    check_err(
        "unknown field `unrol` (did you mean `unroll`?); a level has `upper`, `lower`, `batch`, `loss`, `optimizer`, \
         `unroll`, `hypergradient`, `clip` and `accumulate`",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], >>>unrol<<<: 5, hypergradient: cg, .. }",
    );
}

#[test]
fn unknown_field_without_a_likeness() {
    check_err(
        "unknown field `x`; a level has `upper`, `lower`, `batch`, `loss`, `optimizer`, `unroll`, `hypergradient`, \
         `clip` and `accumulate`",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], >>>x<<<: Map<A, B>, hypergradient: cg, .. }",
    );
}

#[test]
fn field_given_twice() {
    check_err(
        "`upper` is given twice for level `net`",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], >>>upper<<<: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn required_fields() {
    check_errs(
        &[
            "level `weights` lacks `batch`, `loss` and `optimizer`; every level has its own",
            "level `net` lacks `loss`; every level has its own",
        ],
        "struct P;
         level >>>weights<<<: M { lower: [net] }
         level >>>net<<<: M { upper: [weights], batch: B, optimizer: sgd(lr = 0.1), hypergradient: cg }",
    );
}

#[test]
fn loss_that_is_not_a_path() {
    for value in ["|net, batch| f(net, batch)", "f()", "\"f\""] {
        check_err(
            "`loss` takes the path of a function: `loss: my_loss`",
            &format!(
                "struct P;
                 level weights: M {{ lower: [net], .. }}
                 level net: M {{
                     upper: [weights], batch: B, loss: >>>{value}<<<, optimizer: sgd(lr = 0.1), hypergradient: cg
                 }}"
            ),
        );
    }
}

#[test]
fn list_without_brackets() {
    check_err(
        "`upper` takes a list: `upper: [weights]`",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: >>>weights<<<, hypergradient: cg, .. }",
    );
}

#[test]
fn header_missing() {
    let text = "expected the program's declaration: `pub struct Name;`";
    check_err(
        text,
        ">>>level<<< weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
    check_err(
        text,
        "pub >>>enum<<< P { A }
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
    check_err(
        text,
        "pub struct P >>>{<<< x: X }
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn attribute_on_the_program() {
    check_err(
        "a program expands to more than this struct; put the attribute on the `multilevel!` call",
        ">>>#[cfg(test)]<<<
         struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn attribute_on_a_level() {
    check_errs(
        &[
            "only doc comments are allowed on a level; `#[cfg]` would change the graph",
            "only doc comments are allowed on a level",
        ],
        "struct P;
         >>>#[cfg(test)]<<<
         level weights: M { lower: [net], .. }
         >>>#[inline]<<<
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn attribute_on_a_field() {
    check_err(
        "a field of a level takes no attributes; document the level instead",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M {
             >>>/// Docs.<<<
             upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn reserved_names() {
    check_err(
        "`level` cannot name a level",
        "struct P;
         level >>>level<<<: M { lower: [net], .. }
         level net: M { upper: [level], hypergradient: cg, .. }",
    );
    check_err(
        "`__x` cannot name a level",
        "struct P;
         level >>>__x<<<: M { lower: [net], .. }
         level net: M { upper: [__x], hypergradient: cg, .. }",
    );
    check_err(
        "`self` cannot name a level",
        "struct P;
         level >>>self<<<: M { lower: [net], .. }
         level net: M { upper: [self], hypergradient: cg, .. }",
    );
}

#[test]
fn generic_program() {
    let text = "a multilevel program cannot be generic; make the level types concrete";
    let levels = "level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }";
    check_err(text, &format!("struct P>>><T: Clone><<<; {levels}"));
    check_err(text, &format!("struct P>>><'a><<<; {levels}"));
}
