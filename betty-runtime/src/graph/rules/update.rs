//! Entries updated at indices, of which several may be the same.
//!
//! With `x` the old entry and `v…` the values that meet it, the new entry is the last `v`, `x·v·…`, `min(x, v…)` or
//! `max(x, v…)`. In a tie of the last two each side that the entry equals has derivative 1, as in Burn.
//!
//! Burn's own backward pass takes for granted that each entry is written to once. So do the rules of an update that says so
//! (`once`): with them a gradient can be held against Burn's also where Burn's is wrong.

use burn::tensor::DType;

use super::answer::Derivative;
use super::others::product_of_others;
use super::{Graph, GraphError, NodeId, Op};
use crate::graph::{Comparison, Update};

/// The parts of an update.
struct Parts {
    axis: usize,
    update: Update,
    once: bool,
    x: NodeId,
    indices: NodeId,
    values: NodeId,
    out: NodeId,
}

impl Parts {
    fn of(graph: &Graph, out: NodeId) -> Self {
        let node = graph.node(out);
        let (Op::Scatter { axis, update, once }, [x, indices, values]) = (&node.op, node.inputs.as_slice()) else {
            unreachable!("called for updates only")
        };
        Parts { axis: *axis, update: *update, once: *once, x: *x, indices: *indices, values: *values, out }
    }

    /// `into` with `values` in the place of its entries.
    fn put(&self, graph: &mut Graph, update: Update, into: NodeId, values: NodeId) -> Result<NodeId, GraphError> {
        graph.push(Op::Scatter { axis: self.axis, update, once: self.once }, &[into, self.indices, values])
    }

    /// What stands at the indices.
    fn at(&self, graph: &mut Graph, x: NodeId) -> Result<NodeId, GraphError> {
        graph.push(Op::Gather(self.axis), &[x, self.indices])
    }

    /// Where the first of two entries survives the comparison with the second.
    fn survives(&self, graph: &mut Graph, first: NodeId, second: NodeId) -> Result<NodeId, GraphError> {
        let relation = if self.update == Update::Maximum { Comparison::GreaterEqual } else { Comparison::LowerEqual };
        graph.push(Op::Compare(relation), &[first, second])
    }

    /// `v` times the derivative by the old entries, which is the same for tangents and cotangents.
    fn by_x(&self, graph: &mut Graph, v: NodeId) -> Result<NodeId, GraphError> {
        match self.update {
            Update::Assign => {
                let zeros = graph.zeros_like(self.values);
                self.put(graph, Update::Assign, v, zeros)
            }
            Update::Multiply => self.put(graph, Update::Multiply, v, self.values),
            Update::Minimum | Update::Maximum if self.once => {
                let old = self.at(graph, self.x)?;
                let survives = self.survives(graph, old, self.values)?;
                let survives = graph.cast(survives, graph.dtype(self.x))?;
                let ones = graph.full_like(self.x, 1.0);
                let survives = self.put(graph, Update::Assign, ones, survives)?;
                graph.mul(v, survives)
            }
            Update::Minimum | Update::Maximum => {
                let beats = if self.update == Update::Maximum { Comparison::Greater } else { Comparison::Lower };
                let is_beaten = graph.push(Op::Compare(beats), &[self.out, self.x])?;
                let zeros = graph.zeros_like(v);
                graph.select_where(is_beaten, zeros, v)
            }
        }
    }

    /// `v` times the derivative of each new entry by a value that meets it.
    fn by_value(&self, graph: &mut Graph, v: NodeId) -> Result<NodeId, GraphError> {
        let survives = match self.update {
            Update::Assign if self.once => return Ok(v),
            Update::Assign => self.stays(graph)?,
            Update::Multiply => {
                let old = self.at(graph, self.x)?;
                let slope = match self.once {
                    true => old,
                    false => product_of_others(graph, self.axis, self.indices, self.values, old)?,
                };
                return graph.mul(v, slope);
            }
            Update::Minimum | Update::Maximum => {
                let other = self.at(graph, if self.once { self.x } else { self.out })?;
                self.survives(graph, self.values, other)?
            }
        };
        let zeros = graph.zeros_like(v);
        graph.select_where(survives, v, zeros)
    }

    /// Which values nobody writes over: those whose numbers stand where the values would.
    fn stays(&self, graph: &mut Graph) -> Result<NodeId, GraphError> {
        let (from, to) = (graph.shape(self.x).to_vec(), graph.shape(self.values).to_vec());
        let ones = graph.full(&to, DType::I64, 1.0);
        let numbers = graph.push(Op::CumSum(self.axis), &[ones])?;
        let nobody = graph.full(&from, DType::I64, 0.0);
        let put = self.put(graph, Update::Assign, nobody, numbers)?;
        let last = self.at(graph, put)?;
        graph.push(Op::Compare(Comparison::Equal), &[last, numbers])
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
