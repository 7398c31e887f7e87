//! Iterations that take longer and longer.

use std::time::Instant;

use crate::{Event, Warning};

/// The first iterations record and compile, and are left out.
const SKIPPED: u64 = 10;
/// Iterations whose median is compared.
const WINDOW: usize = 50;
/// This many times as long is told of.
const FACTOR: f64 = 3.0;
/// Slow for so long, in seconds, is no accident: somebody else may have had the machine for a while.
const LASTING: f64 = 10.0;
/// Shorter iterations, in seconds, are at the mercy of the system.
const LEAST: f64 = 1e-3;

/// How long iterations take.
#[derive(Debug, Default)]
pub(super) struct Pace {
    began: Option<Instant>,
    count: u64,
    /// The median of the first window.
    first: Option<f64>,
    window: Vec<f64>,
    /// Windows in a row that took too long, and the seconds of all of them.
    slow: (u32, f64),
}

impl Pace {
    /// A run begins, or goes on: the time between runs is none of an iteration.
    pub(super) fn begin(&mut self) {
        self.began = Some(Instant::now());
    }

    pub(super) fn hear(&mut self, event: &Event<'_>) -> Option<Warning> {
        let Event::Iteration { .. } = event else { return None };
        let began = self.began.replace(Instant::now())?;
        self.note(began.elapsed().as_secs_f64())
    }

    fn note(&mut self, seconds: f64) -> Option<Warning> {
        self.count += 1;
        if self.count <= SKIPPED {
            return None;
        }
        self.window.push(seconds);
        if self.window.len() < WINDOW {
            return None;
        }
        let mut window = std::mem::take(&mut self.window);
        let took: f64 = window.iter().sum();
        window.sort_by(f64::total_cmp);
        let median = window[WINDOW / 2];
        let first = *self.first.get_or_insert(median);
        let is_slow = median > FACTOR * first.max(LEAST);
        let is_lasting = |(windows, seconds): (u32, f64)| windows >= 2 && seconds >= LASTING;
        let before = self.slow;
        self.slow = if is_slow { (before.0 + 1, before.1 + took) } else { (0, 0.0) };
        (is_lasting(self.slow) && !is_lasting(before)).then(|| Warning {
            rule: "slowing".into(),
            level: None,
            fact: format!("iterations take {:.1} times as long as they did: {median:.2e} s instead of {first:.2e} s", median / first),
            advice: "see whether somebody else uses the machine, whether memory runs out, and whether data or observers get slower"
                .into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_slows_down_is_told_of_once() {
        let mut pace = Pace::default();
        let mut told = |seconds: f64, count: usize| (0..count).filter(|_| pace.note(seconds).is_some()).count();
        assert_eq!(told(1.0, 10), 0, "compiling");
        assert_eq!(told(0.01, 200), 0);
        assert_eq!(told(0.1, 50), 0, "somebody else had the machine");
        assert_eq!(told(0.01, 100), 0);
        assert_eq!(told(0.05, 400), 1);
        // Also in a loop of short runs.
        let mut pace = Pace::default();
        let mut told = |seconds: f64| {
            pace.begin();
            pace.note(seconds).is_some()
        };
        assert!(!(0..200).any(|_| told(0.01)) && (0..400).any(|_| told(0.05)));
    }
}
