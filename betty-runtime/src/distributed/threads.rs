//! Ranks that are threads of one process: for several devices of one machine, and for tests.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Collective, CollectiveError};

/// One of several ranks in one process, each with an engine of its own on a thread of its own.
///
/// A rank that is dropped has left, which the others are told at once; one that does not come is waited for until the
/// [deadline](Self::deadline). One that has waited in vain has left as well. Sums are formed in the order of ranks.
///
/// Each rank makes its own streams. A [`DataLoader`](burn::data::dataloader::DataLoader) that shuffles gives another order to every
/// stream that is made of it, so ranks that [shard](crate::Stream::sharded) one build a loader each, with the same seed, inside of
/// [`run`](Self::run).
pub struct Threads {
    rank: usize,
    deadline: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    meeting: Mutex<Meeting>,
    changed: Condvar,
}

/// The message in hand.
struct Meeting {
    /// What each rank has brought.
    brought: Vec<Option<Vec<u8>>>,
    /// All of it, once everybody is there, and who has taken it.
    all: Option<Arc<Vec<u8>>>,
    taken: Vec<bool>,
    /// Who has left.
    left: Vec<bool>,
}

impl Threads {
    /// A group of `size` ranks, at least 1, in order.
    pub fn new(size: usize) -> Vec<Self> {
        let size = size.max(1);
        let meeting =
            Meeting { brought: vec![None; size], all: None, taken: vec![false; size], left: vec![false; size] };
        let shared = Arc::new(Shared { meeting: Mutex::new(meeting), changed: Condvar::new() });
        let rank = |rank| Threads { rank, deadline: Duration::from_secs(600), shared: Arc::clone(&shared) };
        (0..size).map(rank).collect()
    }

