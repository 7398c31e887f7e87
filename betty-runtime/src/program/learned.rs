//! Numbers of an optimizer that other levels learn, looked up in the modules of those levels.

use super::{Level, groups, selection};
use crate::config::{self, Learned, LevelConfig, OptimizerConfig, Transform};
use crate::error::{EngineError, LearnedError};
use crate::graph::accumulator;
use crate::schedule::Schedule;
use crate::steps::{LearnedNumber, LearnedNumbers, LearnedPart, LearnedSource, shape_of_row};
use crate::trace::{Leaf, LevelModule};
use betty_schema::lies_in;

/// Looks the parameters up that numbers of the optimizer of level number `level` are made of.
pub(crate) fn find(
    schedule: &Schedule,
    level: usize,
    configs: &[&LevelConfig],
    modules: &[&dyn LevelModule],
) -> Result<LearnedNumbers, EngineError> {
    let mut found = LearnedNumbers::default();
    let (name, config) = (schedule.levels[level].name, configs[level]);
    if config.learned().next().is_none() {
        return Ok(found);
    }
    let all = modules[level].leaves();
    let parameters: Vec<&Leaf> =
        selection::parameters(name, &all, config)?.into_iter().map(|index| &all[index]).collect();
    let members = groups::members(name, &all, &parameters, config)?;
    let learned = config.all_groups().enumerate().flat_map(|(number, group)| {
        group.learned().into_iter().map(move |(option, written)| (number, group, option, written))
    });
    for (number, group, option, written) in learned {
        // The config was held against the schedule.
        let Some(from) = schedule.level(&written.level) else { continue };
        let place = format!("{}.{option}", group.place(name, "optimizer"));
        let own: Vec<Leaf> = members[number].iter().map(|&member| parameters[member].clone()).collect();
        let (numbers, leaves) = selection::chosen(&written.level, modules[from], configs[from])?;
        let lies_there = |leaf: &Leaf| written.path.is_empty() || leaf.paths().any(|path| lies_in(path, &written.path));
        let chosen: Vec<usize> = (0..leaves.len()).filter(|&index| lies_there(&leaves[index])).collect();
        let mut shapes: Vec<Vec<usize>> = chosen.iter().map(|&index| leaves[index].value.shape()).collect();
        if written.by_step {
            check_rows(name, &place, written, &shapes, config.unroll)?;
            shapes.iter_mut().for_each(|shape| *shape = shape_of_row(shape).to_vec());
        }
        let Some(parts) = arrange(&shapes, &own) else {
            return Err(LearnedError::Mismatch {
                place,
                number: written.to_string(),
                found: describe_choice(&leaves, &chosen, written, modules[from].leaves().iter().any(lies_there)),
                level: name.into(),
                wanted: listed(name, &own),
            }
            .into());
        };
        let sources: Vec<usize> = chosen.iter().map(|&index| found.add(from, index, &numbers, &leaves)).collect();
        let parts = parts.into_iter().map(|part| match part {
            LearnedPart::Whole(index) => LearnedPart::Whole(sources[index]),
            LearnedPart::Entry { source, entry } => LearnedPart::Entry { source: sources[source], entry },
        });
        let optimizer = group.optimizer.map_or("", OptimizerConfig::name);
        found.numbers.push(LearnedNumber {
            group: number,
            option,
            place,
            optimizer,
            written: written.clone(),
            parts: parts.collect(),
        });
    }
    Ok(found)
}

/// Checks all learned numbers of these levels that are made of leaves that have just been given.
pub(crate) fn check_first_values(
    levels: &[Level],
    is_given: impl Fn(usize, usize) -> Result<bool, EngineError>,
) -> Result<(), EngineError> {
    for level in levels {
        if let Some(Outside { place, number, value, expected }) = outside(level, levels, &is_given)? {
            return Err(LearnedError::OutOfRange { place, number, value, expected }.into());
        }
    }
    Ok(())
}

/// A number out of its range, which a step may not have survived: one that nothing keeps there, or that was rounded out of it.
pub(super) fn check_values(level: &Level, levels: &[Level]) -> Result<(), EngineError> {
    match outside(level, levels, &|_, _| Ok(true))? {
        Some(Outside { place, number, value, expected }) => {
            Err(LearnedError::HasLeft { place, number, value, expected }.into())
        }
        None => Ok(()),
    }
}

