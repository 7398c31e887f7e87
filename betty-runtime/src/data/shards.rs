//! Data divided among the ranks of a distributed run.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::Stream;
use super::source::{Ask, Marked, Next, Past, Source};
use crate::execute::mix;
use crate::trace::Batch;

/// Which examples of a data set a rank sees, batch by batch: in every epoch each example is seen once, by one rank, in an order
/// that is drawn anew and the same for all.
///
/// A step of all ranks takes `batch · size` examples. What is left at the end of an epoch is one more batch, divided as evenly as
/// can be; where that is fewer examples than ranks, it is part of the batch before. All ranks have equally many batches.
///
/// ```
/// use betty_runtime::Shards;
///
/// let of_rank = |rank| Shards { examples: 10, batch: 2, rank, size: 2, seed: 0 };
/// let batches: Vec<Vec<usize>> = of_rank(0).epoch(0).chain(of_rank(1).epoch(0)).collect();
/// assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1, 2, 2, 1]);
/// let mut seen = batches.concat();
/// seen.sort_unstable();
/// assert!(seen.into_iter().eq(0..10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards {
    /// How many examples there are.
    pub examples: usize,
    /// How many of them a rank sees at once; at least 1.
    pub batch: usize,
    /// The number of the rank.
    pub rank: usize,
    /// How many ranks there are.
    pub size: usize,
    /// Decides the order of examples, together with the number of the epoch; the same on all ranks.
    pub seed: u64,
}

impl Shards {
    /// The batches of the rank in one epoch, as places of their examples in the data set: none if there are fewer examples than
    /// ranks.
    pub fn epoch(&self, number: usize) -> impl Iterator<Item = Vec<usize>> + use<> {
        let Shards { examples, rank, size, seed, .. } = *self;
        let (batch, size) = (self.batch.max(1), size.max(1));
        let mut order: Vec<usize> = (0..examples).collect();
        order.shuffle(&mut StdRng::seed_from_u64(mix(seed, number as u64)));
        let (whole, rest) = (examples / (batch * size), examples % (batch * size));
        let mut steps = vec![batch * size; whole];
        match steps.last_mut() {
            Some(last) if rest < size => *last += rest,
            None if rest < size => {}
            _ => steps.push(rest),
        }
        let mut taken = 0;
        steps.into_iter().map(move |step| {
            let at = |rank: usize| taken + step * rank / size;
            let own = order[at(rank)..at(rank + 1)].to_vec();
            taken += step;
            own
        })
    }
}

impl<B: Batch> Stream<B> {
    /// One of every `size` batches, in turns: batch `n` of a rank is number `n · size + rank` of this stream, so that ranks that have
    /// made the same stream see different batches of it. The stream ends where there is not one more for every rank.
    ///
    /// Every rank draws all batches, and keeps its own; where drawing takes long, divide the examples with [`Shards`].
    ///
    /// One data loader that shuffles, shared by ranks that are threads, is not the same stream on each: every [`Stream::loader`] has an
    /// order of its own, and examples would come twice or never. Let each rank build its loader, with the same seed.
    #[must_use]
    pub fn sharded(self, rank: usize, size: usize) -> Self {
        let drawn = Marked::new((0, None));
        Stream { source: Box::new(Sharded { stream: self, rank, size: size.max(1), drawn }) }
    }
}

struct Sharded<B> {
    stream: Stream<B>,
    rank: usize,
    size: usize,
    /// How many of the batches in hand have been drawn, and the rank's own: after a failure, those before it are not lost.
    drawn: Marked<(usize, Option<Option<B>>)>,
}

