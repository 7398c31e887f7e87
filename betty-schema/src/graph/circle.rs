//! Levels that wait for themselves.

use petgraph::graph::DiGraph;
use petgraph::visit::{Control, DfsEvent, depth_first_search};

/// An entry of `lower` that makes a level wait for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// The level in whose list the closing entry stands.
    pub from: usize,
    /// The entry.
    pub to: usize,
    /// The circle from `to` back to `to`.
    pub path: Vec<usize>,
}

/// One circle for every edge that closes one.
pub(super) fn circles(waits: &DiGraph<(), ()>) -> Vec<Circle> {
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
