//! One run finds all mistakes, and a broken part hides nothing behind it.

use super::{check_err, check_errs};

#[test]
fn all_mistakes_in_one_run() {
    check_errs(
        &[
            "no level named `nett` (did you mean `net`?)",
            "`adam` has no option `rate`; it takes `lr`, `beta_1`, `beta_2`, `epsilon` and `weight_decay`",
            "`unroll` is the number of steps `net` takes before the levels above it; it must be at least 1",
            "unknown method `cgg` (did you mean `cg`?); the methods are `cg`, `minres`, `gmres`, `neumann`, `nystrom`, \
             `finite_difference`, `penalty`, `identity`, `sama`, `dense`, `unrolled`, `forward`, `forward_gradient`, \
             `evolution` and `custom`",
            "`norm` takes one number greater than zero: `clip: norm(1.0)`",
        ],
        "struct P;
         level weights: M {
             lower: [>>>nett<<<], batch: B, loss: f, optimizer: adam(lr = 0.1, >>>rate<<< = 0.1),
         }
         level net: M { upper: [weights], unroll: >>>0<<<, hypergradient: >>>cgg<<<, clip: norm(>>>0.0<<<), .. }",
    );
}

#[test]
fn a_broken_level_header_hides_no_other_level() {
    check_errs(
        &["expected `:`", "`damping` of `cg` must be a number that is not negative"],
        "struct P;
         level weights >>>M<<< { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg(damping = >>>-1<<<), .. }",
    );
    check_errs(
        &["expected `level`", "`damping` of `cg` must be a number that is not negative"],
        "struct P;
         >>>lvel<<< weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg(damping = >>>-1<<<), .. }",
    );
    check_err(
        "expected the fields of the level in curly braces",
        "struct P;
         level weights: M >>>;<<<
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn punctuation_between_levels() {
    check_err(
        "levels follow each other without punctuation",
        "struct P;
         level weights: M { lower: [net], .. }>>>,<<<
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn a_forgotten_comma_hides_no_other_field() {
    check_errs(
        &[
            "expected `,`",
            "`unroll` is the number of steps `net` takes before the levels above it; it must be at least 1",
        ],
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights] >>>hypergradient<<<: cg, unroll: >>>0<<<, .. }",
    );
}

/// Whatever stands before the next field, that field is read, and what it says is known.
#[test]
fn a_forgotten_comma_is_one_mistake_behind_any_value() {
    for value in [
        "unroll: 5",
        "unroll: STEPS / 2",
        "vectorize: false",
        "warmup: 0",
        "train: [head]",
        "project: simplex",
        "optimizer: sgd(lr = 0.1)",
        "groups: { head: { optimizer: sgd(lr = 0.1) } }",
    ] {
        let rest = if value.starts_with("optimizer") { "batch: B, loss: f" } else { ".." };
        check_err(
            "expected `,`",
            &format!(
                "struct P;
                 level weights: M {{ lower: [net], .. }}
                 level net: M {{ upper: [weights], {value} >>>hypergradient<<<: unrolled, {rest} }}"
            ),
        );
    }
    for loss in ["f", "losses::of::<Net, 3>"] {
        check_err(
            "expected `,`",
            &format!(
                "struct P;
                 level weights: M {{ batch: B, optimizer: sgd(lr = 0.1), loss: {loss} >>>lower<<<: [net] }}
                 level net: M {{ upper: [weights], hypergradient: gmres, .. }}"
            ),
        );
    }
    check_err(
        "expected `,`",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { condition: fixed_point(map) >>>upper<<<: [weights], hypergradient: gmres, .. }",
    );
}

/// What stands in the place of a comma is no second mistake, whatever follows.
#[test]
fn what_is_no_comma_is_one_mistake() {
    for junk in [">>>{<<<}", ">>>;<<<", ">>>3<<< [x]"] {
        check_err(
            "expected `,`",
            &format!(
                "struct P;
                 level weights: M {{ lower: [net] {junk}, .. }}
                 level net: M {{ upper: [weights], unroll: 3, hypergradient: cg, .. }}"
            ),
        );
    }
}

#[test]
fn a_forgotten_comma_in_groups_is_one_mistake() {
    let sgd = "optimizer: sgd(lr = 0.1)";
    for groups in [
        format!("head: {{ {sgd} >>>clip<<<: norm(1.0) }}"),
        format!("head: {{ clip: norm(1.0) >>>project<<<: simplex, {sgd} }}"),
        format!("head: {{ paths: [a, b.c] >>>optimizer<<<: sgd(lr = 0.1) }}, body: {{ {sgd} }}"),
        format!("head: {{ {sgd} >>>;<<<, clip: norm(1.0) }}"),
        format!("head: {{ {sgd} }} >>>body<<<: {{ {sgd} }}"),
        format!("head: {{ {sgd} }} >>>body<<<.layers.0.1.bias: {{ {sgd} }}, tail: {{ {sgd} }}"),
        format!("head: {{ {sgd} }} >>>;<<< body.norm: {{ {sgd} }}"),
        // A brace that closes too early leaves a field behind.
        format!("head: {{ {sgd} }} >>>clip<<<: norm(1.0), body: {{ {sgd} }}"),
    ] {
        let program = |net: &str| {
            format!(
                "struct P;
                 level weights: M {{ lower: [net], .. }}
                 level net: M {{ upper: [weights], {net} hypergradient: >>>cgg<<<, batch: B, loss: f, groups: {{ {groups} }} }}"
            )
        };
        let method = "unknown method `cgg` (did you mean `cg`?); the methods are `cg`, `minres`, `gmres`, `neumann`, `nystrom`, \
                      `finite_difference`, `penalty`, `identity`, `sama`, `dense`, `unrolled`, `forward`, `forward_gradient`, \
                      `evolution` and `custom`";
        check_errs(&[method, "expected `,`"], &program(""));
    }
}

/// What stands behind the comma is read: the second group's own mistake is told as well.
#[test]
fn a_forgotten_comma_hides_no_group() {
    let levels = |groups: &str| format!("struct P; level net: M {{ batch: B, loss: f, groups: {{ {groups} }} }}");
    let lacks = |group: &str| format!("group `{group}` of level `net` lacks `optimizer`; every group has its own");
    for group in ["body", "body.norm"] {
        check_errs(
            &["expected `,`", "`norm` takes one number greater than zero: `clip: norm(1.0)`"],
            &levels(&format!(
                "head: {{ optimizer: sgd(lr = 1) }} >>>{}: {{ optimizer: sgd(lr = 1), clip: norm(>>>0.0<<<) }}",
                group.replacen("body", "body<<<", 1)
            )),
        );
        check_errs(
            &[
                "`groups` takes paths in the level's module: `groups: { log_lr: { optimizer: sgd(lr = 0.1) } }`",
                &lacks(group),
            ],
            &levels(&format!(">>>head::a<<<: {{ optimizer: sgd(lr = 1) }}, >>>{group}<<<: {{ clip: norm(1.0) }}")),
        );
    }
}

/// A mistake inside of brackets that are read as Rust leaves the program what it is.
#[test]
fn brackets_that_are_left_half_read_lose_nothing_else() {
    let method = "unknown method `cgg` (did you mean `cg`?); the methods are `cg`, `minres`, `gmres`, `neumann`, `nystrom`, \
                  `finite_difference`, `penalty`, `identity`, `sama`, `dense`, `unrolled`, `forward`, `forward_gradient`, \
                  `evolution` and `custom`";
    for (end, weights) in [
        ("]", "level weights: M { lower: [net], batch: [B; 3 >>>4<<<], loss: f, optimizer: sgd(lr = 0.1) }"),
        (")", "level weights: M { lower: [net], batch: (A >>>B<<<), loss: f, optimizer: sgd(lr = 0.1) }"),
        ("]", "level weights: [M; 3 >>>4<<<] { lower: [net], .. }"),
        ("]", "#[doc = \"a\" >>>\"b\"<<<] level weights: M { lower: [net], .. }"),
    ] {
        let source = format!(
            "struct P;
             {weights}
             level net: M {{ upper: [weights], hypergradient: >>>cgg<<<, .. }}"
        );
        check_errs(&[&format!("unexpected token, expected `{end}`"), method], &source);
        let (expanded, _) = crate::expand_program(super::parse(&super::read_marks(&source).0));
        assert!(expanded.to_string().contains("struct P"), "{source}");
    }
}

#[test]
fn a_mistake_before_a_forgotten_comma_hides_no_other_field() {
    check_errs(
        &[
            "expected an integer, or an expression of constants (`STEPS`, `defaults::STEPS`)",
            "expected `,`",
            "unknown method `cgg` (did you mean `cg`?); the methods are `cg`, `minres`, `gmres`, `neumann`, `nystrom`, \
             `finite_difference`, `penalty`, `identity`, `sama`, `dense`, `unrolled`, `forward`, `forward_gradient`, \
             `evolution` and `custom`",
        ],
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M {
             upper: [weights], unroll: >>>many<<<
             >>>hypergradient<<<: >>>cgg<<<, ..
         }",
    );
}

#[test]
fn a_forgotten_comma_between_options_is_one_mistake() {
    for options in
        ["lr = 0.1 >>>beta_1<<< = 0.8", "lr = 2.0 * LR >>>beta_1<<< = 0.8", "beta_1 = 0.8 >>>lr<<< = exp(a.lr)"]
    {
        check_err(
            "expected `,`",
            &format!(
                "struct P;
                 level a: M {{ lower: [b], .. }}
                 level b: M {{ batch: B, loss: f, optimizer: adam({options}), hypergradient: unrolled, upper: [a] }}"
            ),
        );
    }
}

#[test]
fn a_broken_list_is_one_mistake() {
    check_err(
        "expected `,`",
        "struct P;
         level weights: M { lower: [net >>>other<<<], .. }
         level net: M { upper: [weights], unroll: 3, hypergradient: cg, .. }",
    );
}

#[test]
fn a_missing_value_is_one_mistake() {
    check_err(
        "expected a value",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], unroll: >>>,<<< hypergradient: cg, .. }",
    );
}

#[test]
fn a_field_without_a_colon_is_one_mistake() {
    check_err(
        "expected `:`",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper >>>[<<<weights], unroll: 3, hypergradient: cg, .. }",
    );
}

#[test]
fn mistakes_in_a_program_without_a_header() {
    check_errs(
        &["expected the program's declaration: `pub struct Name;`", "no level named `elsewhere`"],
        ">>>level<<< weights: M { lower: [net, >>>elsewhere<<<], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn nothing_at_all() {
    let (_, report) = crate::expand_program(proc_macro2::TokenStream::new());
    let texts: Vec<String> = report.errors().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["unexpected end of input, expected the program's declaration: `pub struct Name;`"]);
}
