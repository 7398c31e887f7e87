//! Burn's recorded operations as compositions of ours, one file a family.

mod activation;
mod base;
mod catalogue;
mod fused;
mod gradient;
mod index;
mod layer;
mod module;
mod numeric;
mod placement;
mod reduce;
mod resample;
mod sample;
#[cfg(test)]
mod tests;
mod whole;

use std::collections::{BTreeSet, HashMap};

use burn_capture::CapturedGraph;
use burn_ir::{CustomOpIr, OperationIr, ScalarIr, TensorId, TensorIr};
use indexmap::IndexMap;

use super::error::{TraceError, Unsupported};
use super::mark::{ADVANCE, GRADIENT, MOMENTS, NEXT, OUTPUT, PLACEHOLDER, STOP_GRADIENT, SUMMED};
use crate::graph::{Graph, GraphError, NodeId, Op, Scalar};
use catalogue::Listed;
use whole::{Part, parts};

/// Why one operation could not be imported.
enum ImportError {
    Unsupported(Unsupported),
    Graph(GraphError),
    /// A derivative by a tensor that nothing reads.
    ByUnread,
}

impl From<GraphError> for ImportError {
    fn from(error: GraphError) -> Self {
        ImportError::Graph(error)
    }
}

type Imported<T = ()> = Result<T, ImportError>;

/// What a recording says beyond its tensors.
pub(super) struct Reading {
    /// What Burn recorded, by the names in the catalogue.
    pub(super) operations: BTreeSet<&'static str>,
    /// Inputs that take new values, with those.
    pub(super) advances: IndexMap<NodeId, NodeId>,
    /// What is marked as the output of a model; of the map of a fixed point, the parameters that it returns.
    pub(super) outputs: IndexMap<TensorId, NodeId>,
    /// What each tensor is where gradients taken inside of the loss are held constant, if there are any.
    pub(super) held: Option<HashMap<TensorId, NodeId>>,
    /// Whether a factor of Burn's backward pass may be a quotient that is rounded to single precision.
    pub(super) is_coarse: bool,
}

/// Builds `graph` from the recording; `nodes` knows the placeholders and learns every other tensor. Where the batch is a share of
/// one, what ranks have together is told apart.
pub(super) fn import(
    graph: &mut Graph,
    nodes: &mut HashMap<TensorId, NodeId>,
    captured: &CapturedGraph,
    is_share: bool,
    level: &str,
) -> Result<Reading, TraceError> {
    for (id, data) in &captured.values {
        nodes.entry(*id).or_insert_with(|| graph.literal(data.clone()));
    }
    let operations = captured.graph.operations.as_slice();
    // The loss is the recording's first output; what is recorded behind it is Burn's backward pass.
    let loss = captured.graph.outputs.first();
    let makes_loss = |operation: &OperationIr| operation.outputs().any(|output| Some(&output.id) == loss);
    let forward = operations.iter().position(makes_loss).map_or(operations.len(), |position| position + 1);
    let importer = Importer {
        graph,
        nodes,
        operations,
        position: 0,
        forward,
        advances: IndexMap::new(),
        outputs: IndexMap::new(),
        next: IndexMap::new(),
        advanced: HashMap::new(),
        divisors: Vec::new(),
        factors: Vec::new(),
        is_coarse: false,
        parts: if is_share { parts(operations) } else { HashMap::new() },
    };
    importer.run().map_err(|error| match error {
        ImportError::Unsupported(source) => TraceError::Unsupported { level: level.into(), source },
        ImportError::Graph(source) => TraceError::Graph { level: level.into(), source },
        ImportError::ByUnread => TraceError::GradientByUnread { level: level.into() },
    })
}

