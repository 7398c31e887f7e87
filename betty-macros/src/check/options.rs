//! Methods, optimizers, projections, clips and precisions with their options, held against the table.

use std::collections::BTreeSet;

use betty_schema::{
    BOUNDED, CLIPS, CURVATURES, Family, LEVEL_SOLVERS, METHODS, NEEDS_MOMENTUM, OF_THE_STEP, OPTIMIZERS, Opt,
    PRECISIONS, PRECONDITIONERS, PROJECTIONS, Range, Row, SCHEDULES, SOLVERS, TRANSFORMS, Way, Words, did_you_mean,
    listed, suggestion,
};

use crate::ast::{Call, Level, Setting, Value, ValueKind};
use crate::report::Report;

pub(super) fn check(level: &Level, report: &mut Report) {
    for call in level.optimizers() {
        check_call(call, &OPTIMIZERS, report);
        check_momentum(call, report);
    }
    for (call, _) in level.schedules() {
        check_call(call, &SCHEDULES, report);
    }
    if let Some(call) = &level.solver {
        check_call(call, &LEVEL_SOLVERS, report);
    }
    if let Some(call) = &level.hypergradient {
        check_call(call, &METHODS, report);
    }
    if let Some(call) = &level.preconditioner {
        check_call(call, &PRECONDITIONERS, report);
    }
    for call in level.projections() {
        check_call(call, &PROJECTIONS, report);
        check_bounds(call, report);
    }
    for call in level.clips() {
        check_clip(call, report);
    }
    if let Some(call) = &level.solve {
        check_call(call, &SOLVERS, report);
    }
    if let Some(call) = &level.curvature {
        check_word(call, &CURVATURES, report);
    }
    if let Some(call) = &level.precision {
        check_word(call, &PRECISIONS, report);
    }
}

fn check_call(call: &Call, family: &Family, report: &mut Report) {
    let name = call.name.to_string();
    let Some(entry) = family.find(&name) else {
        report.error(&call.name, unknown(&name, family.noun, family.nouns, || family.names()));
        return;
    };
    let mut given = BTreeSet::new();
    let values = call.settings.iter().filter(|setting| setting.name.is_none()).count();
    let takes_value = entry.way == Way::Given;
    if takes_value && values != 1 && !call.incomplete {
        let (of, example) = family.own;
        report.error(&call.name, format!("`{name}` takes one value whose type implements `{of}`: `{example}`"));
    }
    for setting in call.settings.iter().filter(|setting| !takes_value || setting.name.is_some()) {
        check_setting(setting, family, entry, &mut given, report);
    }
    for option in entry.options {
        if option.default.is_none() && !given.contains(option.name) && !call.incomplete {
            let option = option.name;
            report.error(&call.name, format!("`{name}` needs `{option}`: `{name}({option} = …)`"));
        }
    }
}

fn check_setting(
    setting: &Setting,
    family: &Family,
    entry: &Row,
    given: &mut BTreeSet<&'static str>,
    report: &mut Report,
) {
    let owner = entry.name;
    let Some(token) = &setting.name else {
        let first = entry.names().next().unwrap_or_default();
        report.error(&setting.value.tokens, format!("the options of `{owner}` have names: `{owner}({first} = …)`"));
        return;
    };
    let name = token.to_string();
    let Some(option) = entry.find(&name) else {
        let meant = suggestion(&name, entry.names());
        report.error(
            token,
            format!("`{owner}` has no option `{name}`{}; it takes {}", did_you_mean(meant), listed(entry.names())),
        );
        // What was probably meant is not missing as well.
        given.extend(meant.and_then(|meant| entry.find(meant)).map(|option| option.name));
        return;
    };
    if !given.insert(option.name) {
        report.error(token, format!("option `{name}` of `{owner}` is given twice"));
    }
    if family.learnable && option.range.is_learnable() && setting.value.level().is_some() {
        check_transform(&setting.value, entry, option, report);
    } else if !setting.value.lies_in(option.range) {
        report.error(&setting.value.tokens, format!("`{name}` of `{owner}` must be {}", option.range.describe()));
    }
}

