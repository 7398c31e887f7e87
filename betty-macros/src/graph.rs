//! The graph of levels over indices: circles, who reaches whom, and the sweep of each hypergradient.
//!
//! Edges are lists per level, in the order in which they were written. An entry of `lower` means "I read that level's
//! best response", so the entry is solved first; an entry of `upper` means "I read that level's current parameters",
//! so a hypergradient can pass from here to there. So it can to where a level starts, and to what its steps depend on.

use petgraph::graph::{DiGraph, NodeIndex, UnGraph};
use petgraph::visit::{Bfs, Control, DfsEvent, depth_first_search};

/// The edges of a program and what follows from them.
pub(crate) struct Graph {
    upper: Vec<Vec<usize>>,
    lower: Vec<Vec<usize>>,
    /// The level from whose parameters a level starts.
    start: Vec<Option<usize>>,
    /// The levels whose parameters are numbers of a level's optimizer.
    hyperparameters: Vec<Vec<usize>>,
    /// `below[a][b]`: `b` is solved, directly or not, before each step of `a`.
    below: Vec<Vec<bool>>,
    circles: Vec<Circle>,
    sweeps: Vec<Vec<Through>>,
    /// For each level: the other levels that its best response depends on.
    flows: Vec<Vec<usize>>,
}

/// An entry of `lower` that makes a level wait for itself.
pub(crate) struct Circle {
    /// The level in whose list the closing entry stands.
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The circle from `to` back to `to`.
    pub(crate) path: Vec<usize>,
}

/// One stop of a hypergradient: solve the best-response system of `level`, send the cotangents on to `into`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Through {
    pub(crate) level: usize,
    pub(crate) into: Vec<usize>,
}

impl Graph {
    /// `upper` and `lower` have one list for every level; lists hold no duplicates and no level itself.
    #[cfg(test)]
    pub(crate) fn new(upper: Vec<Vec<usize>>, lower: Vec<Vec<usize>>) -> Self {
        let (start, hyperparameters) = (vec![None; lower.len()], vec![Vec::new(); lower.len()]);
        Self::with_steps(upper, lower, start, hyperparameters)
    }

    /// For levels some of which start from others, or take steps with numbers that others learn. The lists hold no
    /// duplicates and no level itself.
    pub(crate) fn with_steps(
        upper: Vec<Vec<usize>>,
        lower: Vec<Vec<usize>>,
        start: Vec<Option<usize>>,
        hyperparameters: Vec<Vec<usize>>,
    ) -> Self {
        let waits = directed(&lower);
        let circles = circles(&waits);
        let below = (0..lower.len()).map(|level| reached(&waits, level)).collect();
        let levels = lower.len();
        let (sweeps, flows) = (vec![Vec::new(); levels], vec![Vec::new(); levels]);
        let mut graph = Self { upper, lower, start, hyperparameters, below, circles, sweeps, flows };
        if graph.circles.is_empty() {
            graph.find_sweeps();
        }
        graph
    }

    pub(crate) fn levels(&self) -> usize {
        self.lower.len()
    }

    pub(crate) fn upper(&self, level: usize) -> &[usize] {
        &self.upper[level]
    }

    pub(crate) fn lower(&self, level: usize) -> &[usize] {
        &self.lower[level]
    }

    pub(crate) fn start(&self, level: usize) -> Option<usize> {
        self.start[level]
    }

    pub(crate) fn hyperparameters(&self, level: usize) -> &[usize] {
        &self.hyperparameters[level]
    }

    /// One circle for every entry of `lower` that closes one, in order of declaration.
    pub(crate) fn circles(&self) -> &[Circle] {
        &self.circles
    }

    /// Whether `other` is solved, directly or not, before each step of `level`.
    pub(crate) fn is_below(&self, other: usize, level: usize) -> bool {
        self.below[level][other]
    }

    /// The levels nobody waits for, in order of declaration.
    pub(crate) fn roots(&self) -> Vec<usize> {
        (0..self.levels()).filter(|level| !self.lower.iter().any(|list| list.contains(level))).collect()
    }

    /// What the hypergradient of `level` passes through: every stop before the stops whose sweeps pass through it, and
    /// where there is no circle, before all stops it sends to.
    ///
    /// Empty for all levels if [`circles`](Self::circles) is not.
    pub(crate) fn sweep(&self, level: usize) -> &[Through] {
        &self.sweeps[level]
    }

    /// Whether the hypergradient of any level passes through this one.
    pub(crate) fn is_passed(&self, level: usize) -> bool {
        self.sweeps.iter().flatten().any(|stop| stop.level == level)
    }

    /// Whether `level` is a stop of the hypergradient of `of`.
    pub(crate) fn passes(&self, of: usize, level: usize) -> bool {
        self.sweeps[of].iter().any(|stop| stop.level == level)
    }

    /// Whether the best response of `level` depends on the level that it starts from in another way, too.
    pub(crate) fn depends_beside_start(&self, level: usize) -> bool {
        let Some(from) = self.start[level] else { return false };
        if self.upper[level].contains(&from) || self.hyperparameters[level].contains(&from) {
            return true;
        }
        // What it reads of the levels below may depend on that level.
        let mut open = self.lower[level].clone();
        let mut seen = vec![false; self.levels()];
        seen[level] = true;
        while let Some(next) = open.pop() {
            if next == from {
                return true;
            }
            if !std::mem::replace(&mut seen[next], true) {
                open.extend(&self.flows[next]);
            }
        }
        false
    }

