//! Snapshots of what programs become, and properties of every expansion.

use std::time::{Duration, Instant};

use super::{parse, read_marks};

fn expand(source: &str) -> String {
    let (source, _) = read_marks(source);
    let (tokens, _) = crate::expand_program(parse(&source));
    match syn::parse2(tokens) {
        Ok(file) => prettyplease::unparse(&file),
        Err(error) => panic!("the expansion does not consist of items: {error}"),
    }
}

/// Keeps the program beside its expansion.
macro_rules! assert_expansion {
    ($source:expr) => {
        insta::with_settings!({ description => $source, omit_expression => true }, {
            insta::assert_snapshot!(expand($source));
        });
    };
}

#[test]
fn two_levels() {
    assert_expansion!(
        "/// Learn how much each noisy training example should count.
pub struct HyperCleaning;

level weighting: WeightNet {
    lower: [classifier],
    batch: CleanBatch,
    loss: clean_loss,
    optimizer: adam(lr = 1e-3),
}

/// Learns from labels of which some are wrong.
level classifier: Mlp {
    upper: [weighting],
    batch: NoisyBatch,
    loss: losses::weighted,
    optimizer: sgd(lr = 0.1, momentum = 0.9),
    unroll: 10,
    hypergradient: cg(iterations = 10, damping = 1e-3),
    clip: norm(1.0),
    accumulate: 4,
    precision: bf16,
}"
    );
}

#[test]
fn a_chain_of_three() {
    assert_expansion!(
        "pub(crate) struct Chain;
level top: Top { lower: [middle, bottom], batch: (A, Vec<B>), loss: top, optimizer: sgd(lr = 1) }
level middle: Middle { upper: [top], lower: [bottom], batch: B, loss: middle, optimizer: adamw(lr = 1e-4), \
         hypergradient: neumann(terms = 5) }
level bottom: Bottom<2> { upper: [middle], batch: B, loss: bottom::<2>, optimizer: sgd(lr = 0.1, momentum = 0.5, nesterov = true), \
         unroll: 3, hypergradient: cg(batch = fresh) }"
    );
}

#[test]
fn a_diamond() {
    assert_expansion!(
        "struct Diamond;
level top: Top { lower: [left, right, bottom], .. }
level left: Left { upper: [top], lower: [bottom], hypergradient: identity, .. }
level right: Right { upper: [top], lower: [bottom], hypergradient: finite_difference, .. }
level bottom: Bottom { upper: [left, right], hypergradient: dense(limit = 100), .. }"
    );
}

#[test]
fn a_start_at_a_draw() {
    assert_expansion!(
        "struct Drawn;
level meta: Meta { lower: [net], .. }
level net: Net<2> { upper: [meta], start: fresh(nets::drawn::<2>), hypergradient: unrolled, .. }"
    );
}

#[test]
fn what_follows_steps() {
    assert_expansion!(
        "struct Followed;
level top: Top { lower: [net], after_step: bounded, .. }
level net: Net { upper: [top], after_step: mine::rescaled, hypergradient: unrolled, .. }"
    );
}

#[test]
fn learned_numbers() {
    assert_expansion!(
        "struct Tuned;
level rates: Rates { lower: [net], .. }
level net: Net { batch: B, loss: f, optimizer: rmsprop(lr = exp(rates.log_lr), momentum = sigmoid(rates.a.0), epsilon = rates), \
         unroll: 5, hypergradient: unrolled }"
    );
}

#[test]
fn a_program_with_mistakes_keeps_its_items() {
    assert_expansion!(
        "pub struct P;
level weights: Weights { lower: [nett], .. }
level net: Net { upper: [weights], unroll: 0, hypergradient: cgg, batch: B, loss: net_loss }"
    );
}

/// Ten levels, each above all that follow.
fn ten_levels() -> String {
    let mut source = "pub struct Ten;".to_owned();
    for level in 0..10 {
        let list = |levels: std::ops::Range<usize>| {
            levels.map(|level| format!("level_{level}")).collect::<Vec<_>>().join(", ")
        };
        let (upper, lower) = (list(level.max(1) - 1..level), list(level + 1..10));
        let method = if level == 0 { "" } else { "hypergradient: cg," };
        source += &format!("level level_{level}: M {{ upper: [{upper}], lower: [{lower}], {method} .. }}");
    }
    source
}

#[test]
fn expansion_is_deterministic() {
    let source = ten_levels();
    let first = expand(&source);
    for _ in 0..5 {
        assert_eq!(expand(&source), first);
    }
}

#[test]
fn ten_levels_have_no_mistakes() {
    super::check_ok(&ten_levels());
}

/// A guard against exponential work, with the least of several runs because the machine may be busy.
#[test]
fn ten_levels_expand_within_a_tenth_of_a_second() {
    let (source, _) = read_marks(&ten_levels());
    let fastest = (0..5)
        .map(|_| {
            let tokens = parse(&source);
            let start = Instant::now();
            let expanded = crate::expand_program(tokens);
            let elapsed = start.elapsed();
            drop(expanded);
            elapsed
        })
        .min();
    assert!(fastest < Some(Duration::from_millis(100)), "{fastest:?}");
}
