//! [`Collective`] over MPI, with a deadline for every call.

mod leave;

use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use betty_runtime::distributed::{Collective, CollectiveError, Launch};
use mpi::Threading;
use mpi::environment::Universe;
use mpi::ffi;
use mpi::traits::{AsRaw, Communicator};

use leave::Gone;

/// The most elements of one call, which counts them in a C `int`.
const CHUNK: usize = 1 << 28;
/// The tag of what is gathered.
const TAG: c_int = 0x0be7;
/// With what the job ends when a rank does not answer.
const ABORTED: c_int = 75;
/// For how long a rank asks without a pause whether its message has come; ranks that are in step answer in microseconds.
const EAGER: Duration = Duration::from_millis(1);
/// How long it pauses then.
const PAUSE: Duration = Duration::from_micros(50);

/// This process among all that `mpirun` or `srun` has started.
///
/// A rank that does not answer within the deadline cannot be waited for, and neither can the others be released: the rank that
/// noticed says who is missing, and ends the whole job (`MPI_Abort`). A run that saves itself goes on from its last checkpoint.
///
/// Dropping it ends MPI, once all ranks have done so. A rank that drops it because it has failed by itself, and that others come to need,
/// leaves without: it can tell why, and two seconds later the job is ended.
pub struct Mpi {
    /// Ends MPI when it is dropped, which takes all ranks.
    universe: ManuallyDrop<Universe>,
    deadline: Duration,
}

