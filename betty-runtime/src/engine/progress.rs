//! A progress bar with losses, rate and remaining time, as an observer of one run.

use indicatif::{ProgressBar, ProgressStyle};

use super::watch::{Answer, Listener};
use crate::event::Event;

struct Progress {
    bar: ProgressBar,
    /// The last loss of each level.
    losses: Vec<(&'static str, Option<f64>)>,
}

/// The bar of a run of so many iterations, over these levels.
pub(super) fn progress(name: &str, iterations: u64, levels: Vec<&'static str>) -> Listener {
    let bar = ProgressBar::new(iterations);
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {per_sec:>10}, {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_prefix(name.to_owned());
    let mut progress = Progress { bar, losses: levels.into_iter().map(|name| (name, None)).collect() };
    Box::new(move |event, _| {
        progress.hear(event);
        Answer::default()
    })
}

impl Progress {
    fn hear(&mut self, event: &Event<'_>) {
        match *event {
            Event::Step { level, loss, .. } => self.losses[level].1 = Some(loss),
            Event::Iteration { .. } => {
                self.bar.inc(1);
                // The bar redraws a few times a second; only then is the text worth making.
                let text = self.losses.iter().filter_map(|(name, loss)| Some(format!("{name} {:.4}", (*loss)?)));
                self.bar.set_message(text.collect::<Vec<_>>().join("  "));
            }
            _ => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_tells_the_last_losses_after_each_iteration() {
        let losses = vec![("weights", None), ("model", None)];
        let mut progress = Progress { bar: ProgressBar::hidden(), losses };
        let mut step = |level, loss| {
            progress.hear(&Event::Step {
                level,
                name: "",
                step: 1,
                loss,
                metrics: &[],
                gradient_norm: 0.0,
                learning_rate: 0.0,
                looks_ahead: false,
            });
            progress.hear(&Event::Iteration { iteration: 1 });
            (progress.bar.position(), progress.bar.message())
        };
        assert_eq!(step(1, 0.5), (1, "model 0.5000".into()));
        assert_eq!(step(0, 2.0), (2, "weights 2.0000  model 0.5000".into()));
        assert_eq!(step(1, 0.25), (3, "weights 2.0000  model 0.2500".into()));
    }
}
