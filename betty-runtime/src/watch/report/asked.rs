//! What the engine was asked for beside the run: what its steps take of the memory, and how good hypergradients were.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::chart::{Chart, Scale};
use super::series::Series;
use super::text::escaped;
use crate::{Event, LevelCost};

/// Answers of the engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// What an iteration takes, in words.
    explanation: Option<String>,
    /// Bytes by what holds them.
    memory: Vec<(String, usize)>,
    /// After which iteration a hypergradient was held against a reference, and what came of it, in words.
    checks: Vec<(u64, String)>,
    /// The ends of spectra over iterations, by the hypergradient, the level that it passes through, and which end.
    spectra: BTreeMap<String, Series>,
}

impl Asked {
    /// Takes note of an answer; says whether it was one.
    pub(super) fn hear(&mut self, event: &Event<'_>, iteration: u64) -> bool {
        match event {
            Event::Explained(explanation) => {
                self.memory = explanation.levels.iter().filter(|level| level.within.is_none()).flat_map(held).collect();
                self.explanation = Some(explanation.to_string());
            }
            Event::Checked(check) => {
                self.checks.push((iteration, check.to_string()));
                for response in &check.responses {
                    let ends = [("largest", response.spectrum.largest), ("smallest", response.spectrum.smallest)];
                    for (end, value) in ends.map(|(end, found)| (end, found.value)) {
                        let name = format!("{end}, {} through {}", check.level, response.level);
                        self.spectra.entry(name).or_default().push(iteration, value);
                    }
                }
            }
            _ => return false,
        }
        true
    }

    /// Adds what was answered before.
    pub(super) fn add(&mut self, before: Self) {
        if before.explanation.is_some() {
            (self.explanation, self.memory) = (before.explanation, before.memory);
        }
        self.checks.extend(before.checks);
        for (name, series) in before.spectra {
            let points = series.points.into_iter();
            points.for_each(|(iteration, value)| self.spectra.entry(name.clone()).or_default().push(iteration, value));
        }
    }

    /// Forgets what came after an iteration.
    pub(super) fn cut(&mut self, last: u64) {
        self.checks.retain(|(iteration, _)| *iteration <= last);
        self.spectra.values_mut().for_each(|series| series.cut(last));
    }

    /// The memory of each step, largest first, and what all takes.
    pub(super) fn memory(&self) -> String {
        let Some(explanation) = &self.explanation else { return String::new() };
        let total: usize = self.memory.iter().map(|(_, bytes)| bytes).sum();
        let mut all: Vec<_> = self.memory.iter().filter(|(_, bytes)| *bytes > 0).collect();
        all.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let mut table = String::from("<table>");
        for (name, bytes) in all {
            let share = *bytes as f64 / total as f64;
            let _ = write!(
                table,
                r#"<tr><td>{}</td><td class="number">{}</td><td class="number">{:.1} %</td><td><span class="bar" style="width:{:.0}px"></span></td></tr>"#,
                escaped(name),
                scaled(*bytes),
                100.0 * share,
                300.0 * share
            );
        }
        let explanation = escaped(explanation);
        format!(
            r#"{table}</table><p class="quiet">Counted, not measured. What steps hold at once is given back after them; what is kept to be differentiated is not.</p><pre>{explanation}</pre>"#
        )
    }

    /// How good hypergradients were, and the ends of the spectra.
    pub(super) fn checks(&self) -> String {
        let curves = self.spectra.iter().map(|(name, series)| (name.clone(), &series.points[..])).collect();
        let chart = Chart { title: "ends of the spectra".into(), scale: Scale::Linear, curves };
        let mut html = chart.to_svg().map_or_else(String::new, |svg| format!(r#"<div class="charts">{svg}</div>"#));
        for (iteration, check) in &self.checks {
            let _ = write!(html, "<p>After iteration {iteration}:</p><pre>{}</pre>", escaped(check));
        }
        html
    }
}

/// A number of bytes as people read it.
fn scaled(bytes: usize) -> String {
    match bytes as f64 {
        bytes if bytes < 1024.0 => format!("{bytes:.0} B"),
        bytes if bytes < 1024.0 * 1024.0 => format!("{:.1} KiB", bytes / 1024.0),
        bytes => format!("{:.1} MiB", bytes / (1024.0 * 1024.0)),
    }
}

/// What the steps of a level hold.
fn held(level: &LevelCost) -> [(String, usize); 2] {
    let LevelCost { level, peak, kept, .. } = level;
    [(format!("step of {level}, at once"), *peak), (format!("steps of {level}, kept"), *kept)]
}