impl Mpi {
    /// Starts MPI; every call waits for the other ranks until the deadline. Longer than the slowest step of any rank takes, with
    /// what is compiled at the first one.
    ///
    /// # Errors
    /// [`CollectiveError::Transport`] when MPI was started before in this process, or lets no thread beside the main one exist.
    pub fn start(deadline: Duration) -> Result<Self, CollectiveError> {
        let refused = |reason: &str| CollectiveError::Transport { rank: 0, reason: reason.to_owned() };
        // Kernels have threads of their own, but only this one calls MPI.
        let started = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, threading) = started.ok_or_else(|| refused("MPI was started before in this process"))?;
        if threading < Threading::Funneled {
            return Err(refused("this MPI library does not allow threads; build it with support for them"));
        }
        let started = Mpi { universe: ManuallyDrop::new(universe), deadline };
        // SAFETY: MPI is running, and both handles are constants of it.
        let code = unsafe { ffi::MPI_Comm_set_errhandler(started.world(), ffi::RSMPI_ERRORS_RETURN) };
        started.check(code)?;
        started.check_launch()?;
        Ok(started)
    }

    /// Refuses to be alone where the environment says that others were started: with another MPI library than the one that starts
    /// it, each process would take itself for the only one.
    fn check_launch(&self) -> Result<(), CollectiveError> {
        let (rank, size) = (self.rank(), self.size());
        let refused = |reason| Err(CollectiveError::Transport { rank, reason });
        match Launch::from_environment() {
            Ok(Some(said)) if (said.rank, said.size) != (rank, size) => refused(format!(
                "the environment says that this is process {} of {}, and MPI that it is {rank} of {size}; start with the `mpirun` of the \
                 library that the program is built with, or unset the variables",
                said.rank, said.size
            )),
            Ok(_) => Ok(()),
            Err(error) => refused(error.to_string()),
        }
    }

    fn world(&self) -> ffi::MPI_Comm {
        self.universe.world().as_raw()
    }

    fn check(&self, code: c_int) -> Result<(), CollectiveError> {
        if code == ffi::MPI_SUCCESS as c_int {
            return Ok(());
        }
        Err(CollectiveError::Transport { rank: self.rank(), reason: format!("MPI failed with code {code}") })
    }

    /// Waits until all requests are done; `of` says whose each is, where one rank's.
    ///
    /// The buffers that they read and write are borrowed by the caller for as long: this returns after all of them are done, or not
    /// at all.
    fn wait(
        &self,
        requests: &mut [ffi::MPI_Request],
        of: impl Fn(usize) -> Option<usize>,
    ) -> Result<(), CollectiveError> {
        let begun = Instant::now();
        let (mut failed, mut gone) = (Ok(()), Gone::default());
        loop {
            let mut missing: Vec<Option<usize>> = Vec::new();
            for (index, request) in requests.iter_mut().enumerate() {
                match self.is_done(request) {
                    Ok(true) => {}
                    Ok(false) => missing.push(of(index)),
                    Err(error) => failed = Err(error),
                }
            }
            if missing.is_empty() {
                return failed;
            }
            let waited = begun.elapsed();
            if waited > self.deadline {
                let mut missing: Vec<usize> = missing.into_iter().flatten().collect();
                missing.sort_unstable();
                missing.dedup();
                self.abort(&CollectiveError::TimedOut { rank: self.rank(), waited, missing });
            }
            if waited < EAGER {
                std::thread::yield_now();
            } else {
                self.check_gone(&missing, &mut gone);
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn is_done(&self, request: &mut ffi::MPI_Request) -> Result<bool, CollectiveError> {
        let mut done: c_int = 0;
        // SAFETY: the request was begun by MPI, or is the null request that it becomes once it is done, which is done always; the
        // flag outlives the call, and the status is one that is ignored.
        let code = unsafe { ffi::MPI_Test(request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
        self.check(code).map(|()| done != 0)
    }

    /// Ends all ranks.
    fn abort(&self, reason: &CollectiveError) -> ! {
        eprintln!("error: {reason}");
        // SAFETY: MPI is running. The call ends the process.
        unsafe { ffi::MPI_Abort(self.world(), ABORTED) };
        std::process::exit(ABORTED)
    }

    fn sum<N: Copy>(&self, numbers: &mut [N], kind: ffi::MPI_Datatype) -> Result<(), CollectiveError> {
        for chunk in numbers.chunks_mut(CHUNK) {
            let mine = chunk.to_vec();
            // SAFETY: the null request is a constant of MPI.
            let mut request = [unsafe { ffi::RSMPI_REQUEST_NULL }];
            // SAFETY: a constant of MPI.
            let sum = unsafe { ffi::RSMPI_SUM };
            // SAFETY: both buffers hold as many numbers of the type that `kind` names as is said, do not overlap, and outlive the
            // request, which is waited for below.
            let code = unsafe {
                ffi::MPI_Iallreduce(
                    mine.as_ptr().cast(),
                    chunk.as_mut_ptr().cast(),
                    chunk.len() as c_int,
                    kind,
                    sum,
                    self.world(),
                    &mut request[0],
                )
            };
            self.check(code)?;
            self.wait(&mut request, |_| None)?;
        }
        Ok(())
    }

    /// Sends a part of a message to all others, and receives theirs: one by one, so that who is missing is known.
    fn exchange(&self, mine: &[u8], all: &mut [Vec<u8>]) -> Result<(), CollectiveError> {
        let own = self.rank();
        // SAFETY: a constant of MPI.
        let bytes = unsafe { ffi::RSMPI_UINT8_T };
        let mut requests = Vec::with_capacity(2 * all.len());
        let mut others = Vec::with_capacity(2 * all.len());
        let mut begun = Ok(());
        for (rank, part) in all.iter_mut().enumerate().filter(|(rank, _)| *rank != own) {
            // SAFETY: the null request is a constant of MPI.
            let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
            let (to, length) = (part.as_mut_ptr().cast(), part.len() as c_int);
            // SAFETY: the buffer holds as many bytes as are received, nothing else refers to it, and it outlives the request,
            // which is waited for below.
            let code = unsafe { ffi::MPI_Irecv(to, length, bytes, rank as c_int, TAG, self.world(), &mut request) };
            begun = begun.and(self.check(code));
            requests.push(request);
            others.push(rank);
        }
        for rank in (0..all.len()).filter(|&rank| rank != own) {
            // SAFETY: the null request is a constant of MPI.
            let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
            let (from, length) = (mine.as_ptr().cast(), mine.len() as c_int);
            // SAFETY: the buffer holds as many bytes as are sent, is not written to, and outlives the request, which is waited
            // for below.
            let code = unsafe { ffi::MPI_Isend(from, length, bytes, rank as c_int, TAG, self.world(), &mut request) };
            begun = begun.and(self.check(code));
            requests.push(request);
            others.push(rank);
        }
        let ended = self.wait(&mut requests, |index| others.get(index).copied());
        begun.and(ended)
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.universe.world().rank() as usize
    }

    fn size(&self) -> usize {
        self.universe.world().size() as usize
    }

    fn gather(&self, mine: &[u8]) -> Result<Vec<u8>, CollectiveError> {
        let mut all = vec![Vec::new(); self.size()];
        // An empty message is one all the same: it says that the rank has come.
        let mut from = 0;
        loop {
            let part = &mine[from..mine.len().min(from + CHUNK)];
            let mut parts = vec![vec![0; part.len()]; all.len()];
            parts[self.rank()] = part.to_vec();
            self.exchange(part, &mut parts)?;
            all.iter_mut().zip(parts).for_each(|(all, part)| all.extend(part));
            from += CHUNK;
            if from >= mine.len() {
                return Ok(all.concat());
            }
        }
    }

    fn broadcast(&self, buffer: &mut [u8], root: usize) -> Result<(), CollectiveError> {
        for chunk in buffer.chunks_mut(CHUNK) {
            // SAFETY: the null request is a constant of MPI.
            let mut request = [unsafe { ffi::RSMPI_REQUEST_NULL }];
            // SAFETY: a constant of MPI.
            let bytes = unsafe { ffi::RSMPI_UINT8_T };
            let (at, length) = (chunk.as_mut_ptr().cast(), chunk.len() as c_int);
            // SAFETY: the buffer holds as many bytes as is said, nothing else refers to it, and it outlives the request, which is
            // waited for below.
            let code = unsafe { ffi::MPI_Ibcast(at, length, bytes, root as c_int, self.world(), &mut request[0]) };
            self.check(code)?;
            self.wait(&mut request, |_| None)?;
        }
        Ok(())
    }

    fn sum_f32(&self, numbers: &mut [f32]) -> Result<(), CollectiveError> {
        // SAFETY: a constant of MPI.
        let kind = unsafe { ffi::RSMPI_FLOAT };
        self.sum(numbers, kind)
    }

    fn sum_f64(&self, numbers: &mut [f64]) -> Result<(), CollectiveError> {
        // SAFETY: a constant of MPI.
        let kind = unsafe { ffi::RSMPI_DOUBLE };
        self.sum(numbers, kind)
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        // To end MPI in good order needs all ranks, and those that still work wait for this one.
        if std::thread::panicking() {
            self.abort(&CollectiveError::Transport { rank: self.rank(), reason: "it panicked, see above".into() });
        }
        if self.leave() {
            // SAFETY: this is the only place that drops it, and nothing refers to it afterwards.
            unsafe { ManuallyDrop::drop(&mut self.universe) };
        }
    }
}
