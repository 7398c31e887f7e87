//! Numbers of an optimizer that levels above learn.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::{check_err, check_errs, check_ok, parse, read_marks};

/// A program whose lower level has this optimizer and this method.
#[track_caller]
fn check(text: &str, optimizer: &str) {
    check_err(text, &program(optimizer, "unrolled"));
}

fn program(optimizer: &str, method: &str) -> String {
    format!(
        "struct P;
         level rates: M {{ lower: [net], .. }}
         level net: M {{ batch: B, loss: f, optimizer: {optimizer}, unroll: 5, hypergradient: {method} }}"
    )
}

#[test]
fn every_way_to_write_them() {
    for value in ["rates", "rates.lr", "exp(rates)", "exp(rates.log_lr)", "softplus(rates.a.b)", "sigmoid(rates.0.1.x)"]
        .into_iter()
        .chain(["rates[step]", "rates.lr[step]", "exp(rates.log_lr[step])"])
    {
        check_ok(&program(&format!("sgd(lr = {value})"), "unrolled"));
    }
    for method in ["unrolled", "forward", "forward_gradient", "evolution"] {
        check_ok(&program("adam(lr = 0.1, epsilon = exp(rates.epsilon), beta_2 = sigmoid(rates.beta))", method));
    }
}

#[test]
fn unknown_transforms_and_those_that_leave_the_range() {
    check(
        "unknown transform `expp` (did you mean `exp`?); the transforms are `exp`, `softplus` and `sigmoid`",
        "sgd(lr = >>>expp<<<(rates.log_lr))",
    );
    check(
        "`momentum` of `sgd` must be less than 1, and `exp` does not stay below; use `sigmoid`",
        "sgd(lr = rates.lr, momentum = >>>exp<<<(rates.momentum))",
    );
}

#[test]
fn options_that_nobody_learns() {
    check("`nesterov` of `sgd` must be `true` or `false`", "sgd(lr = rates.lr, nesterov = >>>rates.ahead<<<)");
    check_errs(
        &["`iterations` of `cg` must be an integer greater than zero"],
        "struct P;
         level rates: M { lower: [net], .. }
         level net: M { upper: [rates], hypergradient: cg(iterations = >>>rates.count<<<), .. }",
    );
}

#[test]
fn what_is_no_path_of_a_level() {
    let text = "`lr` of `sgd` must be a number greater than zero";
    for value in ["exp(rates.log_lr) * 2", "exp(rates.log_lr, 2)", "rates.lr()", "-rates.lr", "exp(-rates.lr)"] {
        check(text, &format!("sgd(lr = >>>{value}<<<)"));
    }
}

#[test]
fn an_index_that_is_not_the_step() {
    let text = "the number of each step of the level is `rates.lr[step]`; parameters have no other index";
    check(text, "sgd(lr = exp(rates.lr[>>>steps<<<]))");
    check(text, "sgd(lr = rates.lr[>>>3<<<])");
    check("`lr` of `sgd` must be a number greater than zero", "sgd(lr = >>>exp(rates.lr)[step]<<<)");
    check("`lr` of `sgd` must be a number greater than zero", "sgd(lr = >>>rates.lr[step][step]<<<)");
    check("no level named `rats` (did you mean `rates`?)", "sgd(lr = exp(>>>rats<<<.log_lr[step]))");
}

#[test]
fn unknown_level_and_the_level_itself() {
    check("no level named `rats` (did you mean `rates`?)", "sgd(lr = exp(>>>rats<<<.log_lr))");
    check(
        "no level named `fast`; a constant is written in capital letters, a number known only at run time goes into the config",
        "sgd(lr = >>>fast<<<)",
    );
    check("no level named `rats` (did you mean `rates`?)", "sgd(lr = >>>rats<<<)");
    check("no level named `other`", "sgd(lr = exp(>>>other<<<.lr))");
    check("level `net` cannot depend on itself", "sgd(lr = rates.lr, momentum = >>>net<<<.momentum)");
}

#[test]
fn levels_that_are_not_above() {
    check_err(
        "`net` is solved before each step of `rates`, so it cannot learn `lr` of those steps; only a level above `rates` can",
        "struct P;
         level rates: M { lower: [net], batch: B, loss: f, optimizer: adam(lr = exp(>>>net<<<.x)) }
         level net: M { upper: [rates], hypergradient: cg, .. }",
    );
    check_err(
        "`a` learns `lr` of `b`, but nothing in `b` ever reaches `a`; list `b`, or a level above it, under `lower` of `a`",
        "struct P;
         level top: M { lower: [a, b], .. }
         level a: M { upper: [top], hypergradient: cg, .. }
         level b: M { upper: [top], hypergradient: unrolled, batch: B, loss: f, optimizer: sgd(lr = exp(>>>a<<<.x)) }",
    );
}

