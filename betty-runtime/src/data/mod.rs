//! Where a level's batches come from.

mod ahead;
mod combine;
mod program;
mod several;
mod shards;
mod source;

use std::any::Any;
use std::sync::Arc;

use burn::data::dataloader::DataLoader;

use self::ahead::Ahead;
pub use self::combine::StreamError;
pub use self::shards::Shards;
use self::source::{Ask, Past, Plain, Source};
use crate::error::DataError;
use crate::trace::{AnyBatch, Batch};

/// An endless or finite sequence of batches for one level.
///
/// A level that reads several data sets has one stream made of several: [`zip`](Self::zip) gives a batch of each at once,
/// [`mix`](Self::mix) lets them take turns; one that reads several batches of one stream has [`several`](Self::several). Batches that depend on the program, such as rollouts or hard examples, come from
/// [`of_program`](Self::of_program).
pub struct Stream<B> {
    source: Box<dyn Source<B>>,
}

impl<B: Batch> Stream<B> {
    /// Batches of a fallible iterator, until it ends. Training stops with an error when it ends too early.
    pub fn batches<E: Into<DataError>>(batches: impl IntoIterator<Item = Result<B, E>> + 'static) -> Self {
        let mut batches = batches.into_iter();
        Self::of_source(move || batches.next().map(|batch| batch.map_err(Into::into)))
    }

    /// The batches of an iterator that cannot fail, until it ends: those of a vector, for instance, or computed ones.
    ///
    /// ```
    /// # use betty_runtime::Stream;
    /// # use burn::tensor::{Device, Tensor};
    /// let shifted = Stream::of((0..).map(|step| Tensor::<1>::ones([3], &Device::flex()) * step));
    /// ```
    pub fn of(batches: impl IntoIterator<Item = B> + 'static) -> Self {
        let mut batches = batches.into_iter();
        Self::of_source(move || batches.next().map(Ok))
    }

    /// One epoch after the other, forever: `epoch(n)` makes the iterator of epoch `n`, counted from 0.
    ///
    /// The stream ends when an epoch holds no batch at all.
    pub fn epochs<I, E>(mut epoch: impl FnMut(usize) -> I + 'static) -> Self
    where
        I: Iterator<Item = Result<B, E>> + 'static,
        E: Into<DataError>,
    {
        let mut number = 0;
        let mut current: Option<I> = None;
        let next = move || {
            if let Some(batch) = current.as_mut().and_then(Iterator::next) {
                return Some(batch.map_err(Into::into));
            }
            let mut fresh = epoch(number);
            number += 1;
            let first = fresh.next();
            current = Some(fresh);
            first.map(|batch| batch.map_err(Into::into))
        };
        Self::of_source(next)
    }

    /// The batches of a Burn data loader, epoch after epoch, prepared one batch ahead on a thread of its own.
    ///
    /// The stream has a loader of its own, over the same examples: the whole as a
    /// [slice](burn::data::dataloader::DataLoader::slice). So streams of one loader neither wait for each other nor decide each
    /// other's order. Of a loader that shuffles, each stream has another order, which is decided by the seed and by how many streams
    /// were made of that loader before; a run that shall continue bit for bit builds its loaders anew. Loaders with workers
    /// (`num_workers`) give all their streams one order.
    pub fn loader(loader: Arc<dyn DataLoader<B>>) -> Self {
        let own = loader.slice(0, loader.num_items());
        Self::epochs(move |_| pass(&own))
    }

    /// A source that knows nothing of programs.
    fn of_source(draw: impl FnMut() -> Option<Result<B, DataError>> + 'static) -> Self {
        Stream { source: Box::new(Plain::new(draw)) }
    }

    /// The same batch, forever: full-batch training.
    pub fn constant(batch: B) -> Self {
        Self::of_source(move || Some(Ok(batch.clone())))
    }
}

/// [`Stream::constant`]: the batch of a level for one question, for instance.
impl<B: Batch> From<B> for Stream<B> {
    fn from(batch: B) -> Self {
        Self::constant(batch)
    }
}

/// One pass over a data loader. Its iterator borrows the loader, so it lives on the thread that owns a share of it.
fn pass<B: Batch>(loader: &Arc<dyn DataLoader<B>>) -> impl Iterator<Item = Result<B, DataError>> + use<B> {
    let loader = Arc::clone(loader);
    let ahead = Ahead::start(move |take| {
        for batch in loader.iter() {
            if !take(batch.map(|batch| Box::new(batch) as _).map_err(Into::into)) {
                return;
            }
        }
    });
    ahead.map(|batch| Ok(*batch?.downcast().map_err(|_| "the data loader gave a batch of another type")?))
}

/// A [`Stream`] whose batch type is known to the program only.
pub trait BatchStream {
    /// The next batch, or `None` at the end.
    ///
    /// # Errors
    /// Whatever the user's data source reports.
    fn next_batch(&mut self) -> Result<Option<AnyBatch>, DataError>;

    /// Whether batches depend on the program whose level they are for.
    fn reads_program(&self) -> bool {
        false
    }

    /// The next batch, of a stream that [reads](Self::reads_program) it, for this program with its current parameters, and a
    /// level that has taken so many batches before.
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch), and [`StreamError::OtherProgram`].
    fn next_batch_of(&mut self, _program: &dyn Any, _taken: u64) -> Result<Option<AnyBatch>, DataError> {
        self.next_batch()
    }

    /// Goes past a batch that was taken before, and answers whether there is one. What of it depends on the program is not
    /// computed.
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch).
    fn skip_batch(&mut self) -> Result<bool, DataError> {
        self.next_batch().map(|batch| batch.is_some())
    }

    /// Batches from now on may come back: marks where a stream stands that [reads](Self::reads_program) the program. What does
    /// not is given back batch by batch.
    fn mark(&mut self) {}

    /// Goes back to where the stream stood at the last mark, which is then gone: batches are made again, of the program as it is
    /// then.
    fn undo(&mut self) {}

    /// The batches since the last mark, which is then gone, are used.
    fn keep(&mut self) {}
}

impl<B: Batch> Stream<B> {
    fn next_for(&mut self, program: Option<&dyn Any>, taken: u64) -> Result<Option<AnyBatch>, DataError> {
        let next = self.source.next(&Ask::Next { program, taken }).transpose()?;
        Ok(next.flatten().map(AnyBatch::new))
    }
}

impl<B: Batch> BatchStream for Stream<B> {
    fn next_batch(&mut self) -> Result<Option<AnyBatch>, DataError> {
        self.next_for(None, 0)
    }

    fn reads_program(&self) -> bool {
        self.source.reads_program()
    }

    fn next_batch_of(&mut self, program: &dyn Any, taken: u64) -> Result<Option<AnyBatch>, DataError> {
        self.next_for(Some(program), taken)
    }

    fn skip_batch(&mut self) -> Result<bool, DataError> {
        self.source.next(&Ask::Skip).transpose().map(|batch| batch.is_some())
    }

    fn mark(&mut self) {
        self.source.turn(Past::Mark);
    }

    fn undo(&mut self) {
        self.source.turn(Past::Undo);
    }

    fn keep(&mut self) {
        self.source.turn(Past::Keep);
    }
}
