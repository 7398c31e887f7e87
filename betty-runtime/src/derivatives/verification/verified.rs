//! Which recordings were compared with Burn's autodiff, so that batches of other sizes need not be.

use std::collections::HashSet;

use crate::trace::{AnyBatch, Signature, Trace};

/// How many comparisons are remembered.
const REMEMBERED: usize = 1024;

/// Recordings whose gradient is Burn's: shapes but for the first dimension, with operations.
#[derive(Clone, Default)]
pub(crate) struct Verified(HashSet<(Signature, u64)>);

impl Verified {
    /// Whether a recording of the same operations on a batch that differs in its size only was compared.
    pub(crate) fn contains(&self, batch: &AnyBatch, trace: &Trace) -> bool {
        self.0.contains(&key(batch, trace))
    }

    pub(crate) fn insert(&mut self, batch: &AnyBatch, trace: &Trace) {
        if self.0.len() == REMEMBERED {
            self.0.clear();
        }
        self.0.insert(key(batch, trace));
    }
}

fn key(batch: &AnyBatch, trace: &Trace) -> (Signature, u64) {
    (batch.signature().of_any_size(), trace.skeleton())
}
