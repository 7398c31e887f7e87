//! The batches of a run: taken from the streams, and given back where they were only looked at.

use std::any::Any;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use super::host::Host;
use crate::data::BatchStream;
use crate::distributed::{DistributedError, Ranks};
use crate::error::{DataError, EngineError, ShardError};
use crate::execute::{Value, mix};
use crate::graph::accumulator;
use crate::panic::caught;
use crate::program::{Level, Program, Seeded};
use crate::trace::{AnyBatch, Shard};

/// The streams of all levels.
pub(super) struct Data {
    streams: Vec<Box<dyn BatchStream>>,
    /// Batches that were only looked at, the next one first.
    returned: Vec<VecDeque<Rc<AnyBatch>>>,
    /// Batches that each level has taken.
    pub(super) taken: Vec<u64>,
    /// Decides every random draw.
    pub(super) seed: u64,
    /// Those that share the examples of a batch, or draw the same ones, if there are others.
    pub(super) ranks: Option<Rc<Ranks>>,
    /// The levels whose batches are the same on all ranks.
    pub(super) replicated: Vec<bool>,
    /// Whether those of all levels are.
    pub(super) all_replicated: bool,
    /// The batches that were drawn since the first of the marks that stand.
    drawn: Vec<(usize, Option<Rc<AnyBatch>>)>,
    marks: usize,
    /// Batches that a stream gave while another rank failed, so that it is not known what they are shares of.
    pending: Vec<Option<AnyBatch>>,
    /// Whether the last batch that was asked for did not come, on this rank or another.
    pub(super) failed: bool,
}

/// What a rank tells of its examples that has no batch.
const NO_BATCH: u64 = u64::MAX;
/// What it tells of a batch that does not say how many it holds.
const UNKNOWN: u64 = u64::MAX - 1;

/// How many batches had been drawn.
#[derive(Clone, Copy)]
pub(super) struct Mark(usize);

impl Data {
    pub(super) fn new(streams: Vec<Box<dyn BatchStream>>) -> Self {
        let count = streams.len();
        let (returned, replicated) = (vec![VecDeque::new(); count], vec![false; count]);
        let (taken, drawn, pending) =
            (vec![0; count], Vec::new(), std::iter::repeat_with(|| None).take(count).collect());
        let (ranks, all_replicated) = (None, false);
        Data {
            streams,
            returned,
            taken,
            seed: 0,
            ranks,
            replicated,
            all_replicated,
            drawn,
            marks: 0,
            pending,
            failed: false,
        }
    }

    /// Refuses streams that read the program where batches are drawn before the steps are taken that they would depend on.
    pub(super) fn check_together(&self, program: &Program) -> Result<(), EngineError> {
        let levels = &program.levels;
        for above in levels.iter().filter(|level| level.config.vectorize) {
            let lower = program.schedule.levels[above.number].lower.iter().copied();
            if let Some(k) = lower.chain([above.number]).find(|&k| self.read_program(k)) {
                let (level, above) = (levels[k].name.into(), above.name.into());
                return Err(EngineError::DataTogether { level, above });
            }
        }
        Ok(())
    }

    /// Whether the batches of a level depend on the program.
    pub(super) fn read_program(&self, k: usize) -> bool {
        self.streams[k].reads_program()
    }

    /// Goes past the next batch of a level, which the run has taken before; answers it, unless that depended on the program as it
    /// was then.
    pub(super) fn skip(&mut self, level: &Level) -> Result<Option<Rc<AnyBatch>>, EngineError> {
        let k = level.number;
        let skipped = match self.returned[k].pop_front() {
            None if self.read_program(k) => {
                drawn_from(level, self.taken[k], || Ok(self.streams[k].skip_batch()?.then_some(())))?;
                None
            }
            None => match self.draw(level, None) {
                // It counts as taken.
                Err(EngineError::Shard(_)) => return Ok(None),
                drawn => Some(drawn?),
            },
            returned => returned,
        };
        self.taken[k] += 1;
        Ok(skipped)
    }

