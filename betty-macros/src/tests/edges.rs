//! Mistakes in names of levels and in the graph, each with its text and its place.

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
fn hypergradient_missing_where_a_lower_level_alone_reads_the_upper() {
    check_err(
        "a hypergradient passes through `b`: add `hypergradient: …` to say how it is computed",
        "struct P;
         level a: M { lower: [b], .. }
         level >>>b<<<: M { lower: [c], .. }
         level c: M { upper: [b, a], hypergradient: cg, .. }",
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
fn unroll_nobody_waits_for() {
    check_err(
        "no level is solved after `weights`, so its `unroll` is never used",
        "struct P;
         level weights: M { lower: [net], unroll: >>>5<<<, .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
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
fn unrolled_between_a_level_that_is_differentiated_and_one_that_it_waits_for() {
    check_err(
        "`net` answers to `middle`, whose own best response is differentiated, and waits for `base`, so its steps cannot be \
         differentiated twice; choose an implicit method, such as `cg`",
        "struct P;
         level top: M { lower: [middle], .. }
         level middle: M { upper: [top], lower: [net], hypergradient: cg, .. }
         level net: M { upper: [middle], lower: [base], hypergradient: >>>unrolled<<<, .. }
         level base: M { upper: [net], hypergradient: cg, .. }",
    );
}

#[test]
fn memory_of_steps_that_are_differentiated_twice() {
    check_err(
        "`net` answers to `middle`, whose own best response is differentiated: its steps become one function whose values \
         are all held at once; take `memory` away",
        "struct P;
         level top: M { lower: [middle], .. }
         level middle: M { upper: [top], lower: [net], hypergradient: cg, .. }
         level net: M { upper: [middle], hypergradient: unrolled(memory = >>>5<<<), .. }",
    );
    check_ok(
        "struct P;
         level top: M { lower: [middle], .. }
         level middle: M { upper: [top], lower: [net], hypergradient: cg, .. }
         level net: M { upper: [middle], hypergradient: unrolled(memory = all), .. }",
    );
}

#[test]
fn steps_that_only_unrolled_differentiates_twice() {
    for method in ["forward", "forward_gradient", "evolution"] {
        check_err(
            "`net` answers to `middle`, whose own best response is differentiated, and only the steps of an `unrolled` level \
             can be differentiated twice; choose it for `net`, or an implicit method, such as `cg`",
            &format!(
                "struct P;
                 level top: M {{ lower: [middle], .. }}
                 level middle: M {{ upper: [top], lower: [net], hypergradient: cg, .. }}
                 level net: M {{ upper: [middle], hypergradient: >>>{method}<<<, .. }}"
            ),
        );
    }
}

#[test]
fn steps_that_rest_on_a_best_response_are_not_taken_again() {
    let program = |method: &str| {
        format!(
            "struct P;
             level top: M {{ lower: [middle], .. }}
             level middle: M {{ upper: [top], lower: [net], hypergradient: {method}, .. }}
             level net: M {{ upper: [middle], hypergradient: cg, .. }}"
        )
    };
    check_err(
        "`evolution` takes the steps of `middle` again, but they rest on the best response of `net`, which is not found \
         again; choose `forward_gradient` for `middle`, or `unrolled`",
        &program(">>>evolution<<<(pairs = 4)"),
    );
    for method in ["unrolled", "forward(limit = 10)", "forward_gradient(directions = 4, seed = 1)"] {
        check_ok(&program(method));
    }
}

#[test]
fn warmup_of_steps_that_a_level_above_goes_through() {
    let program = |above: u32, below: &str| {
        format!(
            "struct P;
             level top: M {{ lower: [net], warmup: {above}, .. }}
             level net: M {{ upper: [top], hypergradient: unrolled, warmup: {below}, .. }}"
        )
    };
    check_err(
        "`top` takes steps after 2 iterations already, and its hypergradient goes through the steps of `net`; lower this \
         `warmup`, or give `top` as many",
        &program(2, ">>>3<<<"),
    );
    check_ok(&program(3, "3"));
}

#[test]
fn tasks_that_cannot_be_computed_together() {
    let program = |meta: &str, net: &str, more: &str| {
        format!(
            "struct P;
             level meta: M {{ lower: [net], vectorize: >>>true<<<, {meta} .. }}
             level net: M {{ {net} .. }}
             {more}"
        )
    };
    let net = "start: from(meta), hypergradient: unrolled,";
    let because = |reason: &str| format!("the tasks of `meta` cannot be computed together: {reason}");
    check_ok(&program("tasks: 5,", net, "").replace(">>>true<<<", "true"));
    check_ok(&program("", net, "").replace(">>>true<<<", "false"));
    check_err(&because("there is only one; add `tasks: …`"), &program("", net, ""));
    check_err(
        &because("`accumulate` takes several batches for each; raise `tasks` instead"),
        &program("tasks: 5, accumulate: 2,", net, ""),
    );
    check_err(
        &because("`net` is not differentiated by `unrolled` through all its steps"),
        &program("tasks: 5,", "upper: [meta], start: initial, hypergradient: cg,", ""),
    );
    check_err(
        &because("`net` goes on from one task to the next; add `start: initial` or `start: from(…)` to it"),
        &program("tasks: 5,", "upper: [meta], hypergradient: unrolled,", ""),
    );
    check_err(
        &because("`net` waits for `base`"),
        &program(
            "tasks: 5,",
            "start: from(meta), lower: [base], hypergradient: unrolled,",
            "level base: M { upper: [net], hypergradient: cg, .. }",
        ),
    );
    check_err(
        &because("`other` waits for `net` too"),
        &program("tasks: 5,", &format!("upper: [other], {net}"), "level other: M { lower: [net], .. }"),
    );
    for method in ["cg", "unrolled", "forward"] {
        check_err(
            &because("a hypergradient passes through `meta`, and needs the steps below it one by one"),
            &program(
                &format!("tasks: 5, upper: [top], hypergradient: {method},"),
                "start: initial, upper: [meta], hypergradient: unrolled,",
                "level top: M { lower: [meta], .. }",
            ),
        );
    }
}

#[test]
fn projection_that_the_method_does_not_see() {
    check_err(
        "`cg` takes no notice of constraints; choose `unrolled` for `net`, or express the constraint in the loss or the module",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg, project: >>>norm_ball<<<(radius = 2.0), .. }",
    );
    check_ok(
        "struct P;
         level weights: M { lower: [net], project: simplex, .. }
         level net: M { upper: [weights], hypergradient: unrolled, project: norm_ball(radius = 2.0), .. }",
    );
}

#[test]
fn unrolled_beside_a_level_that_shares_a_lower_level() {
    check_err(
        "`left` and `right` depend on each other, so the steps of neither can be; choose an implicit method, such as `cg`",
        "struct P;
         level top: M { lower: [left, right], .. }
         level left: M { upper: [top], lower: [net], hypergradient: >>>unrolled<<<, .. }
         level right: M { upper: [top], lower: [net], hypergradient: dense, .. }
         level net: M { upper: [left, right], hypergradient: cg, .. }",
    );
}

#[test]
fn start_from_a_level_that_is_not_there_or_not_above() {
    check_err(
        "no level named `mete` (did you mean `meta`?)",
        "struct P;
         level meta: M { lower: [net], .. }
         level net: M { start: from(>>>mete<<<), hypergradient: unrolled, .. }",
    );
    check_err(
        "`b` starts from `net`, but nothing in `b` ever reaches `net`; list `b`, or a level above it, under `lower` of `net`",
        "struct P;
         level a: M { lower: [net, b], .. }
         level b: M { upper: [a], start: from(>>>net<<<), hypergradient: unrolled, .. }
         level net: M { upper: [a], hypergradient: unrolled, .. }",
    );
}

#[test]
fn start_that_the_method_does_not_see() {
    check_err(
        "only methods that go through the steps of `net`, such as `unrolled`, see where they begin; choose one for `net`, or \
         list `meta` under `upper` of `net`",
        "struct P;
         level meta: M { lower: [net], .. }
         level net: M { start: from(>>>meta<<<), hypergradient: cg, .. }",
    );
    check_ok(
        "struct P;
         level meta: M { lower: [net], .. }
         level net: M { upper: [meta], start: from(meta), hypergradient: cg, .. }",
    );
}

#[test]
fn start_nobody_waits_for() {
    check_err(
        "no level is solved after `meta`, so its `start` is never used",
        "struct P;
         level meta: M { lower: [net], start: >>>initial<<<, .. }
         level net: M { upper: [meta], hypergradient: cg, .. }",
    );
}
