//! A schedule held against what follows from its edges.

use betty_schema::{Edges, Graph, Stop};
use thiserror::Error;

use super::{Schedule, Through};

/// Why a schedule was refused. One that `multilevel!` computed never is.
#[derive(Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A schedule without a level.
    #[error("it has no level")]
    NoLevels,
    /// Two levels of one name.
    #[error("levels {first} and {second} are both named `{name}`; give one of them another name")]
    SameName {
        /// The name.
        name: &'static str,
        /// The number of the first.
        first: usize,
        /// The number of the other.
        second: usize,
    },
    /// A list names a level that does not exist.
    #[error("`{list}` of level `{level}` names level {entry}, but the schedule has {levels} levels, counted from 0")]
    NoSuchLevel {
        /// The level whose list it is.
        level: &'static str,
        /// The list.
        list: &'static str,
        /// The number that is none of a level.
        entry: usize,
        /// How many levels there are.
        levels: usize,
    },
    /// A list of edges names its own level, or another one twice.
    #[error("`{list}` of level `{level}` names `{entry}`, {reason}; take the entry away")]
    BadEntry {
        /// The level whose list it is.
        level: &'static str,
        /// The list.
        list: &'static str,
        /// The level that is named.
        entry: &'static str,
        /// Why it must not be.
        reason: &'static str,
    },
    /// Levels are each solved before the next, in a circle.
    #[error("these levels are each solved before the next, in a circle: {}; what is read while it is still being solved \
             belongs in `upper`", path.join(" -> "))]
    Circle {
        /// The levels, the first once more at the end.
        path: Vec<&'static str>,
    },
    /// The roots are not the levels that nobody waits for.
    #[error("`roots` are [{}], but nobody waits for [{}]", found.join(", "), expected.join(", "))]
    Roots {
        /// Those that are given.
        found: Vec<&'static str>,
        /// Those that follow from the edges.
        expected: Vec<&'static str>,
    },
    /// A sweep does not pass through what the level's hypergradient depends on.
    #[error(
        "`sweep` of level `{level}` is [{found}], but its hypergradient passes through [{expected}]; let `multilevel!` write \
         the schedule, or write that"
    )]
    Sweep {
        /// The level.
        level: &'static str,
        /// The stops that are given.
        found: String,
        /// Those that follow from the edges, in an order that is right.
        expected: String,
    },
}

crate::report::debug_as_report!(ScheduleError);

impl Schedule {
    /// That the roots and the sweeps are those that follow from the edges. The stops of a sweep may stand in any order in
    /// which each comes after those that it rests on.
    ///
    /// # Errors
    ///
    /// The first list that names what is not there, or that lacks or has too many levels.
    pub fn check(&self) -> Result<(), ScheduleError> {
        if self.levels.is_empty() {
            return Err(ScheduleError::NoLevels);
        }
        for (index, level) in self.levels.iter().enumerate() {
            if let Some(first) = self.level(level.name).filter(|&first| first < index) {
                return Err(ScheduleError::SameName { name: level.name, first, second: index });
            }
            let start: Vec<usize> = level.start.into_iter().collect();
            self.check_list(index, "upper", level.upper)?;
            self.check_list(index, "lower", level.lower)?;
            self.check_list(index, "start", &start)?;
            self.check_list(index, "hyperparameters", level.hyperparameters)?;
        }
        let graph = self.graph();
        if let Some(circle) = graph.circles().first() {
            return Err(ScheduleError::Circle { path: self.names(&circle.path) });
        }
        let mut roots = self.roots.to_vec();
        roots.sort_unstable();
        if roots != graph.roots() {
            let found = self.roots.iter().map(|&root| self.name_of(root)).collect();
            return Err(ScheduleError::Roots { found, expected: self.names(&graph.roots()) });
        }
        for (level, spec) in self.levels.iter().enumerate() {
            let expected = graph.sweep(level);
            if !(has_stops(spec.sweep, expected) && is_ordered(spec.sweep, &graph)) {
                let stops = spec.sweep.iter().map(|stop| self.stop(stop.level, stop.into));
                let expected = expected.iter().map(|stop| self.stop(stop.level, &stop.into));
                return Err(ScheduleError::Sweep {
                    level: spec.name,
                    found: stops.collect::<Vec<_>>().join("; "),
                    expected: expected.collect::<Vec<_>>().join("; "),
                });
            }
        }
        Ok(())
    }

    /// What follows from the edges, whose entries are levels.
    pub(crate) fn graph(&self) -> Graph {
        let list = |of: fn(&super::LevelSpec) -> &'static [usize]| {
            self.levels.iter().map(|level| of(level).to_vec()).collect::<Vec<_>>()
        };
        Graph::new(Edges {
            upper: list(|level| level.upper),
            lower: list(|level| level.lower),
            start: self.levels.iter().map(|level| level.start).collect(),
            hyperparameters: list(|level| level.hyperparameters),
        })
    }

    fn check_list(&self, level: usize, list: &'static str, entries: &[usize]) -> Result<(), ScheduleError> {
        let levels = self.levels.len();
        for (position, &entry) in entries.iter().enumerate() {
            let name = self.levels[level].name;
            let Some(other) = self.levels.get(entry) else {
                return Err(ScheduleError::NoSuchLevel { level: name, list, entry, levels });
            };
            let reason = match entry {
                _ if entry == level => "which cannot depend on itself",
                _ if entries[..position].contains(&entry) => "which it names already",
                _ => continue,
            };
            return Err(ScheduleError::BadEntry { level: name, list, entry: other.name, reason });
        }
        Ok(())
    }

    fn names(&self, levels: &[usize]) -> Vec<&'static str> {
        levels.iter().map(|&level| self.name_of(level)).collect()
    }

    fn stop(&self, level: usize, into: &[usize]) -> String {
        format!("{} -> {}", self.name_of(level), self.names_of(into))
    }
}

/// Whether the sweep has the stops that are expected and no others, each with the levels that it sends cotangents to.
fn has_stops(sweep: &[Through], expected: &[Stop]) -> bool {
    let matches = |stop: &Stop| {
        sweep.iter().any(|through| {
            let mut into = through.into.to_vec();
            into.sort_unstable();
            through.level == stop.level && into == stop.into
        })
    };
    sweep.len() == expected.len() && expected.iter().all(matches)
}

/// Whether each stop comes after the stops of its own sweep, and after those that send it cotangents unless it sends some to
/// them as well.
fn is_ordered(sweep: &[Through], graph: &Graph) -> bool {
    let leads = |from: usize, to: usize| {
        let mut open = vec![from];
        let mut seen = vec![false; graph.levels()];
        while let Some(next) = open.pop() {
            let stop = sweep.iter().find(|stop| stop.level == next);
            for &into in stop.into_iter().flat_map(|stop| stop.into) {
                if into == to {
                    return true;
                }
                if !std::mem::replace(&mut seen[into], true) {
                    open.push(into);
                }
            }
        }
        false
    };
    sweep.iter().enumerate().all(|(position, stop)| {
        sweep[position + 1..].iter().all(|later| {
            let feeds = later.into.contains(&stop.level) && !leads(stop.level, later.level);
            !feeds && !graph.answers_to(later.level, stop.level)
        })
    })
}
