//! Mistakes about steps: methods that go through them, and where they begin.

use super::{check_err, check_ok};

#[test]
fn unrolled_between_a_level_that_is_differentiated_and_one_that_it_waits_for() {
    check_err(
        "`net` answers to `middle`, whose own best response is differentiated, and waits for `base`, so its steps cannot be \
         differentiated twice; choose an implicit method for `net`, such as `cg`",
        "struct P;
         level top: M { lower: [middle], .. }
         level middle: M { upper: [top], lower: [net], hypergradient: cg, .. }
         level net: M { upper: [middle], lower: [base], hypergradient: >>>unrolled<<<, .. }
         level base: M { upper: [net], hypergradient: cg, .. }",
    );
}

#[test]
fn memory_of_steps_that_are_differentiated_twice() {
    for memory in ["5", "M", "limits::M"] {
        check_err(
            "`net` answers to `middle`, whose own best response is differentiated: its steps become one function whose values \
             are all held at once; take `memory` away",
            &format!(
                "struct P;
                 level top: M {{ lower: [middle], .. }}
                 level middle: M {{ upper: [top], lower: [net], hypergradient: cg, .. }}
                 level net: M {{ upper: [middle], hypergradient: unrolled(memory = >>>{memory}<<<), .. }}"
            ),
        );
    }
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
            &format!(
                "`net` answers to `middle`, whose own best response is differentiated, and only the steps of an `unrolled` level \
                 can be differentiated twice, not those of `{method}`; choose `unrolled` for `net`, or an implicit method, such as \
                 `cg`"
            ),
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
        "`net` takes no steps for 3 iterations, but `top` takes its own after 2 already, and its hypergradient goes through the \
         steps of `net`; lower this `warmup`, or give `top` as many",
        &program(2, ">>>3<<<"),
    );
    check_ok(&program(3, "3"));
}

#[test]
fn projection_that_the_method_does_not_see() {
    check_err(
        "`cg` takes no notice of constraints, and no implicit method differentiates a best response that is held by one; choose \
         `unrolled` for `net`, or express the constraint in the loss or the module",
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
fn function_after_a_step_that_the_method_does_not_see() {
    check_err(
        "`cg` solves for where the loss of `net` is least, whatever follows each step (`after_step`); choose `unrolled`, or \
         say in the program where the steps come to rest: `condition: fixed_point(my_map)`",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: >>>cg<<<, after_step: mine::rescaled, .. }",
    );
    check_ok(
        "struct P;
         level weights: M { lower: [net], after_step: rescaled, .. }
         level net: M { upper: [weights], hypergradient: unrolled, after_step: mine::rescaled, .. }",
    );
    check_ok(
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: gmres, condition: fixed_point(map), after_step: rescaled, .. }",
    );
    check_err(
        "`after_step` takes the path of a function: `after_step: my_projection`",
        "struct P;
         level weights: M { lower: [net], after_step: >>>|weights| weights<<<, .. }
         level net: M { upper: [weights], hypergradient: unrolled, .. }",
    );
}

#[test]
fn unrolled_beside_a_level_that_shares_a_lower_level() {
    check_err(
        "`left` and `right` depend on each other, so `unrolled` cannot go through the steps of either; choose an implicit method for \
         `left`, such as `cg`",
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
        "`net` starts from `meta` and does not read it: only methods that go through its steps, such as `unrolled`, see where they \
         begin, and `cg` does not; choose one for `net`, or list `meta` under `upper` of `net`",
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
fn start_at_a_draw() {
    for function in ["my_net", "nets::my_net", "Net::drawn"] {
        check_ok(&format!(
            "struct P;
             level meta: M {{ lower: [net], tasks: 5, vectorize: true, .. }}
             level net: M {{ upper: [meta], start: fresh({function}), hypergradient: unrolled, .. }}"
        ));
    }
    check_err(
        "no level is solved after `meta`, so its `start` is never used",
        "struct P;
         level meta: M { lower: [net], start: >>>fresh<<<(my_net), .. }
         level net: M { upper: [meta], hypergradient: cg, .. }",
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

#[test]
fn steps_that_are_cut_off_from_where_they_begin() {
    let program = |truncate: &str, net: &str| {
        format!(
            "struct P;
             level meta: M {{ lower: [net], .. }}
             level net: M {{ start: from(meta), unroll: 3, hypergradient: unrolled(truncate = {truncate}), {net} .. }}"
        )
    };
    let text = "`unrolled` looks back 2 of 3 steps, and where they begin is all that `net` has of `meta`, so no hypergradient \
                reaches `meta`; raise `truncate`, or list `meta` under `upper` of `net`";
    check_err(text, &program(">>>2<<<", ""));
    // All steps, or another way to `meta`.
    check_ok(&program("3", ""));
    check_ok(&program("all", ""));
    check_ok(&program("2", "upper: [meta],"));
    check_ok(
        "struct P;
         level meta: M { lower: [net], .. }
         level net: M {
             start: from(meta), unroll: 3, hypergradient: unrolled(truncate = 2), batch: B, loss: f,
             optimizer: sgd(lr = exp(meta.rate)),
         }",
    );
    // What lies below answers to `meta`, or only to `net` itself.
    let below =
        |upper: &str| format!("{}\nlevel base: M {{ {upper}, hypergradient: cg, .. }}", program("2", "lower: [base],"));
    check_ok(&below("upper: [net, meta]"));
    check_err(text, &below("upper: [net]").replacen("truncate = 2", "truncate = >>>2<<<", 1));
}

#[test]
fn rounds_with_nothing_to_take_turns() {
    let program = |top: &str, net: &str| {
        format!(
            "struct P;
             level top: M {{ lower: [net], {top} .. }}
             level net: M {{ upper: [top], hypergradient: cg, {net} .. }}"
        )
    };
    check_ok(&program("rounds: 3,", "rounds: 1,"));
    check_err(
        "`rounds` is how often the levels below take their steps before `top`; it must be at least 1",
        &program("rounds: >>>0<<<,", ""),
    );
    check_err(
        "`rounds` is how often the levels below `net` take their steps before one of its own, and there is none",
        &program("", "rounds: >>>2<<<,"),
    );
}

#[test]
fn tasks_with_nothing_to_solve() {
    let text = "`tasks` is how often the levels below `net` are solved for one of its steps, and there is none; `accumulate` \
                averages over batches";
    let program = |tasks: &str| {
        format!(
            "struct P;
             level top: M {{ lower: [net], tasks: 2, .. }}
             level net: M {{ upper: [top], hypergradient: cg, tasks: {tasks}, .. }}"
        )
    };
    check_err(text, &program(">>>2<<<"));
    check_ok(&program("1"));
}
