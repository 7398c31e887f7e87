//! What a validation function answers, and which answer is better.

use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

/// Whether a smaller or a larger value is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Smaller is better: a loss.
    Min,
    /// Larger is better: an accuracy.
    Max,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Goal::Min => "the smallest value",
            Goal::Max => "the largest value",
        })
    }
}

/// The number by which a program is judged, and named numbers beside it, which are told of with it.
///
/// ```
/// use betty_runtime::Score;
///
/// let score = Score::new(0.31).with("accuracy", 0.92).with("calibration", 0.04);
/// assert_eq!(score.value, 0.31);
/// assert_eq!(&*score.metrics[0].0, "accuracy");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// What is compared with the best so far.
    pub value: f64,
    /// What is not: names and values.
    pub metrics: Vec<(Rc<str>, f64)>,
}

impl Score {
    /// A number alone.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Score { value, metrics: Vec::new() }
    }

    /// The same with a metric more.
    #[must_use]
    pub fn with(mut self, name: impl Into<Rc<str>>, value: f64) -> Self {
        self.metrics.push((name.into(), value));
        self
    }
}

impl From<f64> for Score {
    fn from(value: f64) -> Self {
        Score::new(value)
    }
}
