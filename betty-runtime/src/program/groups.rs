//! The groups of a level's parameters, looked up in its module.

use std::rc::Rc;

use betty_schema::lies_in;

use super::selection::no_such_part;
use super::{Level, Own, Program};
use crate::config::{self, ConfigError, ConflictError, LevelConfig, LevelSolverConfig};
use crate::error::EngineError;
use crate::optimizer::{Optimizer, Replaced};
use crate::steps::{Group, Groups};
use crate::trace::Leaf;

/// The places of the parameters of each group, in the order of the config; `parameters` are those of the level, among all
/// `leaves` of its module.
///
/// # Errors
/// [`ConflictError::NotGrouped`] where a group has no parameter, or a parameter no group.
pub(crate) fn members(
    level: &str,
    leaves: &[Leaf],
    parameters: &[&Leaf],
    config: &LevelConfig,
) -> Result<Vec<Vec<usize>>, EngineError> {
    if config.groups.is_empty() {
        return Ok(vec![(0..parameters.len()).collect()]);
    }
    let has = |leaf: &Leaf, part: &config::Part<'_>| leaf.paths().any(|path| lies_in(path, part.path));
    if let Some(unknown) = config.parts().find(|part| !leaves.iter().any(|leaf| has(leaf, part))) {
        let place = if unknown.is_listed { unknown.place(level) } else { format!("{level}.groups") };
        return Err(no_such_part(place, unknown.path, leaves).into());
    }
    let refused =
        |path: String, reason: String| Err(ConfigError::from(ConflictError::NotGrouped { path, reason }).into());
    let all: Vec<config::Group<'_>> = config.all_groups().collect();
    let of_path = |path: &str| {
        let part = config.parts().find(|part| lies_in(path, part.path))?;
        all.iter().position(|group| group.name == Some(part.group))
    };
    let mut members = vec![Vec::new(); all.len()];
    let mut left: Vec<&Leaf> = Vec::new();
    for (place, leaf) in parameters.iter().enumerate() {
        let group = of_path(&leaf.path);
        if let Some(other) = leaf.paths().find(|path| of_path(path) != group) {
            let reason = format!(
                "`{}` and `{other}` are one parameter, which is in one group or in none; name all of its places",
                leaf.path
            );
            return refused(format!("{level}.groups"), reason);
        }
        match group {
            Some(group) => members[group].push(place),
            // The level's own group is the first.
            None if all[0].name.is_none() => members[0].push(place),
            None => left.push(leaf),
        }
    }
    if !left.is_empty() {
        let reason = format!(
            "{} in no group, so that nothing would move {}; give the level an optimizer of its own, or each of them a group",
            named(level, &left),
            if left.len() == 1 { "it" } else { "them" }
        );
        return refused(format!("{level}.optimizer"), reason);
    }
    if all[0].name.is_none() && members[0].is_empty() {
        let reason = "every parameter is in a group, so it is never used; take it away".to_owned();
        return refused(format!("{level}.optimizer"), reason);
    }
    let Some(still) = config.parts().find(|part| !parameters.iter().any(|leaf| has(leaf, part))) else {
        return Ok(members);
    };
    let there: Vec<&Leaf> = leaves.iter().filter(|leaf| has(leaf, &still)).collect();
    let reason = format!(
        "{} no parameter of the level, so the group has nothing to move; train what it names, or take it away",
        named(level, &there)
    );
    refused(still.place(level), reason)
}

/// `` `net.weight` and `net.bias` are ``
fn named(level: &str, leaves: &[&Leaf]) -> String {
    let names: Vec<String> = leaves.iter().map(|leaf| format!("{level}.{}", leaf.path)).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", betty_schema::listed(names.iter().map(String::as_str)))
}

/// The optimizer of each group of level number `index`, in the order of its config.
///
/// # Errors
/// [`ConflictError::NoCustomOptimizer`] if the program does not name one that the config asks for.
pub(crate) fn optimizers(
    index: usize,
    level: &str,
    config: &LevelConfig,
    own: &Own,
) -> Result<Vec<Rc<dyn Optimizer>>, EngineError> {
    let replaced = config.solver.as_ref().map_or("none", LevelSolverConfig::name);
    let optimizer = |group: config::Group<'_>| {
        let given = || match group.name {
            None => (own.optimizer)(index),
            Some(name) => (own.group_optimizer)(index, name),
        };
        let made = match group.optimizer {
            None => Some(Rc::new(Replaced(replaced)) as Rc<dyn Optimizer>),
            Some(optimizer) => optimizer.build().or_else(given),
        };
        made.ok_or_else(|| {
            ConfigError::from(ConflictError::NoCustomOptimizer { level: place(level, group.name) }).into()
        })
    };
    config.all_groups().map(optimizer).collect()
}

/// Groups with these optimizers and members.
pub(crate) fn of(
    config: &LevelConfig,
    optimizers: Vec<Rc<dyn Optimizer>>,
    members: Vec<Vec<usize>>,
    parameters: usize,
) -> Groups {
    let groups = config.all_groups().zip(optimizers).zip(members).map(|((group, optimizer), members)| Group {
        name: group.name.map(str::to_owned),
        optimizer,
        clip: group.clip,
        project: group.project.cloned(),
        members,
    });
    Groups::new(groups.collect(), parameters)
}

impl Program {
    /// The number of a level, and the name of a group of its parameters if it goes on with one.
    ///
    /// # Errors
    /// [`EngineError::UnknownLevel`] if there is no such level or group.
    pub(crate) fn level_and_group<'n>(&self, name: &'n str) -> Result<(usize, Option<&'n str>), EngineError> {
        let found = name.split_once('.').and_then(|(level, group)| {
            let number = self.level(level).ok()?;
            self.levels[number].config.groups.contains_key(group).then_some((number, Some(group)))
        });
        found.map_or_else(|| Ok((self.level(name)?, None)), Ok)
    }
}

/// A level, or a group of its parameters, for messages.
pub(crate) fn place(level: &str, group: Option<&str>) -> String {
    group.map_or_else(|| level.to_owned(), |name| format!("{level}.{name}"))
}

impl Level {
    /// The optimizers of the groups, in order.
    pub(super) fn optimizers(&self) -> Vec<Rc<dyn Optimizer>> {
        self.update.groups().iter().map(|group| Rc::clone(&group.optimizer)).collect()
    }
}
