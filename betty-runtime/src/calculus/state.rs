//! A recorded loss at one point: the values of its inputs, and what has been computed there.

use std::collections::HashMap;
use std::rc::Rc;

use burn::tensor::Device;

use super::DerivativesError;
use super::held::{Held, check_device};
use super::recordings::{Call, Recordings};
use crate::derivatives::{Gradients, OutputProduct, Point, Variable};
use crate::execute::{Origin, Unread, Value, Vector};
use crate::panic::caught;
use crate::trace::{AnyBatch, LossInput};

/// The loss of one or two modules at a point.
pub(super) struct State {
    pub(super) device: Device,
    pub(super) modules: Vec<Held>,
    batch: AnyBatch,
    seed: u64,
    pub(super) recordings: Recordings,
    gradients: Option<Gradients>,
    second: Option<Point>,
    /// What products with derivatives of the output read of the point.
    outputs: HashMap<OutputProduct, Vec<Value>>,
}

impl State {
    pub(super) fn new(modules: Vec<Held>, batch: AnyBatch, device: Device) -> Result<Self, DerivativesError> {
        let batch = on_device(batch, &device)?;
        let (recordings, outputs) = (Recordings::new(), HashMap::new());
        Ok(State { device, modules, batch, seed: 0, recordings, gradients: None, second: None, outputs })
    }

    /// Goes on with other modules like these.
    pub(super) fn set_modules(&mut self, modules: Vec<Held>) -> Result<(), DerivativesError> {
        for (known, new) in self.modules.iter().zip(&modules) {
            known.check_like(new)?;
        }
        if !self.modules.iter().zip(&modules).all(|(known, new)| known.has_constants_like(new)) {
            self.recordings.recheck();
        }
        self.modules = modules;
        self.leave();
        Ok(())
    }

    /// Goes on with another batch.
    pub(super) fn set_batch(&mut self, batch: AnyBatch) -> Result<(), DerivativesError> {
        self.batch = on_device(batch, &self.device)?;
        self.leave();
        Ok(())
    }

