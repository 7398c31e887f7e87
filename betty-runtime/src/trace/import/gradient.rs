//! Gradients taken inside of a loss, expanded with our own vjp.
//!
//! Which tensor is meant is a matter of the recording, not of the graph: equal computations are one node of the graph, but
//! a derivative by one of them must not run through the other. So the part of the recording that leads from the tensors to
//! the differentiated value is imported once more with fresh variables in their place, differentiated, and put back.

use std::collections::{HashMap, HashSet};

use burn_ir::{CustomOpIr, OperationIr, TensorId, TensorIr};

use super::{ImportError, Imported, Importer, custom};
use crate::graph::{NodeId, Op, dependents, replay, vjp};
use crate::trace::mark::{GRADIENT, PLACEHOLDER, STOP_GRADIENT};

/// What leads from the variables to the differentiated value.
struct Between {
    /// The value, if it depends on a variable.
    of: Option<NodeId>,
    /// Each variable that is computed from others, in order of computation: which one, and its value.
    recomputed: Vec<(usize, NodeId)>,
}

fn is_gradient(operation: &OperationIr) -> bool {
    matches!(operation, OperationIr::Custom(op) if op.id == GRADIENT)
}

/// Whether no derivative leads through it: what it answers is the same node wherever its variables are put in.
fn is_stopped(operation: &OperationIr) -> bool {
    matches!(operation, OperationIr::Custom(op) if op.id == STOP_GRADIENT)
}

