//! A loss recorded on every kind of batch that it met, each recording compiled and compared with Burn's autodiff once.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use burn::tensor::Device;

use super::DerivativesError;
use super::held::Held;
use crate::derivatives::{
    Bound, Cache, Compared, Comparison, Curvature, Difference, GradientProgram, Lagrangian, LinearProgram, Loss,
    Memory, OPERATIONS, OutputProduct, Source, Verified,
};
use crate::execute::{Program, Value};
use crate::graph::{GraphError, NodeId};
use crate::trace::{AnyBatch, LossInput, Measured, Part, Signature, Trace, TraceError, Tracer, trace_for, trace_part};

/// Calls the loss on what a tracer stands in for its arguments.
pub(super) type Call<'a> = dyn Fn(&mut Tracer<'_>) -> Measured + 'a;

/// A recorded loss, with everything compiled of it so far.
pub(super) struct Compiled {
    pub(super) loss: Loss,
    curvature: Option<Curvature>,
    output: Option<Program>,
    outputs: HashMap<OutputProduct, LinearProgram>,
    is_verified: bool,
}

/// What is asked of comparisons with Burn's autodiff.
#[derive(Clone, Copy)]
pub(super) struct Verify {
    pub(super) unchecked_allowed: bool,
    pub(super) memory: Memory,
}

/// All recordings of a loss.
pub(super) struct Recordings {
    cache: Cache<Signature, Compiled>,
    /// Those that may have become others, because the module has.
    unsure: HashSet<Signature>,
    verified: Verified,
    pub(super) verify: Verify,
    /// How often the loss was recorded.
    pub(super) count: usize,
}

impl Recordings {
    pub(super) fn new() -> Self {
        Recordings {
            cache: Cache::new(),
            unsure: HashSet::new(),
            verified: Verified::default(),
            verify: Verify { unchecked_allowed: false, memory: Memory(None) },
            count: 0,
        }
    }

    /// Each recording is made again before its next use, and kept if it has stayed the same.
    pub(super) fn recheck(&mut self) {
        self.unsure.extend(self.cache.iter().map(|(signature, _)| signature.clone()));
    }

    /// Records the loss on a batch, unless it is known on batches like it.
    pub(super) fn record(
        &mut self,
        call: &Call<'_>,
        batch: &AnyBatch,
        modules: &[Held],
        device: &Device,
    ) -> Result<(), DerivativesError> {
        let signature = batch.signature();
        if self.cache.contains(signature) && !self.unsure.contains(signature) {
            return Ok(());
        }
        let trace = trace_for(device, "", batch, |tracer| call(tracer))?;
        self.count += 1;
        if !trace.differentiable {
            return Err(TraceError::NoDerivative { level: String::new() }.into());
        }
        // Not before there is one to go on with.
        self.unsure.remove(signature);
        if self.cache.get(signature).is_some_and(|known| *known.loss.trace() == trace) {
            return Ok(());
        }
        let of_module = |module: usize| modules.get(module).map_or(&[][..], |held| &held.parameters.all);
        let trainable = |module| of_module(module).iter().map(|parameter| parameter.leaf).collect();
        let loss = Loss::new(trace, trainable, device);
        if let Some(dtype) = loss.not_computed() {
            return Err(DerivativesError::unsupported("a tensor inside the loss", dtype, device));
        }
        let bytes = loss.bytes();
        let compiled = Compiled { loss, curvature: None, output: None, outputs: HashMap::new(), is_verified: false };
        self.cache.keep(signature.clone(), compiled, bytes, Bound::default(), 1);
        Ok(())
    }

    /// The recording on batches like this one, which has been made.
    pub(super) fn get(&mut self, batch: &AnyBatch) -> &mut Compiled {
        self.cache.find(batch.signature()).expect("the loss has been recorded on this batch")
    }

    /// Compares the gradient of a recording with Burn's, unless that was done.
    pub(super) fn verify(
        &mut self,
        call: &Call<'_>,
        batch: &AnyBatch,
        modules: &[Held],
        device: &Device,
        seed: u64,
    ) -> Result<(), DerivativesError> {
        let Verify { unchecked_allowed, memory } = self.verify;
        let known = self.cache.find(batch.signature()).expect("the loss has been recorded on this batch");
        if known.is_verified {
            return Ok(());
        }
        let trace = known.loss.trace();
        if !self.verified.contains(batch, trace) {
            let source = Recorded { call, batch, modules, device };
            match (Comparison { source: &source, seed, memory, operations: OPERATIONS }).compare(trace)? {
                Compared::Equal { vanish: false } => self.verified.insert(batch, trace),
                // What vanishes on one example need not on more.
                Compared::Equal { vanish: true } => {}
                Compared::Unchecked(_) if unchecked_allowed => {}
                Compared::Unchecked(reason) => return Err(DerivativesError::Unverified(reason)),
                Compared::Different(Difference { leaf, difference, rounding, place }) => {
                    let parameter = source.path(leaf);
                    return Err(DerivativesError::Verification { parameter, difference, tolerance: rounding, place });
                }
            }
        }
        known.is_verified = true;
        Ok(())
    }
}

