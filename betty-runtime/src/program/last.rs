//! Hypergradients that ranks find each on its own examples, and put together at the end only.
//!
//! ```text
//! Σᵣ wᵣ·hᵣ,    hᵣ = ∂Cᵣ/∂λ − (∂²cᵣ/∂λ∂θ)·Hᵣ⁻¹·∂Cᵣ/∂θ
//! ```
//!
//! The direct part is that of the joined batch. The rest is biased, for the mean of products with inverses is not the product of the
//! means: by as much as Hessians and gradients of shares differ from those of the whole. It takes one message however many products a
//! solve forms. Betty on PyTorch puts the last product together in this way (SAMA: Choe et al., *Making scalable meta learning
//! practical*, 2023, arXiv:2310.05674).

use std::rc::Rc;

use super::sample::Sample;
use super::{Found, Program};
use crate::distributed::{DistributedError, Ranks};
use crate::error::{EngineError, ShardError};
use crate::execute::{Cost, Unread};
use crate::trace::AnyBatch;

impl Program {
    /// The ranks that find the hypergradient of level `k` each by itself, if they do.
    pub(super) fn apart_at(&self, k: usize) -> Option<Rc<Ranks>> {
        let passes = !self.schedule.levels[k].sweep.is_empty();
        self.losses.ranks.clone().filter(|_| self.syncs_last && passes)
    }

    /// The level whose hypergradients cannot be found in this way, and why.
    pub(crate) fn why_not_apart(&self) -> Option<ShardError> {
        let refused = |k: usize, reason: &str| {
            let (level, reason) = (self.levels[k].name.to_owned(), reason.to_owned());
            Some(ShardError::NotLast { level, reason })
        };
        for k in 0..self.levels.len() {
            if self.levels[k].trajectory.is_some() {
                return refused(
                    k,
                    "its method goes through steps, which were taken by all ranks; choose one that solves a system",
                );
            }
            if self.schedule.levels[k].condition.is_some() {
                return refused(k, "its condition is a map of the whole batch; leave `sync_last` away");
            }
        }
        match self.schedule.levels.iter().all(|spec| spec.sweep.is_empty()) {
            true => refused(0, "there is no hypergradient in the program; leave `sync_last` away"),
            false => None,
        }
    }

    /// Refuses losses that a rank cannot form of its own examples, as if those were all.
    ///
    /// # Errors
    /// [`ShardError::NotLast`].
    pub(super) fn check_apart(&self, k: usize, sample: &Sample) -> Result<(), ShardError> {
        let own = std::iter::once((k, &sample.own));
        let below = sample.below.iter().flat_map(|(&level, batches)| batches.iter().map(move |of| (level, of)));
        for (level, (batch, _)) in own.chain(below) {
            if self.losses.get(level, batch).sums() {
                let reason = "a `distributed::sum` in its loss or a metric would be one over the examples of a rank alone; write it as a \
                              mean over examples, or leave `sync_last` away";
                return Err(ShardError::NotLast { level: self.levels[level].name.into(), reason: reason.into() });
            }
        }
        Ok(())
    }

    /// Puts together what each rank has found of a total gradient of level `k` on its share of a batch.
    pub(super) fn put_together(
        &self,
        k: usize,
        ranks: &Ranks,
        batch: &AnyBatch,
        mut found: Found,
    ) -> Result<Found, EngineError> {
        if !found.statistics.is_empty() {
            let reason = "its loss moves running statistics, which each rank would form of its own examples; leave `sync_last` away";
            return Err(ShardError::NotLast { level: self.levels[k].name.into(), reason: reason.into() }.into());
        }
        let examples = batch.shard().and_then(|shard| shard.examples.as_ref());
        let share = examples
            .map_or(1.0 / ranks.size() as f64, |all| all[ranks.rank()] as f64 / all.iter().sum::<usize>() as f64);
        let Found { gradient, numbers, .. } = &mut found;
        let [mut status] = Unread::read([numbers.status.clone()])?;
        status.iter_mut().for_each(|number| *number *= share);
        gradient.scale(share);
        let summed: Result<(), DistributedError> = ranks.sum([&mut *gradient], &mut status);
        summed?;
        numbers.status = Unread::Known(status);
        numbers.total = Some(Unread::square_norm(gradient));
        // Those of this rank are nobody else's.
        numbers.parts = None;
        Ok(found)
    }

    /// The one message for a hypergradient of level `k`, with so many numbers beside the gradient.
    pub(super) fn last_message(&self, k: usize, numbers: usize) -> Cost {
        let parameters = self.levels[k].parameters();
        let entries: usize = parameters.0.iter().map(|value| value.shape().iter().product::<usize>()).sum();
        let size = parameters.0.iter().map(|value| value.dtype().size()).max().unwrap_or(0).max(size_of::<f32>());
        Cost::sent((entries + numbers) * size)
    }
}
