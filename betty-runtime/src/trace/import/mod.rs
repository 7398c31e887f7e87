//! Burn's recorded operations as compositions of ours, one file a family.

mod activation;
mod base;
mod catalogue;
mod fused;
mod index;
mod layer;
mod module;
mod numeric;
mod placement;
mod reduce;
mod resample;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use burn_capture::CapturedGraph;
use burn_ir::{CustomOpIr, OperationIr, ScalarIr, TensorId, TensorIr};

use super::error::{TraceError, Unsupported};
use super::stop::{MARKER, PLACEHOLDER};
use crate::graph::{Graph, GraphError, NodeId, Op, Scalar};
use catalogue::Listed;

/// Why one operation could not be imported.
enum ImportError {
    Unsupported(Unsupported),
    Graph(GraphError),
}

impl From<GraphError> for ImportError {
    fn from(error: GraphError) -> Self {
        ImportError::Graph(error)
    }
}

type Imported<T = ()> = Result<T, ImportError>;

/// Builds `graph` from the recording; `nodes` knows the placeholders and learns every other tensor.
///
/// Answers the names of the operations that Burn recorded.
pub(super) fn import(
    graph: &mut Graph,
    nodes: &mut HashMap<TensorId, NodeId>,
    captured: &CapturedGraph,
    level: &str,
) -> Result<BTreeSet<&'static str>, TraceError> {
    for (id, data) in &captured.values {
        nodes.entry(*id).or_insert_with(|| graph.literal(data.clone()));
    }
    // The loss is the recording's first output; what is recorded behind it is Burn's backward pass.
    let loss = captured.graph.outputs.first();
    let mut importer = Importer { graph, nodes, divisors: Vec::new(), backward: false };
    let mut operations = BTreeSet::new();
    for operation in &captured.graph.operations {
        operations.extend(catalogue::entry(operation).map(|entry| entry.name));
        importer.operation(operation).map_err(|error| match error {
            ImportError::Unsupported(source) => TraceError::Unsupported { level: level.into(), source },
            ImportError::Graph(source) => TraceError::Graph { level: level.into(), source },
        })?;
        importer.backward = importer.backward || loss.is_some_and(|loss| importer.nodes.contains_key(loss));
    }
    Ok(operations)
}

struct Importer<'a> {
    graph: &'a mut Graph,
    nodes: &'a mut HashMap<TensorId, NodeId>,
    /// Numbers by which doubles are divided.
    divisors: Vec<f64>,
    /// Whether the forward pass is complete.
    backward: bool,
}

impl Importer<'_> {
    fn operation(&mut self, operation: &OperationIr) -> Imported {
        match operation {
            OperationIr::BaseFloat(op) | OperationIr::BaseInt(op) | OperationIr::BaseBool(op) => self.base(op),
            OperationIr::NumericFloat(_, op) | OperationIr::NumericInt(_, op) => self.numeric(op),
            OperationIr::Float(_, op) => self.float(op),
            OperationIr::Int(op) => self.int(op),
            OperationIr::Bool(op) => self.bool(op),
            OperationIr::Activation(op) => self.activation(op),
            OperationIr::Module(op) => self.module(op),
            OperationIr::Custom(op) if op.id == MARKER => self.stop_gradient(op),
            OperationIr::Custom(op) if op.id == PLACEHOLDER => self.placeholder(op),
            // The value of an initialised tensor is already known.
            OperationIr::Init(_) | OperationIr::Drop(_) => Ok(()),
            OperationIr::Custom(op) => custom(&op.id),
            OperationIr::Distributed(op) => unsupported(op),
        }
    }

    fn placeholder(&mut self, op: &CustomOpIr) -> Imported {
        if let ([input], [output]) = (op.inputs.as_slice(), op.outputs.as_slice()) {
            let node = self.node(input)?;
            return self.set(output, node);
        }
        custom(&op.id)
    }

    fn stop_gradient(&mut self, op: &CustomOpIr) -> Imported {
        if let ([input], [output]) = (op.inputs.as_slice(), op.outputs.as_slice()) {
            return self.unary_op(Op::StopGradient, input, output);
        }
        custom(&op.id)
    }

    /// The node of a recorded tensor.
    fn node(&self, tensor: &TensorIr) -> Imported<NodeId> {
        self.nodes.get(&tensor.id).copied().ok_or_else(|| {
            ImportError::Unsupported(Unsupported {
                operation: format!("a tensor made outside of the loss ({})", tensor.id),
                remedy: "pass it through the batch or a module",
            })
        })
    }

    /// Remembers what a recorded tensor is.
    fn set(&mut self, tensor: &TensorIr, node: NodeId) -> Imported {
        self.nodes.insert(tensor.id, node);
        Ok(())
    }

    fn unary_op(&mut self, op: Op, input: &TensorIr, out: &TensorIr) -> Imported {
        let x = self.node(input)?;
        let node = self.graph.push(op, &[x])?;
        self.set(out, node)
    }

    /// Both operands, expanded to the shape of the result.
    fn operands(&mut self, lhs: &TensorIr, rhs: &TensorIr) -> Imported<(NodeId, NodeId)> {
        let (x, y) = (self.node(lhs)?, self.node(rhs)?);
        Ok(self.graph.broadcast(x, y)?)
    }

    fn binary_op(&mut self, op: Op, lhs: &TensorIr, rhs: &TensorIr, out: &TensorIr) -> Imported {
        let (x, y) = self.operands(lhs, rhs)?;
        let node = self.graph.push(op, &[x, y])?;
        self.set(out, node)
    }
}

/// An operation without a rule.
fn unsupported<T>(operation: &impl Listed) -> Imported<T> {
    let entry = operation.entry();
    Err(ImportError::Unsupported(Unsupported { operation: entry.name.into(), remedy: entry.remark }))
}

/// An operation that is not Burn's.
fn custom<T>(name: &str) -> Imported<T> {
    let remedy = "write it with Burn's operations, or compute it outside of the loss and pass it in the batch";
    Err(ImportError::Unsupported(Unsupported { operation: name.into(), remedy }))
}

fn scalar(value: ScalarIr) -> Scalar {
    match value {
        ScalarIr::Float(value) => Scalar::Float(value),
        ScalarIr::Int(value) => Scalar::Int(value),
        ScalarIr::UInt(value) => Scalar::Int(value as i64),
        ScalarIr::Bool(value) => Scalar::Bool(value),
    }
}
