//! Expressions of constants in the place of numbers, and names of levels that look like some.

use super::{check_err, check_ok, parse, read_marks};

/// A field of a constant is one as well; what looks like it is the parameters of a level where there is such a level.
#[test]
fn fields_of_constants() {
    let program = |name: &str| {
        format!(
            "struct P;
             level {name}: M {{ lower: [net], .. }}
             level net: M {{
                 batch: B, loss: f, optimizer: sgd(lr = DEFAULTS.rates.lr, momentum = 2.0 * OTHERS.x), unroll: OTHERS.unroll,
                 upper: [{name}], hypergradient: unrolled(truncate = OTHERS.steps.half()), clip: norm(OTHERS.limit)
             }}"
        )
    };
    let expanded = |name: &str| {
        let (expanded, report) = crate::expand_program(parse(&read_marks(&program(name)).0));
        assert_eq!(report.count(), 0, "{:?}", report.errors());
        expanded.to_string().replace(' ', "")
    };
    let learned = "Hyperparameter::learned(";
    assert!(!expanded("rates").contains(learned) && expanded("rates").contains("=DEFAULTS.rates.lr;"));
    assert!(expanded("DEFAULTS").contains(learned));
    check_err("no level named `defaults`", &program("rates").replace("DEFAULTS.rates.lr", ">>>defaults<<<.rates.lr"));
}

/// What expands, without spaces.
#[track_caller]
fn expanded(source: &str) -> String {
    let (expanded, report) = crate::expand_program(parse(&read_marks(source).0));
    assert_eq!(report.count(), 0, "{source}: {:?}", report.errors());
    expanded.to_string().replace(' ', "")
}

/// A name is a level's where there is such a level, whatever its letters are.
#[test]
fn levels_without_small_letters() {
    for name in ["W", "L2", "META_NET", "权重"] {
        for (value, path) in [("", ""), (".log_lr", "log_lr"), (".a.0", "a.0")] {
            for (number, transform) in [(format!("{name}{value}"), "Identity"), (format!("exp({name}{value})"), "Exp")]
            {
                let optimizer = format!("optimizer: adam(lr = {number}, epsilon = EPSILON)");
                for optimizer in
                    [optimizer.clone(), format!("optimizer: sgd(lr = LR), groups: {{ head: {{ {optimizer} }} }}")]
                {
                    let text = expanded(&format!(
                        "struct P;
                         level {name}: M {{ lower: [net], .. }}
                         level net: M {{ start: from({name}), hypergradient: unrolled, batch: B, loss: f, {optimizer} }}"
                    ));
                    let learned =
                        format!("Hyperparameter::learned(::betty_runtime::Transform::{transform},{name:?},{path:?})");
                    assert!(text.contains(&learned), "{number}: {text}");
                    assert!(text.contains("=EPSILON;"), "{number}: {text}");
                    assert!(text.contains("start:::core::option::Option::Some(0"), "{number}: {text}");
                }
            }
        }
    }
    check_err(
        "level `W` cannot depend on itself",
        "struct P;
         level meta: M { lower: [W], .. }
         level W: M { upper: [meta], start: from(>>>W<<<), hypergradient: unrolled, .. }",
    );
    check_err(
        "no level named `W1` (did you mean `W`?)",
        "struct P;
         level W: M { lower: [net], .. }
         level net: M { start: from(>>>W1<<<), upper: [W], hypergradient: unrolled, .. }",
    );
}

/// What no level learns is a constant, also where a level is called so.
#[test]
fn constants_that_are_called_like_levels() {
    for name in ["W", "W.x"] {
        let text = expanded(&format!(
            "struct P;
             level W: M {{ lower: [net], .. }}
             level net: M {{
                 upper: [W], batch: B, loss: f, optimizer: sgd(lr = 0.1, momentum = 0.5, nesterov = {name}), unroll: {name},
                 hypergradient: unrolled(truncate = {name}), clip: norm({name}), schedule: cosine(steps = {name}),
                 groups: {{ head: {{ optimizer: sgd(lr = 0.1), clip: norm({name}), project: simplex(total = {name}) }} }}
             }}"
        ));
        assert_eq!(
            text.matches(&format!("={name};")).count() + text.matches(&format!("Integer({name})")).count(),
            7,
            "{text}"
        );
    }
}

/// The names of types, of what they have, and of macros' paths are no levels.
#[test]
fn names_in_constants() {
    for constant in [
        "<Net as Sized>::WIDTH",
        "<Net>::WIDTH",
        "size_of::<Net>()",
        "2 * size_of::<[Net; 3]>()",
        "WIDTH as Index as f64",
        "Sizes { width: 3 }.width",
        "if FAST { STEPS } else { <Net as Sized>::WIDTH }",
        "match KIND { Kind::Fast(_) => STEPS, _ => 10 }",
        "STEPS.max(OTHERS[0].steps)",
        "defaults::steps!()",
    ] {
        check_ok(&format!(
            "struct P;
             level weights: M {{ lower: [net], .. }}
             level net: M {{ upper: [weights], unroll: {constant}, hypergradient: cg(damping = {constant}), .. }}"
        ));
    }
    for level in [
        "steps * 2",
        "-steps",
        "STEPS + steps",
        "match KIND { steps => steps }",
        "steps!()",
        "[STEPS; 2][steps]",
        "half(STEPS)",
    ] {
        check_err(
            "`damping` of `cg` must be a number that is not negative",
            &format!(
                "struct P;
                 level weights: M {{ lower: [net], .. }}
                 level net: M {{ upper: [weights], hypergradient: cg(damping = >>>{level}<<<), .. }}"
            ),
        );
    }
}

/// An integer that has a type of its own is taken from any; what takes its type from its place is left to do so.
#[test]
fn integers_of_any_type() {
    let of = |number: &str| {
        expanded(&format!(
            "struct P;
             level weights: M {{ lower: [net], .. }}
             level net: M {{ upper: [weights], unroll: {number}, hypergradient: cg, .. }}"
        ))
    };
    for number in [
        "STEPS",
        "UNROLLS[0]",
        "PAIRS[1][0]",
        "[STEPS, 2][0]",
        "[STEPS; 2][1]",
        "*&STEPS",
        "if FAST { STEPS } else { 10 }",
        "if FAST { 10 } else if SLOW { 20 } else { STEPS }",
        "match KIND { Kind::Fast => 10, Kind::Slow => STEPS }",
        "{ STEPS }",
        "2 * (if FAST { STEPS } else { 10 })",
        "<Net as Sized>::STEPS",
        "size_of::<Net>()",
    ] {
        assert!(of(number).contains("__private::Integer("), "{number}");
    }
    for number in [
        "1 << 3",
        "[1, 2][0]",
        "[1; 2][N]",
        "if FAST { 5 } else { 10 }",
        "match KIND { Kind::Fast => 10, _ => 20 }",
        "{ 5 }",
    ] {
        assert!(!of(number).contains("__private::Integer("), "{number}");
    }
}
