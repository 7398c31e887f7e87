//! Graphs as text a person can read, and as DOT.

use std::fmt::{self, Write};

use burn::tensor::DType;

use super::{Graph, Node, Op, reachable};
use crate::graph::NodeId;

impl fmt::Display for Graph {
    /// One line a node: `%7 f32[128, 10] = matmul(%5, %6)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.nodes.iter().enumerate() {
            writeln!(f, "%{index} {}", line(node))?;
        }
        Ok(())
    }
}

impl Graph {
    /// The part of the graph that `outputs` need, in Graphviz's DOT language.
    pub fn to_dot(&self, outputs: &[NodeId]) -> String {
        let needed = reachable(self, outputs);
        let mut dot = String::from("digraph loss {\n  rankdir=TB;\n  node [shape=box, fontname=\"monospace\"];\n");
        for (index, node) in self.nodes.iter().enumerate().filter(|(index, _)| needed[*index]) {
            let emphasis = if outputs.iter().any(|output| output.index() == index) { ", penwidth=2" } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(dot, "  n{index} [label=\"{}\\n{}\"{emphasis}];", label(&node.op), kind(node));
            for input in &node.inputs {
                let _ = writeln!(dot, "  n{} -> n{index};", input.index());
            }
        }
        dot.push_str("}\n");
        dot
    }
}

fn line(node: &Node) -> String {
    let inputs: Vec<String> = node.inputs.iter().map(ToString::to_string).collect();
    format!("{} = {}({})", kind(node), label(&node.op), inputs.join(", "))
}

fn kind(node: &Node) -> String {
    type_and_shape(node.dtype, &node.shape)
}

/// `f32[128, 10]`
pub(crate) fn type_and_shape(dtype: DType, shape: &[usize]) -> String {
    let dtype = format!("{dtype:?}").to_lowercase();
    let dtype = dtype.split('(').next().unwrap_or_default();
    format!("{dtype}{shape:?}")
}

/// An operation with its numbers, for people.
pub(crate) fn label(op: &Op) -> String {
    let name = op.name();
    match op {
        Op::Input(index) | Op::Literal(index) => format!("{name} {index}"),
        Op::Full(value) => format!("{name} {}", value.as_f64()),
        Op::WithScalar(_, value) | Op::CompareScalar(_, value) => format!("{name} {}", value.as_f64()),
        Op::Random { draw, distribution } => format!("{name} {draw} {distribution:?}"),
        Op::Sum(axes) | Op::Permute(axes) | Op::Flip(axes) => format!("{name} {axes:?}"),
        Op::ArgMax(axis) | Op::ArgMin(axis) | Op::Softmax(axis) | Op::LogSoftmax(axis) | Op::Concat(axis) => {
            format!("{name} {axis}")
        }
        Op::Gather(axis) | Op::Select(axis) => format!("{name} {axis}"),
        Op::ScatterAdd { axis, .. } | Op::SelectAdd { axis, .. } => format!("{name} {axis}"),
        _ => name,
    }
}
