//! Whether ranks may share the examples of a loss: whether the mean of what it is on their shares is what it is on all examples.
//!
//! Nothing else tells: a loss that is a sum, or weighs examples by what else is in the batch, looks like any other. So for each
//! new kind of batch, and a few later ones, all shares are put together, and loss and gradients on them are compared with the weighted
//! mean of those of the ranks, in double precision, with the same random draws, at the parameters as they are and near them. The batch
//! itself is not moved: a loss may well be a mean for what all batches have in common, as many of each class say.

use std::rc::Rc;

use super::losses::Losses;
use super::shards::{Joined, join, join_draw};
use super::subject::Subject;
use super::verification::Recorded;
use crate::derivatives::{DoubledLoss, PlacedInputs};
use crate::distributed::Ranks;
use crate::error::{EngineError, ShardError};
use crate::panic::caught;
use crate::trace::{AnyBatch, LossInput, Part, Trace};

/// How far both may lie apart, relative to the size of what ranks have on their shares: rounding in double precision, and not what
/// a loss does that is no mean.
const RELATIVE: f64 = 1e-8;
/// What a gradient has at least for a size, relative to the largest one: a gradient that vanishes but for rounding is no error.
const LEAST: f64 = 1e-4;
/// What both have at least for a size: below, everything is rounding of larger numbers.
const FLOOR: f64 = 1e-6;
/// Floating-point operations that one evaluation on all examples may take; more are done with fewer of each rank.
const OPERATIONS: f64 = 5e10;
/// Decides where near the parameters both are compared.
const SEED: u64 = 0;

impl Losses {
    /// Compares a loss on a shared batch with the loss on all of it, if that is [due](super::compared::Compared::is_due) for batches
    /// like these.
    ///
    /// # Errors
    /// [`ShardError::NotAMean`] where they differ, and [`ShardError::NotJoinable`], [`ShardError::NotReplicated`] where they
    /// cannot be compared.
    pub(super) fn compare_joined(&mut self, subject: &Subject<'_>) -> Result<(), EngineError> {
        let (Some(ranks), Some(shard)) = (self.ranks.clone(), subject.batch.shard()) else { return Ok(()) };
        let key = (subject.level, shard.kind);
        if !self.verify.on || !self.compared.is_due(&ranks, key, subject.batch.signature())? {
            return Ok(());
        }
        let compared = match &shard.examples {
            None => check_replicated(&ranks, subject.name(), subject.batch),
            Some(examples) => Comparison { ranks: &ranks, subject, losses: self }.compare(examples),
        };
        match &compared {
            Ok(()) => self.compared.has(key),
            Err(_) => self.compared.has_not(key),
        }
        compared
    }
}

/// Whether all ranks have the same batch, as is said of them.
///
/// # Errors
/// [`ShardError::NotReplicated`] if they have not.
pub(crate) fn check_replicated(ranks: &Ranks, level: &str, batch: &AnyBatch) -> Result<(), EngineError> {
    let mut hash = crc32fast::Hasher::new();
    for value in batch.tensors() {
        hash.update(value.to_data()?.as_bytes());
    }
    batch.numbers().for_each(|(_, number)| hash.update(&number.to_le_bytes()));
    let all = ranks.numbers(u64::from(hash.finalize()))?;
    match all.iter().position(|of| *of != all[0]) {
        Some(rank) => Err(ShardError::NotReplicated { level: level.into(), rank }.into()),
        None => Ok(()),
    }
}

struct Comparison<'a> {
    ranks: &'a Rc<Ranks>,
    subject: &'a Subject<'a>,
    losses: &'a Losses,
}

/// Into how many parts a batch is cut.
struct Parts {
    wanted: usize,
    /// Less of them take more memory than there is for it.
    least: usize,
}

/// A loss on one batch, ready to be evaluated.
struct Prepared {
    loss: DoubledLoss,
    given: PlacedInputs,
}

