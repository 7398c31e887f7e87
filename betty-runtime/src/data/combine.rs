//! One stream made of several: side by side, or taking turns.

use super::Stream;
use super::source::{Ask, Marked, Next, Past, Source};
use crate::error::DataError;
use crate::execute::mix;
use crate::trace::{Batch, Number, Step};

/// What goes wrong where one stream is made of several.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// One of the sources failed.
    #[error("source number {number}: {source}")]
    Source {
        /// Which one, counted from 1.
        number: usize,
        /// What it said.
        source: DataError,
    },
    /// A mixture of nothing.
    #[error("a mixture needs at least one stream")]
    NoSources,
    /// A weight by which nothing can be chosen.
    #[error("the weight of source number {number} is {weight}; it must be a number greater than zero")]
    Weight {
        /// Which source, counted from 1.
        number: usize,
        /// Its weight.
        weight: f64,
    },
    /// Batches that depend on a program, where there is none.
    #[error(
        "the batches of `Stream::of_program` depend on a program, and there is none: give the stream to an `Engine`"
    )]
    NoProgram,
    /// Batches that depend on another program.
    #[error(
        "the stream makes batches of a program `{wanted}`, which is not the one that asks for them: name its own program, \
         `Stream::of_program(|program: &MyProgram, number| …)`"
    )]
    OtherProgram {
        /// The program that it is made for.
        wanted: &'static str,
    },
}

crate::report::debug_as_report!(StreamError);

impl<B: Batch> Stream<B> {
    /// Both streams side by side: one batch of each, as a pair. Each goes on at its own pace and begins its epochs where its
    /// own data end, so a short one comes round again while a long one goes on.
    ///
    /// The stream ends where one of both ends, and fails where one of both fails, with a [`StreamError::Source`].
    ///
    /// ```
    /// use betty_runtime::Stream;
    /// use burn::tensor::Tensor;
    ///
    /// # fn example(labelled: Stream<(Tensor<2>, Tensor<1>)>, unlabelled: Stream<Tensor<2>>) {
    /// let both: Stream<((Tensor<2>, Tensor<1>), Tensor<2>)> = labelled.zip(unlabelled);
    /// # }
    /// ```
    #[must_use]
    pub fn zip<C: Batch>(self, other: Stream<C>) -> Stream<(B, C)> {
        Stream { source: Box::new(Zip { first: self, second: other, waiting: Marked::new(None) }) }
    }

    /// Streams that take turns at random, each as often as its weight says in proportion to their sum. Equal seeds give
    /// equal turns, so a run that resumes sees them again.
    ///
    /// The stream ends where one ends whose turn it is, and fails where that one fails, with a [`StreamError::Source`]; the
    /// turn is then still its own.
    ///
    /// ```
    /// use betty_runtime::{Stream, StreamError};
    /// use burn::tensor::Tensor;
    ///
    /// # fn example(real: Stream<Tensor<2>>, synthetic: Stream<Tensor<2>>) -> Result<(), StreamError> {
    /// // Three quarters of the batches are real.
    /// let both = Stream::mix([(3.0, real), (1.0, synthetic)], 0)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StreamError`] if there is no stream, or a weight is not a number greater than zero.
    pub fn mix(sources: impl IntoIterator<Item = (f64, Self)>, seed: u64) -> Result<Self, StreamError> {
        let (weights, sources): (Vec<f64>, Vec<Self>) = sources.into_iter().unzip();
        if sources.is_empty() {
            return Err(StreamError::NoSources);
        }
        if let Some((index, &weight)) = weights.iter().enumerate().find(|(_, weight)| !is_weight(**weight)) {
            return Err(StreamError::Weight { number: index + 1, weight });
        }
        Ok(Stream { source: Box::new(Mix { weights, sources, seed, turns: Marked::new((0, None)) }) })
    }

    /// Every batch with its number, counted from `first`: for losses that change with the steps. A level that takes one batch a
    /// step sees the number of the step.
    ///
    /// As a [`Number`] it is an input of the recorded loss. A run that resumes with streams at their start counts on;
    /// a stream that was put elsewhere begins at what [`Checkpoint::batches`](crate::Checkpoint::batches) says.
    ///
    /// ```
    /// use betty_runtime::{Number, Stream};
    /// use burn::tensor::Tensor;
    ///
    /// // A temperature that falls by a tenth every hundred steps.
    /// fn annealed((scores, step): (Tensor<2>, Number)) -> Tensor<2> {
    ///     let temperature = (step.like(&scores) * (0.9_f64.ln() / 100.0)).exp();
    ///     scores / temperature
    /// }
    /// # fn example(scores: Stream<Tensor<2>>) {
    /// let numbered: Stream<(Tensor<2>, Number)> = scores.numbered(0);
    /// # }
    /// ```
    #[must_use]
    pub fn numbered(self, first: u64) -> Stream<(B, Number)> {
        Stream { source: Box::new(Numbered { stream: self, number: Marked::new(first) }) }
    }

