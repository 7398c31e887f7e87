//! Groups in configs: what takes them away, what is no group, and where mistakes are.

use betty_runtime::{ConfigError, Engine, EngineError, ProgramConfig};

use super::{Alone, AloneConfig, GROUPS, TwoConfig, alone, two};

#[test]
fn what_is_null_is_no_group() {
    let of = |fields: &str| {
        let config = AloneConfig::from_json(&format!(r#"{{ "parts": {{ {fields} }} }}"#)).expect("it fits");
        config.parts.groups.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(of(r#""unroll": 1"#), ["log_lr", "pixels"]);
    assert_eq!(of(r#""groups": { "log_lr": null }"#), ["pixels"]);
    assert!(of(r#""groups": null"#).is_empty());
    // Where there was none, too.
    let none = TwoConfig::from_json(r#"{ "lambda": { "groups": null }, "parts": { "groups": {} } }"#);
    assert!(none.expect("it fits").parts.groups.is_empty());
}

/// What was meant to be taken away would stay.
#[test]
fn only_what_there_is_can_be_taken_away() {
    let text = |error: ConfigError| error.to_string();
    let refused = AloneConfig::from_json(r#"{ "parts": { "groups": { "log_rl": null } } }"#).map(drop);
    assert_eq!(
        refused.map_err(text).expect_err("no such group"),
        "`parts.groups`: unknown group `log_rl` (did you mean `log_lr`?); known are `log_lr` and `pixels`"
    );
    let refused = TwoConfig::from_json(r#"{ "parts": { "groups": { "log_lr": null } } }"#).map(drop);
    assert_eq!(
        refused.map_err(text).expect_err("no group at all"),
        "`parts.groups`: unknown group `log_lr`; there is none"
    );
}

#[test]
fn a_set_of_a_group_is_refused_where_it_stands() {
    let json = format!(r#"{{ "parts": {{ {GROUPS}, "hypergradient": {{ "method": "cg" }} }} }}"#);
    let error = two(&json, &[0.2, -0.3]).map(drop).expect_err("it is held by a set").to_string();
    assert!(error.starts_with("`parts.groups.log_lr.project`: `cg` takes no notice of constraints"), "{error}");
}

#[test]
fn what_is_no_group_is_told_with_names() {
    let text = |of: Result<Engine<Alone>, EngineError>| of.map(drop).expect_err("a mistake").to_string();
    let parts = |fields: &str| text(alone(&format!(r#"{{ "parts": {{ {fields} }} }}"#)));
    let sgd = r#"{ "optimizer": { "name": "sgd", "lr": 0.1 } }"#;
    assert_eq!(
        parts(&format!(r#""groups": {{ "pixels.frist": {sgd}, "pixels": null }}"#)),
        "`parts.groups`: unknown part of the module `pixels.frist` (did you mean `pixels.first`?); known are `pixels.first` and \
         `pixels.second`"
    );
    assert_eq!(
        parts(&format!(r#""groups": {{ "pixels.first": {sgd} }}"#)),
        "`parts.groups.pixels.first`: it is a part of the group `pixels`, and a parameter is in one group"
    );
    assert_eq!(
        parts(r#""freeze": ["pixels"]"#),
        "`parts.groups.pixels`: `parts.pixels.first` and `parts.pixels.second` are no parameter of the level, so the group has \
         nothing to move; train what it names, or take it away"
    );
    assert_eq!(
        parts(r#""optimizer": null"#),
        "`parts.optimizer`: `parts.bias` is in no group, so that nothing would move it; give the level an optimizer of its own, \
         or each of them a group"
    );
    assert_eq!(
        parts(&format!(r#""groups": {{ "bias": {sgd} }}"#)),
        "`parts.optimizer`: every parameter is in a group, so it is never used; take it away"
    );
    assert_eq!(
        parts(&format!(r#""optimizer": null, "clip": {{ "norm": 1.0 }}, "groups": {{ "bias": {sgd} }}"#)),
        "`parts.clip`: the level has no optimizer of its own that it could go with; give each group its own"
    );
    assert_eq!(
        parts(r#""groups": { "bias": { "clip": { "norm": 1.0 } } }"#),
        "`parts.groups.bias.optimizer` is missing; it must be an object with the `name` of an optimizer"
    );
    assert_eq!(
        parts(r#""groups": { "log_lr": { "unroll": 3 } }"#),
        "`parts.groups.log_lr`: unknown field `unroll`; known are `optimizer`, `schedule`, `clip`, `project` and `paths`"
    );
    assert_eq!(
        parts(r#""groups": { "log_lr": { "optimizer": { "lr": -1.0 } } }"#),
        "`parts.groups.log_lr.optimizer.lr` is -1.0; it must be a number greater than zero"
    );
    assert_eq!(
        parts(r#""groups": { "log_lr": { "optimizer": { "name": "custom", "lr": 1.0 } } }"#),
        "the config of `parts.log_lr` asks for the optimizer `custom`, but the program does not say which: `optimizer: \
         custom(MyOptimizer, lr = 0.1)`"
    );
    let error = alone("{}").unwrap().scheduler("parts.log", 0.1).map(drop).expect_err("no such group");
    assert!(matches!(error, EngineError::UnknownLevel { .. }), "{error}");
}

#[test]
fn what_lists_parts_is_told_with_names() {
    let groups = |groups: &str| {
        let json = format!(r#"{{ "parts": {{ "groups": {{ "pixels": null, "log_lr": null, {groups} }} }} }}"#);
        alone(&json).map(drop).expect_err("a mistake").to_string()
    };
    let of = |paths: &str| format!(r#"{{ "paths": {paths}, "optimizer": {{ "name": "sgd", "lr": 0.1 }} }}"#);
    assert_eq!(
        groups(&format!(r#""slow": {}"#, of(r#"["log_lr", "pixels.frist"]"#))),
        "`parts.groups.slow.paths`: unknown part of the module `pixels.frist` (did you mean `pixels.first`?); known are \
         `pixels.first` and `pixels.second`"
    );
    assert_eq!(
        groups(&format!(r#""slow": {}"#, of(r#"["pixels.first", "pixels"]"#))),
        "`parts.groups.slow.paths`: `pixels.first` is a part of `pixels`, which it names too; keep one of them"
    );
    assert_eq!(
        groups(&format!(r#""fast": {}, "slow": {}"#, of(r#"["pixels", "log_lr"]"#), of(r#"["pixels.first"]"#))),
        "`parts.groups.slow.paths`: `pixels.first` is a part of `pixels` in the group `fast`, and a parameter is in one group"
    );
    assert_eq!(
        groups(&format!(r#""bias": {}, "slow": {}"#, of("null"), of(r#"["bias"]"#))),
        "`parts.groups.bias`: it is a part of `bias` in the group `slow`, and a parameter is in one group"
    );
    assert_eq!(
        groups(&format!(r#""slow": {}"#, of("[]"))),
        "`parts.groups.slow.paths`: it names no part of the module, so the group has nothing to move; name one, or take the group \
         away"
    );
    assert_eq!(
        groups(&format!(r#""slow": {}"#, of(r#""log_lr""#))),
        "`parts.groups.slow.paths` is \"log_lr\"; it must be a list of paths in the level's module, such as `[\"encoder.norm\"]`"
    );
    let frozen = format!(
        r#"{{ "parts": {{ "freeze": ["pixels"], "groups": {{ "pixels": null, "log_lr": null, "slow": {} }} }} }}"#,
        of(r#"["log_lr", "pixels.first"]"#)
    );
    assert_eq!(
        alone(&frozen).map(drop).expect_err("it stands still").to_string(),
        "`parts.groups.slow.paths`: `parts.pixels.first` is no parameter of the level, so the group has nothing to move; train what \
         it names, or take it away"
    );
}

#[test]
fn a_config_without_groups_is_written_as_before() {
    assert!(!TwoConfig::default().to_json().unwrap().contains("groups"));
    let config = AloneConfig::default();
    assert_eq!(AloneConfig::from_json(&config.to_json().unwrap()).unwrap(), config);
    let changed = AloneConfig::from_json(r#"{ "parts": { "groups": { "pixels": { "clip": null } } } }"#).unwrap();
    assert!(changed.parts.groups["pixels"].clip.is_none());
    assert_eq!(changed.parts.groups["pixels"].optimizer, config.parts.groups["pixels"].optimizer);
    assert_eq!(changed.parts.groups["log_lr"], config.parts.groups["log_lr"]);
    assert!(!config.to_json().unwrap().contains("paths"));
    let listed = r#"{ "parts": { "groups": { "pixels": { "paths": ["pixels.first", "bias"] } } } }"#;
    let listed = AloneConfig::from_json(listed).unwrap();
    assert_eq!(listed.parts.groups["pixels"].optimizer, config.parts.groups["pixels"].optimizer);
    assert_eq!(AloneConfig::from_json(&listed.to_json().unwrap()).unwrap(), listed);
}