    /// The next batch of a level, with a seed of its own.
    pub(super) fn next(&mut self, host: &mut dyn Host, levels: &[Level], k: usize) -> Result<Seeded, EngineError> {
        self.failed = false;
        let batch = match self.returned[k].pop_front() {
            Some(batch) => batch,
            None => {
                let program = self.read_program(k).then(|| host.at(levels));
                self.draw(&levels[k], program)?
            }
        };
        self.taken[k] += 1;
        if self.marks > 0 {
            // A stream that reads the program goes back by itself.
            self.drawn.push((k, (!self.read_program(k)).then(|| Rc::clone(&batch))));
        }
        let seed = self.seed_for(self.seed, k, &batch, self.taken[k]);
        Ok((batch, seed))
    }

    /// The seed of what is drawn on a batch of level `k`, of which so many have been taken, in a run with this seed: on shares of a batch each rank draws for
    /// itself, the first one as if it were alone.
    pub(super) fn seed_for(&self, run: u64, k: usize, batch: &AnyBatch, taken: u64) -> u64 {
        let run = self.own_draws(batch).map_or(run, |rank| mix(run, rank as u64));
        seed_of(run, k, taken)
    }

    /// The seed with which the first rank draws on its share of a batch of level `k` on which this one draws with `seed`.
    pub(super) fn seed_of_first(&self, k: usize, batch: &AnyBatch, seed: u64) -> u64 {
        let is_it = |&taken: &u64| self.seed_for(self.seed, k, batch, taken) == seed;
        let taken = self.own_draws(batch).and_then(|_| (1..=self.taken[k]).rev().find(is_it));
        taken.map_or(seed, |taken| seed_of(self.seed, k, taken))
    }

    /// This rank, if it draws on the batch other numbers than the first one does on its share.
    fn own_draws(&self, batch: &AnyBatch) -> Option<usize> {
        let is_share = batch.shard().is_some_and(|shard| shard.examples.is_some());
        self.ranks.as_ref().map(|ranks| ranks.rank()).filter(|&rank| is_share && rank > 0)
    }

    /// The next batch of a level's stream; where ranks share it, on all of them or on none.
    fn draw(&mut self, level: &Level, program: Option<&dyn Any>) -> Result<Rc<AnyBatch>, EngineError> {
        let (k, taken) = (level.number, self.taken[level.number]);
        let stream = &mut *self.streams[k];
        let Some(ranks) = self.ranks.clone() else {
            let drawn = next_of(stream, level, taken, program);
            self.failed = drawn.is_err();
            return drawn.map(Rc::new);
        };
        if program.is_some() {
            stream.mark();
        }
        let drawn = self.pending[k].take().map_or_else(|| next_of(stream, level, taken, program), Ok);
        let shared = self.share(&ranks, drawn.as_ref(), level);
        let stream = &mut *self.streams[k];
        let (shard, share) = match (shared, program) {
            (Ok(shared), None) => shared,
            (Ok(shared), Some(_)) => {
                stream.keep();
                shared
            }
            (Err(error @ EngineError::Shard(_)), None) => {
                // All have drawn what they cannot use: not to fail again for ever on the same batch, they go past it.
                self.taken[k] += 1;
                return Err(error);
            }
            (Err(error), None) => {
                self.pending[k] = drawn.ok();
                return Err(error);
            }
            (Err(error), Some(_)) => {
                stream.undo();
                return Err(error);
            }
        };
        Ok(Rc::new(drawn?.shared(shard, share)))
    }