    /// Every batch with the number of the [`Step`] that it is taken for, which the engine puts there: for losses that weigh, anneal or
    /// schedule by the step.
    #[must_use]
    pub fn stepped(self) -> Stream<(B, Step)> {
        self.map(|batch| (batch, Step::default()))
    }

    /// Every batch as `change` makes it: a pair of batches into a struct with names, for instance. Where batches depend on the
    /// [program](Self::of_program), it is shown each as often as that is computed, and none that a run goes past when it resumes.
    #[must_use]
    pub fn map<C: Batch>(self, change: impl FnMut(B) -> C + 'static) -> Stream<C> {
        Stream { source: Box::new(Map { stream: self, change }) }
    }
}

struct Zip<B, C> {
    first: Stream<B>,
    second: Stream<C>,
    /// A batch whose partner could not be read waits for it.
    waiting: Marked<Option<Option<B>>>,
}

impl<B: Batch, C: Batch> Source<(B, C)> for Zip<B, C> {
    fn next(&mut self, ask: &Ask<'_>) -> Next<(B, C)> {
        // One that was gone past when its partner failed is not known.
        let is_known = |first: &Option<B>| first.is_some() || matches!(ask, Ask::Skip);
        let first = match self.waiting.now.take().filter(is_known) {
            Some(first) => first,
            None => match self.first.source.next(ask)? {
                Ok(first) => first,
                Err(error) => return Some(Err(failed(0, error))),
            },
        };
        match self.second.source.next(ask)? {
            Ok(second) => Some(Ok(first.zip(second))),
            Err(error) => {
                self.waiting.now = Some(first);
                Some(Err(failed(1, error)))
            }
        }
    }

    fn reads_program(&self) -> bool {
        self.first.source.reads_program() || self.second.source.reads_program()
    }

    fn turn(&mut self, past: Past) {
        self.first.source.turn(past);
        self.second.source.turn(past);
        self.waiting.turn(past);
    }
}

struct Mix<B> {
    weights: Vec<f64>,
    sources: Vec<Stream<B>>,
    seed: u64,
    /// How many turns there were, and whose turn it is, if it has not come to its end.
    turns: Marked<(u64, Option<usize>)>,
}

impl<B: Batch> Source<B> for Mix<B> {
    fn next(&mut self, ask: &Ask<'_>) -> Next<B> {
        let Mix { weights, sources, seed, turns } = self;
        let (turns, turn) = &mut turns.now;
        let index = *turn.get_or_insert_with(|| {
            *turns += 1;
            choose(weights, mix(*seed, *turns))
        });
        let batch = sources[index].source.next(ask)?;
        if batch.is_ok() {
            *turn = None;
        }
        Some(batch.map_err(|error| failed(index, error)))
    }

    fn reads_program(&self) -> bool {
        self.sources.iter().any(|stream| stream.source.reads_program())
    }

    fn turn(&mut self, past: Past) {
        self.sources.iter_mut().for_each(|stream| stream.source.turn(past));
        self.turns.turn(past);
    }
}

struct Numbered<B> {
    stream: Stream<B>,
    number: Marked<u64>,
}

impl<B: Batch> Source<(B, Number)> for Numbered<B> {
    fn next(&mut self, ask: &Ask<'_>) -> Next<(B, Number)> {
        let number = self.number.now;
        let batch = self.stream.source.next(ask)?.map(|batch| Some((batch?, Number::new(number as f64))));
        self.number.now += u64::from(batch.is_ok());
        Some(batch)
    }

    fn reads_program(&self) -> bool {
        self.stream.source.reads_program()
    }

    fn turn(&mut self, past: Past) {
        self.stream.source.turn(past);
        self.number.turn(past);
    }
}

struct Map<B, F> {
    stream: Stream<B>,
    change: F,
}

impl<B: Batch, C: Batch, F: FnMut(B) -> C> Source<C> for Map<B, F> {
    fn next(&mut self, ask: &Ask<'_>) -> Next<C> {
        Some(self.stream.source.next(ask)?.map(|batch| batch.map(&mut self.change)))
    }

    fn reads_program(&self) -> bool {
        self.stream.source.reads_program()
    }

    fn turn(&mut self, past: Past) {
        self.stream.source.turn(past);
    }
}

fn failed(index: usize, source: DataError) -> DataError {
    StreamError::Source { number: index + 1, source }.into()
}

fn is_weight(weight: f64) -> bool {
    weight.is_finite() && weight > 0.0
}

