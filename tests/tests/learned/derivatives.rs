//! The hypergradient of every number of every optimizer is the derivative of the whole run.

use crate::problem::{Knobs, iteration};

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Against central differences of fourth order, to eight digits, and zero for knobs that no number is made of.
#[track_caller]
fn check(net: &str) {
    let config = format!(r#"{{ "net": {{ {net} }} }}"#);
    let at = Knobs::first_values();
    let named = Knobs::named_in(net);
    let (_, mut found) = iteration(&config, &at);
    found[0] -= direct(at[0]);
    let others = (0..at.len()).filter(|index| !named.contains(index));
    others.for_each(|index| assert!(found[index].abs() < 1e-15, "{net}: {found:?}"));
    let loss = |index: usize, by: f64| {
        let mut moved = at.clone();
        moved[index] += by;
        let direct = if index == 0 { moved[0] * direct(moved[0]) / 2.0 } else { 0.0 };
        iteration(&config, &moved).0 - direct
    };
    let h = 2e-4;
    let slope = |k: usize| (8.0 * (loss(k, h) - loss(k, -h)) - (loss(k, 2.0 * h) - loss(k, -2.0 * h))) / (12.0 * h);
    let expected: Vec<f64> = named.iter().map(|&k| slope(k)).collect();
    let gap: Vec<f64> = named.iter().zip(&expected).map(|(&k, expected)| found[k] - expected).collect();
    assert!(norm(&expected) > 1e-5, "{net}: nothing is learned: {expected:?}");
    let relative = norm(&gap) / norm(&expected);
    assert!(relative < 1e-8, "{net}: {found:?} is not {expected:?} at {named:?} ({relative:e})");
}

/// The derivative of what the upper loss itself adds to the first knob, so that it does not hide the rest.
fn direct(knob: f64) -> f64 {
    2e-3 * knob
}

/// The option learned as one number and one for each entry; a learning rate also as one for each tensor, in two ways.
#[track_caller]
fn check_option(optimizer: &str, option: &str, transform: &str) {
    let one = if transform == "sigmoid" { "other" } else { "one" };
    let paths = if option == "lr" { vec![one, "each", "vector", "entries"] } else { vec![one, "entries"] };
    for path in paths {
        check(&format!(r#""optimizer": {{ {optimizer}, "{option}": "{transform}(knobs.{path})" }}"#));
    }
}

#[test]
fn gradient_descent() {
    let sgd = r#""name": "sgd", "lr": 0.05, "momentum": 0.6, "dampening": 0.2, "weight_decay": 0.1"#;
    let without = |option: &str| sgd.split(", ").filter(|part| !part.contains(option)).collect::<Vec<_>>().join(", ");
    check_option(&without("lr"), "lr", "exp");
    check_option(&without("momentum"), "momentum", "sigmoid");
    check_option(&without("dampening"), "dampening", "sigmoid");
    check_option(&without("weight_decay"), "weight_decay", "softplus");
    let ahead = |option: &str| without(option) + r#", "nesterov": true"#;
    check_option(&ahead("momentum"), "momentum", "sigmoid");
    // Without any transform.
    check(r#""optimizer": { "name": "sgd", "lr": 0.1, "momentum": "knobs.other" }"#);
}

#[test]
fn adam_and_adamw() {
    for name in [r#""adam""#, r#""adamw""#] {
        let all = [
            ("lr", "0.02", "exp"),
            ("beta_1", "0.8", "sigmoid"),
            ("beta_2", "0.9", "sigmoid"),
            ("epsilon", "0.05", "exp"),
            ("weight_decay", "0.1", "softplus"),
        ];
        check_all(name, &all);
    }
}

#[test]
fn rmsprop_and_adagrad() {
    let rmsprop = [
        ("lr", "0.02", "exp"),
        ("alpha", "0.8", "sigmoid"),
        ("momentum", "0.5", "sigmoid"),
        ("epsilon", "0.1", "exp"),
        ("weight_decay", "0.1", "softplus"),
    ];
    check_all(r#""rmsprop""#, &rmsprop);
    check_all(r#""rmsprop", "centered": true"#, &rmsprop);
    let adagrad = [
        ("lr", "0.1", "exp"),
        ("lr_decay", "0.2", "softplus"),
        ("epsilon", "0.1", "exp"),
        ("weight_decay", "0.1", "softplus"),
    ];
    check_all(r#""adagrad""#, &adagrad);
}

/// One option learned after the other.
#[track_caller]
fn check_all(name: &str, options: &[(&str, &str, &str)]) {
    for (learned, _, transform) in options {
        let others = options.iter().filter(|(option, ..)| option != learned);
        let others: String = others.map(|(option, number, _)| format!(r#", "{option}": {number}"#)).collect();
        check_option(&format!(r#""name": {name}{others}"#), learned, transform);
    }
}

/// Groups with optimizers of their own: numbers that are learned in one of them, or in both, also for each entry.
#[test]
fn numbers_of_groups() {
    let sgd = r#""optimizer": { "name": "sgd", "lr": 0.1, "momentum": 0.5 }"#;
    check(&format!(
        r#"{sgd}, "groups": {{ "second": {{ "clip": {{ "norm": 0.3 }}, "optimizer": {{ "name": "adam", "lr": "exp(knobs.one)",
            "epsilon": 0.05, "beta_1": "sigmoid(knobs.other)" }} }} }}"#
    ));
    check(
        r#""optimizer": { "name": "sgd", "lr": "exp(knobs.one)", "momentum": "sigmoid(knobs.other)" }, "groups": {
            "second": { "optimizer": { "name": "rmsprop", "lr": 0.02, "epsilon": 0.1 } } }"#,
    );
    check(
        r#""optimizer": { "name": "sgd", "lr": "exp(knobs.entries.first)" }, "groups": { "second": { "optimizer": {
            "name": "adamw", "lr": "exp(knobs.entries.second)", "epsilon": 0.05 } } }"#,
    );
}

/// Every number of an optimizer at once, from knobs of all kinds.
#[test]
fn all_numbers_together() {
    check(
        r#""optimizer": { "name": "sgd", "lr": "exp(knobs.entries)", "momentum": "sigmoid(knobs.other)",
            "dampening": "sigmoid(knobs.each)", "weight_decay": "exp(knobs.vector)" }"#,
    );
    check(
        r#""optimizer": { "name": "adam", "lr": "exp(knobs.one)", "beta_1": "sigmoid(knobs.entries)",
            "beta_2": "sigmoid(knobs.other)", "epsilon": "exp(knobs.each)", "weight_decay": "softplus(knobs.vector)" }"#,
    );
    check(
        r#""optimizer": { "name": "adamw", "lr": "exp(knobs.each)", "beta_1": "sigmoid(knobs.other)",
            "beta_2": "sigmoid(knobs.vector)", "epsilon": "exp(knobs.one)", "weight_decay": "exp(knobs.entries)" }"#,
    );
    check(
        r#""optimizer": { "name": "rmsprop", "centered": true, "lr": "exp(knobs.vector)", "alpha": "sigmoid(knobs.other)",
            "momentum": "sigmoid(knobs.entries)", "epsilon": "softplus(knobs.other)", "weight_decay": "exp(knobs.each)" }"#,
    );
    check(
        r#""optimizer": { "name": "adagrad", "lr": "exp(knobs.entries)", "lr_decay": "softplus(knobs.other)",
            "epsilon": "exp(knobs.each)", "weight_decay": "exp(knobs.one)" }"#,
    );
}

