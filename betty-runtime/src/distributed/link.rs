//! What messages between ranks take, from two numbers of the link between them.

use std::time::{Duration, Instant};

use super::{Collective, CollectiveError};

/// A link between ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The time that a message of no length takes from one rank to the next, α, in seconds.
    pub latency: f64,
    /// Bytes that go from one rank to the next in a second, B.
    pub bandwidth: f64,
}

impl Link {
    /// About how long `ranks` ranks take to exchange so many messages with so many bytes in all, each message with the header that
    /// announces it:
    ///
    /// ```text
    /// messages·[ (R−1)·α + 2(R−1)·α ] + 2(R−1)/R · bytes/B
    /// ```
    ///
    /// which is what rings take to gather the headers and to sum what is in the messages. `Explanation::total` of
    /// [`Engine::explain`](crate::Engine::explain) counts both for an iteration.
    ///
    /// ```
    /// use betty_runtime::distributed::Link;
    ///
    /// // Conjugate gradients of 10 iterations for 25 million parameters, on 8 machines over 100 GbE.
    /// let link = Link { latency: 30e-6, bandwidth: 10e9 };
    /// let time = link.time(8, 13.0, 13.0 * 100e6);
    /// assert!((time.as_secs_f64() - 0.236).abs() < 1e-3);
    /// ```
    #[must_use]
    pub fn time(&self, ranks: usize, messages: f64, bytes: f64) -> Duration {
        let others = ranks.saturating_sub(1) as f64;
        let seconds = 3.0 * messages * others * self.latency + 2.0 * others / (others + 1.0) * bytes / self.bandwidth;
        // What is no time, of a bandwidth of zero for instance, is one that nobody waits for.
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// Numbers in a long message: 1 MiB.
const LONG: usize = 1 << 18;

/// Measures the link between ranks, all of which call this at the same time: the medians of 20 sums of one number
/// and of 5 of 1 MiB. All ranks get the numbers of rank 0. A single rank has a link without latency, of infinite bandwidth.
///
/// ```
/// use betty_runtime::distributed::{Threads, measure};
///
/// let found = Threads::run(2, |rank| measure(&rank));
/// let link = found[0].as_ref().expect("both are there");
/// assert!(link.bandwidth > 0.0 && found[0] == found[1]);
/// ```
///
/// # Errors
/// [`CollectiveError`] when a rank does not answer.
pub fn measure(collective: &dyn Collective) -> Result<Link, CollectiveError> {
    let others = collective.size().saturating_sub(1) as f64;
    if others == 0.0 {
        return Ok(Link { latency: 0.0, bandwidth: f64::INFINITY });
    }
    let short = median(collective, 1, 20)?;
    let long = median(collective, LONG, 5)?;
    // A long message that was no slower than a short one says nothing of the bandwidth but that it is large.
    let beyond = (long - short).max(f64::MIN_POSITIVE);
    let bandwidth = 2.0 * others / (others + 1.0) * (LONG * size_of::<f32>()) as f64 / beyond;
    let mut bytes = [(short / (2.0 * others)).to_le_bytes(), bandwidth.to_le_bytes()].concat();
    collective.broadcast(&mut bytes, 0)?;
    let number = |at: usize| bytes[at..].first_chunk().map_or(f64::NAN, |bytes| f64::from_le_bytes(*bytes));
    Ok(Link { latency: number(0), bandwidth: number(size_of::<f64>()) })
}

/// The median of what several sums of so many numbers take, in seconds.
fn median(collective: &dyn Collective, numbers: usize, rounds: usize) -> Result<f64, CollectiveError> {
    let mut buffer = vec![0.0; numbers];
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        collective.barrier()?;
        let start = Instant::now();
        collective.sum_f32(&mut buffer)?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[rounds / 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distributed::{SingleProcess, Threads};

    #[test]
    fn time_follows_the_formula() {
        let link = Link { latency: 1e-3, bandwidth: 1e6 };
        assert_eq!(link.time(1, 5.0, 1e6), Duration::ZERO);
        // Three latencies to one other rank, and every byte once.
        assert_eq!(link.time(2, 1.0, 0.0), Duration::from_millis(3));
        assert_eq!(link.time(2, 0.0, 1e6), Duration::from_secs(1));
        assert_eq!(link.time(4, 2.0, 1e6), Duration::from_millis(18 + 1500));
        assert_eq!(Link { bandwidth: 0.0, ..link }.time(2, 1.0, 1.0), Duration::MAX);
    }

    #[test]
    fn all_ranks_measure_one_link() {
        assert_eq!(measure(&SingleProcess), Ok(Link { latency: 0.0, bandwidth: f64::INFINITY }));
        let found = Threads::run(3, |rank| measure(&rank));
        let link = found[0].clone().expect("all are there");
        assert!(link.latency > 0.0 && link.bandwidth > 0.0 && link.bandwidth.is_finite(), "{link:?}");
        assert!(found.iter().all(|found| *found == Ok(link)), "{found:?}");
    }

    #[test]
    fn a_rank_that_does_not_measure_is_missed() {
        let found = Threads::run(2, |rank| match rank.rank() {
            0 => measure(&rank.deadline(Duration::from_millis(100))).map(drop),
            _ => Ok(()),
        });
        assert!(found[0].is_err() && found[1].is_ok());
    }
}