impl Compiled {
    /// The program for the loss and its gradients by the parameters of so many modules.
    pub(super) fn gradient(&mut self, modules: usize) -> Result<Rc<GradientProgram>, GraphError> {
        self.loss.gradient(&(0..modules).collect::<Vec<_>>())
    }

    /// The second derivative.
    pub(super) fn curvature(&mut self, device: &Device) -> Result<&mut Curvature, GraphError> {
        let known = match self.curvature.take() {
            Some(known) => known,
            None => Curvature::new(Lagrangian::new(0, &self.loss, &[])?, device)?,
        };
        Ok(self.curvature.insert(known))
    }

    /// What the loss marks as the output of its model.
    pub(super) fn output(&self) -> Result<NodeId, DerivativesError> {
        match *self.loss.trace().outputs.as_slice() {
            [output] => Ok(output),
            [] => Err(DerivativesError::NoOutput),
            ref several => Err(DerivativesError::SeveralOutputs { count: several.len() }),
        }
    }

    /// The program for the output.
    pub(super) fn output_program(&mut self, device: &Device) -> Result<&Program, DerivativesError> {
        let output = self.output()?;
        let Trace { graph, inputs, .. } = self.loss.trace();
        let inputs: Vec<NodeId> = inputs.iter().map(|&(_, node)| node).collect();
        Ok(self.output.get_or_insert_with(|| Program::new(graph, &inputs, &[output], device)))
    }

    /// A product with derivatives of the output.
    pub(super) fn of_output(
        &mut self,
        product: OutputProduct,
        device: &Device,
    ) -> Result<&LinearProgram, DerivativesError> {
        let output = self.output()?;
        if !self.outputs.contains_key(&product) {
            self.outputs.insert(product, LinearProgram::new(&self.loss, output, product, device)?);
        }
        Ok(&self.outputs[&product])
    }

    /// All inputs of the loss, in its order.
    pub(super) fn inputs(&self, modules: &[Held], batch: &AnyBatch) -> Vec<Value> {
        self.loss.trace().inputs.iter().map(|&(input, _)| value_of(input, modules, batch).clone()).collect()
    }
}

/// The value of an input of a loss.
fn value_of<'a>(input: LossInput, modules: &'a [Held], batch: &'a AnyBatch) -> &'a Value {
    match input {
        LossInput::Leaf { level, index } => &modules[level].tensors[index],
        LossInput::Constant { level, index } => &modules[level].constants[index],
        LossInput::Batch { index } => &batch.values()[index],
    }
}

/// What a trace was recorded from.
struct Recorded<'a> {
    call: &'a Call<'a>,
    batch: &'a AnyBatch,
    modules: &'a [Held],
    device: &'a Device,
}

impl Recorded<'_> {
    /// Where a tensor is; with a number in front where there are two modules.
    fn path(&self, input: LossInput) -> String {
        let (module, path) = match input {
            LossInput::Leaf { level, index } => (level, self.modules[level].paths[index].clone()),
            LossInput::Constant { level, index } => (level, format!("plain tensor {index}")),
            LossInput::Batch { index } => return format!("tensor {index} of the batch"),
        };
        if self.modules.len() == 1 { path } else { format!("{path} of module {module}") }
    }
}

impl Source for Recorded<'_> {
    fn batch(&self) -> &AnyBatch {
        self.batch
    }

    fn value(&self, input: LossInput) -> &Value {
        value_of(input, self.modules, self.batch)
    }

    fn is_parameter(&self, input: LossInput) -> bool {
        match input {
            LossInput::Leaf { level, index } => {
                self.modules[level].parameters.all.iter().any(|parameter| parameter.leaf == index)
            }
            LossInput::Constant { .. } | LossInput::Batch { .. } => false,
        }
    }

    fn record(&self, part: Option<Part>) -> Result<Trace, TraceError> {
        trace_part(self.device, "", self.batch, part, |tracer| (self.call)(tracer))
    }
}