    /// A stop of the hypergradient of `of` with which `level`, another one, depends on each other.
    pub(crate) fn sends_back(&self, of: usize, level: usize) -> Option<usize> {
        let position = self.sweeps[of].iter().position(|stop| stop.level == level)?;
        let before =
            self.sweeps[of][..position].iter().find(|stop| self.sweeps[of][position].into.contains(&stop.level));
        let after = || self.sweeps[of][position..].iter().find(|stop| stop.into.contains(&level));
        Some(before.or_else(after)?.level)
    }

    /// The connected parts, each in order of declaration, ordered by their first levels.
    pub(crate) fn parts(&self) -> Vec<Vec<usize>> {
        let mut either = UnGraph::<(), ()>::default();
        for _ in 0..self.levels() {
            either.add_node(());
        }
        for (level, (upper, lower)) in self.upper.iter().zip(&self.lower).enumerate() {
            let steps = self.start[level].iter().chain(&self.hyperparameters[level]);
            for &other in upper.iter().chain(lower).chain(steps) {
                either.add_edge(NodeIndex::new(level), NodeIndex::new(other), ());
            }
        }
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for level in 0..self.levels() {
            if parts.iter().any(|part| part.contains(&level)) {
                continue;
            }
            let mut search = Bfs::new(&either, NodeIndex::new(level));
            let mut part = Vec::new();
            while let Some(node) = search.next(&either) {
                part.push(node.index());
            }
            part.sort_unstable();
            parts.push(part);
        }
        parts
    }

    /// Fills `sweeps` and `flows`, lowest levels first, because those of a level need those of the levels below.
    fn find_sweeps(&mut self) {
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
    fn find_sweep(&self, level: usize) -> Vec<Through> {
        let flows: Vec<&[usize]> = (0..self.levels())
            .map(|stop| if self.is_below(stop, level) { self.flows[stop].as_slice() } else { &[] })
            .collect();
        let onward = directed(&flows);
        let leads_back: Vec<Vec<bool>> = (0..self.levels()).map(|stop| reached(&onward, stop)).collect();
        let mut is_stop: Vec<bool> = (0..self.levels())
            .map(|stop| {
                let is_fed = self.lower[level].iter().any(|&first| first == stop || leads_back[first][stop]);
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
            sweep.push(Through { level: stop, into });
        }
        sweep
    }

    /// Which of the open stops comes next. Levels are declared uppermost first, so among several the last declared.
    fn next_stop(&self, open: &[usize]) -> Option<usize> {
        let last = |waits: &dyn Fn(usize, usize) -> bool| {
            open.iter().rposition(|&stop| !open.iter().any(|&feeder| feeder != stop && waits(stop, feeder)))
        };
        let owns = |stop: usize, feeder: usize| self.passes(stop, feeder);
        let sends = |stop: usize, feeder: usize| owns(stop, feeder) || self.flows[feeder].contains(&stop);
        // Levels that share a lower level depend on each other. Then it is enough that a level comes after its own
        // stops, and nobody waits in a circle for that.
        last(&sends).or_else(|| last(&owns))
    }

    /// What the best response of `level` depends on: the levels above that it reads, starts from or takes numbers of its
    /// optimizer from, those below that it reads but that do not answer to it, and what the best responses depend on that do.
    fn find_flows(&self, level: usize) -> Vec<usize> {
        let own = |other: usize| other == level || self.passes(level, other);
        let below = self.sweeps[level].iter().flat_map(|stop| &self.flows[stop.level]);
        let mut flows: Vec<usize> = Vec::new();
        let steps = self.start[level].iter().chain(&self.hyperparameters[level]);
        for &other in self.upper[level].iter().chain(steps).chain(&self.lower[level]).chain(below) {
            if !own(other) && !flows.contains(&other) {
                flows.push(other);
            }
        }
        flows
    }
}

fn directed(lists: &[impl AsRef<[usize]>]) -> DiGraph<(), ()> {
    let mut graph = DiGraph::default();
    for _ in lists {
        graph.add_node(());
    }
    for (level, list) in lists.iter().enumerate() {
        // petgraph visits the newest edge first; this way it is the first entry.
        for &other in list.as_ref().iter().rev() {
            graph.add_edge(NodeIndex::new(level), NodeIndex::new(other), ());
        }
    }
    graph
}

/// Which levels at least one edge leads to, from `start`.
fn reached(graph: &DiGraph<(), ()>, start: usize) -> Vec<bool> {
    let mut reached = vec![false; graph.node_count()];
    for first in graph.neighbors(NodeIndex::new(start)) {
        let mut search = Bfs::new(graph, first);
        while let Some(node) = search.next(graph) {
            reached[node.index()] = true;
        }
    }
    reached
}

fn circles(waits: &DiGraph<(), ()>) -> Vec<Circle> {
    let mut circles = Vec::new();
    let mut path: Vec<usize> = Vec::new();
    depth_first_search(waits, waits.node_indices(), |event| -> Control<()> {
        match event {
            DfsEvent::Discover(level, _) => path.push(level.index()),
            DfsEvent::Finish(..) => {
                path.pop();
            }
            DfsEvent::BackEdge(from, to) => {
                let (from, to) = (from.index(), to.index());
                let start = path.iter().position(|&level| level == to).unwrap_or(0);
                let mut path = path[start..].to_vec();
                path.push(to);
                circles.push(Circle { from, to, path });
            }
            DfsEvent::TreeEdge(..) | DfsEvent::CrossForwardEdge(..) => {}
        }
        Control::Continue
    });
    circles
}
