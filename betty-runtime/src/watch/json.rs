//! Everything that a run tells, one JSON object in a line.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::error::WatchError;
use super::log::{Log, lines_until};
use super::place::Place;
use super::versions;
use crate::engine::Facts;
use crate::error::DataError;
use crate::json::parse;
use crate::{Current, Event, LevelCost, Looks, Multilevel, Observer, ResponseCheck};

/// Writes every event as a JSON object in a line of its own: `event` says which, `iteration` when, `time` the seconds since 1970,
/// and all else is called as in [`Event`]. The first line of a run says the program with its levels, its config, its seed, the version
/// of this library and of the Burn that it is made for, and whether it is a `debug` or a `release` build. Numbers that are not finite are `null`.
#[derive(Debug)]
pub struct JsonLines {
    log: Log,
    place: Place,
    every: u64,
    /// What was told before the first run has begun.
    waiting: Vec<Vec<u8>>,
}

impl JsonLines {
    /// Writes into this file; see [the module](super) for what becomes of one that is there.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        JsonLines { log: Log::new(file.into(), keep), place: Place::default(), every: 1, waiting: Vec::new() }
    }

    /// Records steps, hypergradients and iterations only where the iteration is a multiple of `iterations` (at least 1), and
    /// everything else always.
    #[must_use]
    pub fn every(mut self, iterations: u64) -> Self {
        self.every = iterations.max(1);
        self
    }

    fn record(&mut self, event: &Event<'_>, facts: impl FnOnce() -> Map<String, Value>) -> Result<(), WatchError> {
        self.place.hear(event);
        if let Event::Started { .. } = event {
            self.log.hear(event)?;
            for line in std::mem::take(&mut self.waiting) {
                self.log.push(&line)?;
            }
        }
        let is_recorded = match event {
            Event::Step { .. }
            | Event::Solved { .. }
            | Event::Hypergradient { .. }
            | Event::Parts { .. }
            | Event::Iteration { .. } => self.place.is_due(event, self.every),
            _ => true,
        };
        if is_recorded {
            let mut object = fields(event);
            if let Event::Started { .. } = event {
                object.append(&mut facts());
            }
            let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
            object.insert("iteration".into(), self.place.of(event).into());
            object.insert("time".into(), time.into());
            let line = format!("{}\n", Value::Object(object)).into_bytes();
            match self.log.is_open() {
                true => self.log.push(&line)?,
                false => self.waiting.push(line),
            }
        }
        match event {
            Event::Started { .. } => Ok(()),
            _ => self.log.hear(event).map(drop),
        }
    }
}

impl<P: Multilevel> Observer<P> for JsonLines {
    fn hear(&mut self, event: &Event<'_>, program: &Current<'_, P>) -> Result<ControlFlow<String>, DataError> {
        self.record(event, || of_run(program.facts()))?;
        Ok(ControlFlow::Continue(()))
    }

    fn looks(&self) -> Looks {
        Looks::Never
    }
}

/// What a run is a run of.
fn of_run(facts: Facts<'_>) -> Map<String, Value> {
    let names = |levels: &[usize]| levels.iter().map(|&level| facts.schedule.levels[level].name).collect::<Vec<_>>();
    let level = |level: &crate::LevelSpec| json!({"name": level.name, "upper": names(level.upper), "lower": names(level.lower)});
    let config = parse(facts.config.as_bytes()).unwrap_or(Value::Null);
    object(json!({
        "program": facts.schedule.name,
        "levels": facts.schedule.levels.iter().map(level).collect::<Vec<_>>(),
        "config": config,
        "seed": facts.seed,
        "betty": versions::BETTY,
        "burn": versions::BURN,
        "build": versions::BUILD,
    }))
}

