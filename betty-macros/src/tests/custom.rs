//! Optimizers of the user's own: their values are Rust, and no matter what they look like name no levels.

use super::{check_err, check_ok, parse, read_marks};

/// Values of which each could be a learned number, or mentions what a level is called.
const VALUES: [&str; 8] = [
    "lion(BETA)",
    "Lion(BETA)",
    "Averaged(Lion)",
    "lion(DEFAULTS.beta)",
    "own.lion",
    "top",
    "Lion { top: 0.9 }",
    "exp(top.beta)",
];

/// Both places of an optimizer with this value.
fn optimizers(value: &str) -> [String; 2] {
    let optimizer = format!("optimizer: custom({value}, lr = 1e-4)");
    [optimizer.clone(), format!("optimizer: sgd(lr = 0.1), groups: {{ head: {{ {optimizer} }} }}")]
}

/// What compiles has the loss of each level, also of one that does not list all that is above it.
#[test]
fn no_loss_is_left_out() {
    for optimizer in VALUES.into_iter().flat_map(optimizers) {
        let source = format!(
            "struct P;
             level top: M {{ lower: [mid], .. }}
             level mid: M {{ upper: [top], lower: [bottom], hypergradient: cg, .. }}
             level bottom: M {{
                 upper: [mid], hypergradient: gmres, batch: B, loss: f, condition: fixed_point(map), {optimizer}
             }}"
        );
        let (expanded, report) = crate::expand_program(parse(&read_marks(&source).0));
        assert_eq!(report.count(), 0, "{optimizer}: {:?}", report.errors());
        let text = expanded.to_string().replace(' ', "");
        assert_eq!(text.matches("LossValue::into_measured(value)").count(), 3, "{optimizer}: {text}");
        assert_eq!(text.matches("NextParameters::into_measured(value)").count(), 1, "{optimizer}: {text}");
    }
}

/// What compiles is checked as without such an optimizer.
#[test]
fn no_edge_goes_unchecked() {
    for optimizer in VALUES.into_iter().flat_map(optimizers) {
        check_err(
            "`mid` is an upper level of `net`, but nothing in `net` ever reaches `mid`; list `net`, or a level above it, under `lower` \
             of `mid`",
            &format!(
                "struct P;
                 level top: M {{ lower: [net, mid], .. }}
                 level mid: M {{ upper: [top], hypergradient: cg, .. }}
                 level net: M {{ upper: [top, >>>mid<<<], hypergradient: cg, batch: B, loss: f, {optimizer} }}"
            ),
        );
    }
}

/// Numbers beside the value are learned as those of any optimizer.
#[test]
fn a_learned_number_beside_the_value() {
    check_ok(
        "struct P;
         level rates: M { lower: [net], .. }
         level net: M { batch: B, loss: f, optimizer: custom(lion(BETA), lr = exp(rates.log_lr)), unroll: 5, hypergradient: unrolled }",
    );
    check_err(
        "`a` learns `lr` of `b`, but nothing in `b` ever reaches `a`; list `b`, or a level above it, under `lower` of `a`",
        "struct P;
         level top: M { lower: [a, b], .. }
         level a: M { upper: [top], hypergradient: cg, .. }
         level b: M {
             upper: [top], hypergradient: unrolled, batch: B, loss: f, optimizer: custom(lion(BETA), lr = exp(>>>a<<<.x))
         }",
    );
}
