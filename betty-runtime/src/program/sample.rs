//! The batches that one total gradient is taken on.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::trace::AnyBatch;

/// A batch, and the seed of what is drawn on it.
pub(crate) type Seeded = (Rc<AnyBatch>, u64);

/// What a total gradient is taken on.
#[derive(Clone)]
pub(crate) struct Sample {
    /// For the level's loss.
    pub(crate) own: Seeded,
    /// For the losses of the levels below at whose last point it is differentiated, all that a step of each averages; see
    /// [`Passings::solved`](super::Passings::solved).
    pub(crate) below: BTreeMap<usize, Vec<Seeded>>,
}
