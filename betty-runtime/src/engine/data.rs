//! The batches of a run: taken from the streams, and given back where they were only looked at.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::data::BatchStream;
use crate::error::EngineError;
use crate::execute::mix;
use crate::panic::caught;
use crate::program::{Level, Seeded};
use crate::trace::AnyBatch;

/// The streams of all levels.
pub(super) struct Data {
    streams: Vec<Box<dyn BatchStream>>,
    /// Batches that were only looked at, the next one first.
    returned: Vec<VecDeque<Rc<AnyBatch>>>,
    /// Batches that each level has taken.
    pub(super) taken: Vec<u64>,
    /// Decides every random draw.
    pub(super) seed: u64,
    /// The batches that were drawn since the first of the marks that stand.
    drawn: Vec<(usize, Rc<AnyBatch>)>,
    marks: usize,
}

/// How many batches had been drawn.
#[derive(Clone, Copy)]
pub(super) struct Mark(usize);

impl Data {
    pub(super) fn new(streams: Vec<Box<dyn BatchStream>>) -> Self {
        let count = streams.len();
        let returned = vec![VecDeque::new(); count];
        Data { streams, returned, taken: vec![0; count], seed: 0, drawn: Vec::new(), marks: 0 }
    }

    /// The next batch of a level, with a seed of its own.
    pub(super) fn next(&mut self, level: &Level) -> Result<Seeded, EngineError> {
        let k = level.number;
        let batch = match self.returned[k].pop_front() {
            Some(batch) => batch,
            None => Rc::new(next_of(&mut *self.streams[k], level, self.taken[k])?),
        };
        self.taken[k] += 1;
        if self.marks > 0 {
            self.drawn.push((k, Rc::clone(&batch)));
        }
        Ok((batch, seed_of(self.seed, k, self.taken[k])))
    }

    /// So many batches of a level, or none.
    pub(super) fn several(&mut self, level: &Level, count: usize) -> Result<Vec<Seeded>, EngineError> {
        let mut drawn = Vec::with_capacity(count);
        while drawn.len() < count {
            match self.next(level) {
                Ok(seeded) => drawn.push(seeded),
                Err(error) => {
                    self.give_back(level.number, drawn);
                    return Err(error);
                }
            }
        }
        Ok(drawn)
    }

    /// Puts batches of a level back, the first one first.
    pub(super) fn give_back(&mut self, k: usize, batches: Vec<Seeded>) {
        self.taken[k] -= batches.len() as u64;
        for (batch, _) in batches.into_iter().rev() {
            self.returned[k].push_front(batch);
        }
    }

    /// Marks what has been drawn; one of the two answers closes the mark.
    pub(super) fn mark(&mut self) -> Mark {
        self.marks += 1;
        Mark(self.drawn.len())
    }

    /// What was drawn since then is used.
    pub(super) fn keep(&mut self, _: Mark) {
        self.marks -= 1;
        if self.marks == 0 {
            self.drawn.clear();
        }
    }

    /// What was drawn since then comes next again.
    pub(super) fn undo(&mut self, mark: Mark) {
        for (k, batch) in self.drawn.split_off(mark.0).into_iter().rev() {
            self.taken[k] -= 1;
            self.returned[k].push_front(batch);
        }
        self.keep(mark);
    }
}

/// The next batch of a level's stream, of which it has taken so many.
pub(crate) fn next_of(stream: &mut dyn BatchStream, level: &Level, taken: u64) -> Result<AnyBatch, EngineError> {
    let next = caught(|| stream.next_batch());
    let next = next.unwrap_or_else(|panic| Err(format!("it panicked: {panic}").into()));
    let name = || level.name.to_owned();
    match (next, taken) {
        (Ok(Some(batch)), _) => Ok(batch.with_numbers_on(&level.device())),
        (Ok(None), 0) => Err(EngineError::EmptyData { level: name() }),
        (Ok(None), batches) => Err(EngineError::OutOfData { level: name(), batches }),
        (Err(source), _) => Err(EngineError::Data { level: name(), source }),
    }
}

/// The seed of what is drawn on the batch with this number.
pub(crate) fn seed_of(run: u64, level: usize, batch: u64) -> u64 {
    mix(mix(run, level as u64), batch)
}