impl<B: Batch> Source<B> for Sharded<B> {
    fn next(&mut self, ask: &Ask<'_>) -> Next<B> {
        while self.drawn.now.0 < self.size {
            let is_own = self.drawn.now.0 == self.rank;
            // What another rank has is gone past, and what is made for a number for the one that it has in the stream.
            let ask = match *ask {
                Ask::Next { program, taken } if is_own => {
                    Ask::Next { program, taken: taken * self.size as u64 + self.rank as u64 }
                }
                _ => Ask::Skip,
            };
            match self.stream.source.next(&ask)? {
                Ok(batch) if is_own => self.drawn.now.1 = Some(batch),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            self.drawn.now.0 += 1;
        }
        let (_, own) = std::mem::take(&mut self.drawn.now);
        Some(Ok(own.flatten()))
    }

    fn reads_program(&self) -> bool {
        self.stream.source.reads_program()
    }

    fn turn(&mut self, past: Past) {
        self.stream.source.turn(past);
        self.drawn.turn(past);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::data::BatchStream;

    #[test]
    fn an_epoch_has_every_example_once_and_every_rank_one_in_each_step() {
        for size in 1..6 {
            for batch in 1..5 {
                for examples in size..40 {
                    let of_rank = |rank| Shards { examples, batch, rank, size, seed: 3 };
                    let ranks: Vec<Vec<Vec<usize>>> = (0..size).map(|rank| of_rank(rank).epoch(1).collect()).collect();
                    assert!(ranks.iter().all(|batches| batches.len() == ranks[0].len()), "{examples} {batch} {size}");
                    let all = ranks.iter().flatten();
                    assert!(all.clone().all(|of| !of.is_empty() && of.len() <= batch + 1), "{examples} {batch} {size}");
                    let seen: Vec<usize> = all.flatten().copied().collect();
                    assert_eq!(seen.len(), examples);
                    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), examples);
                }
            }
        }
    }

    #[test]
    fn epochs_differ_and_seeds_decide() {
        let shards = |seed| Shards { examples: 30, batch: 5, rank: 0, size: 2, seed };
        let first = |seed, epoch| shards(seed).epoch(epoch).next();
        assert_eq!(first(1, 4), first(1, 4));
        assert_ne!(first(1, 4), first(1, 5));
        assert_ne!(first(1, 4), first(2, 4));
    }

    #[test]
    fn ranks_take_turns_and_end_together() {
        let numbers = |count: u64| Stream::batches((0..count).map(Ok::<_, std::io::Error>));
        let drawn = |rank, count| {
            let mut stream = numbers(count).sharded(rank, 3);
            let next = || stream.source.next(&Ask::Next { program: None, taken: 0 });
            std::iter::from_fn(next).filter_map(|batch| batch.ok().flatten()).collect::<Vec<u64>>()
        };
        assert_eq!(drawn(0, 8), [0, 3]);
        assert_eq!(drawn(2, 8), [2, 5]);
        assert_eq!(drawn(1, 9), [1, 4, 7]);
    }

    #[test]
    fn what_is_made_for_a_number_is_made_for_that_of_the_whole_stream() {
        let made = |rank| {
            let made = Stream::of_program(|offset: &u64, taken| Ok::<_, std::io::Error>(offset + taken));
            let mut stream = made.sharded(rank, 3);
            let next = |taken| stream.next_batch_of(&100_u64, taken).expect("no error").expect("a batch");
            (0..3).map(next).map(|batch| *batch.downcast::<u64>().expect("its type")).collect::<Vec<u64>>()
        };
        assert_eq!([made(0), made(1), made(2)], [[100, 103, 106], [101, 104, 107], [102, 105, 108]]);
    }

    #[test]
    fn a_failure_loses_no_turn() {
        let batches = [Ok(0_u64), Ok(1), Err("read error"), Ok(2), Ok(3)];
        let mut stream = Stream::batches(batches).sharded(1, 2);
        let mut next = || stream.source.next(&Ask::Next { program: None, taken: 0 });
        assert!(matches!(next(), Some(Ok(Some(1)))));
        assert!(matches!(next(), Some(Err(_))));
        assert!(matches!(next(), Some(Ok(Some(3)))));
        assert!(next().is_none());
    }
}