/// A learned number out of its range.
struct Outside {
    place: String,
    number: String,
    value: f64,
    expected: &'static str,
}

/// The first number of a level's optimizers that is out of its range. One that no transform keeps there has to be in it, and one that a
/// transform does must not be rounded out of it: neither by the type of what it is made of, nor by that in which the steps are computed.
fn outside(
    level: &Level,
    levels: &[Level],
    is_given: &impl Fn(usize, usize) -> Result<bool, EngineError>,
) -> Result<Option<Outside>, EngineError> {
    let dtype = accumulator(level.leaves[level.trainable[0]].dtype());
    let learned = level.update.learned();
    for number in &learned.numbers {
        for part in &number.parts {
            let &LearnedSource { level, leaf, dtype: made_in, .. } = learned.made_of(*part);
            if !is_given(level, leaf)? {
                continue;
            }
            for given in levels[level].leaves[leaf].to_vec()? {
                let value = config::rounded(number.written.transform.value(given), made_in);
                let value = config::rounded(value, dtype);
                let is_lost = !value.is_finite() || (value == 0.0 && given != 0.0);
                let lost = "a number that is neither zero nor infinite in the float types of both levels";
                let (value, accepted) = match number.written.transform {
                    _ if is_lost => (value, Err(lost)),
                    Transform::Identity => (given, config::accepts(number.optimizer, number.option, given)),
                    _ => (value, config::accepts(number.optimizer, number.option, value)),
                };
                if let Err(expected) = accepted {
                    let (place, number) = (number.place.clone(), number.written.to_string());
                    return Ok(Some(Outside { place, number, value, expected }));
                }
            }
        }
    }
    Ok(None)
}

/// Each tensor that a number differs by step in has a row for each step.
fn check_rows(
    level: &str,
    place: &str,
    written: &Learned,
    shapes: &[Vec<usize>],
    unroll: usize,
) -> Result<(), LearnedError> {
    match shapes.iter().find(|shape| shape.first() != Some(&unroll)) {
        None => Ok(()),
        Some(shape) => Err(LearnedError::Rows {
            place: place.to_owned(),
            number: written.to_string(),
            found: shape.clone(),
            level: level.to_owned(),
            unroll,
        }),
    }
}

/// What tensors of these shapes are for each of the parameters, if they fit.
fn arrange(shapes: &[Vec<usize>], parameters: &[Leaf]) -> Option<Vec<LearnedPart>> {
    let count = parameters.len();
    let each = || (0..count).map(LearnedPart::Whole).collect();
    match shapes {
        [one] if *one == [1] => Some(vec![LearnedPart::Whole(0); count]),
        all if all.len() == count && all.iter().zip(parameters).all(|(shape, like)| *shape == like.value.shape()) => {
            Some(each())
        }
        all if all.len() == count && all.iter().all(|shape| *shape == [1]) => Some(each()),
        [one] if *one == [count] => Some((0..count).map(|entry| LearnedPart::Entry { source: 0, entry }).collect()),
        _ => None,
    }
}

/// `` `net.weight` [4, 5] and `net.bias` [5] ``
fn listed<'a>(level: &str, leaves: impl IntoIterator<Item = &'a Leaf>) -> String {
    let of = |leaf: &Leaf| {
        let dot = if leaf.path.is_empty() { "" } else { "." };
        format!("`{level}{dot}{}` {:?}", leaf.path, leaf.value.shape())
    };
    let mut names: Vec<String> = leaves.into_iter().map(of).collect();
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
}

/// What there is at the path of a learned number, or what there is elsewhere; `stands_still` if something is there that is
/// not trained.
fn describe_choice(leaves: &[Leaf], chosen: &[usize], written: &Learned, stands_still: bool) -> String {
    if chosen.is_empty() && stands_still {
        let level = &written.level;
        format!("what is there stands still in `{level}`, which trains {}", listed(level, leaves))
    } else if chosen.is_empty() {
        format!("there is no parameter; there are {}", listed(&written.level, leaves))
    } else {
        let rows = if written.by_step { ", of which each step takes a row" } else { "" };
        format!("that is {}{rows}", listed(&written.level, chosen.iter().map(|&leaf| &leaves[leaf])))
    }
}