    /// Decides every random draw in the loss.
    pub(super) fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
        self.leave();
    }

    /// Forgets what was computed at the point.
    fn leave(&mut self) {
        (self.gradients, self.second) = (None, None);
        self.outputs.clear();
    }

    /// Records the loss where it has to be.
    pub(super) fn record(&mut self, call: &Call<'_>) -> Result<(), DerivativesError> {
        self.recordings.record(call, &self.batch, &self.modules, &self.device)
    }

    /// Records the loss where it has to be, and compares its gradient with Burn's where that has not been done.
    pub(super) fn prepare(&mut self, call: &Call<'_>) -> Result<(), DerivativesError> {
        self.record(call)?;
        let State { recordings, batch, modules, device, seed, .. } = self;
        computed(|| recordings.verify(call, batch, modules, device, *seed))
    }

    /// The loss and its gradients, which are finite.
    pub(super) fn gradients(&mut self) -> Result<&Gradients, DerivativesError> {
        let known = match self.gradients.take() {
            Some(known) => known,
            None => self.evaluate()?,
        };
        Ok(self.gradients.insert(known))
    }

    fn evaluate(&mut self) -> Result<Gradients, DerivativesError> {
        let State { recordings, batch, modules, seed, .. } = self;
        let compiled = recordings.get(batch);
        let inputs = compiled.inputs(modules, batch);
        let program = compiled.gradient(modules.len())?;
        let found = computed(|| Ok(program.run(inputs.iter().cloned(), *seed)?))?;
        let quantity = if !found.loss.is_finite() {
            "loss"
        } else if !found.square_norm.is_finite() {
            "gradient"
        } else {
            return Ok(found);
        };
        let origin = program.origin(&inputs, *seed)?.map(|origin| match origin {
            Origin::Input(index) => match compiled.loss.trace().inputs[index].0 {
                LossInput::Leaf { level, index } => format!("`{}` has it", modules[level].paths[index]),
                LossInput::Constant { index, .. } => format!("plain tensor {index} of the module has it"),
                LossInput::Batch { index } => format!("tensor {index} of the batch has it"),
            },
            made @ Origin::Operation { .. } => format!("{made}; keep its operands in range"),
        });
        Err(DerivativesError::NotFinite { quantity, origin })
    }

    /// `(∂²ℓ/∂w∂v)·t` for the parameters `v` of one module and `w` of one.
    pub(super) fn second(&mut self, (v, t): (usize, &Vector), w: usize) -> Result<Vector, DerivativesError> {
        let State { recordings, batch, modules, device, seed, .. } = self;
        let compiled = recordings.get(batch);
        let point = self.second.get_or_insert_with(|| Point::new(compiled.inputs(modules, batch), *seed));
        let curvature = compiled.curvature(device)?;
        let (v, w) = (Variable::Level(v), Variable::Level(w));
        let found = computed(|| Ok(curvature.product(point, &[(v, t)], &[w])?))?;
        Ok(found.into_iter().next().map_or_else(|| curvature.zeros(w), |(_, product)| product))
    }

    /// A product with derivatives of the output.
    pub(super) fn of_output(&mut self, product: OutputProduct, tangents: &[Value]) -> Result<Vector, DerivativesError> {
        let State { recordings, batch, modules, device, seed, outputs, .. } = self;
        let compiled = recordings.get(batch);
        let inputs = compiled.inputs(modules, batch);
        let program = compiled.of_output(product, device)?;
        computed(|| {
            let point = outputs.entry(product).or_insert_with(|| program.at(inputs, *seed));
            Ok(program.run(point, tangents))
        })
    }

    /// The output itself.
    pub(super) fn output(&mut self) -> Result<Value, DerivativesError> {
        let State { recordings, batch, modules, device, seed, .. } = self;
        let compiled = recordings.get(batch);
        let inputs = compiled.inputs(modules, batch);
        let program = compiled.output_program(device)?;
        let mut found = computed(|| Ok(program.run(inputs, *seed)))?;
        Ok(found.remove(0))
    }

    /// Shape and type of the output.
    pub(super) fn output_like(&mut self) -> Result<(Vec<usize>, burn::tensor::DType), DerivativesError> {
        let compiled = self.recordings.get(&self.batch);
        let output = compiled.output()?;
        let graph = &compiled.loss.trace().graph;
        Ok((graph.shape(output).to_vec(), graph.dtype(output)))
    }

    /// The parameters of a module as a vector.
    pub(super) fn parameters(&self, module: usize) -> (Rc<super::parameters::Parameters>, Vector) {
        let Held { parameters, tensors, .. } = &self.modules[module];
        (Rc::clone(parameters), super::parameters::vector(parameters, tensors))
    }
}

/// A batch with its numbers on a device, where all its tensors are.
fn on_device(batch: AnyBatch, device: &Device) -> Result<AnyBatch, DerivativesError> {
    let batch = batch.with_numbers_on(device);
    for (index, value) in batch.values().iter().enumerate() {
        check_device(|| format!("tensor {index} of the batch"), value, device)?;
    }
    Ok(batch)
}

/// Runs kernels; what Burn reports by a panic becomes an error.
fn computed<T>(run: impl FnOnce() -> Result<T, DerivativesError>) -> Result<T, DerivativesError> {
    caught(run).map_err(|panic| DerivativesError::Panicked { reason: panic.to_string() })?
}

/// Checks that all entries of a vector are finite.
pub(super) fn check_finite(vector: &Vector, quantity: &'static str) -> Result<(), DerivativesError> {
    let is_finite = |numbers: &[f64]| numbers.iter().all(|number| number.is_finite());
    let [sum] = Unread::read([Unread::finiteness(vector.0.iter())])?;
    // Finite entries may have a sum that is not.
    if is_finite(&sum) || is_finite(&vector.to_vec()?) {
        return Ok(());
    }
    Err(DerivativesError::NotFinite { quantity, origin: None })
}