    /// How long a rank waits for the others; 10 minutes by default.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs `work` on `size` threads, each with its rank, and answers what they came to in order.
    ///
    /// ```
    /// use betty_runtime::distributed::{Collective, Threads};
    ///
    /// let sums = Threads::run(3, |rank| {
    ///     let mut numbers = [rank.rank() as f64, 1.0];
    ///     rank.sum_f64(&mut numbers).map(|()| numbers)
    /// });
    /// assert!(sums.into_iter().all(|sum| sum == Ok([3.0, 3.0])));
    /// ```
    ///
    /// # Panics
    /// When one of the threads did.
    pub fn run<T: Send>(size: usize, work: impl Fn(Threads) -> T + Sync) -> Vec<T> {
        let work = &work;
        std::thread::scope(|scope| {
            let started: Vec<_> = Threads::new(size).into_iter().map(|rank| scope.spawn(move || work(rank))).collect();
            let ended = started.into_iter().map(|thread| thread.join());
            ended.map(|found| found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    /// Brings something and waits for what all have brought.
    fn meet(&self, mine: &[u8]) -> Result<Arc<Vec<u8>>, CollectiveError> {
        let all = self.exchange(mine);
        if matches!(all, Err(CollectiveError::TimedOut { .. })) {
            self.leave();
        }
        all
    }

    fn exchange(&self, mine: &[u8]) -> Result<Arc<Vec<u8>>, CollectiveError> {
        let until = Instant::now() + self.deadline;
        // The message before has to be taken by everybody.
        let mut meeting = self.wait(self.lock(), until, |meeting| meeting.brought[self.rank].is_none())?;
        meeting.brought[self.rank] = Some(mine.to_vec());
        if meeting.brought.iter().all(Option::is_some) {
            let all = meeting.brought.iter().flatten().flatten().copied().collect();
            meeting.all = Some(Arc::new(all));
            self.shared.changed.notify_all();
        }
        meeting = self.wait(meeting, until, |meeting| meeting.all.is_some())?;
        let all = meeting.all.clone().unwrap_or_default();
        self.take(&mut meeting);
        Ok(all)
    }

    /// This rank has what all have brought.
    fn take(&self, meeting: &mut Meeting) {
        meeting.taken[self.rank] = true;
        if meeting.taken.iter().zip(&meeting.left).all(|(&taken, &left)| taken || left) {
            meeting.all = None;
            meeting.brought.fill(None);
            meeting.taken.fill(false);
            self.shared.changed.notify_all();
        }
    }

    /// Needs nobody any more: what it has brought to a message that is not whole, it takes away again, and of one that is, it
    /// takes nothing.
    fn leave(&self) {
        let mut meeting = self.lock();
        meeting.left[self.rank] = true;
        match meeting.all {
            None => meeting.brought[self.rank] = None,
            Some(_) => self.take(&mut meeting),
        }
        self.shared.changed.notify_all();
    }

    /// Waits until something holds, or somebody has left, or it is too late.
    fn wait<'m>(
        &self,
        mut meeting: MutexGuard<'m, Meeting>,
        until: Instant,
        holds: impl Fn(&Meeting) -> bool,
    ) -> Result<MutexGuard<'m, Meeting>, CollectiveError> {
        let rank = self.rank;
        loop {
            if holds(&meeting) {
                return Ok(meeting);
            }
            let absent = |of: &usize| meeting.brought[*of].is_none();
            if let Some(lost) = (0..meeting.left.len()).filter(absent).find(|&of| meeting.left[of]) {
                return Err(CollectiveError::Lost { rank, lost });
            }
            let now = Instant::now();
            if now >= until {
                let missing = (0..meeting.brought.len()).filter(absent).filter(|&of| of != rank).collect();
                return Err(CollectiveError::TimedOut { rank, waited: self.deadline, missing });
            }
            let waited = self.shared.changed.wait_timeout(meeting, until - now);
            meeting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Meeting> {
        self.shared.meeting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.leave();
    }
}

macro_rules! sum {
    ($self:ident, $numbers:ident, $number:ty) => {{
        const WIDTH: usize = size_of::<$number>();
        let mine: Vec<u8> = $numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let all = $self.meet(&mine)?;
        let (parts, _) = all.as_chunks::<WIDTH>();
        let count = $numbers.len();
        for (index, number) in $numbers.iter_mut().enumerate() {
            let of_rank = parts.iter().skip(index).step_by(count.max(1));
            *number = of_rank.map(|&bytes| <$number>::from_le_bytes(bytes)).sum();
        }
        Ok(())
    }};
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.lock().brought.len()
    }

    fn gather(&self, mine: &[u8]) -> Result<Vec<u8>, CollectiveError> {
        self.meet(mine).map(|all| all.to_vec())
    }

    fn broadcast(&self, buffer: &mut [u8], root: usize) -> Result<(), CollectiveError> {
        let all = self.meet(buffer)?;
        buffer.copy_from_slice(&all[root * buffer.len()..(root + 1) * buffer.len()]);
        Ok(())
    }

    fn sum_f32(&self, numbers: &mut [f32]) -> Result<(), CollectiveError> {
        sum!(self, numbers, f32)
    }

    fn sum_f64(&self, numbers: &mut [f64]) -> Result<(), CollectiveError> {
        sum!(self, numbers, f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_gets_what_all_gave_in_order() {
        let found = Threads::run(3, |rank| {
            let mut last = Vec::new();
            for round in 0..200_u8 {
                last = rank.gather(&[rank.rank() as u8, round]).expect("all come");
            }
            let mut word = [rank.rank() as u8; 2];
            rank.broadcast(&mut word, 2).expect("all come");
            let mut numbers = [0.1, rank.rank() as f32];
            rank.sum_f32(&mut numbers).expect("all come");
            rank.barrier().expect("all come");
            (last, word, numbers)
        });
        for found in found {
            assert_eq!(found, (vec![0, 199, 1, 199, 2, 199], [2, 2], [0.1 + 0.1 + 0.1, 3.0]));
        }
    }

    #[test]
    fn one_that_has_left_or_does_not_come_is_named() {
        let found = Threads::run(2, |rank| if rank.rank() == 0 { rank.gather(&[]) } else { Ok(Vec::new()) });
        assert_eq!(found[0], Err(CollectiveError::Lost { rank: 0, lost: 1 }));
        let late = Duration::from_millis(20);
        let mut ranks = Threads::new(2);
        let _silent = ranks.pop();
        let first = ranks.pop().expect("two ranks").deadline(late);
        assert_eq!(first.barrier(), Err(CollectiveError::TimedOut { rank: 0, waited: late, missing: vec![1] }));
    }

    #[test]
    fn one_that_has_waited_in_vain_is_not_there_for_those_that_come_late() {
        let late = Duration::from_millis(20);
        let mut ranks = Threads::new(3);
        let [last, second, first] = [ranks.pop(), ranks.pop(), ranks.pop()].map(|rank| rank.expect("three ranks"));
        let waited = first.deadline(late);
        assert!(matches!(waited.barrier(), Err(CollectiveError::TimedOut { rank: 0, .. })));
        // It may be there still, to be asked what went wrong.
        for rank in [second, last] {
            let number = rank.rank();
            assert_eq!(rank.deadline(late).barrier(), Err(CollectiveError::Lost { rank: number, lost: 0 }));
        }
        drop(waited);
    }

    #[test]
    fn who_leaves_with_the_last_message_does_not_hold_up_the_others() {
        let found = Threads::run(3, |rank| {
            rank.barrier().expect("all come");
            match rank.rank() {
                0 => Ok(()),
                _ => rank.barrier(),
            }
        });
        assert_eq!(found[1], Err(CollectiveError::Lost { rank: 1, lost: 0 }));
        assert_eq!(found[2], Err(CollectiveError::Lost { rank: 2, lost: 0 }));
    }
}
