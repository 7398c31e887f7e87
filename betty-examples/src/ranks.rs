//! Several processes that share one run: `--distributed`.

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use betty_runtime::distributed::{Collective, CollectiveError, Launch, Split};
use betty_runtime::{Engine, Multilevel};
use burn::tensor::Tensor;
use burn::tensor::kind::Basic;

use crate::failure::Failure;
use crate::output::OutputFolder;

/// This process among all that share a run; alone, unless it was asked for.
///
/// Every batch, or the tasks of every step, are divided among ranks, and everything else is done by all of them alike, so that they stay in step; only the first one
/// prints and writes.
#[derive(Clone, Default)]
pub struct Ranks(Option<Rc<dyn Collective>>);

impl Ranks {
    /// The processes that `mpirun`, `srun` or `torchrun` has started, where `--distributed` asks for them.
    ///
    /// # Errors
    /// [`Failure::NotDistributed`] when the program was built without MPI, [`Failure::Launch`] when the environment contradicts itself,
    /// [`Failure::Ranks`] when the processes do not find each other.
    pub fn start(is_distributed: bool) -> Result<Self, Failure> {
        if is_distributed { connected() } else { Ok(Ranks::default()) }
    }

    /// One of several ranks.
    pub fn of(rank: impl Collective + 'static) -> Self {
        Ranks(Some(Rc::new(rank)))
    }

    /// The number of this rank.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |rank| rank.rank())
    }

    /// How many ranks there are.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |rank| rank.size())
    }

    /// Whether this is the rank that prints and writes for all.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Lets the engines of all ranks run together.
    ///
    /// # Errors
    /// Those of [`Engine::distributed`].
    pub fn join<P: Multilevel>(&self, engine: Engine<P>) -> Result<Engine<P>, Failure> {
        Ok(match &self.0 {
            Some(rank) => engine.distributed(Rc::clone(rank))?,
            None => engine,
        })
    }

    /// Says what of an engine's work each rank takes, where there are others.
    ///
    /// # Errors
    /// Those of [`Engine::split`].
    pub fn split<P: Multilevel>(&self, engine: Engine<P>, split: Split) -> Result<Engine<P>, Failure> {
        Ok(if self.size() > 1 { engine.split(split)? } else { engine })
    }

    /// Which of so many examples of a batch this rank has: as many as the others, or one more or less.
    ///
    /// ```
    /// use betty_examples::ranks::Ranks;
    /// use betty_runtime::distributed::Threads;
    ///
    /// let shares = Threads::run(3, |rank| Ranks::of(rank).share(8));
    /// assert_eq!(shares, [0..2, 2..5, 5..8]);
    /// ```
    pub fn share(&self, examples: usize) -> Range<usize> {
        let (rank, size) = (self.rank(), self.size());
        examples * rank / size..examples * (rank + 1) / size
    }

    /// What this rank has of a tensor whose first dimension are examples.
    pub fn part<const D: usize, K: Basic>(&self, examples: Tensor<D, K>) -> Tensor<D, K> {
        let share = self.share(examples.dims()[0]);
        examples.slice([share])
    }

    /// Refuses batches that have not one example for each rank.
    ///
    /// # Errors
    /// [`Failure::TooFewExamples`].
    pub fn check_batch(&self, examples: usize) -> Result<(), Failure> {
        match self.size() {
            ranks if examples < ranks => Err(Failure::TooFewExamples { examples, ranks }),
            _ => Ok(()),
        }
    }

    /// Whether something holds on any rank.
    ///
    /// # Errors
    /// [`Failure::Ranks`].
    pub fn any(&self, mine: bool) -> Result<bool, Failure> {
        let Some(rank) = &self.0 else { return Ok(mine) };
        Ok(rank.gather(&[u8::from(mine)])?.contains(&1))
    }

    /// The folder of their run: the first one makes it and writes into it, the others read.
    ///
    /// # Errors
    /// As for [`OutputFolder::open`], on all of them.
    pub fn open(&self, path: &Path) -> Result<OutputFolder, Failure> {
        self.together(
            || if self.is_first() { Ok(OutputFolder::open(path)?) } else { Ok(OutputFolder::read_only(path)) },
        )
    }

    /// Does something that may fail on some ranks: then it is an error of all.
    ///
    /// # Errors
    /// Its own, and [`Failure::OnOtherRank`].
    pub fn together<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let done = work();
        let Some(rank) = &self.0 else { return done };
        let failed = rank.gather(&[u8::from(done.is_err())])?;
        match failed.iter().position(|&failed| failed == 1) {
            Some(rank) if done.is_ok() => Err(Failure::OnOtherRank(rank)),
            _ => done,
        }
    }
}

#[cfg(feature = "mpi")]
fn connected() -> Result<Ranks, Failure> {
    use std::time::Duration;

    // Longer than anything takes that one rank does while the others wait.
    const DEADLINE: Duration = Duration::from_secs(1800);
    Launch::from_environment()?;
    Ok(Ranks::of(betty_mpi::Mpi::start(DEADLINE)?))
}

#[cfg(not(feature = "mpi"))]
fn connected() -> Result<Ranks, Failure> {
    Launch::from_environment()?;
    Err(Failure::NotDistributed)
}

/// The number of this process among those of its machine, as whoever started it says: the GPU that is its own.
///
/// # Errors
/// [`Failure::Launch`] when the environment contradicts itself.
pub fn local_rank() -> Result<usize, Failure> {
    Ok(Launch::from_environment()?.and_then(|launch| launch.local_rank).unwrap_or(0))
}

impl From<CollectiveError> for Failure {
    fn from(error: CollectiveError) -> Self {
        Failure::Ranks(error)
    }
}
