//! Which kinds of shared batches have been compared with what they are shares of.
//!
//! All ranks know the same of each kind, for a comparison is a series of messages. What a rank has recorded is another matter: a kind
//! is made of the shares of all, and two kinds may have the same share on one rank and different ones on another. So an edit puts all
//! kinds in doubt on all ranks, and at the next batch of each, ranks ask one another whether its loss has become another on any.

use std::collections::{HashMap, HashSet};

use crate::distributed::{DistributedError, Ranks};
use crate::trace::Signature;

/// A level, and a hash of the shares of a batch.
type Kind = (usize, u64);

/// What has been compared.
#[derive(Default)]
pub(super) struct Compared {
    /// The kinds, with how often each was used since.
    kinds: HashMap<Kind, u64>,
    /// Those whose losses an edit may have changed.
    doubted: HashSet<Kind>,
    /// The losses of this rank that are others since, or were recorded anew.
    changed: HashSet<(usize, Signature)>,
}

impl Compared {
    /// Whether a batch of this kind is to be compared now: the first one, the next after an edit by which the loss on it has become
    /// another on any rank, and from then on the 100th, the 1000th and so on, as whether a loss is a mean may depend on what is in a batch.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(super) fn is_due(&mut self, ranks: &Ranks, kind: Kind, own: &Signature) -> Result<bool, DistributedError> {
        if self.doubted.contains(&kind) {
            let is_other = ranks.any(self.changed.contains(&(kind.0, own.clone())))?;
            self.doubted.remove(&kind);
            if is_other {
                self.kinds.remove(&kind);
            }
        }
        let Some(uses) = self.kinds.get_mut(&kind) else { return Ok(true) };
        *uses += 1;
        Ok(*uses >= 100 && 10_u64.pow(uses.ilog10()) == *uses)
    }

    /// A batch of this kind has been compared.
    pub(super) fn has(&mut self, kind: Kind) {
        self.kinds.entry(kind).or_insert(1);
    }

    /// A batch of this kind was to be compared, and was not found to be right: the next one is to be as well.
    pub(super) fn has_not(&mut self, kind: Kind) {
        if let Some(uses) = self.kinds.get_mut(&kind) {
            *uses -= 1;
        }
    }

    /// Modules may be others, on all ranks.
    pub(super) fn doubt(&mut self) {
        if self.doubted.is_empty() {
            self.changed.clear();
        }
        self.doubted.extend(self.kinds.keys());
    }

    /// This rank has recorded a loss that it did not have.
    pub(super) fn change(&mut self, level: usize, own: &Signature) {
        if !self.doubted.is_empty() {
            self.changed.insert((level, own.clone()));
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Compared::default();
    }
}
