//! A progress bar with losses, rate and remaining time.

use indicatif::{ProgressBar, ProgressStyle};

pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(name: &str, iterations: u64) -> Self {
        let bar = ProgressBar::new(iterations);
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {per_sec:>10}, {eta} left  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_prefix(name.to_owned());
        Progress { bar }
    }

    pub(super) fn update(&mut self, losses: impl Iterator<Item = (&'static str, Option<f64>)>) {
        self.bar.inc(1);
        // The bar redraws a few times a second; only then is the text worth making.
        let text: Vec<String> = losses.filter_map(|(name, loss)| Some(format!("{name} {:.4}", loss?))).collect();
        self.bar.set_message(text.join("  "));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.abandon();
    }
}
