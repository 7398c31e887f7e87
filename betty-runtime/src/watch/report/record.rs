//! What a report is made of, and stays readable for programs: it is part of the page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::versions;
use super::asked::Asked;
use super::series::Series;
use crate::Schedule;
use crate::engine::Facts;

/// The most warnings that are listed.
const MOST: usize = 200;

/// A run, or several that went on from each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) program: String,
    pub(super) betty: String,
    /// The version of Burn that this library is made for, and how it was built.
    #[serde(default)]
    pub(super) burn: String,
    #[serde(default)]
    pub(super) build: String,
    pub(super) seed: u64,
    pub(super) config: String,
    pub(super) levels: Vec<LevelRecord>,
    /// The schedule in words.
    pub(super) schedule: String,
    /// Where it ran: processor, system and process.
    pub(super) machine: String,
    /// When the first run and the last part of it began, in seconds since 1970.
    pub(super) began: f64,
    /// Seconds that iterations took in all.
    pub(super) elapsed: f64,
    pub(super) iteration: u64,
    pub(super) until: u64,
    /// Why it is over, if it is: an empty text after its last iteration.
    pub(super) ended: Option<String>,
    /// The name of each level's own solver, as it was last told.
    #[serde(default)]
    pub(super) solvers: BTreeMap<String, String>,
    /// Curves by `level/quantity`.
    pub(super) series: BTreeMap<String, Series>,
    pub(super) warnings: Vec<Warned>,
    /// Warnings beyond those that are listed.
    pub(super) more_warnings: u64,
    /// Seconds by what they were spent on.
    pub(super) shares: BTreeMap<String, f64>,
    /// The steps of one iteration in their order: the level, and how many in a row.
    pub(super) turns: Vec<(String, u64)>,
    /// What was asked for.
    #[serde(default)]
    pub(super) asked: Asked,
}

/// A level.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LevelRecord {
    pub(super) name: String,
    pub(super) module: String,
    pub(super) upper: Vec<usize>,
    pub(super) lower: Vec<usize>,
}

/// A warning, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Warned {
    pub(super) iteration: u64,
    pub(super) rule: String,
    pub(super) level: Option<String>,
    pub(super) fact: String,
    pub(super) advice: String,
}

impl Record {
    /// Takes over what a run is a run of.
    pub(super) fn of(&mut self, facts: &Facts<'_>) {
        let Schedule { name, levels, .. } = facts.schedule;
        (self.program, self.betty) = (name.into(), versions::BETTY.into());
        (self.burn, self.build) = (versions::BURN.into(), versions::BUILD.into());
        (self.seed, self.config, self.schedule) = (facts.seed, facts.config.into(), facts.schedule.to_string());
        self.machine = format!(
            "{} on {}, {} threads, process {}",
            std::env::consts::ARCH,
            std::env::consts::OS,
            std::thread::available_parallelism().map_or(1, usize::from),
            std::process::id()
        );
        let record = |level: &crate::LevelSpec| LevelRecord {
            name: level.name.into(),
            module: level.module.into(),
            upper: level.upper.to_vec(),
            lower: level.lower.to_vec(),
        };
        self.levels = levels.iter().map(record).collect();
    }

    /// Forgets what came after an iteration.
    pub(super) fn cut(&mut self, last: u64) {
        self.asked.cut(last);
        self.series.values_mut().for_each(|series| series.cut(last));
        self.warnings.retain(|warning| warning.iteration <= last);
        self.iteration = last;
    }

    pub(super) fn push(&mut self, tag: String, iteration: u64, value: f64) {
        self.series.entry(tag).or_default().push(iteration, value);
    }

    pub(super) fn warn(&mut self, warning: Warned) {
        if self.warnings.len() < MOST {
            self.warnings.push(warning);
        } else {
            self.more_warnings += 1;
        }
    }
}