/// The source on whose share of all weights these random bits fall.
fn choose(weights: &[f64], bits: u64) -> usize {
    // The upper 53 bits are a number in [0, 1).
    let mut place = (bits >> 11) as f64 / (1u64 << 53) as f64 * weights.iter().sum::<f64>();
    let before = weights.iter().take_while(|&&weight| {
        place -= weight;
        place >= 0.0
    });
    before.count().min(weights.len() - 1)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::data::BatchStream;

    /// `from`, `from + 1`, … in epochs of this length.
    fn count(from: u64, length: u64) -> Stream<u64> {
        Stream::epochs(move |_| (from..from + length).map(Ok::<_, io::Error>))
    }

    fn finite(numbers: Vec<Result<u64, &'static str>>) -> Stream<u64> {
        Stream::batches(numbers)
    }

    fn take<B: Batch>(stream: &mut Stream<B>, count: usize) -> Vec<B> {
        let mut next = || {
            let batch = stream.next_batch().expect("no error").expect("a batch");
            batch.downcast::<B>().expect("the stream's type").clone()
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn zipped_streams_go_round_on_their_own() {
        let mut both = count(0, 2).zip(count(10, 3));
        assert_eq!(take(&mut both, 5), [(0, 10), (1, 11), (0, 12), (1, 10), (0, 11)]);
    }

    #[test]
    fn a_zipped_stream_ends_with_the_shorter() {
        let short = || finite(vec![Ok(7)]);
        for mut both in [short().zip(count(0, 2)), count(0, 2).zip(short())] {
            take(&mut both, 1);
            assert!(both.next_batch().expect("no error").is_none());
        }
    }

    #[test]
    fn a_failing_source_is_named_and_its_partner_waits() {
        let mut both = count(0, 5).zip(finite(vec![Ok(10), Err("gone"), Ok(11)]));
        take(&mut both, 1);
        assert_eq!(both.next_batch().err().expect("an error").to_string(), "source number 2: gone");
        assert_eq!(take(&mut both, 1), [(1, 11)]);
        let mut three = finite(vec![Err("lost")]).zip(count(0, 1)).zip(count(0, 1));
        let error = three.next_batch().err().expect("an error");
        assert_eq!(error.to_string(), "source number 1: source number 1: lost");
    }

    #[test]
    fn mixed_streams_take_turns_by_weight_and_seed() {
        let turns = |seed| {
            let sources = [(3.0, count(0, 1)), (1.0, count(1, 1))];
            take(&mut Stream::mix(sources, seed).expect("weights"), 4000)
        };
        let ones = turns(5).iter().sum::<u64>();
        // A thousand expected; five standard deviations of a binomial are 137.
        assert!((863..=1137).contains(&ones), "{ones}");
        assert_eq!(turns(5), turns(5));
        assert_ne!(turns(5), turns(6));
    }

    #[test]
    fn every_source_of_a_mixture_goes_on_where_it_was() {
        let mut mixed = Stream::mix([(1.0, count(0, 1000)), (1.0, count(5000, 1000))], 1).expect("weights");
        let (low, high): (Vec<u64>, Vec<u64>) = take(&mut mixed, 100).into_iter().partition(|&number| number < 1000);
        assert!(low.iter().copied().eq(0..low.len() as u64) && low.len() > 20);
        assert!(high.iter().copied().eq(5000..5000 + high.len() as u64) && high.len() > 20);
    }

    #[test]
    fn a_mixture_repeats_the_turn_that_failed() {
        let flaky = vec![Ok(0), Err("gone"), Ok(1)];
        let mut mixed = Stream::mix([(1.0, finite(flaky))], 0).expect("weights");
        take(&mut mixed, 1);
        assert_eq!(mixed.next_batch().err().expect("an error").to_string(), "source number 1: gone");
        assert_eq!(take(&mut mixed, 1), [1]);
        assert!(mixed.next_batch().expect("no error").is_none());
    }

    #[test]
    fn weights_that_choose_nothing() {
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = Stream::mix([(1.0, count(0, 1)), (weight, count(0, 1))], 0).err().expect("an error");
            assert!(matches!(error, StreamError::Weight { number: 2, .. }), "{error}");
        }
        assert!(matches!(Stream::<u64>::mix([], 0), Err(StreamError::NoSources)));
    }

    #[test]
    fn batches_are_numbered_and_a_failure_takes_no_number() {
        let mut numbered = finite(vec![Ok(5), Err("gone"), Ok(7)]).numbered(40);
        let (batch, number) = &take(&mut numbered, 1)[0];
        assert_eq!((*batch, number.value()), (5, Some(40.0)));
        assert!(numbered.next_batch().is_err());
        let (batch, number) = &take(&mut numbered, 1)[0];
        assert_eq!((*batch, number.value()), (7, Some(41.0)));
    }

    #[test]
    fn a_map_changes_every_batch() {
        assert_eq!(take(&mut count(0, 2).map(|number| number as f64 * 0.5), 3), [0.0, 0.5, 0.0]);
    }
}
