//! Where a level's batches come from.

mod combine;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use burn::data::dataloader::DataLoader;

pub use self::combine::StreamError;
use crate::error::DataError;
use crate::trace::{AnyBatch, Batch};

type Next<B> = dyn FnMut() -> Option<Result<B, DataError>>;

/// An endless or finite sequence of batches for one level.
///
/// A level that reads several data sets has one stream made of several: [`zip`](Self::zip) gives a batch of each at once,
/// [`mix`](Self::mix) lets them take turns.
pub struct Stream<B> {
    next: Box<Next<B>>,
}

impl<B: Batch> Stream<B> {
    /// Batches of a fallible iterator, until it ends. Training stops with an error when it ends too early.
    pub fn batches<E: Into<DataError>>(batches: impl IntoIterator<Item = Result<B, E>> + 'static) -> Self {
        let mut batches = batches.into_iter();
        Stream { next: Box::new(move || batches.next().map(|batch| batch.map_err(Into::into))) }
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
        Stream { next: Box::new(next) }
    }

    /// The batches of a Burn data loader, epoch after epoch, prepared one batch ahead on a thread of its own.
    pub fn loader(loader: Arc<dyn DataLoader<B>>) -> Self {
        Self::epochs(move |_| Epoch::start(Arc::clone(&loader)))
    }

    /// The same batch, forever: full-batch training.
    pub fn constant(batch: B) -> Self {
        Stream { next: Box::new(move || Some(Ok(batch.clone()))) }
    }
}

/// [`Stream::constant`]: the batch of a level for one question, for instance.
impl<B: Batch> From<B> for Stream<B> {
    fn from(batch: B) -> Self {
        Self::constant(batch)
    }
}

/// One pass over a data loader. Its iterator borrows the loader, so it lives on the thread that owns a share of it.
struct Epoch<B> {
    batches: Receiver<Result<B, DataError>>,
    thread: Option<JoinHandle<()>>,
}

impl<B: Batch> Epoch<B> {
    fn start(loader: Arc<dyn DataLoader<B>>) -> Self {
        let (send, batches) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            for batch in loader.iter() {
                if send.send(batch.map_err(Into::into)).is_err() {
                    // The stream is gone.
                    return;
                }
            }
        });
        Epoch { batches, thread: Some(thread) }
    }
}

impl<B> Iterator for Epoch<B> {
    type Item = Result<B, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Ok(batch) = self.batches.recv() {
            return Some(batch);
        }
        // The channel closes at the end of the epoch, and when the loader panics.
        let thread = self.thread.take()?;
        thread.join().err().map(|_| Err("the data loader panicked; its message stands above".into()))
    }
}

/// A [`Stream`] whose batch type is known to the program only.
pub trait BatchStream {
    /// The next batch, or `None` at the end.
    ///
    /// # Errors
    /// Whatever the user's data source reports.
    fn next_batch(&mut self) -> Result<Option<AnyBatch>, DataError>;
}

impl<B: Batch> BatchStream for Stream<B> {
    fn next_batch(&mut self) -> Result<Option<AnyBatch>, DataError> {
        (self.next)().transpose().map(|batch| batch.map(AnyBatch::new))
    }
}
