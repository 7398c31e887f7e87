//! Lines for people: where the run is, every few iterations.

use std::io::{self, IsTerminal as _, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::error::DataError;
use crate::schedule::Schedule;
use crate::{Current, Event, Looks, Multilevel, Observer};

/// Writes a line every few iterations, with the last loss and the metrics of every level and the rate, and one for every
/// validation, warning and end. On a terminal warnings stand out, unless the environment says `NO_COLOR`; elsewhere everything is
/// plain text. What nobody can read any more is dropped: a terminal that goes away ends no run.
///
/// ```text
/// iteration 200/1000  weights 0.4021  model 0.1187 (accuracy 0.962)  48.1/s, 17 s left
/// validation after iteration 200: 0.1204 (best)  accuracy 0.958
/// ```
pub struct Console {
    every: u64,
    out: Box<dyn Write>,
    styled: bool,
    run: Option<Run>,
}

/// The run that is going on.
struct Run {
    first: u64,
    until: u64,
    start: Instant,
    /// What each level said at its last step.
    levels: Vec<(&'static str, String)>,
}

impl Console {
    /// Writes to standard error, after every `iterations` iterations (at least 1).
    #[must_use]
    pub fn every(iterations: u64) -> Self {
        let styled = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Console { styled, ..Self::to(io::stderr(), iterations) }
    }

    /// Writes plain text to somewhere else.
    #[must_use]
    pub fn to(out: impl Write + 'static, iterations: u64) -> Self {
        Console { every: iterations.max(1), out: Box::new(out), styled: false, run: None }
    }

    fn line(&mut self, text: &str) {
        drop(writeln!(self.out, "{text}").and_then(|()| self.out.flush()));
    }

    fn say(&mut self, event: &Event<'_>, schedule: &Schedule) {
        if let Some(warning) = event.warning() {
            let (on, off) = if self.styled { ("\x1b[1;33m", "\x1b[0m") } else { ("", "") };
            self.line(&format!("{on}warning:{off} {}; {}", warning.fact, warning.advice));
        }
        match *event {
            Event::Started { iteration: first, until } => {
                let levels = schedule.levels.iter().map(|level| (level.name, String::new())).collect();
                self.run = Some(Run { first, until, start: Instant::now(), levels });
            }
            Event::Resumed { iteration } => self.line(&format!("going on after iteration {iteration}")),
            Event::Step { level, loss, metrics, looks_ahead: false, .. } => {
                if let Some(run) = &mut self.run {
                    run.levels[level].1 = format!("{loss:.4}") + &listed(metrics, " (", ", ", ")");
                }
            }
            Event::Iteration { iteration } if iteration.is_multiple_of(self.every) => {
                if let Some(text) = self.run.as_ref().map(|run| run.at(iteration)) {
                    self.line(&text);
                }
            }
            Event::Validation { iteration, value, best, metrics } => {
                let best = if best { " (best)" } else { "" };
                let metrics = listed(metrics, "  ", "  ", "");
                self.line(&format!("validation after iteration {iteration}: {value:.4}{best}{metrics}"));
            }
            Event::Ended { iteration, reason } => {
                let taken = self.run.take().map(|run| format!(" after {}", seconds(run.start.elapsed())));
                let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                self.line(&format!("ended at iteration {iteration}{}{reason}", taken.unwrap_or_default()));
            }
            _ => {}
        }
    }
}

impl Run {
    fn at(&self, iteration: u64) -> String {
        let mut text = format!("iteration {iteration}/{}", self.until);
        for (name, said) in self.levels.iter().filter(|(_, said)| !said.is_empty()) {
            text += &format!("  {name} {said}");
        }
        let (done, left) = (iteration.saturating_sub(self.first), self.until.saturating_sub(iteration));
        let rate = done as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
        let left = Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX);
        text + &format!("  {rate:.1}/s, {} left", seconds(left))
    }
}

impl<P: Multilevel> Observer<P> for Console {
    fn hear(&mut self, event: &Event<'_>, _program: &Current<'_, P>) -> Result<ControlFlow<String>, DataError> {
        self.say(event, &P::SCHEDULE);
        Ok(ControlFlow::Continue(()))
    }

    fn looks(&self) -> Looks {
        Looks::Never
    }
}

/// Names and values between texts; nothing if there are none.
fn listed(metrics: &[(std::rc::Rc<str>, f64)], before: &str, between: &str, after: &str) -> String {
    if metrics.is_empty() {
        return String::new();
    }
    let each: Vec<String> = metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
    format!("{before}{}{after}", each.join(between))
}

/// A time as people say it.
fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        all @ 10..100 => format!("{all} s"),
        all @ 100..6000 => format!("{} min", all / 60),
        all => format!("{} h {} min", all / 3600, all / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_what_people_count_them() {
        let told = [0.04, 9.9, 17.6, 99.0, 150.0, 7260.0].map(|time| seconds(Duration::from_secs_f64(time)));
        assert_eq!(told, ["0.0 s", "9.9 s", "17 s", "99 s", "2 min", "2 h 1 min"]);
    }
}