impl Comparison<'_> {
    fn compare(&self, examples: &[usize]) -> Result<(), EngineError> {
        let Parts { mut wanted, least } = self.parts(examples)?;
        while let Some(reason) = self.compare_in(wanted, examples)? {
            wanted /= 2;
            if wanted < least {
                let reason = format!(
                    "a part of them cannot be looked at alone ({reason}), and all take more than `verification_memory`"
                );
                return Err(self.not_joinable(reason));
            }
        }
        Ok(())
    }

    /// Compares one of so many parts of each share with all of them; why that cannot be done, if it is because they are parts.
    fn compare_in(&self, parts: usize, examples: &[usize]) -> Result<Option<String>, EngineError> {
        let own = &self.subject.batch;
        let kept = examples[self.ranks.rank()].div_ceil(parts);
        let Joined { share, whole } = join(self.ranks, self.subject.name(), own, Part::of(own, kept))?;
        let device = &self.losses.device;
        let (share, whole) = (share.with_numbers_on(device), whole.with_numbers_on(device));
        let total: usize = examples.iter().map(|examples| examples.div_ceil(parts)).sum();
        let weight = kept as f64 / total as f64;
        let prepare = || -> Result<_, EngineError> {
            let share = self.prepare(&share, Some(weight))?;
            Ok((share, self.prepare(&whole, None).map_err(|error| self.not_joinable(error))?))
        };
        let (share, whole) = match self.tried(parts, prepare)? {
            Ok(prepared) => prepared,
            Err(reason) => return Ok(Some(reason)),
        };
        let mut draws = (Vec::new(), Vec::new());
        if share.loss.draws().len() != whole.loss.draws().len() {
            return Err(self.not_joinable("the loss draws other random numbers on all examples than on a share"));
        }
        for (own, all) in share.loss.draws().iter().zip(whole.loss.draws()) {
            let (own, all) = join_draw(self.ranks, self.subject, own, all)?;
            draws.0.push(own);
            draws.1.push(all);
        }
        let evaluate = |share_at: &PlacedInputs, whole_at: &PlacedInputs| -> Result<_, EngineError> {
            Ok((share.loss.at(share_at.values(), &draws.0)?, whole.loss.at(whole_at.values(), &draws.1)?))
        };
        // Tensors may point into each other: indices into examples that the part leaves out.
        let (of_share, of_whole) = match self.tried(parts, || evaluate(&share.given, &whole.given))? {
            Ok(found) => found,
            Err(reason) => return Ok(Some(reason)),
        };
        self.judge(&share.loss, of_share, &of_whole)?;
        // Parameters are the same on all ranks, and so are the points near them.
        let source = Recorded { subject: self.subject, device };
        let of_whole = whole.given.near(&source, 1.0, SEED);
        for (share_at, whole_at) in share.given.near(&source, 1.0, SEED).zip(of_whole) {
            let not_joinable = |error| self.not_joinable(error);
            let (of_share, of_whole) = evaluate(&share_at.map_err(not_joinable)?, &whole_at.map_err(not_joinable)?)?;
            if self.judge(&share.loss, of_share, &of_whole)? {
                break;
            }
        }
        Ok(None)
    }

    /// Does something with a part of the examples, if there are several parts, that may not be possible with one: all ranks have done
    /// it, or are told why one has not.
    fn tried<T>(
        &self,
        parts: usize,
        work: impl FnOnce() -> Result<T, EngineError>,
    ) -> Result<Result<T, String>, EngineError> {
        if parts == 1 {
            return work().map(Ok);
        }
        let done = match caught(work) {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(panic) => Err(panic.to_string()),
        };
        let all = self.ranks.gather(done.as_ref().err().map_or("", String::as_str).as_bytes())?;
        let reason = all.into_iter().find(|reason| !reason.is_empty());
        Ok(match reason {
            Some(reason) => Err(String::from_utf8_lossy(&reason).into_owned()),
            None => done,
        })
    }

    /// Into how many parts the batch has to be cut so that all shares of one are not too much to be looked at together.
    fn parts(&self, examples: &[usize]) -> Result<Parts, EngineError> {
        let recorded = self.subject.record(&self.losses.device)?;
        let memory = self.losses.verify.memory.bytes(recorded.trace());
        let loss = self.doubled(recorded.trace(), None)?;
        let (cost, peak) = loss.cost();
        let size = self.ranks.size() as f64;
        let own = examples[self.ranks.rank()];
        // Halves of halves: what stands in groups is more likely to do so still.
        let at_most = |excess: f64| (excess.ceil().clamp(1.0, own as f64) as usize).next_power_of_two() as u64;
        let operations = at_most(size * cost.operations / OPERATIONS);
        let least = at_most(size * peak as f64 / memory as f64);
        let largest =
            |mine: u64| Ok::<_, EngineError>(self.ranks.numbers(mine)?.into_iter().max().unwrap_or(1) as usize);
        let least = largest(least)?;
        Ok(Parts { wanted: largest(operations)?.max(least), least })
    }

    /// The loss on a batch, or this rank's share of it that has such a part of all examples.
    fn prepare(&self, batch: &AnyBatch, part: Option<f64>) -> Result<Prepared, EngineError> {
        let subject = Subject { batch, ..*self.subject };
        let recorded = subject.record(&self.losses.device)?;
        let trace = recorded.trace();
        let source = Recorded { subject: &subject, device: &self.losses.device };
        let given = PlacedInputs::of(&source, trace, None)?;
        Ok(Prepared { loss: self.doubled(trace, part)?, given })
    }

    fn doubled(&self, trace: &Trace, part: Option<f64>) -> Result<DoubledLoss, EngineError> {
        let levels = self.subject.levels;
        let is_parameter = |input| match input {
            LossInput::Leaf { level, index } => levels[level].trainable.contains(&index),
            LossInput::Constant { .. } | LossInput::Batch { .. } => false,
        };
        let level = self.subject.name();
        let loss = match part {
            Some(part) => DoubledLoss::of_share(trace, self.ranks, part, is_parameter),
            None => DoubledLoss::new(trace, is_parameter),
        };
        loss.map_err(|source| EngineError::Graph { level: level.into(), source })
    }

    /// Compares the sum of what ranks have with what there is on all examples, and answers whether there was something to compare.
    fn judge(&self, loss: &DoubledLoss, share: Vec<Vec<f64>>, whole: &[Vec<f64>]) -> Result<bool, EngineError> {
        let sizes: Vec<f64> = share.iter().map(|part| norm(part)).collect();
        let lengths: Vec<usize> = share.iter().map(Vec::len).collect();
        let mut numbers: Vec<f64> = share.into_iter().flatten().chain(sizes).collect();
        self.ranks.sum([], &mut numbers)?;
        let sizes = numbers.split_off(lengths.iter().sum());
        if !numbers.iter().all(|number| number.is_finite()) {
            // Where the parameters are, a step says so itself.
            return Ok(false);
        }
        let largest = sizes[1..].iter().copied().fold(0.0, f64::max);
        let mut rest = numbers.as_slice();
        let levels = std::iter::once(None).chain(loss.levels().map(Some));
        for (((length, size), whole), level) in lengths.into_iter().zip(sizes).zip(whole).zip(levels) {
            let (mean, others) = rest.split_at(length);
            rest = others;
            let gap: Vec<f64> = mean.iter().zip(whole).map(|(mean, whole)| mean - whole).collect();
            let size = if level.is_some() { size.max(LEAST * largest) } else { size };
            let (gap, size) = (norm(&gap), size.max(FLOOR));
            if gap.is_nan() || gap > RELATIVE * size {
                let name = |level: usize| format!("gradient in `{}`", self.subject.levels[level].name);
                let what = level.map_or_else(|| "loss".to_owned(), name);
                let difference = gap / size;
                return Err(ShardError::NotAMean { level: self.subject.name().into(), what, difference }.into());
            }
        }
        Ok(true)
    }

    fn not_joinable(&self, reason: impl ToString) -> EngineError {
        EngineError::Shard(ShardError::NotJoinable { level: self.subject.name().into(), reason: reason.to_string() })
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}
