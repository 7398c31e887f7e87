//! What a config and a module can get wrong about learned numbers, and what the errors say.

use betty_runtime::error::rules::Violation;
use betty_runtime::{ConfigError, Engine, EngineError, ProgramConfig};
use betty_runtime::{ConflictError, LearnedError};

use crate::problem::{Knobs, Net, Tuning, TuningConfig, data};

fn json(optimizer: &str) -> String {
    format!(r#"{{ "net": {{ "optimizer": {{ {optimizer} }} }} }}"#)
}

/// The error of an engine with this config.
fn refused(config: &str) -> EngineError {
    let config = TuningConfig::from_json(config).unwrap();
    let problem = Tuning { knobs: Knobs::new(&Knobs::first_values()), net: Net::new() };
    Engine::new(problem, data(), config).err().unwrap()
}

#[track_caller]
fn check_text(expected: &str, optimizer: &str) {
    let error = TuningConfig::from_json(&json(optimizer)).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn texts_that_are_no_learned_numbers() {
    check_text(
        "`net.optimizer.lr`: unknown transform `expp` (did you mean `exp`?); known are `exp`, `softplus` and `sigmoid`",
        r#""lr": "expp(knobs.one)""#,
    );
    for text in ["exp(knobs.one", "knobs..one", "exp(knobs.one) + 1", "2 knobs", ""] {
        check_text(
            &format!(
                "`net.optimizer.lr` is {text:?}; it must be a number, or the path of the parameters of a level above, as in \
                 `exp(rates.log_lr)`"
            ),
            &format!(r#""lr": {text:?}"#),
        );
    }
    check_text(
        "`net.optimizer.momentum` is \"exp(knobs.one)\"; it must be less than 1; use `sigmoid`, which stays below",
        r#""momentum": "exp(knobs.one)""#,
    );
    check_text("`net.optimizer.nesterov` is \"knobs.one\"; it must be `true` or `false`", r#""nesterov": "knobs.one""#);
    check_text(
        "`net.optimizer.lr`: unknown level `knob` (did you mean `knobs`?); known are `knobs` and `net`",
        r#""lr": "exp(knob.one)""#,
    );
}

#[test]
fn what_is_written_in_json_is_read_back() {
    for number in ["0.25", r#""exp(knobs.one)""#, r#""knobs.each""#, r#""sigmoid(knobs)""#] {
        let config = TuningConfig::from_json(&json(&format!(r#""lr": {number}"#))).unwrap();
        let text = config.to_json().unwrap();
        assert!(text.contains(&format!(r#""lr": {number}"#)), "{text}");
        assert_eq!(TuningConfig::from_json(&text).unwrap(), config);
    }
}

#[test]
fn a_level_that_the_program_does_not_let_learn() {
    let error = refused(r#"{ "knobs": { "optimizer": { "lr": "exp(net.first)" } } }"#);
    let EngineError::Config(ConfigError::Conflict(ConflictError::LearnedUnknown { path, from, .. })) = &error else {
        panic!("{error}")
    };
    assert_eq!((path.as_str(), from.as_str()), ("knobs.optimizer.lr", "net"));
    assert!(error.to_string().contains("`exp(net.first)`"), "{error}");
}

#[test]
fn a_method_that_does_not_see_the_steps() {
    let error = refused(r#"{ "net": { "hypergradient": { "method": "cg" } } }"#);
    let EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
        rule: Violation::LearnedUnseen { option, .. },
        text,
        ..
    })) = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*option, "lr");
    assert!(text.contains("and `cg` does not"), "{text}");
    // A fixed number is none of the method's business.
    let config = r#"{ "net": { "optimizer": { "lr": 0.1 }, "hypergradient": { "method": "cg" } } }"#;
    let config = TuningConfig::from_json(config).unwrap();
    let problem = Tuning { knobs: Knobs::new(&Knobs::first_values()), net: Net::new() };
    assert!(Engine::new(problem, data(), config).is_ok());
}

#[test]
fn parameters_that_are_not_there_or_do_not_fit() {
    let error = refused(&json(r#""lr": "exp(knobs.two)""#));
    assert!(
        matches!(&error, EngineError::Learned(LearnedError::Mismatch { place, .. }) if place == "net.optimizer.lr"),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.contains("there is no parameter; there are `knobs.one` [1], `knobs.other` [1]"), "{text}");
    let error = refused(&json(r#""momentum": "sigmoid(knobs.entries.first)""#));
    let text = error.to_string();
    assert!(text.contains("that is `knobs.entries.first` [3, 2]"), "{text}");
    assert!(text.contains("of `net`: `net.first` [3, 2] and `net.second` [2, 1]"), "{text}");
    // The names of paths are whole: `o` is no part of `one`.
    let text = refused(&json(r#""lr": "exp(knobs.o)""#)).to_string();
    assert!(text.contains("there is no parameter"), "{text}");
    let text = refused(&json(r#""lr": "exp(knobs)""#)).to_string();
    assert!(text.contains("that is `knobs.one` [1], "), "{text}");
}

#[test]
fn an_edit_gives_numbers_of_their_range() {
    let config = TuningConfig::from_json(&json(r#""momentum": "knobs.other""#)).unwrap();
    let problem = Tuning { knobs: Knobs::new(&Knobs::first_values()), net: Net::new() };
    let mut engine = Engine::new(problem, data(), config).unwrap();
    engine.run(1).unwrap();
    let set = |value: f64| {
        move |problem: &mut Tuning| problem.knobs.other = problem.knobs.other.clone().map(|other| other * 0.0 + value)
    };
    let error = engine.edit(set(1.5)).unwrap_err();
    assert!(matches!(&error, EngineError::Learned(LearnedError::OutOfRange { value: 1.5, .. })), "{error}");
    engine.edit(set(0.5)).unwrap();
    engine.run(1).unwrap();
}

#[test]
fn a_plain_number_begins_in_its_range() {
    let error = refused(&json(r#""lr": "knobs.one""#));
    let EngineError::Learned(LearnedError::OutOfRange { place, value, expected, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!((place.as_str(), *value), ("net.optimizer.lr", Knobs::first_values()[0]));
    assert_eq!(*expected, "a number greater than zero");
    let error = refused(&json(r#""momentum": "knobs.entries.second.x""#));
    assert!(matches!(error, EngineError::Learned(LearnedError::Mismatch { .. })), "{error}");
}

/// `sigmoid` stays below 1, but not the nearest number to it.
#[test]
fn a_number_that_rounds_to_one_is_named() {
    let problem = || Tuning { knobs: Knobs::new(&Knobs::first_values()), net: Net::new() };
    for option in ["beta_1", "beta_2"] {
        let text = json(&format!(r#""name": "adam", "lr": 0.1, "{option}": "sigmoid(knobs.other)""#));
        let mut engine = Engine::new(problem(), data(), TuningConfig::from_json(&text).unwrap()).unwrap();
        let set = |value: f64| {
            move |problem: &mut Tuning| {
                problem.knobs.other = problem.knobs.other.clone().map(|other| other * 0.0 + value)
            }
        };
        let error = engine.edit(set(40.0)).unwrap_err();
        assert!(matches!(&error, EngineError::Learned(LearnedError::OutOfRange { value: 1.0, .. })), "{error}");
        engine.edit(set(30.0)).unwrap();
        engine.run(1).unwrap();
    }
}

#[test]
fn a_number_that_is_learned_out_of_its_range_is_named() {
    let config = r#"{ "knobs": { "optimizer": { "lr": 1e6 } },
        "net": { "optimizer": { "name": "adam", "lr": 0.1, "beta_2": "knobs.other" } } }"#;
    let problem = Tuning { knobs: Knobs::new(&Knobs::first_values()), net: Net::new() };
    let mut engine = Engine::new(problem, data(), TuningConfig::from_json(config).unwrap()).unwrap();
    let error = engine.run(3).unwrap_err();
    let EngineError::Learned(LearnedError::HasLeft { place, value, expected, .. }) = &error else { panic!("{error}") };
    assert_eq!((place.as_str(), *expected), ("net.optimizer.beta_2", "a number that is not negative and less than 1"));
    assert!(!(0.0..1.0).contains(value));
}