#[test]
fn methods_that_do_not_see_the_steps() {
    check_err(
        "`rates` learns `lr` of `net`, on which no best response depends: only methods that go through the steps of `net`, such as \
         `unrolled`, see it, and `cg` does not; choose one for `net`, or give `lr` a number",
        &program("sgd(lr = exp(>>>rates<<<.log_lr))", "cg"),
    );
    // What the loss reads of the level reaches it by any method.
    check_ok(
        "struct P;
         level rates: M { lower: [net], .. }
         level net: M {
             upper: [rates], batch: B, loss: f, optimizer: sgd(lr = exp(rates.log_lr)), unroll: 5, hypergradient: cg
         }",
    );
}

/// Where steps come to rest depends on a penalty of the parameters, and on nothing else of an optimizer.
#[test]
fn a_decay_that_is_a_penalty_is_seen_by_every_method() {
    check_ok(&program("sgd(lr = 0.1, momentum = 0.9, weight_decay = exp(rates.log_decay))", "cg"));
    let unseen = |option: &str| {
        format!(
            "`rates` learns `{option}` of `net`, on which no best response depends: only methods that go through the steps of `net`, \
             such as `unrolled`, see it, and `cg` does not; choose one for `net`, or give `{option}` a number"
        )
    };
    for optimizer in [
        "adamw(lr = 0.1, weight_decay = exp(>>>rates<<<.log_decay))",
        "sgd(lr = 0.1, weight_decay = exp(>>>rates<<<.log_decay[step]))",
    ] {
        check_err(&unseen("weight_decay"), &program(optimizer, "cg"));
    }
    let both = "sgd(weight_decay = exp(rates.log_decay), lr = exp(>>>rates<<<.log_lr))";
    check_err(&unseen("lr"), &program(both, "cg"));
}

/// A path is as good as an entry of `upper`.
#[test]
fn a_level_that_only_learns_numbers_is_part_of_the_program() {
    check_err(
        "a hypergradient passes through `net`: add `hypergradient: …` to say how it is computed",
        "struct P;
         level rates: M { lower: [net], .. }
         level >>>net<<<: M { batch: B, loss: f, optimizer: sgd(lr = exp(rates.log_lr)), unroll: 5 }",
    );
    check_err(
        "`net` is a lower level of `rates`, but its best response never depends on `rates`; list `rates` under `upper` of `net`",
        "struct P;
         level weights: M { lower: [net], .. }
         level rates: M { lower: [>>>net<<<], .. }
         level net: M { upper: [weights], hypergradient: unrolled, .. }",
    );
}

/// What the value is whose option or optimizer is unknown is not lost on the graph.
#[test]
fn a_slip_beside_a_learned_number_is_one_error() {
    for value in ["exp(rates.log_lr)", "rates.log_lr[step]", "rates"] {
        check(
            "`sgd` has no option `rl` (did you mean `lr`?); it takes `lr`, `momentum`, `dampening`, `nesterov` and `weight_decay`",
            &format!("sgd(>>>rl<<< = {value})"),
        );
        check(
            "unknown optimizer `sdg` (did you mean `sgd`?); the optimizers are `sgd`, `adam`, `adamw`, `rmsprop`, `adagrad` and `custom`",
            &format!(">>>sdg<<<(lr = {value})"),
        );
    }
}

/// A macro hands an expression on in a group that has no delimiters.
#[test]
fn a_learned_number_that_a_macro_hands_on() {
    let handed = |value: &str| TokenTree::Group(Group::new(Delimiter::None, parse(value)));
    for (source, handed) in [
        ("sgd(lr = HERE)", handed("exp(rates.log_lr)")),
        ("sgd(lr = HERE)", handed("rates.log_lr[step]")),
        ("sgd(lr = exp(HERE))", handed("rates.log_lr")),
        ("sgd(lr = exp(HERE[step]))", handed("rates.log_lr")),
        ("sgd(lr = exp(HERE.log_lr))", handed("rates")),
        ("sgd(lr = exp(rates.log_lr[HERE]))", handed("step")),
    ] {
        let tokens = replaced(parse(&read_marks(&program(source, "unrolled")).0), &handed);
        let (expanded, report) = crate::expand_program(tokens);
        assert_eq!(report.count(), 0, "{source} of {handed}: {:?}", report.errors());
        let text = expanded.to_string().replace(' ', "");
        let is_learned = text.contains("Hyperparameter::learned(") || text.contains("Hyperparameter::learned_by_step(");
        assert!(is_learned && text.contains(r#""log_lr""#), "{source} of {handed}: {text}");
    }
}

fn replaced(tokens: TokenStream, by: &TokenTree) -> TokenStream {
    let one = |token| match token {
        TokenTree::Ident(name) if name == "HERE" => by.clone(),
        TokenTree::Group(group) => TokenTree::Group(Group::new(group.delimiter(), replaced(group.stream(), by))),
        token => token,
    };
    tokens.into_iter().map(one).collect()
}