struct Importer<'a> {
    graph: &'a mut Graph,
    nodes: &'a mut HashMap<TensorId, NodeId>,
    operations: &'a [OperationIr],
    /// Where in the recording the import stands.
    position: usize,
    /// How many operations the forward pass has.
    forward: usize,
    /// Inputs that take new values.
    advances: IndexMap<NodeId, NodeId>,
    /// What is marked as the output of a model.
    outputs: IndexMap<TensorId, NodeId>,
    /// What is marked as a parameter that the map of a fixed point returns.
    next: IndexMap<TensorId, NodeId>,
    /// For each tensor that is a new value: the input whose value it is.
    advanced: HashMap<TensorId, NodeId>,
    /// Numbers by which doubles are divided.
    divisors: Vec<f64>,
    /// Numbers by which the forward pass multiplies floats.
    factors: Vec<f64>,
    is_coarse: bool,
    /// Tensors that are parts of what ranks have together.
    parts: HashMap<TensorId, Part>,
}

impl Importer<'_> {
    fn run(mut self) -> Imported<Reading> {
        let recorded = self.operations;
        let mut operations = BTreeSet::new();
        for (position, operation) in recorded.iter().enumerate() {
            operations.extend(catalogue::entry(operation).map(|entry| entry.name));
            self.position = position;
            self.operation(operation)?;
        }
        let held = self.held()?;
        // A map may share the forward pass of a loss, which marks what it likes.
        let outputs = if self.next.is_empty() { self.outputs } else { self.next };
        Ok(Reading { advances: self.advances, outputs, held, operations, is_coarse: self.is_coarse })
    }

    /// Whether the forward pass is complete.
    fn is_backward(&self) -> bool {
        self.position >= self.forward
    }

    fn operation(&mut self, operation: &OperationIr) -> Imported {
        match operation {
            OperationIr::BaseFloat(op) | OperationIr::BaseInt(op) | OperationIr::BaseBool(op) => self.base(op),
            OperationIr::NumericFloat(_, op) | OperationIr::NumericInt(_, op) => self.numeric(op),
            OperationIr::Float(_, op) => self.float(op),
            OperationIr::Int(op) => self.int(op),
            OperationIr::Bool(op) => self.bool(op),
            OperationIr::Activation(op) => self.activation(op),
            OperationIr::Module(op) => self.module(op),
            OperationIr::Custom(op) if op.id == STOP_GRADIENT => self.stop_gradient(op),
            OperationIr::Custom(op) if op.id == ADVANCE => self.advance(op),
            OperationIr::Custom(op) if op.id == OUTPUT || op.id == NEXT => self.output(op),
            // Known from the beginning.
            OperationIr::Custom(op) if op.id == SUMMED || op.id == MOMENTS => Ok(()),
            OperationIr::Custom(op) if op.id == GRADIENT => self.gradient(op),
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

    fn output(&mut self, op: &CustomOpIr) -> Imported {
        if let [tensor] = op.inputs.as_slice() {
            let node = self.node(tensor)?;
            // Where a gradient inside of the loss imports the same operation once more, the first time counts.
            let marked = if op.id == NEXT { &mut self.next } else { &mut self.outputs };
            marked.entry(tensor.id).or_insert(node);
            return Ok(());
        }
        custom(&op.id)
    }

    fn advance(&mut self, op: &CustomOpIr) -> Imported {
        if let ([state, next], [output]) = (op.inputs.as_slice(), op.outputs.as_slice()) {
            let (current, next) = (self.node(state)?, self.node(next)?);
            let mut input = self.advanced.get(&state.id).copied().unwrap_or(current);
            // Of a module that is held constant.
            while matches!(self.graph.node(input).op, Op::StopGradient) {
                input = self.graph.node(input).inputs[0];
            }
            let alike = self.graph.shape(input) == self.graph.shape(next) && self.graph.dtype(input) == output.dtype;
            if matches!(self.graph.node(input).op, Op::Input(_)) && alike {
                let node = self.graph.push(Op::StopGradient, &[next])?;
                self.advances.insert(input, node);
                self.advanced.insert(output.id, input);
                return self.set(output, node);
            }
        }
        Err(ImportError::Unsupported(Unsupported {
            operation: "advance of a running statistic".into(),
            remedy: "advance a statistic of the module to a tensor of its own shape and type",
        }))
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
        let node = self.on_whole(tensor, node)?;
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