/// Tangents that go along with the steps are the transpose of the sweep back through them.
#[test]
fn forwards_as_backwards() {
    let at = Knobs::first_values();
    for optimizer in [
        r#""name": "sgd", "lr": "exp(knobs.entries)", "momentum": "sigmoid(knobs.other)", "dampening": "sigmoid(knobs.each)""#,
        r#""name": "adam", "lr": "exp(knobs.each)", "beta_1": "sigmoid(knobs.vector)", "weight_decay": "exp(knobs.one)""#,
    ] {
        let by = |method: &str| {
            let method =
                format!(r#""hypergradient": {{ "method": "{method}" }}, "accumulate": 2, "clip": {{ "norm": 0.3 }}"#);
            iteration(&format!(r#"{{ "net": {{ "optimizer": {{ {optimizer} }}, {method} }} }}"#), &at).1
        };
        let (forward, backward) = (by("forward"), by("unrolled"));
        let gap: Vec<f64> = forward.iter().zip(&backward).map(|(x, y)| x - y).collect();
        assert!(norm(&gap) < 1e-12 * norm(&backward), "{optimizer}: {forward:?} is not {backward:?}");
    }
}

/// One pair estimates `⟨u, g⟩·u` from two values of the loss, for a random `u` that two runs have in common: the slopes of
/// both along it are those of their exact hypergradients `g`.
#[test]
fn without_derivatives() {
    let at = Knobs::first_values();
    let by = |unroll: usize, method: &str| {
        let optimizer = r#""name": "sgd", "lr": "exp(knobs.entries)", "momentum": "sigmoid(knobs.other)""#;
        let method = format!(r#""hypergradient": {method}, "unroll": {unroll}"#);
        let (_, mut found) = iteration(&format!(r#"{{ "net": {{ "optimizer": {{ {optimizer} }}, {method} }} }}"#), &at);
        found[0] -= direct(at[0]);
        found
    };
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let [exact, other] = [6, 2].map(|unroll| by(unroll, r#"{ "method": "unrolled" }"#));
    let estimate = r#"{ "method": "evolution", "pairs": 1, "sigma": 1e-4, "seed": 1 }"#;
    let [along, along_other] = [6, 2].map(|unroll| by(unroll, estimate));
    let (found, expected) =
        (dot(&along_other, &along) / dot(&along, &along), dot(&along, &other) / dot(&along, &exact));
    assert!((expected - 1.0).abs() > 0.1, "both runs say the same: {expected}");
    assert!((found - expected).abs() < 1e-6 * expected.abs(), "{found} is not {expected}");
}

/// One knob may be several numbers.
#[test]
fn one_knob_for_two_numbers() {
    check(
        r#""optimizer": { "name": "sgd", "lr": "exp(knobs.one)", "weight_decay": "exp(knobs.one)",
            "momentum": "sigmoid(knobs.one)" }"#,
    );
}

#[test]
fn clipping_accumulation_projection_and_starts() {
    let momentum = r#""name": "sgd", "lr": "exp(knobs.entries)", "momentum": "sigmoid(knobs.other)""#;
    let adam = r#""name": "adam", "lr": "exp(knobs.one)", "beta_1": "sigmoid(knobs.vector)", "epsilon": 0.05"#;
    for optimizer in [momentum, adam] {
        for around in [
            r#""clip": { "norm": 0.3 }, "accumulate": 3"#,
            r#""clip": { "value": 0.2 }"#,
            r#""project": { "name": "norm_ball", "radius": 1.5 }"#,
            r#""start": "initial""#,
            r#""start": "look_ahead""#,
            r#""hypergradient": { "memory": 4 }, "unroll": 13"#,
        ] {
            check(&format!(r#""optimizer": {{ {optimizer} }}, {around}"#));
        }
    }
}
