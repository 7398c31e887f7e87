//! Groups of a level's parameters that are stepped in their own way.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Clip, Learned, LevelConfig, OptimizerConfig, ProjectionConfig, ScheduleConfig};

/// How some parts of a level's module take their steps: the one that the group is named by, or those that it lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// The paths of its parts in the level's module, none of which is a part of another; by default the name of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// The group's optimizer, with states of its own.
    pub optimizer: OptimizerConfig,
    /// How the group's learning rate changes from step to step; by default it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleConfig>,
    /// A limit on the gradient of the group's parameters, all of them together, applied before the optimizer sees it; by default none.
    #[serde(default)]
    pub clip: Option<Clip>,
    /// A set that the group's parameters do not leave; by default none.
    #[serde(default)]
    pub project: Option<ProjectionConfig>,
}

/// Parameters of a level that are stepped in one way: a group, or all those that are in none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'a> {
    /// Its name; none for the parameters that are in no group.
    pub(crate) name: Option<&'a str>,
    /// None where a solver moves them, or nothing does.
    pub(crate) optimizer: Option<&'a OptimizerConfig>,
    pub(crate) schedule: Option<&'a ScheduleConfig>,
    pub(crate) clip: Option<Clip>,
    pub(crate) project: Option<&'a ProjectionConfig>,
}

impl<'a> Group<'a> {
    /// The path of one of its fields in the config of a level.
    pub(crate) fn place(&self, level: &str, field: &str) -> String {
        match self.name {
            None => format!("{level}.{field}"),
            Some(name) => format!("{level}.groups.{name}.{field}"),
        }
    }

    /// The numbers of its optimizer that levels above learn.
    pub(crate) fn learned(&self) -> Vec<(&'static str, &'a Learned)> {
        self.optimizer.into_iter().flat_map(OptimizerConfig::learned).collect()
    }
}

impl LevelConfig {
    /// The parameters that are in no group, if anything moves them, and then all groups in order.
    pub(crate) fn all_groups(&self) -> impl Iterator<Item = Group<'_>> {
        let has_own = self.optimizer.is_some() || self.solver.is_some() || self.groups.is_empty();
        let own = Group {
            name: None,
            optimizer: self.optimizer.as_ref(),
            schedule: self.schedule.as_ref(),
            clip: self.clip,
            project: self.project.as_ref(),
        };
        let groups = self.groups.iter().map(|(name, group)| Group {
            name: Some(name),
            optimizer: Some(&group.optimizer),
            schedule: group.schedule.as_ref(),
            clip: group.clip,
            project: group.project.as_ref(),
        });
        has_own.then_some(own).into_iter().chain(groups)
    }

    /// The parts that groups have, group by group.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.groups.iter().flat_map(|(name, group)| {
            let listed = group.paths.iter().flatten().map(|path| Part { path, group: name, is_listed: true });
            let named = group.paths.is_none().then_some(Part { path: name, group: name, is_listed: false });
            listed.chain(named)
        })
    }

    /// The numbers of the level's optimizers that levels above learn; a solver has none.
    pub fn learned(&self) -> impl Iterator<Item = (&'static str, &Learned)> {
        let own = self.optimizer.iter();
        own.chain(self.groups.values().map(|group| &group.optimizer)).flat_map(OptimizerConfig::learned)
    }
}

/// A part of the module that a group has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) path: &'a str,
    /// The name of the group.
    pub(crate) group: &'a str,
    /// Whether the group lists it, and is not named by it.
    pub(crate) is_listed: bool,
}

impl Part<'_> {
    /// Where it stands in the config of a level.
    pub(crate) fn place(&self, level: &str) -> String {
        let Part { group, is_listed, .. } = *self;
        format!("{level}.groups.{group}{}", if is_listed { ".paths" } else { "" })
    }
}

/// Files that do not use them are as they were before there were groups.
pub(super) fn is_none(groups: &BTreeMap<String, GroupConfig>) -> bool {
    groups.is_empty()
}

/// The groups that a text gives: one that is `null` is none, as `null` in the place of all is no group.
pub(super) fn given<'de, D: Deserializer<'de>>(source: D) -> Result<BTreeMap<String, GroupConfig>, D::Error> {
    let groups = Option::<BTreeMap<String, Option<GroupConfig>>>::deserialize(source)?;
    Ok(groups.into_iter().flatten().filter_map(|(name, group)| Some((name, group?))).collect())
}