    /// What this rank's batch is of the one that ranks share, and how much of it, once all of them have drawn theirs.
    fn share(
        &mut self,
        ranks: &Ranks,
        drawn: Result<&AnyBatch, &EngineError>,
        level: &Level,
    ) -> Result<(Shard, Value), EngineError> {
        let name = || level.name.to_owned();
        let is_said = self.all_replicated || self.replicated[level.number];
        let is_replicated = drawn.is_ok_and(|batch| is_said || batch.tensors().next().is_none());
        let (told, message) = match drawn {
            Ok(batch) => {
                let examples = if is_replicated { Some(1) } else { batch.examples() };
                let mut hasher = DefaultHasher::new();
                batch.signature().hash(&mut hasher);
                ([examples.map_or(UNKNOWN, |examples| examples as u64), hasher.finish()], String::new())
            }
            Err(error) => ([NO_BATCH, 0], error.to_string()),
        };
        let message = [&told.map(u64::to_le_bytes).concat(), message.as_bytes()].concat();
        let all = ranks.gather_of(&format!("a batch of `{}`", level.name), &message)?;
        if let Some(rank) = all.iter().position(|of| word(of, 0) == NO_BATCH) {
            self.failed = true;
            let message = String::from_utf8_lossy(&all[rank][size_of_val(&told)..]).into_owned();
            return Err(ranks.fails(DistributedError::OnRank { rank, message }).into());
        }
        if all.iter().any(|of| word(of, 0) == UNKNOWN) {
            self.failed = true;
            return Err(ShardError::UnknownExamples { level: name() }.into());
        }
        let examples: Vec<usize> = all.iter().map(|of| word(of, 0) as usize).collect();
        if let Some(rank) = examples.iter().position(|&examples| examples == 0) {
            self.failed = true;
            return Err(ShardError::NoExamples { level: name(), rank }.into());
        }
        let share = examples[ranks.rank()] as f64 / examples.iter().sum::<usize>() as f64;
        let mut hasher = DefaultHasher::new();
        all.hash(&mut hasher);
        let shard = Shard { examples: (!is_replicated).then_some(examples), kind: hasher.finish() };
        let dtype = accumulator(level.leaves[level.trainable[0]].dtype());
        Ok((shard, Value::scalar(share, dtype, &level.device())))
    }

    /// Marks what has been drawn; one of the two answers closes the mark.
    pub(super) fn mark(&mut self) -> Mark {
        self.marks += 1;
        self.reading().for_each(|stream| stream.mark());
        Mark(self.drawn.len())
    }

    /// What was drawn since then is used.
    pub(super) fn keep(&mut self, _: Mark) {
        self.reading().for_each(|stream| stream.keep());
        self.close();
    }

    /// Closes a mark after what the batches were drawn for failed: they come next again if one of them did not come, and are used
    /// if all did, so that nothing fails again for ever on the same batch.
    pub(super) fn settle(&mut self, mark: Mark) {
        if self.failed { self.undo(mark) } else { self.keep(mark) }
    }

    /// What was drawn since then comes next again.
    pub(super) fn undo(&mut self, mark: Mark) {
        for (k, batch) in self.drawn.split_off(mark.0).into_iter().rev() {
            self.taken[k] -= 1;
            batch.into_iter().for_each(|batch| self.returned[k].push_front(batch));
        }
        self.reading().for_each(|stream| stream.undo());
        self.close();
    }

    fn close(&mut self) {
        self.marks -= 1;
        if self.marks == 0 {
            self.drawn.clear();
        }
    }

    /// The streams that read the program.
    fn reading(&mut self) -> impl Iterator<Item = &mut Box<dyn BatchStream>> {
        self.streams.iter_mut().filter(|stream| stream.reads_program())
    }
}

/// One of the words of a message.
pub(super) fn word(bytes: &[u8], index: usize) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words.get(index).map_or(0, |&word| u64::from_le_bytes(word))
}

/// The next batch of a level's stream, of which it has taken so many; for a stream that reads it, of this program.
pub(crate) fn next_of(
    stream: &mut dyn BatchStream,
    level: &Level,
    taken: u64,
    program: Option<&dyn Any>,
) -> Result<AnyBatch, EngineError> {
    let batch = drawn_from(level, taken, || match program.filter(|_| stream.reads_program()) {
        Some(program) => stream.next_batch_of(program, taken),
        None => stream.next_batch(),
    })?;
    Ok(batch.with_numbers_on(&level.device()))
}

/// What a level's stream gives, of which it has taken so many batches.
fn drawn_from<T>(
    level: &Level,
    taken: u64,
    draw: impl FnOnce() -> Result<Option<T>, DataError>,
) -> Result<T, EngineError> {
    let next = caught(draw);
    let next = next.unwrap_or_else(|panic| Err(format!("it panicked: {panic}").into()));
    let name = || level.name.to_owned();
    match (next, taken) {
        (Ok(Some(drawn)), _) => Ok(drawn),
        (Ok(None), 0) => Err(EngineError::EmptyData { level: name() }),
        (Ok(None), batches) => Err(EngineError::OutOfData { level: name(), batches }),
        (Err(source), _) => Err(EngineError::Data { level: name(), source }),
    }
}

/// The seed of what is drawn on the batch with this number.
pub(crate) fn seed_of(run: u64, level: usize, batch: u64) -> u64 {
    mix(mix(run, level as u64), batch)
}
