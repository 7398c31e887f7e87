//! Corrupting labels on purpose, and remembering which.

use rand::RngExt;
use rand::seq::index;

use super::dataset::Dataset;

/// A data set some of whose labels are wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Noisy {
    /// The examples under their given labels.
    pub examples: Dataset,
    /// Which of them have a wrong label.
    pub corrupted: Vec<bool>,
}

/// Labels that cannot be corrupted as asked.
#[derive(Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoiseError {
    /// Not a share.
    #[error("the share of corrupted labels must be in 0..=1, but is {0}")]
    Share(f64),
    /// A wrong label needs a second class.
    #[error("labels cannot be corrupted with {0} class(es): a wrong label needs another class")]
    Classes(usize),
}

betty_runtime::debug_as_report!(NoiseError);

/// Which label a corrupted example gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WrongLabel {
    /// One of the other classes, all equally likely.
    #[default]
    Any,
    /// The class after the right one, the first after the last: a systematic confusion, which a classifier learns.
    Next,
}

impl Noisy {
    /// Gives the share `noise` of all examples a wrong label.
    ///
    /// # Errors
    /// When `noise` is not in 0..=1, or there is no other class.
    pub fn corrupt(
        examples: &Dataset,
        noise: f64,
        wrong: WrongLabel,
        rng: &mut impl RngExt,
    ) -> Result<Self, NoiseError> {
        if !(0.0..=1.0).contains(&noise) {
            return Err(NoiseError::Share(noise));
        }
        let classes = examples.classes();
        if classes < 2 {
            return Err(NoiseError::Classes(classes));
        }
        let count = (noise * examples.len() as f64).round() as usize;
        let mut labels = examples.labels().to_vec();
        let mut corrupted = vec![false; labels.len()];
        for index in index::sample(rng, labels.len(), count) {
            let distance = match wrong {
                WrongLabel::Any => rng.random_range(1..classes),
                WrongLabel::Next => 1,
            };
            let other = (usize::from(labels[index]) + distance) % classes;
            labels[index] = other as u8;
            corrupted[index] = true;
        }
        Ok(Noisy { examples: examples.relabelled(labels), corrupted })
    }

    /// The examples whose label is right.
    pub fn intact(&self) -> Dataset {
        let intact: Vec<usize> = (0..self.corrupted.len()).filter(|&index| !self.corrupted[index]).collect();
        self.examples.subset(&intact)
    }
}
