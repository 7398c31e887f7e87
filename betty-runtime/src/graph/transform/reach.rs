//! Which nodes a result needs, which nodes an input reaches, and which nodes a derivative leads to.

use crate::graph::{Graph, NodeId, rules};

/// One of those that go from outputs to what they come from.
pub(crate) type Leads = fn(&Graph, &[NodeId]) -> Vec<bool>;

/// For every node of the graph, whether it is needed to compute one of `outputs`.
pub fn reachable(graph: &Graph, outputs: &[NodeId]) -> Vec<bool> {
    let mut needed = vec![false; graph.len()];
    for output in outputs {
        needed[output.index()] = true;
    }
    // Inputs come before the nodes that use them, so one pass backwards sees every user first.
    for index in (0..graph.len()).rev() {
        if needed[index] {
            for input in &graph.nodes[index].inputs {
                needed[input.index()] = true;
            }
        }
    }
    needed
}

/// For every node of the graph, whether it is computed from one of `sources` (or is one).
pub fn dependents(graph: &Graph, sources: &[NodeId]) -> Vec<bool> {
    let mut reached = vec![false; graph.len()];
    for source in sources {
        reached[source.index()] = true;
    }
    for index in 0..graph.len() {
        reached[index] = reached[index] || graph.nodes[index].inputs.iter().any(|input| reached[input.index()]);
    }
    reached
}

/// For every node of the graph, whether the derivative of one of `outputs`, which are floats, leads to it: through floats, and
/// through no operation whose derivative vanishes identically.
pub fn differentiated(graph: &Graph, outputs: &[NodeId]) -> Vec<bool> {
    let mut led = vec![false; graph.len()];
    for output in outputs {
        led[output.index()] = true;
    }
    for index in (0..graph.len()).rev() {
        let node = &graph.nodes[index];
        if led[index] && !rules::is_constant(&node.op) {
            for &input in &node.inputs {
                led[input.index()] |= graph.dtype(input).is_float();
            }
        }
    }
    led
}
