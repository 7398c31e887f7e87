//! How a rank leaves: it says so to the others, and hears whether one of them still needs it.
//!
//! To end MPI takes all ranks. One that has failed by itself, because it does not find its data say, would wait there for the
//! others, who wait for it, until a deadline passes; and nobody would read why it failed, which it tells when MPI is behind it.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use betty_runtime::distributed::{Collective as _, CollectiveError};
use mpi::ffi;

use super::{Mpi, PAUSE};

/// The tag of what a rank that leaves says, and of what it is answered.
const LEAVING: c_int = 0x0be8;
/// It needs nobody any more.
const LEFT: [u8; 1] = [0];
/// Somebody needs a rank that has left.
const NEEDED: [u8; 1] = [1];
/// How long a rank that is needed has to say why it has left.
const GRACE: Duration = Duration::from_secs(2);

/// Those who were found to have left, and since when that is known of one that is needed.
#[derive(Default)]
pub(super) struct Gone {
    needed: Option<(usize, Instant)>,
    left: Vec<usize>,
}

impl Mpi {
    /// Says that this rank needs nobody any more, and waits until nobody needs it, or somebody says that he does; answers whether
    /// MPI can be ended.
    pub(super) fn leave(&self) -> bool {
        let others: Vec<usize> = (0..self.size()).filter(|&rank| rank != self.rank()).collect();
        // They are given up where MPI goes on to refer to them: a few bytes of a process that ends.
        let answers: &'static mut [[u8; 1]] = vec![LEFT; others.len()].leak();
        let mut requests = Vec::with_capacity(others.len());
        for (&rank, answer) in others.iter().zip(answers.iter_mut()) {
            // SAFETY: constants of MPI.
            let (mut request, bytes) = unsafe { (ffi::RSMPI_REQUEST_NULL, ffi::RSMPI_UINT8_T) };
            // SAFETY: the buffer holds the one byte that is received, lives as long as the process, and is read when the request is
            // done.
            let code = unsafe {
                ffi::MPI_Irecv(answer.as_mut_ptr().cast(), 1, bytes, rank as c_int, LEAVING, self.world(), &mut request)
            };
            if self.check(code).is_err() || self.say(&LEFT, rank).is_err() {
                return false;
            }
            requests.push(request);
        }
        loop {
            let mut is_done = true;
            for (request, answer) in requests.iter_mut().zip(&*answers) {
                match self.is_done(request) {
                    Ok(true) if *answer == NEEDED => return false,
                    Ok(done) => is_done &= done,
                    Err(_) => return false,
                }
            }
            if is_done {
                return true;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends the job if one of these ranks, whose messages are waited for, has left some time ago. Messages of one rank keep their
    /// order, so all that it sent before it left has come once that is known; whether it is still missing is told by the next look
    /// at what has come.
    pub(super) fn check_gone(&self, missing: &[Option<usize>], gone: &mut Gone) {
        if let Some((lost, since)) = gone.needed {
            if since.elapsed() > GRACE {
                self.abort(&CollectiveError::Lost { rank: self.rank(), lost });
            }
            return;
        }
        if let Some(&lost) = missing.iter().flatten().find(|rank| gone.left.contains(rank)) {
            // It reads why it is needed, or has ended already.
            let _ = self.say(&NEEDED, lost);
            gone.needed = Some((lost, Instant::now()));
            return;
        }
        for &lost in missing.iter().flatten() {
            let mut found: c_int = 0;
            // SAFETY: the flag outlives the call, and the status is one that is ignored.
            let code =
                unsafe { ffi::MPI_Iprobe(lost as c_int, LEAVING, self.world(), &mut found, ffi::RSMPI_STATUS_IGNORE) };
            if code == ffi::MPI_SUCCESS as c_int && found != 0 {
                gone.left.push(lost);
            }
        }
    }

    /// Sends one of two words, which are short enough to be sent at once.
    fn say(&self, word: &'static [u8; 1], to: usize) -> Result<(), CollectiveError> {
        // SAFETY: a constant of MPI.
        let bytes = unsafe { ffi::RSMPI_UINT8_T };
        // SAFETY: the buffer holds the one byte that is sent, and is constant.
        self.check(unsafe { ffi::MPI_Send(word.as_ptr().cast(), 1, bytes, to as c_int, LEAVING, self.world()) })
    }
}
