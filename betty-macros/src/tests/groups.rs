//! Groups of parameters with an optimizer, a clip and a projection of their own.

use super::{check_err, check_errs, check_ok};

/// A program of one level with these fields.
fn program(fields: &str) -> String {
    format!("struct P; level net: M {{ batch: B, loss: f, {fields} }}")
}

#[test]
fn every_way_to_write_them() {
    check_ok(&program("optimizer: sgd(lr = 0.1), groups: { log_lr: { optimizer: adam(lr = LR) } }"));
    check_ok(&program(
        "groups: {
            layers.0.1.x: { optimizer: sgd(lr = 0.1), clip: norm(1.0), project: clamp(low = 0.0, high = 1.0), },
            layers.0.10: { project: simplex, optimizer: custom(Mine { x: 1 }, lr = 0.1) },
            slow: { paths: [encoder, layers.1, head.bias,], optimizer: sgd(lr = 0.1), clip: norm(1.0) },
        }",
    ));
}

#[test]
fn a_parameter_is_in_one_group() {
    check_err(
        "`encoder` is a group of level `net` twice; keep one of them",
        &program("groups: { encoder: { optimizer: sgd(lr = 1) }, >>>encoder<<<: { optimizer: sgd(lr = 1) } }"),
    );
    let text = "`encoder` and `encoder.norm` are both groups of level `net`, and one is a part of the other; a parameter is in one \
                group: name parts that have nothing in common";
    check_err(
        text,
        &program("groups: { encoder.norm: { optimizer: sgd(lr = 1) }, >>>encoder<<<: { optimizer: sgd(lr = 1) } }"),
    );
}

#[test]
fn a_part_is_in_one_group() {
    let sgd = "optimizer: sgd(lr = 1)";
    check_err(
        "`head` is in two groups of level `net`; a parameter is in one: keep it in one of them",
        &program(&format!("groups: {{ slow: {{ paths: [encoder, head], {sgd} }}, >>>head<<<: {{ {sgd} }} }}")),
    );
    check_err(
        "`encoder.norm` and `encoder` are in two groups of level `net`, and one is a part of the other; a parameter is in one group: \
         name parts that have nothing in common",
        &program(&format!("groups: {{ encoder: {{ {sgd} }}, slow: {{ paths: [head, >>>encoder.norm<<<], {sgd} }} }}")),
    );
    check_err(
        "`head.bias` and `head` in group `slow` of level `net` have parameters in common; keep one of them",
        &program(&format!("groups: {{ slow: {{ {sgd}, paths: [head, >>>head.bias<<<] }} }}")),
    );
    check_err(
        "group `slow` of level `net` has no parts: `paths: [encoder, head.bias]`",
        &program(&format!("groups: {{ >>>slow<<<: {{ paths: [], {sgd} }} }}")),
    );
    check_err(
        "`paths` takes a list: `paths: [encoder, head.bias]`",
        &program(&format!("groups: {{ slow: {{ paths: >>>encoder<<<, {sgd} }} }}")),
    );
    check_err(
        "`paths` takes paths in the level's module: `paths: [encoder, head.bias]`",
        &program(&format!("groups: {{ slow: {{ paths: [encoder, >>>head::bias<<<], {sgd} }} }}")),
    );
    // What is named by itself is another one.
    check_ok(&program(&format!("groups: {{ head: {{ paths: [encoder], {sgd} }}, slow: {{ paths: [head], {sgd} }} }}")));
}

#[test]
fn what_a_group_has() {
    check_err(
        "group `head` of level `net` lacks `optimizer`; every group has its own",
        &program("optimizer: sgd(lr = 1), groups: { >>>head<<<: { clip: norm(1.0) } }"),
    );
    check_err(
        "`clap` is no field of a group (did you mean `clip`?); a group has `optimizer`, `schedule`, `clip`, `project` and `paths`, and the \
         level has the rest",
        &program("optimizer: sgd(lr = 1), groups: { head: { optimizer: sgd(lr = 1), >>>clap<<<: norm(1.0) } }"),
    );
    check_err(
        "`unroll` is no field of a group; a group has `optimizer`, `schedule`, `clip`, `project` and `paths`, and the level has the rest",
        &program("optimizer: sgd(lr = 1), groups: { head: { optimizer: sgd(lr = 1), >>>unroll<<<: 5 } }"),
    );
    check_err(
        "`clip` is given twice for group `head`",
        &program(
            "optimizer: sgd(lr = 1), groups: { head: { clip: norm(1), optimizer: sgd(lr = 1), >>>clip<<<: norm(2) } }",
        ),
    );
    check_errs(
        &["`sgd` needs `lr`: `sgd(lr = …)`", "`norm` takes one number greater than zero: `clip: norm(1.0)`"],
        &program("optimizer: sgd(lr = 1), groups: { head: { optimizer: >>>sgd<<<, clip: norm(>>>0.0<<<) } }"),
    );
}

