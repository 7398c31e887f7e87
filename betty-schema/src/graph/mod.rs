//! The graph of levels over their numbers: circles, who reaches whom, and the sweep of each hypergradient.
//!
//! Edges are lists per level, in the order in which they were written. An entry of `lower` means "I read that level's
//! best response", so the entry is solved first; an entry of `upper` means "I read that level's current parameters",
//! so a hypergradient can pass from here to there. So it can to where a level starts, and to what its steps depend on.

mod circle;
mod sweep;
#[cfg(test)]
mod tests;

use petgraph::graph::{DiGraph, NodeIndex, UnGraph};
use petgraph::visit::Bfs;

pub use circle::Circle;
pub use sweep::Stop;

/// The lists of all levels; they hold no duplicates and no level itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// The levels whose current parameters a level reads.
    pub upper: Vec<Vec<usize>>,
    /// The levels whose best responses a level reads.
    pub lower: Vec<Vec<usize>>,
    /// The level from whose parameters a level starts.
    pub start: Vec<Option<usize>>,
    /// The levels whose parameters are numbers of a level's optimizer.
    pub hyperparameters: Vec<Vec<usize>>,
}

/// The edges of a program and what follows from them.
pub struct Graph {
    edges: Edges,
    /// `below[a][b]`: `b` is solved, directly or not, before each step of `a`.
    below: Vec<Vec<bool>>,
    circles: Vec<Circle>,
    sweeps: Vec<Vec<Stop>>,
    /// For each level: the other levels that its best response depends on.
    flows: Vec<Vec<usize>>,
}

impl Graph {
    /// What follows from these edges.
    #[must_use]
    pub fn new(edges: Edges) -> Self {
        let waits = directed(&edges.lower);
        let circles = circle::circles(&waits);
        let below: Vec<Vec<bool>> = (0..edges.lower.len()).map(|level| reached(&waits, level)).collect();
        let (sweeps, flows) = (vec![Vec::new(); below.len()], vec![Vec::new(); below.len()]);
        let mut graph = Self { edges, below, circles, sweeps, flows };
        if graph.circles.is_empty() {
            graph.find_sweeps();
        }
        graph
    }

    /// How many levels there are.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.edges.lower.len()
    }

    /// The levels whose current parameters `level` reads.
    #[must_use]
    pub fn upper(&self, level: usize) -> &[usize] {
        &self.edges.upper[level]
    }

    /// The levels whose best responses `level` reads.
    #[must_use]
    pub fn lower(&self, level: usize) -> &[usize] {
        &self.edges.lower[level]
    }

    /// The level from whose parameters `level` can start.
    #[must_use]
    pub fn start(&self, level: usize) -> Option<usize> {
        self.edges.start[level]
    }

    /// The levels whose parameters are numbers of the optimizer of `level`.
    #[must_use]
    pub fn hyperparameters(&self, level: usize) -> &[usize] {
        &self.edges.hyperparameters[level]
    }

    /// One circle for every entry of `lower` that closes one, in order of declaration.
    #[must_use]
    pub fn circles(&self) -> &[Circle] {
        &self.circles
    }

    /// Whether `other` is solved, directly or not, before each step of `level`.
    #[must_use]
    pub fn is_below(&self, other: usize, level: usize) -> bool {
        self.below[level][other]
    }

    /// The levels nobody waits for, in order of declaration.
    #[must_use]
    pub fn roots(&self) -> Vec<usize> {
        (0..self.levels()).filter(|level| !self.edges.lower.iter().any(|list| list.contains(level))).collect()
    }

    /// What the hypergradient of `level` passes through: every stop before the stops whose sweeps pass through it, and
    /// where there is no circle, before all stops it sends to.
    ///
    /// Empty for all levels if [`circles`](Self::circles) is not.
    #[must_use]
    pub fn sweep(&self, level: usize) -> &[Stop] {
        &self.sweeps[level]
    }

    /// Whether the hypergradient of any level passes through this one, so that it needs a method.
    #[must_use]
    pub fn is_passed(&self, level: usize) -> bool {
        self.sweeps.iter().flatten().any(|stop| stop.level == level)
    }

    /// Whether the best response of `level` is part of the total gradient of `above`.
    #[must_use]
    pub fn answers_to(&self, level: usize, above: usize) -> bool {
        self.sweeps[above].iter().any(|stop| stop.level == level)
    }

    /// Whether the best response of `level` depends on the level that it starts from in another way, too: through its loss,
    /// through numbers of its optimizer, which the levels in `learning` learn, or through what it reads of the levels below.
    #[must_use]
    pub fn depends_beside_start(&self, level: usize, learning: &[usize]) -> bool {
        let Some(from) = self.start(level) else { return false };
        if self.upper(level).contains(&from) || learning.contains(&from) {
            return true;
        }
        let mut open = self.lower(level).to_vec();
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

    /// A level whose best response depends on that of `level` and the other way round, below a common level.
    #[must_use]
    pub fn peer(&self, level: usize) -> Option<usize> {
        self.sweeps.iter().find_map(|sweep| {
            let position = sweep.iter().position(|stop| stop.level == level)?;
            let before = sweep[..position].iter().find(|stop| sweep[position].into.contains(&stop.level));
            let after = || sweep[position..].iter().find(|stop| stop.into.contains(&level));
            Some(before.or_else(after)?.level)
        })
    }

    /// The connected parts, each in order of declaration, ordered by their first levels.
    #[must_use]
    pub fn parts(&self) -> Vec<Vec<usize>> {
        let mut either = UnGraph::<(), ()>::default();
        for _ in 0..self.levels() {
            either.add_node(());
        }
        for level in 0..self.levels() {
            for &other in self.lower(level).iter().chain(self.ways_up(level)) {
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

    /// Where a hypergradient can pass from a level: to levels that it reads, starts from, or takes numbers of its optimizer
    /// from.
    pub(crate) fn ways_up(&self, level: usize) -> impl Iterator<Item = &usize> {
        let Edges { upper, start, hyperparameters, .. } = &self.edges;
        upper[level].iter().chain(&start[level]).chain(&hyperparameters[level])
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
