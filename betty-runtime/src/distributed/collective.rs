//! What ranks ask of whatever carries messages between them.

use std::rc::Rc;
use std::time::Duration;

/// A group of processes, or threads, that send messages to all others at once.
///
/// Ranks are numbered from 0. All of them make the same calls in the same order, with buffers of the same length: the engine
/// makes sure of that by announcing each message before it is sent, so that an implementation need not. Every call has a deadline
/// of the implementation's own, after which it fails; after a failure a group is of no more use.
pub trait Collective {
    /// The number of this rank.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// What every rank gives, one after the other in order of their numbers.
    ///
    /// # Errors
    /// [`CollectiveError`] when a rank does not answer.
    fn gather(&self, mine: &[u8]) -> Result<Vec<u8>, CollectiveError>;

    /// Puts what rank `root` has into the buffers of all others.
    ///
    /// # Errors
    /// [`CollectiveError`] when a rank does not answer.
    fn broadcast(&self, buffer: &mut [u8], root: usize) -> Result<(), CollectiveError>;

    /// Puts sums over all ranks in the place of the numbers: the same bits on every rank.
    ///
    /// # Errors
    /// [`CollectiveError`] when a rank does not answer.
    fn sum_f32(&self, numbers: &mut [f32]) -> Result<(), CollectiveError>;

    /// As [`sum_f32`](Self::sum_f32), in double precision.
    ///
    /// # Errors
    /// [`CollectiveError`] when a rank does not answer.
    fn sum_f64(&self, numbers: &mut [f64]) -> Result<(), CollectiveError>;

    /// Waits until every rank has come here.
    ///
    /// # Errors
    /// [`CollectiveError`] when a rank does not answer.
    fn barrier(&self) -> Result<(), CollectiveError> {
        self.gather(&[]).map(drop)
    }
}

/// A message did not come through.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// Not every rank has answered in time.
    #[error(
        "rank {rank} waited {waited:?} for {} in vain; they are stopped, or very late: look at their output, or raise the deadline", 
        named(.missing)
    )]
    TimedOut {
        /// Who waited.
        rank: usize,
        /// How long.
        waited: Duration,
        /// Those that are missing, as far as it is known.
        missing: Vec<usize>,
    },
    /// A rank has ended.
    #[error(
        "rank {lost} has ended while rank {rank} still needs it; look at its output, and resume all from the last checkpoint"
    )]
    Lost {
        /// Who needs it.
        rank: usize,
        /// Who has ended.
        lost: usize,
    },
    /// The transport itself failed.
    #[error("rank {rank} cannot send to the others: {reason}")]
    Transport {
        /// Who wanted to.
        rank: usize,
        /// What the transport said.
        reason: String,
    },
}

crate::report::debug_as_report!(CollectiveError);

fn named(ranks: &[usize]) -> String {
    match ranks {
        [] => "the others".into(),
        [one] => format!("rank {one}"),
        several => format!("ranks {}", several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// One rank of several runs, one after the other.
impl<C: Collective + ?Sized> Collective for Rc<C> {
    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn size(&self) -> usize {
        (**self).size()
    }

    fn gather(&self, mine: &[u8]) -> Result<Vec<u8>, CollectiveError> {
        (**self).gather(mine)
    }

    fn broadcast(&self, buffer: &mut [u8], root: usize) -> Result<(), CollectiveError> {
        (**self).broadcast(buffer, root)
    }

    fn sum_f32(&self, numbers: &mut [f32]) -> Result<(), CollectiveError> {
        (**self).sum_f32(numbers)
    }

    fn sum_f64(&self, numbers: &mut [f64]) -> Result<(), CollectiveError> {
        (**self).sum_f64(numbers)
    }

    fn barrier(&self) -> Result<(), CollectiveError> {
        (**self).barrier()
    }
}
