//! Which examples make a batch, epoch by epoch.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::failure::Failure;
use crate::ranks::Ranks;

/// Batches of equal size over shuffled examples.
///
/// Equal sizes let one trace of a loss serve all of them: the incomplete batch at an epoch's end is left out, and a batch
/// size above the number of examples means all examples at once, in their own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    examples: usize,
    size: usize,
    seed: u64,
}

impl Batches {
    /// Batches of `size` out of so many `examples`.
    pub fn new(examples: usize, size: usize, seed: u64) -> Self {
        Batches { examples, size: size.clamp(1, examples.max(1)), seed }
    }

    /// How many examples a batch has.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The batches of epoch `number`, each as indices of examples; the same for the same seed.
    pub fn epoch(&self, number: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.examples).collect();
        if self.size < self.examples {
            // Seeds and epochs are small numbers; far apart, no two epochs of any two seeds coincide.
            let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number as u64);
            order.shuffle(&mut StdRng::seed_from_u64(seed));
        }
        order.chunks_exact(self.size).map(<[usize]>::to_vec).collect()
    }

    /// All epochs, one after the other; endless unless there is no example.
    pub fn endless(self) -> impl Iterator<Item = Vec<usize>> {
        let epochs = if self.examples == 0 { 0..0 } else { 0..usize::MAX };
        epochs.flat_map(move |number| self.epoch(number))
    }

    /// The share of this rank of each: those of all ranks are the whole batches.
    ///
    /// # Errors
    /// [`Failure::TooFewExamples`] where a batch has not one example for each rank.
    pub fn shared(self, ranks: &Ranks) -> Result<impl Iterator<Item = Vec<usize>> + use<>, Failure> {
        ranks.check_batch(self.size)?;
        let share = ranks.share(self.size);
        Ok(self.endless().map(move |batch| batch[share.clone()].to_vec()))
    }
}
