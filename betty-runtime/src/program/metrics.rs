//! The metrics of one step.

use std::rc::Rc;

/// Metrics summed over the batches of a step.
#[derive(Default)]
pub(crate) struct Metrics(Vec<Sum>);

struct Sum {
    name: Rc<str>,
    total: f64,
    count: usize,
}

impl Metrics {
    /// Adds those of one batch.
    pub(crate) fn add(&mut self, metrics: Vec<(Rc<str>, f64)>) {
        for (name, value) in metrics {
            match self.0.iter_mut().find(|sum| sum.name == name) {
                Some(sum) => (sum.total, sum.count) = (sum.total + value, sum.count + 1),
                None => self.0.push(Sum { name, total: value, count: 1 }),
            }
        }
    }

    /// Names, bits of sums, and counts, for others.
    pub(crate) fn told(&self) -> Vec<(String, u64, usize)> {
        self.0.iter().map(|Sum { name, total, count }| (name.to_string(), total.to_bits(), *count)).collect()
    }

    /// Those of several ranks together, as each has told its own.
    pub(crate) fn of_all<'t>(told: impl Iterator<Item = &'t (String, u64, usize)>) -> Self {
        let mut all = Metrics::default();
        for (name, bits, more) in told {
            let value = f64::from_bits(*bits);
            match all.0.iter_mut().find(|sum| *sum.name == **name) {
                Some(sum) => (sum.total, sum.count) = (sum.total + value, sum.count + more),
                None => all.0.push(Sum { name: name.as_str().into(), total: value, count: *more }),
            }
        }
        all
    }

    /// The mean of each over the batches that had it.
    pub(crate) fn means(self) -> Vec<(Rc<str>, f64)> {
        self.0.into_iter().map(|Sum { name, total, count }| (name, total / count as f64)).collect()
    }
}
