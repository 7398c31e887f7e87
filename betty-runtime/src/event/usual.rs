//! How large the hypergradients of a level usually are.
//!
//! What is usual is the median of the norms so far, but no less than that of the first ones: then a level that converges may
//! come back from there. Norms that run away are no part of it. All of them are known on the host already.

use std::collections::BTreeMap;

/// So many norms decide what is usual before any is judged.
const FIRST: u64 = 16;
/// A norm that is more than this many times the usual one runs away. Between batches, and while a system is solved from step
/// to step, norms differ by less.
const FACTOR: f64 = 1e3;
/// While norms run away, those are told of that are this many times as large as the last one.
const NEWS: f64 = 10.0;

/// The norms of a level's hypergradients so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usual {
    count: u64,
    /// How many there were between each power of two and the next.
    by_exponent: BTreeMap<i32, u64>,
    /// The median of the first ones.
    at_first: f64,
    /// How many times the usual size the last one was that was told of, while norms run away.
    told: f64,
}

impl Usual {
    /// Takes note of a norm, which is finite; answers how many times the usual one it is, if that is to be told.
    pub(crate) fn note(&mut self, norm: f64) -> Option<f64> {
        // Nothing comes through, which says nothing of what would.
        if norm == 0.0 {
            return None;
        }
        if self.count >= FIRST {
            let ratio = norm / self.median().max(self.at_first);
            if ratio > FACTOR {
                let is_news = ratio > NEWS * self.told;
                self.told = if is_news { ratio } else { self.told };
                return is_news.then_some(ratio);
            }
            self.told = 0.0;
        }
        *self.by_exponent.entry(norm.log2().floor() as i32).or_default() += 1;
        self.count += 1;
        if self.count == FIRST {
            self.at_first = self.median();
        }
        None
    }

    /// The median, to a factor of √2.
    fn median(&self) -> f64 {
        let mut below = 0;
        let middle = self.by_exponent.iter().find(|&(_, count)| {
            below += count;
            2 * below >= self.count
        });
        middle.map_or(0.0, |(&exponent, _)| (f64::from(exponent) + 0.5).exp2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the norms that were told of, from 0.
    fn told(norms: impl IntoIterator<Item = f64>) -> Vec<usize> {
        let mut usual = Usual::default();
        norms.into_iter().enumerate().filter_map(|(number, norm)| usual.note(norm).map(|_| number)).collect()
    }

    const NOBODY: [usize; 0] = [];

    #[test]
    fn a_norm_out_of_proportion_is_told_of_once() {
        let steady = |count| std::iter::repeat_n(2.0, count);
        assert_eq!(told(steady(100).chain([1e8, 2.0, 3.0])), [100]);
        // While it lasts only what is much worse is news, and afterwards the next one is.
        assert_eq!(told(steady(20).chain([1e4, 2e4, 1e5, 2e5, 5e5, 2.0, 1e4])), [20, 23, 26]);
        assert_eq!(told(steady(20).chain([1.9e3])), NOBODY);
        // The ratio is that to the usual size, which is known to a factor of √2.
        let mut usual = Usual::default();
        steady(20).for_each(|norm| assert_eq!(usual.note(norm), None));
        let ratio = usual.note(1e8).expect("it is told of");
        assert!((ratio / 5e7).log2().abs() < 0.51, "{ratio:e}");
    }

    #[test]
    fn a_slow_growth_is_noticed_and_a_bounded_one_is_not() {
        // By a twentieth a step, without end.
        let first = told((0..500).map(|k| 1.05_f64.powi(k)))[0];
        assert!((200..320).contains(&first), "{first}");
        // Towards a solution that is found from step to step, over three orders of magnitude.
        assert_eq!(told((0..20_000).map(|k| 1.0 - 0.9995_f64.powi(k + 1))), NOBODY);
        assert_eq!(told((1..5000).map(|k| f64::from(k).powi(3))), NOBODY);
    }

    #[test]
    fn convergence_is_usual() {
        let converging = || (0..400).map(|k| 0.9_f64.powi(k).max(1e-12));
        assert_eq!(told(converging()), NOBODY);
        // Somebody changes the data: the level begins anew, from no further than it came.
        assert_eq!(told(converging().chain(converging()).chain([100.0])), NOBODY);
        assert_eq!(told(converging().chain([1e4])), [400]);
        // Noise, zeros, and whatever there is at the start.
        assert_eq!(told((0..1000).map(|k| 10.0_f64.powf(f64::from(k * 7919 % 1000) / 500.0))), NOBODY);
        assert_eq!(told([0.0; 30].into_iter().chain([1e-9, 1e3, 1e8, 1.0]).chain([1.0; 30])), NOBODY);
    }
}