#[test]
fn what_is_no_group() {
    let example = "`groups: { log_lr: { optimizer: sgd(lr = 0.1) } }`";
    check_err(
        &format!("`groups` takes parts of the module in curly braces: {example}"),
        &program("optimizer: sgd(lr = 1), groups: >>>[head]<<<"),
    );
    check_err(
        &format!("`groups` takes paths in the level's module: {example}"),
        &program("optimizer: sgd(lr = 1), groups: { >>>head::norm<<<: { optimizer: sgd(lr = 1) } }"),
    );
    check_err(
        "expected the fields of the group in curly braces",
        &program("optimizer: sgd(lr = 1), groups: { head: >>>sgd<<<(lr = 1) }"),
    );
}

#[test]
fn what_would_be_ignored() {
    check_err(
        "`net` has no optimizer of its own that its `clip` could go with; give each group its own",
        &program("groups: { head: { optimizer: sgd(lr = 1) } }, clip: >>>norm<<<(1.0)"),
    );
    check_err(
        "`net` has `groups` and a `solver`, which takes no steps of theirs; keep one of them",
        &program("solver: >>>lbfgs<<<, groups: { head: { optimizer: sgd(lr = 1) } }"),
    );
}

#[test]
fn levels_that_learn_their_numbers() {
    let program = |lr: &str| {
        format!(
            "struct P;
             level rates: M {{ lower: [net], .. }}
             level net: M {{ .., groups: {{ head: {{ optimizer: sgd(lr = {lr}) }} }}, unroll: 5, hypergradient: unrolled }}"
        )
    };
    check_ok(&program("exp(rates.log_lr)"));
    check_err("no level named `rats` (did you mean `rates`?)", &program("exp(>>>rats<<<.log_lr)"));
}

/// Nothing moves a level of which no parameters are in a group.
#[test]
fn no_group_is_no_optimizer() {
    check_err(
        "level `net` lacks `optimizer`; every level has its own",
        "struct P; level >>>net<<<: M { batch: B, loss: f, groups: {} }",
    );
    check_ok(&program("groups: {}, optimizer: sgd(lr = 1)"));
    check_ok(&program("groups: {}, solver: lbfgs"));
    // One that could not be read may have had it.
    check_err(
        "`groups` takes paths in the level's module: `groups: { log_lr: { optimizer: sgd(lr = 0.1) } }`",
        &program("groups: { >>>head::bias<<<: { optimizer: sgd(lr = 1) } }"),
    );
}

/// What stands in for an optimizer that is missing is for programs that do not compile.
#[test]
fn no_optimizer_is_made_up() {
    let ways = [["", "optimizer: adam(lr = 0.1),"], ["", "solver: lbfgs,"]];
    let groups = ["", "groups: {},", "groups: { head: { optimizer: adam(lr = 0.1) } },", "groups: { head: {} },"];
    let mut sound = 0;
    for (optimizer, solver, groups) in ways[0]
        .into_iter()
        .flat_map(|a| ways[1].into_iter().flat_map(move |b| groups.into_iter().map(move |c| (a, b, c))))
    {
        let (expanded, report) = crate::expand_program(super::parse(&program(&[optimizer, solver, groups].concat())));
        if report.count() == 0 {
            assert!(!expanded.to_string().contains("Sgd"), "{optimizer} {solver} {groups}");
            sound += 1;
        }
    }
    assert_eq!(sound, 6);
}

/// What stands apart is not one name, as which it could be that of another part.
#[test]
fn names_without_a_comma_between_them() {
    let sgd = "optimizer: sgd(lr = 1)";
    for list in [
        "head >>>body<<<",
        "a.0 >>>b<<<.1, c",
        "layers.1 >>>0<<<",
        "layers.0.1 >>>r#type<<<",
        "a >>>b<<< c, d",
        "a.b >>>0.1<<<",
    ] {
        for field in ["train", "freeze"] {
            check_err("expected `,`", &program(&format!("{sgd}, {field}: [{list}]")));
        }
        check_err("expected `,`", &program(&format!("groups: {{ slow: {{ paths: [{list}], {sgd} }} }}")));
    }
    check_err("expected `:`", &program(&format!("groups: {{ head >>>body<<<: {{ {sgd} }}, c: {{ {sgd} }} }}")));
    check_err("expected `:`", &program(&format!("groups: {{ layers.1 >>>0<<<: {{ {sgd} }} }}")));
    // No setting is a part.
    let message =
        |field: &str, example: &str| format!("`{field}` takes paths in the level's module: `{field}: {example}`");
    check_err(&message("train", "[head, encoder.norm]"), &program(&format!("{sgd}, train: [>>>head x = 3<<<, c]")));
    // Spaces around a point are none of a name's.
    check_ok(&program(&format!("{sgd}, train: [head . body, layers. 0 .1, layers.1. x, a.0.1.2.x]")));
}

/// A field is what its name says, with or without the mark that Rust wants in a declaration.
#[test]
fn fields_that_are_called_like_keywords() {
    let (expanded, report) = crate::expand_program(super::parse(&program(
        "optimizer: sgd(lr = 1), train: [r#type, in, a.r#gen.b], groups: { head.r#fn: { optimizer: sgd(lr = 1) } }",
    )));
    assert_eq!(report.count(), 0, "{:?}", report.errors());
    let text = expanded.to_string();
    for path in ["type", "in", "a.gen.b", "head.fn"] {
        assert!(text.contains(&format!("{path:?}")), "{path} is not in {text}");
    }
}
