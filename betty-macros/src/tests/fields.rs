//! Mistakes in the declaration, in levels and in their fields, each with its text and its place.

use super::{check_err, check_errs};

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
    for value in ["1.5", "-3", "many", "\"3\"", "2 * many"] {
        check_err(
            "expected an integer, or an expression of constants (`STEPS`, `defaults::STEPS`)",
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
fn warmup_that_is_too_large_or_no_integer() {
    let program = |warmup: &str| {
        format!(
            "struct P;
             level weights: M {{ lower: [net], warmup: {warmup}, .. }}
             level net: M {{ upper: [weights], hypergradient: cg, .. }}"
        )
    };
    check_err("`99999999999` is too large; the largest count is 4294967295", &program(">>>99999999999<<<"));
    check_err("expected an integer, or an expression of constants (`STEPS`, `defaults::STEPS`)", &program(">>>-1<<<"));
    check_errs(&[], &program("0"));
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
fn unknown_field() {
    check_err(
        "unknown field `unrol` (did you mean `unroll`?); a level has `upper`, `lower`, `batch`, `loss`, `condition`, `optimizer`, `schedule`, `groups`, `solver`, \
         `unroll`, `warmup`, `hypergradient`, `preconditioner`, `curvature`, `solve`, `clip`, `project`, `after_step`, \
         `accumulate`, `start`, \
         `tasks`, `rounds`, `vectorize`, `train`, `freeze` and `precision`",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], >>>unrol<<<: 5, hypergradient: cg, .. }",
    );
}

#[test]
fn unknown_field_without_a_likeness() {
    check_err(
        "unknown field `x`; a level has `upper`, `lower`, `batch`, `loss`, `condition`, `optimizer`, `schedule`, `groups`, `solver`, `unroll`, `warmup`, `hypergradient`, \
         `preconditioner`, `curvature`, `solve`, `clip`, `project`, `after_step`, \
         `accumulate`, `start`, \
         `tasks`, `rounds`, `vectorize`, `train`, `freeze` and `precision`",
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

#[test]
fn parts_of_a_module() {
    let program = |field: &str| {
        format!(
            "struct P;
             level weights: M {{ lower: [net], .. }}
             level net: M {{ upper: [weights], {field}, hypergradient: cg, .. }}"
        )
    };
    check_errs(&[], &program("train: [head, encoder.layers.0.1.norm], freeze: [encoder.norm,]"));
    check_errs(&[], &program("train: []"));
    check_err("`freeze` takes a list: `freeze: [encoder]`", &program("freeze: >>>encoder.norm<<<"));
    let paths = "`train` takes paths in the level's module: `train: [head, encoder.norm]`";
    check_err(paths, &program("train: [head, >>>encoder.<<<]"));
    check_err(paths, &program("train: [>>>head::weight<<<, encoder]"));
    check_err(paths, &program("train: [>>>-1<<<]"));
    check_err("expected the path of a part of the module", &program("train: [head, >>>,<<< encoder]"));
}

#[test]
fn precision_that_is_none() {
    let program = |precision: &str| {
        format!(
            "struct P;
             level weights: M {{ lower: [net], precision: {precision}, .. }}
             level net: M {{ upper: [weights], hypergradient: cg, .. }}"
        )
    };
    check_err("unknown precision `fp8`; the precisions are `f32`, `bf16` and `f16`", &program(">>>fp8<<<"));
    check_err(
        "unknown precision `b16` (did you mean `bf16`?); the precisions are `f32`, `bf16` and `f16`",
        &program(">>>b16<<<"),
    );
    check_err("`bf16` takes no options", &program("bf16(scale = >>>2<<<)"));
    check_errs(&[], &program("f16"));
}
