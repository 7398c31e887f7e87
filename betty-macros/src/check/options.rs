//! Methods, optimizers, projections, clips and precisions with their options, held against the table.

use std::collections::BTreeSet;

use crate::ast::{Call, Level, Setting, Value, ValueKind};
use crate::methods::{
    ALL, BATCHES, CLIPS, CUSTOM, Entry, Family, METHODS, OPTIMIZERS, Opt, PRECISIONS, PROJECTIONS, Range, SIGMOID,
    TRANSFORMS,
};
use crate::report::{Report, did_you_mean, listed, suggestion};

pub(super) fn check(level: &Level, report: &mut Report) {
    if let Some(call) = &level.optimizer {
        check_call(call, &OPTIMIZERS, report);
    }
    if let Some(call) = &level.hypergradient {
        check_call(call, &METHODS, report);
    }
    if let Some(call) = &level.project {
        check_call(call, &PROJECTIONS, report);
        check_bounds(call, report);
    }
    if let Some(call) = &level.clip {
        check_clip(call, report);
    }
    if let Some(call) = &level.precision {
        check_precision(call, report);
    }
}

fn check_call(call: &Call, family: &Family, report: &mut Report) {
    let name = call.name.to_string();
    let Some(entry) = family.find(&name) else {
        let meant = suggestion(&name, family.names());
        report.error(
            &call.name,
            format!(
                "unknown {} `{name}`{}; the {} are {}",
                family.noun,
                did_you_mean(meant),
                family.nouns,
                listed(family.names())
            ),
        );
        return;
    };
    let mut given = BTreeSet::new();
    let values = call.settings.iter().filter(|setting| setting.name.is_none()).count();
    let takes_value = entry.name == CUSTOM;
    if takes_value && values != 1 && !call.incomplete {
        let text = "takes one value whose type implements `HypergradientMethod`: `custom(MyMethod)`";
        report.error(&call.name, format!("`{CUSTOM}` {text}"));
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
    entry: &Entry,
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
    } else if !accepts(option, &setting.value) {
        report.error(&setting.value.tokens, format!("`{name}` of `{owner}` must be {}", option.range.describe()));
    }
}

/// How a learned number is written; the level that it names is checked with the other names.
fn check_transform(value: &Value, entry: &Entry, option: &Opt, report: &mut Report) {
    let ValueKind::Parameters { transform: Some(transform), .. } = &value.kind else { return };
    let name = transform.to_string();
    let names = || TRANSFORMS.iter().map(|(name, _)| *name);
    if !names().any(|known| known == name) {
        let meant = suggestion(&name, names());
        let text = format!("unknown transform `{name}`{}; the transforms are {}", did_you_mean(meant), listed(names()));
        report.error(transform, text);
    } else if matches!(option.range, Range::Fraction) && name != SIGMOID {
        report.error(
            transform,
            format!(
                "`{}` of `{}` must be less than 1, and `{name}` does not stay below; use `{SIGMOID}`",
                option.name, entry.name
            ),
        );
    }
}

fn accepts(option: &Opt, value: &Value) -> bool {
    match (option.range, &value.kind) {
        (Range::CountOrAll, ValueKind::Word(word)) => word == ALL,
        (Range::Count | Range::CountOrAll, ValueKind::Integer(digits)) => {
            digits.parse::<u32>().is_ok_and(|count| count > 0)
        }
        (Range::Natural, ValueKind::Integer(digits)) => digits.parse::<u64>().is_ok(),
        (
            Range::Number | Range::Positive | Range::NonNegative | Range::Fraction,
            ValueKind::Integer(digits) | ValueKind::Float(digits),
        ) => digits.parse().is_ok_and(|number| option.range.contains(number)),
        (Range::Flag, ValueKind::Flag(_)) => true,
        (Range::Batch, ValueKind::Word(word)) => BATCHES.iter().any(|(name, _)| word == name),
        _ => false,
    }
}

/// The one pair of options that limit each other.
fn check_bounds(call: &Call, report: &mut Report) {
    let Some(entry) = PROJECTIONS.find("clamp").filter(|entry| call.name == entry.name) else { return };
    let given =
        |name: &str| call.settings.iter().find(|setting| setting.name.as_ref().is_some_and(|given| given == name));
    let bound = |name: &str| match given(name) {
        Some(setting) => number(&setting.value),
        None => entry.find(name)?.default?.parse().ok(),
    };
    let (Some(low), Some(high)) = (bound("low"), bound("high")) else { return };
    if high <= low
        && let Some(setting) = given("high").or(given("low"))
    {
        report.error(&setting.value.tokens, "`high` of `clamp` must be greater than `low`");
    }
}

fn check_clip(call: &Call, report: &mut Report) {
    let name = call.name.to_string();
    let names = || CLIPS.iter().map(|(name, _)| *name);
    if !names().any(|known| known == name) {
        let meant = suggestion(&name, names());
        report.error(
            &call.name,
            format!("unknown clip `{name}`{}; the clips are {}", did_you_mean(meant), listed(names())),
        );
        return;
    }
    let limit = match call.settings.as_slice() {
        [Setting { name: None, value }] => number(value),
        _ => None,
    };
    if !call.incomplete && !limit.is_some_and(|limit| Range::Positive.contains(limit)) {
        let message = format!("`{name}` takes one number greater than zero: `clip: {name}(1.0)`");
        match call.settings.first() {
            Some(setting) => report.error(&setting.value.tokens, message),
            None => report.error(&call.name, message),
        }
    }
}

fn check_precision(call: &Call, report: &mut Report) {
    let name = call.name.to_string();
    let names = || PRECISIONS.iter().map(|(name, _)| *name);
    if !names().any(|known| known == name) {
        let meant = suggestion(&name, names());
        let text = format!("unknown precision `{name}`{}; the precisions are {}", did_you_mean(meant), listed(names()));
        report.error(&call.name, text);
    } else if let Some(setting) = call.settings.first() {
        report.error(&setting.value.tokens, format!("`{name}` takes no options"));
    }
}

fn number(value: &Value) -> Option<f64> {
    match &value.kind {
        ValueKind::Integer(digits) | ValueKind::Float(digits) => digits.parse().ok(),
        ValueKind::Word(_) | ValueKind::Flag(_) | ValueKind::Parameters { .. } | ValueKind::Other => None,
    }
}
