//! A progress bar with losses, rate and remaining time, as an observer of one run.

use indicatif::{ProgressBar, ProgressStyle};

use super::event::Event;
use super::watch::{Answer, Listener};

struct Progress {
    bar: ProgressBar,
    /// The last loss of each level, in the order of their numbers.
    losses: Vec<Option<(&'static str, f64)>>,
}

/// The bar of a run of so many iterations, over these levels.
pub(super) fn progress(name: &str, iterations: u64, levels: Vec<&'static str>) -> Listener {
    let bar = ProgressBar::new(iterations);
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {per_sec:>10}, {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_prefix(name.to_owned());
    let mut progress = Progress { bar, losses: vec![None; levels.len()] };
    Box::new(move |event, _| {
        match *event {
            Event::Step { level, loss, .. } => progress.losses[level] = Some((levels[level], loss)),
            Event::Iteration { .. } => progress.update(),
            _ => {}
        }
        Answer::default()
    })
}

impl Progress {
    fn update(&mut self) {
        self.bar.inc(1);
        // The bar redraws a few times a second; only then is the text worth making.
        let text: Vec<String> = self.losses.iter().flatten().map(|(name, loss)| format!("{name} {loss:.4}")).collect();
        self.bar.set_message(text.join("  "));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.abandon();
    }
}
