//! Tasks that are computed together.

use super::{check_err, check_ok};

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
    // One task is the least of several, and a config can ask for more.
    check_ok(&program("", net, "").replace(">>>true<<<", "true"));
    check_err(
        &because("`accumulate` takes several batches for each; raise `tasks` instead"),
        &program("tasks: 5, accumulate: 2,", net, ""),
    );
    check_err(
        &because("`rounds` has its levels take their steps several times; raise their `unroll` instead"),
        &program("tasks: 5, rounds: 2,", net, ""),
    );
    // A method that cannot has them go one after the other, which the run tells.
    check_ok(
        &program("tasks: 5,", "upper: [meta], start: initial, hypergradient: cg,", "").replace(">>>true<<<", "true"),
    );
    check_err(
        &because(
            "`net` goes on from one task to the next; add `start: initial`, `start: fresh(…)` or `start: from(…)` \
                  to it",
        ),
        &program("tasks: 5,", "upper: [meta], hypergradient: unrolled,", ""),
    );
    // With fewer steps than are taken, or not all of them kept, one task goes after the other; a constant is a number of them too.
    for fewer in ["truncate = 3", "truncate = K", "memory = 2", "memory = limits::M", "truncate = all, memory = M"] {
        let net = format!("upper: [meta], unroll: 5, hypergradient: unrolled({fewer}),");
        check_ok(&program("tasks: 5,", &net, "").replace(">>>true<<<", "true"));
    }
    check_err(
        &because(
            "`net` goes on from one task to the next; add `start: initial`, `start: fresh(…)` or `start: from(…)` \
                  to it",
        ),
        &program("tasks: 5,", "upper: [meta], hypergradient: unrolled(truncate = all, memory = all),", ""),
    );
    // What could not be understood may have said so.
    for (text, method) in [
        ("`truncate` of `unrolled` must be an integer greater than zero, or `all`", "unrolled(truncate = >>>0<<<)"),
        ("`memory` of `unrolled` must be an integer greater than zero, or `all`", "unrolled(memory = >>>0<<<)"),
        (
            "`unrolled` has no option `truncat` (did you mean `truncate`?); it takes `truncate` and `memory`",
            "unrolled(>>>truncat<<< = 3)",
        ),
    ] {
        let source = program("tasks: 5,", &format!("upper: [meta], hypergradient: {method},"), "");
        check_err(text, &source.replace(">>>true<<<", "true"));
    }
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