impl Importer<'_> {
    pub(super) fn gradient(&mut self, op: &CustomOpIr) -> Imported {
        let Some((of, with_respect_to)) = op.inputs.split_first() else { return custom(&op.id) };
        let gradients = self.gradients(of, with_respect_to)?;
        op.outputs.iter().zip(gradients).try_for_each(|(output, gradient)| self.set(output, gradient))
    }

    /// `∂(Σ of)/∂x` for each tensor of `with_respect_to`.
    fn gradients(&mut self, of: &TensorIr, with_respect_to: &[TensorIr]) -> Imported<Vec<NodeId>> {
        if self.is_by_unread(of, with_respect_to) {
            return Err(ImportError::ByUnread);
        }
        let mut places = HashMap::new();
        let mut values = Vec::new();
        for tensor in with_respect_to {
            let value = self.node(tensor)?;
            places.entry(tensor.id).or_insert_with(|| {
                values.push(value);
                values.len() - 1
            });
        }
        let variables: Vec<NodeId> = values
            .iter()
            .map(|&value| {
                let (shape, dtype) = (self.graph.shape(value).to_vec(), self.graph.dtype(value));
                self.graph.input(&shape, dtype)
            })
            .collect();
        let between = self.between(of, &places, &variables)?;
        let found = self.total(&between, &variables)?;
        let outputs: Vec<NodeId> = found
            .into_iter()
            .zip(&variables)
            .map(|(gradient, &like)| gradient.unwrap_or_else(|| self.graph.zeros_like(like)))
            .collect();
        let source = self.graph.clone();
        let moved = dependents(&source, &variables);
        let mut replaced: HashMap<NodeId, NodeId> =
            source.ids().filter(|id| !moved[id.index()]).map(|id| (id, id)).collect();
        replaced.extend(variables.iter().copied().zip(values));
        let gradients = replay(self.graph, &source, &outputs, &replaced)?;
        Ok(with_respect_to.iter().map(|tensor| gradients[places[&tensor.id]]).collect())
    }

    /// Whether one of these tensors was made in the loss for nothing: no operation reads it, and it is not `of` itself. What is asked for
    /// is then most likely the derivative by another tensor, of which this one is a copy. Not every tensor of a module is read, so
    /// those, and those of a module that is held constant, are by themselves no mistake; but all of them are.
    fn is_by_unread(&self, of: &TensorIr, with_respect_to: &[TensorIr]) -> bool {
        // It may be read later; that a derivative by it is asked for is no use of it.
        let forward = &self.operations[..self.forward];
        let inputs = forward.iter().flat_map(|operation| {
            let count = if is_gradient(operation) { 1 } else { usize::MAX };
            operation.inputs().take(count)
        });
        let read: HashSet<TensorId> = inputs.map(|tensor| tensor.id).collect();
        let before = &self.operations[..self.position];
        let is_read = |tensor: &TensorIr| tensor.id == of.id || read.contains(&tensor.id);
        let is_made_by = |tensor: &TensorIr, also: &[&str]| {
            let mut makers = before.iter().filter(|operation| operation.outputs().any(|made| made.id == tensor.id));
            makers.any(|operation| match operation {
                OperationIr::Init(_) => false,
                OperationIr::Custom(marker) => !also.contains(&marker.id.as_str()),
                _ => true,
            })
        };
        with_respect_to.iter().any(|tensor| !is_read(tensor) && is_made_by(tensor, &[PLACEHOLDER, STOP_GRADIENT]))
            || with_respect_to.iter().all(|tensor| !is_read(tensor) && is_made_by(tensor, &[PLACEHOLDER]))
    }

    /// Imports the operations between the variables and `of` once more, up to where the recording stands. No others: another
    /// derivative that leads to `of` by no path would be expanded with all that it is made of, and so on for those in it.
    fn between(&mut self, of: &TensorIr, places: &HashMap<TensorId, usize>, variables: &[NodeId]) -> Imported<Between> {
        let end = self.position;
        // A second pass must neither move running statistics again nor leave anything behind.
        let (nodes, advances, advanced) = (self.nodes.clone(), self.advances.clone(), self.advanced.clone());
        self.nodes.extend(places.iter().map(|(&id, &place)| (id, variables[place])));
        let mut reached: HashSet<TensorId> = places.keys().copied().collect();
        let mut recomputed = Vec::new();
        let operations = self.operations;
        let mut needed = HashSet::from([of.id]);
        for operation in operations[..end].iter().rev().filter(|operation| !is_stopped(operation)) {
            if operation.outputs().any(|tensor| needed.contains(&tensor.id)) {
                needed.extend(operation.inputs().map(|tensor| tensor.id));
            }
        }
        for (position, operation) in operations[..end].iter().enumerate() {
            let is_between = operation.inputs().any(|tensor| reached.contains(&tensor.id))
                && operation.outputs().any(|tensor| needed.contains(&tensor.id));
            if !is_between || is_stopped(operation) {
                continue;
            }
            self.position = position;
            self.operation(operation)?;
            for output in operation.outputs() {
                reached.insert(output.id);
                if let Some(&place) = places.get(&output.id) {
                    recomputed.push((place, self.nodes[&output.id]));
                    self.nodes.insert(output.id, variables[place]);
                }
            }
        }
        let of = if reached.contains(&of.id) { Some(self.node(of)?) } else { None };
        (self.position, *self.nodes, self.advances, self.advanced) = (end, nodes, advances, advanced);
        Ok(Between { of, recomputed })
    }

    /// Derivatives of `Σ of` along every path, those through variables that are computed from others included.
    fn total(&mut self, between: &Between, variables: &[NodeId]) -> Imported<Vec<Option<NodeId>>> {
        let Between { of: Some(of), recomputed } = between else { return Ok(vec![None; variables.len()]) };
        let one = self.graph.full_like(*of, 1.0);
        let mut outputs = vec![(*of, one)];
        let mut found = vec![None; variables.len()];
        // Whatever was computed last first: it is an output of all that came before it.
        for &(place, value) in recomputed.iter().rev() {
            found[place] = vjp(self.graph, &outputs, &variables[place..=place])?[0];
            outputs.extend(found[place].map(|cotangent| (value, cotangent)));
        }
        let rest: Vec<usize> =
            (0..variables.len()).filter(|place| recomputed.iter().all(|(other, _)| other != place)).collect();
        let of_rest: Vec<NodeId> = rest.iter().map(|&place| variables[place]).collect();
        for (place, gradient) in rest.into_iter().zip(vjp(self.graph, &outputs, &of_rest)?) {
            found[place] = gradient;
        }
        Ok(found)
    }

    /// The recording as Burn's autodiff sees it: every gradient taken inside is a constant.
    ///
    /// Answers what each tensor is then, or `None` if the loss takes no gradient.
    pub(super) fn held(&mut self) -> Imported<Option<HashMap<TensorId, NodeId>>> {
        if !self.operations.iter().any(is_gradient) {
            return Ok(None);
        }
        let (nodes, advances, advanced) = (self.nodes.clone(), self.advances.clone(), self.advanced.clone());
        let mut reached = HashSet::new();
        let operations = self.operations;
        for (position, operation) in operations.iter().enumerate() {
            self.position = position;
            if is_gradient(operation) {
                for output in operation.outputs() {
                    let constant = self.graph.push(Op::StopGradient, &[nodes[&output.id]])?;
                    self.set(output, constant)?;
                }
            } else if operation.inputs().any(|tensor| reached.contains(&tensor.id)) {
                self.operation(operation)?;
            } else {
                continue;
            }
            reached.extend(operation.outputs().map(|output| output.id));
        }
        (self.advances, self.advanced) = (advances, advanced);
        Ok(Some(std::mem::replace(self.nodes, nodes)))
    }
}
