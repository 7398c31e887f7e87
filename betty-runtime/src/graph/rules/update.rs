//! Entries updated at indices: where each entry is written to at most once, an update acts on every entry by itself.
//!
//! With `x` the old entry and `v` the value that meets it, the new entry is `v`, `x·v`, `min(x, v)` or `max(x, v)`. In a tie
//! of the last two both sides have derivative 1, as in Burn.

use super::answer::Derivative;
use super::{Graph, GraphError, NodeId, Op};
use crate::graph::{Comparison, Update};

/// The parts of an update.
struct Parts {
    axis: usize,
    update: Update,
    x: NodeId,
    indices: NodeId,
    values: NodeId,
}

impl Parts {
    fn of(graph: &Graph, node: NodeId) -> Self {
        let node = graph.node(node);
        let (Op::Scatter { axis, update }, [x, indices, values]) = (&node.op, node.inputs.as_slice()) else {
            unreachable!("called for updates only")
        };
        Parts { axis: *axis, update: *update, x: *x, indices: *indices, values: *values }
    }

    /// `into` with `values` in the place of its entries.
    fn put(&self, graph: &mut Graph, update: Update, into: NodeId, values: NodeId) -> Result<NodeId, GraphError> {
        graph.push(Op::Scatter { axis: self.axis, update }, &[into, self.indices, values])
    }

    /// What stands at the indices.
    fn at(&self, graph: &mut Graph, x: NodeId) -> Result<NodeId, GraphError> {
        graph.push(Op::Gather(self.axis), &[x, self.indices])
    }

    /// 1 where the first of an old entry and a value survives the comparison with the second, else 0.
    fn survives(&self, graph: &mut Graph, first: NodeId, second: NodeId) -> Result<NodeId, GraphError> {
        let relation = if self.update == Update::Maximum { Comparison::GreaterEqual } else { Comparison::LowerEqual };
        let survives = graph.push(Op::Compare(relation), &[first, second])?;
        graph.cast(survives, graph.dtype(self.x))
    }

    /// `v` times the derivative by the old entries, which is the same for tangents and cotangents.
    fn by_x(&self, graph: &mut Graph, v: NodeId) -> Result<NodeId, GraphError> {
        match self.update {
            Update::Assign => {
                let zeros = graph.zeros_like(self.values);
                self.put(graph, Update::Assign, v, zeros)
            }
            Update::Multiply => self.put(graph, Update::Multiply, v, self.values),
            Update::Minimum | Update::Maximum => {
                let old = self.at(graph, self.x)?;
                let survives = self.survives(graph, old, self.values)?;
                self.put(graph, Update::Multiply, v, survives)
            }
        }
    }

    /// `v` times the derivative of each new entry by its value.
    fn by_value(&self, graph: &mut Graph, v: NodeId) -> Result<NodeId, GraphError> {
        if self.update == Update::Assign {
            return Ok(v);
        }
        let old = self.at(graph, self.x)?;
        let slope = if self.update == Update::Multiply { old } else { self.survives(graph, self.values, old)? };
        graph.mul(v, slope)
    }
}

pub(super) fn jvp(graph: &mut Graph, node: NodeId, i: usize, tangent: NodeId) -> Derivative {
    let parts = Parts::of(graph, node);
    match i {
        0 => parts.by_x(graph, tangent).map(Some),
        2 => {
            let moved = parts.by_value(graph, tangent)?;
            let size = graph.shape(parts.x)[parts.axis];
            graph.push(Op::ScatterAdd { axis: parts.axis, size }, &[parts.indices, moved]).map(Some)
        }
        _ => Ok(None),
    }
}

pub(super) fn vjp(graph: &mut Graph, node: NodeId, i: usize, cotangent: NodeId) -> Derivative {
    let parts = Parts::of(graph, node);
    match i {
        0 => parts.by_x(graph, cotangent).map(Some),
        2 => {
            let at = parts.at(graph, cotangent)?;
            parts.by_value(graph, at).map(Some)
        }
        _ => Ok(None),
    }
}
