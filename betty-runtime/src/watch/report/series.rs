//! A curve that stays small however long a run is.

use serde::{Deserialize, Serialize};

/// The most points of a curve, beyond which every two become one.
const MOST: usize = 800;

/// A number over iterations, each point the mean of as many values as the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Series {
    /// The iteration of the last value of a point, and their mean.
    pub(super) points: Vec<(u64, f64)>,
    /// Values for each point.
    each: u64,
    /// Of the point in hand: how many values, and their sum.
    gathered: (u64, f64),
    /// The last value, with its iteration: what was gathered ends there.
    #[serde(default)]
    newest: Option<(u64, f64)>,
}

impl Default for Series {
    fn default() -> Self {
        Series { points: Vec::new(), each: 1, gathered: (0, 0.0), newest: None }
    }
}

impl Series {
    /// Adds a value; those that are not finite have no place in a curve.
    pub(super) fn push(&mut self, iteration: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.gathered = (self.gathered.0 + 1, self.gathered.1 + value);
        self.newest = Some((iteration, value));
        if self.gathered.0 < self.each {
            return;
        }
        let (count, sum) = std::mem::take(&mut self.gathered);
        self.points.push((iteration, sum / count as f64));
        if self.points.len() >= MOST {
            let pairs = self.points.chunks(2);
            self.points = pairs.map(|pair| (pair[pair.len() - 1].0, mean(pair))).collect();
            self.each *= 2;
        }
    }

    /// Forgets what came after an iteration.
    pub(super) fn cut(&mut self, last: u64) {
        self.points.retain(|(iteration, _)| *iteration <= last);
        if self.newest.is_some_and(|(iteration, _)| iteration > last) {
            (self.gathered, self.newest) = ((0, 0.0), self.points.last().copied());
        }
    }

    /// The last value; after a [`cut`](Self::cut) the last point.
    pub(super) fn last(&self) -> Option<f64> {
        self.newest.map(|(_, value)| value)
    }
}

fn mean(pair: &[(u64, f64)]) -> f64 {
    pair.iter().map(|(_, value)| value).sum::<f64>() / pair.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_stays_small_and_keeps_its_means() {
        let mut series = Series::default();
        (1..=100_000).for_each(|iteration| series.push(iteration, iteration as f64));
        assert!((MOST / 2 - 1..MOST).contains(&series.points.len()), "{}", series.points.len());
        for pair in series.points.windows(2) {
            let ((before, _), (last, mean)) = (pair[0], pair[1]);
            assert_eq!(mean, (before + 1 + last) as f64 / 2.0);
        }
        // It ends with a value, which is no mean.
        assert_eq!(series.last(), Some(100_000.0));
        // A run in many parts, each of which begins after all that there is.
        let mut parts = Series::default();
        for iteration in 1..=100_000 {
            parts.push(iteration, iteration as f64);
            parts.cut(iteration);
        }
        assert_eq!(parts, series);
        series.push(100_001, f64::NAN);
        series.cut(50_000);
        assert!(
            series
                .points
                .last()
                .is_some_and(|(iteration, value)| *iteration <= 50_000 && series.last() == Some(*value))
        );
    }
}
