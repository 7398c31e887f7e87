//! What each hypergradient passes through, and in which order.

use super::{Graph, directed, reached};

/// One stop of a hypergradient: solve the best-response system of `level`, send the cotangents on to `into`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The level whose best response is differentiated.
    pub level: usize,
    /// Where the cotangents go, in order of declaration.
    pub into: Vec<usize>,
}

impl Graph {
    /// Fills `sweeps` and `flows`, lowest levels first, because those of a level need those of the levels below.
    pub(super) fn find_sweeps(&mut self) {
        let mut order: Vec<usize> = (0..self.levels()).collect();
        // Whoever waits for a level has more levels below it than that level has.
        order.sort_by_key(|&level| self.below[level].iter().filter(|&&below| below).count());
        for level in order {
            self.sweeps[level] = self.find_sweep(level);
            self.flows[level] = self.find_flows(level);
        }
    }

    /// The stops of `level`, ordered: all levels below whose best responses its total gradient depends on and that
    /// answer to it, and the stops of those, whose best responses answer with them.
    fn find_sweep(&self, level: usize) -> Vec<Stop> {
        let flows: Vec<&[usize]> = (0..self.levels())
            .map(|stop| if self.is_below(stop, level) { self.flows[stop].as_slice() } else { &[] })
            .collect();
        let onward = directed(&flows);
        let leads_back: Vec<Vec<bool>> = (0..self.levels()).map(|stop| reached(&onward, stop)).collect();
        let mut is_stop: Vec<bool> = (0..self.levels())
            .map(|stop| {
                let is_fed = self.lower(level).iter().any(|&first| first == stop || leads_back[first][stop]);
                self.is_below(stop, level) && leads_back[stop][level] && is_fed
            })
            .collect();
        for stop in 0..self.levels() {
            if is_stop[stop] {
                self.sweeps[stop].iter().for_each(|below| is_stop[below.level] = true);
            }
        }
        let mut open: Vec<usize> = (0..self.levels()).filter(|&stop| is_stop[stop]).collect();
        let mut sweep = Vec::new();
        while let Some(ready) = self.next_stop(&open) {
            let stop = open.remove(ready);
            let mut into = self.flows[stop].clone();
            into.retain(|&next| next == level || is_stop[next]);
            into.sort_unstable();
            sweep.push(Stop { level: stop, into });
        }
        sweep
    }

    /// Which of the open stops comes next. Levels are declared uppermost first, so among several the last declared.
    fn next_stop(&self, open: &[usize]) -> Option<usize> {
        let last = |waits: &dyn Fn(usize, usize) -> bool| {
            open.iter().rposition(|&stop| !open.iter().any(|&feeder| feeder != stop && waits(stop, feeder)))
        };
        let owns = |stop: usize, feeder: usize| self.answers_to(feeder, stop);
        let sends = |stop: usize, feeder: usize| owns(stop, feeder) || self.flows[feeder].contains(&stop);
        // Levels that share a lower level depend on each other. Then it is enough that a level comes after its own
        // stops, and nobody waits in a circle for that.
        last(&sends).or_else(|| last(&owns))
    }

    /// What the best response of `level` depends on: the levels above that it reads, starts from or takes numbers of its
    /// optimizer from, those below that it reads but that do not answer to it, and what the best responses depend on that do.
    fn find_flows(&self, level: usize) -> Vec<usize> {
        let own = |other: usize| other == level || self.answers_to(other, level);
        let below = self.sweeps[level].iter().flat_map(|stop| &self.flows[stop.level]);
        let mut flows: Vec<usize> = Vec::new();
        for &other in self.ways_up(level).chain(self.lower(level)).chain(below) {
            if !own(other) && !flows.contains(&other) {
                flows.push(other);
            }
        }
        flows
    }
}
