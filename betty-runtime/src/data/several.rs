//! Several batches of one stream at once.

use super::Stream;
use super::source::{Ask, Marked, Next, Past, Source};
use crate::trace::Batch;

impl<B: Batch> Stream<B> {
    /// Batches in vectors of `count`, in order: for a level whose loss reads several of one stream at each step, the two halves of
    /// a contrastive pair say, or a batch to adapt to and one to judge by.
    ///
    /// A vector that the stream ends within is dropped. One within which it fails is gone on with at the next asking. Batches
    /// that depend on the [program](Self::of_program) are made for the numbers that they have in the stream.
    ///
    /// ```
    /// use betty_runtime::Stream;
    /// use burn::tensor::Tensor;
    ///
    /// /// How far two batches are from each other in the mean.
    /// fn apart(batches: Vec<Tensor<2>>) -> Tensor<1> {
    ///     let [first, second] = <[Tensor<2>; 2]>::try_from(batches).expect("two batches");
    ///     (first - second).square().mean()
    /// }
    /// # fn example(images: Stream<Tensor<2>>) {
    /// let pairs: Stream<Vec<Tensor<2>>> = images.several(2);
    /// # }
    /// ```
    #[must_use]
    pub fn several(self, count: usize) -> Stream<Vec<B>> {
        Stream { source: Box::new(Several { stream: self, count, waiting: Marked::new(Vec::new()) }) }
    }
}

struct Several<B> {
    stream: Stream<B>,
    count: usize,
    /// The first batches of a vector, the next of which could not be read.
    waiting: Marked<Vec<Option<B>>>,
}

impl<B: Batch> Source<Vec<B>> for Several<B> {
    fn next(&mut self, ask: &Ask<'_>) -> Next<Vec<B>> {
        let mut batches = std::mem::take(&mut self.waiting.now);
        if matches!(ask, Ask::Next { .. }) && batches.iter().any(Option::is_none) {
            // What was gone past when another one failed is not known.
            batches.clear();
        }
        while batches.len() < self.count {
            let ask = match *ask {
                Ask::Next { program, taken } => {
                    Ask::Next { program, taken: taken * self.count as u64 + batches.len() as u64 }
                }
                Ask::Skip => Ask::Skip,
            };
            match self.stream.source.next(&ask)? {
                Ok(batch) => batches.push(batch),
                Err(error) => {
                    self.waiting.now = batches;
                    return Some(Err(error));
                }
            }
        }
        Some(Ok(batches.into_iter().collect()))
    }

    fn reads_program(&self) -> bool {
        self.stream.source.reads_program()
    }

    fn turn(&mut self, past: Past) {
        self.stream.source.turn(past);
        self.waiting.turn(past);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::data::BatchStream;

    fn finite(numbers: Vec<Result<u64, &'static str>>) -> Stream<u64> {
        Stream::batches(numbers)
    }

    fn next(stream: &mut Stream<Vec<u64>>) -> Vec<u64> {
        let batch = stream.next_batch().expect("no error").expect("a batch");
        batch.downcast::<Vec<u64>>().expect("the stream's type").clone()
    }

    #[test]
    fn batches_come_in_vectors_and_the_rest_is_dropped() {
        let mut pairs = finite((0..5).map(Ok).collect()).several(2);
        assert_eq!((next(&mut pairs), next(&mut pairs)), (vec![0, 1], vec![2, 3]));
        assert!(pairs.next_batch().expect("no error").is_none());
    }

    #[test]
    fn a_vector_in_which_a_batch_fails_is_gone_on_with() {
        let mut threes = finite(vec![Ok(0), Ok(1), Err("gone"), Ok(2), Ok(3)]).several(3);
        assert_eq!(threes.next_batch().err().expect("an error").to_string(), "gone");
        assert_eq!(next(&mut threes), [0, 1, 2]);
    }

    #[test]
    fn what_was_only_looked_at_comes_again_and_what_is_gone_past_does_not() {
        let mut pairs = finite((0..12).map(Ok).collect()).several(2);
        next(&mut pairs);
        pairs.mark();
        assert_eq!((next(&mut pairs), next(&mut pairs)), (vec![2, 3], vec![4, 5]));
        pairs.undo();
        assert_eq!(next(&mut pairs), [2, 3]);
        assert!(pairs.skip_batch().expect("no error"));
        assert_eq!(next(&mut pairs), [6, 7]);
    }

    #[test]
    fn batches_of_a_program_have_numbers_of_their_own() {
        let mut pairs = Stream::of_program(|offset: &u64, taken| Ok::<_, io::Error>(offset + taken)).several(2);
        let mut at = |taken| -> Vec<u64> {
            let batch = pairs.next_batch_of(&100_u64, taken).expect("no error").expect("a batch");
            batch.downcast::<Vec<u64>>().expect("the stream's type").clone()
        };
        assert_eq!((at(0), at(1)), (vec![100, 101], vec![102, 103]));
    }
}