/// How a learned number is written; the level that it names is checked with the other names.
fn check_transform(value: &Value, entry: &Row, option: &Opt, report: &mut Report) {
    let ValueKind::Parameters { transform, level, path, index } = &value.kind else { return };
    if let Some(index) = index.as_ref().filter(|index| index.to_string() != OF_THE_STEP) {
        let dot = if path.is_empty() { "" } else { "." };
        report.error(
            index,
            format!("the number of each step of the level is `{level}{dot}{path}[{OF_THE_STEP}]`; parameters have no other index"),
        );
    }
    let Some(transform) = transform else { return };
    let name = transform.to_string();
    if TRANSFORMS.find(&name).is_none() {
        report.error(transform, unknown_word(&name, &TRANSFORMS));
    } else if option.range.is_left_by(&name) {
        report.error(
            transform,
            format!(
                "`{}` of `{}` must be less than 1, and `{name}` does not stay below; use `{BOUNDED}`",
                option.name, entry.name
            ),
        );
    }
}

/// What `sgd` does along its momentum needs one. What a constant comes to is seen where the engine is made.
fn check_momentum(call: &Call, report: &mut Report) {
    let Some(entry) = OPTIMIZERS.find(NEEDS_MOMENTUM.0).filter(|entry| call.name == entry.name) else { return };
    // One whose name was not understood may be the momentum.
    let is_known =
        |setting: &Setting| setting.name.as_ref().is_some_and(|name| entry.find(&name.to_string()).is_some());
    let momentum = call.setting("momentum").map(|setting| setting.value.number());
    if call.incomplete || !call.settings.iter().all(is_known) || momentum.is_some_and(|number| number != Some(0.0)) {
        return;
    }
    for option in NEEDS_MOMENTUM.1 {
        let (Some(setting), Some(range)) = (call.setting(option), entry.find(option).map(|option| option.range)) else {
            continue;
        };
        // What lies in no range was refused for that.
        let is_given = match &setting.value.kind {
            ValueKind::Flag(flag) => *flag && range == Range::Flag,
            _ if range.is_learnable() && setting.value.level().is_some() => true,
            _ => setting.value.lies_in(range) && setting.value.number().is_some_and(|number| number != 0.0),
        };
        if is_given && let Some(token) = &setting.name {
            report.error(
                token,
                format!(
                    "`{option}` of `sgd` changes nothing without `momentum`; give that as well, or take `{option}` away"
                ),
            );
        }
    }
}

/// The one pair of options that limit each other.
fn check_bounds(call: &Call, report: &mut Report) {
    let Some(entry) = PROJECTIONS.find("clamp").filter(|entry| call.name == entry.name) else { return };
    let bound = |name: &str| match call.setting(name) {
        Some(setting) => setting.value.number(),
        None => entry.find(name)?.default?.parse().ok(),
    };
    let (Some(low), Some(high)) = (bound("low"), bound("high")) else { return };
    if high <= low
        && let Some(setting) = call.setting("high").or(call.setting("low"))
    {
        report.error(&setting.value.tokens, "`high` of `clamp` must be greater than `low`");
    }
}

fn check_clip(call: &Call, report: &mut Report) {
    let name = call.name.to_string();
    if CLIPS.find(&name).is_none() {
        report.error(&call.name, unknown_word(&name, &CLIPS));
        return;
    }
    let is_limit = match call.settings.as_slice() {
        [Setting { name: None, value }] => value.lies_in(Range::Positive),
        _ => false,
    };
    if !call.incomplete && !is_limit {
        let message = format!("`{name}` takes one number greater than zero: `clip: {name}(1.0)`");
        match call.settings.first() {
            Some(setting) => report.error(&setting.value.tokens, message),
            None => report.error(&call.name, message),
        }
    }
}

/// A choice of one word without options.
pub(super) fn check_word(call: &Call, words: &Words, report: &mut Report) {
    let name = call.name.to_string();
    if words.find(&name).is_none() {
        report.error(&call.name, unknown_word(&name, words));
    } else if let Some(setting) = call.settings.first() {
        report.error(&setting.value.tokens, format!("`{name}` takes no options"));
    }
}

fn unknown_word(name: &str, words: &Words) -> String {
    unknown(name, words.noun, words.nouns, || words.names())
}

fn unknown<N: Iterator<Item = &'static str>>(name: &str, noun: &str, nouns: &str, names: impl Fn() -> N) -> String {
    let meant = did_you_mean(suggestion(name, names()));
    format!("unknown {noun} `{name}`{meant}; the {nouns} are {}", listed(names()))
}
