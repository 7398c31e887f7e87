//! The loss of a level after the steps below it.

use std::collections::HashMap;

use crate::derivatives::lagrangian::{Build, Input};
use crate::derivatives::loss::Loss;
use crate::derivatives::steps::{Unrolled, UnrolledSteps};
use crate::graph::{GraphError, NodeId, Op, replay};
use crate::trace::LossInput;

/// The loss of a level after the steps below it.
pub(super) struct Above {
    /// The loss, and then its metrics.
    pub(super) values: Vec<NodeId>,
    /// The inputs that are parameters of the level.
    pub(super) parameters: Vec<NodeId>,
}

/// Adds the loss of a level, which reads where the steps below lead.
pub(super) fn above(
    build: &mut Build,
    level: usize,
    loss: &Loss,
    lower: &[(&UnrolledSteps<'_>, Unrolled)],
) -> Result<Above, GraphError> {
    let trace = loss.trace();
    let mut images = HashMap::new();
    for &(source, node) in &trace.inputs {
        let reached = lower.iter().find_map(|(steps, unrolled)| match source {
            LossInput::Leaf { level, index } if level == steps.level => {
                let parameter = steps.trainable.iter().position(|&parameter| parameter == index)?;
                Some(unrolled.reached[parameter])
            }
            _ => None,
        });
        let input = Input::of_loss(level, source);
        images.insert(
            node,
            reached.unwrap_or_else(|| build.input(input, trace.graph.shape(node), trace.graph.dtype(node))),
        );
    }
    for id in trace.graph.ids() {
        if let Op::Random { draw, distribution } = trace.graph.node(id).op {
            let input = Input::Draw { level, draw, distribution };
            images.insert(id, build.input(input, trace.graph.shape(id), trace.graph.dtype(id)));
        }
    }
    let outputs: Vec<NodeId> = std::iter::once(trace.loss).chain(trace.metrics.iter().map(|&(_, node)| node)).collect();
    let values = replay(&mut build.graph, &trace.graph, &outputs, &images)?;
    Ok(Above { values, parameters: loss.parameters(level).iter().map(|parameter| images[parameter]).collect() })
}