/// An event, without its iteration.
fn fields(event: &Event<'_>) -> Map<String, Value> {
    object(match *event {
        Event::Started { until, .. } => json!({"event": "started", "until": until}),
        Event::Resumed { .. } => json!({"event": "resumed"}),
        Event::Ended { reason, .. } => json!({"event": "ended", "reason": reason}),
        Event::Step { name, step, loss, metrics, gradient_norm, learning_rate, looks_ahead, .. } => json!({
            "event": "step", "level": name, "step": step, "loss": loss, "metrics": named(metrics),
            "gradient_norm": gradient_norm, "learning_rate": learning_rate, "looks_ahead": looks_ahead,
        }),
        Event::Solved { name, solver, step, iterations, evaluations, loss, gradient_norm, converged, .. } => json!({
            "event": "solved", "level": name, "solver": solver, "step": step, "iterations": iterations,
            "evaluations": evaluations, "loss": loss, "gradient_norm": gradient_norm, "converged": converged,
        }),
        Event::Hypergradient { name, through, products, residual, .. } => json!({
            "event": "hypergradient", "level": name, "through": through, "products": products, "residual": residual,
        }),
        Event::Unfinished { name, through, iterations, is_used_up, residual, tolerance, .. } => json!({
            "event": "unfinished", "level": name, "through": through, "iterations": iterations, "used_up": is_used_up,
            "residual": residual, "tolerance": tolerance,
        }),
        Event::Parts { name, direct, indirect, cosine, .. } => json!({
            "event": "parts", "level": name, "direct": direct, "indirect": indirect, "cosine": cosine,
        }),
        Event::Runaway { name, step, norm, ratio, advice, .. } => json!({
            "event": "runaway", "level": name, "step": step, "norm": norm, "ratio": ratio, "advice": advice,
        }),
        Event::Rounding { name, difference, .. } => {
            json!({"event": "rounding", "level": name, "difference": difference})
        }
        Event::Unverified { name, tries, reason, .. } => {
            json!({"event": "unverified", "level": name, "tries": tries, "reason": reason})
        }
        Event::ZeroEdge { name, other, .. } => json!({"event": "zero_edge", "level": name, "other": other}),
        Event::OneByOne { name, through, method, tasks, .. } => json!({
            "event": "one_by_one", "level": name, "lower": through, "method": method, "tasks": tasks,
        }),
        Event::LastTask { name, method, tasks, .. } => json!({
            "event": "last_task", "level": name, "method": method, "tasks": tasks,
        }),
        Event::LastRead { name, method, read, .. } => json!({
            "event": "last_read", "level": name, "method": method, "read": read,
        }),
        Event::Costly { name, kernels, joint, partial, .. } => json!({
            "event": "costly", "level": name, "kernels": kernels, "joint": joint, "partial": partial,
        }),
        Event::Retraced { name, count, verified, advice, .. } => json!({
            "event": "retraced", "level": name, "count": count, "verified": verified, "advice": advice,
        }),
        Event::Iteration { .. } => json!({"event": "iteration"}),
        Event::Validation { value, best, metrics, .. } => {
            json!({"event": "validation", "value": value, "best": best, "metrics": named(metrics)})
        }
        Event::Explained(explanation) => {
            let level = |level: &LevelCost| {
                let LevelCost { level, within, peak, kept, .. } = level;
                json!({"level": level, "bytes_at_once": peak, "bytes_kept": kept, "within": within})
            };
            let total = explanation.total();
            json!({
                "event": "explained", "kernels": total.kernels, "operations": total.operations, "bytes_moved": total.bytes,
                "levels": explanation.levels.iter().map(level).collect::<Vec<_>>(),
            })
        }
        Event::Checked(check) => {
            let through = |response: &ResponseCheck| {
                let (smallest, largest) = (response.spectrum.smallest, response.spectrum.largest);
                json!({
                    "level": response.level, "method": response.method, "residual": response.residual,
                    "smallest_eigenvalue": smallest.value, "smallest_error": smallest.error,
                    "largest_eigenvalue": largest.value, "largest_error": largest.error, "distance": response.distance,
                })
            };
            json!({
                "event": "checked", "level": check.level, "relative_error": check.relative_error, "cosine": check.cosine,
                "judged": check.is_judged(), "through": check.responses.iter().map(through).collect::<Vec<_>>(),
            })
        }
        Event::Warning(warning) => json!({
            "event": "warning", "rule": warning.rule, "level": warning.level, "fact": warning.fact,
            "advice": warning.advice,
        }),
        Event::Saving { file, .. } => json!({"event": "saving", "file": file.display().to_string()}),
        Event::SaveFailed { file, reason, next, .. } => json!({
            "event": "save_failed", "file": file.display().to_string(), "reason": reason, "next": next,
        }),
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn named(metrics: &[(Rc<str>, f64)]) -> Value {
    Value::Object(metrics.iter().map(|(name, value)| (name.to_string(), json!(value))).collect())
}

/// The lines up to an iteration.
fn keep(bytes: &[u8], last: u64) -> Result<Vec<u8>, String> {
    lines_until(bytes, last, |line| {
        let object: Value = serde_json::from_str(line).ok()?;
        object.get("event").and(object.get("iteration"))?.as_u64()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_after_the_iteration_go_and_those_of_others_are_refused() {
        let text = "{\"event\":\"started\",\"iteration\":0}\n{\"event\":\"step\",\"iteration\":7}\n{\"ev";
        let first = "{\"event\":\"started\",\"iteration\":0}\n";
        assert_eq!(keep(text.as_bytes(), 6).expect("ours"), first.as_bytes());
        assert_eq!(keep(b"{\"iteration\":1}\n", 6).expect_err("somebody's"), "its line 1 is none of this observer's");
    }
}
