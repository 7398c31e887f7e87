//! A batch of any type: flattened for execution, and typed for tracing.

use std::any::Any;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use burn::tensor::kind::Basic;
use burn::tensor::{Bool, DType, Device, Int, Tensor};

use super::batch::{Batch, BatchMapper};
use super::changes::{BatchLeaf, leaves_of};
use super::number::{Held, Number, type_on};
use super::step::Step;
use crate::execute::Value;

/// What a trace depends on: shapes and types of all tensors, and plain data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    tensors: Vec<(Vec<usize>, DType)>,
    plain: u64,
}

impl Signature {
    /// Shape and type of every tensor, in the batch's order.
    pub fn tensors(&self) -> &[(Vec<usize>, DType)] {
        &self.tensors
    }

    /// The same for batches of every size: without the first dimension of each tensor.
    pub(crate) fn of_any_size(&self) -> Self {
        let rest = |(shape, dtype): &(Vec<usize>, DType)| {
            // The rank stays.
            let rest = shape.iter().enumerate().map(|(axis, &size)| if axis == 0 { 0 } else { size });
            (rest.collect(), *dtype)
        };
        Signature { tensors: self.tensors.iter().map(rest).collect(), plain: self.plain }
    }
}

/// A batch of any type, with its tensors at hand.
pub struct AnyBatch {
    typed: Box<dyn Any + Send>,
    values: Vec<Value>,
    /// Which of the values are numbers, and those.
    numbers: Vec<(usize, f64)>,
    /// Which of the numbers are those of the step.
    steps: Vec<usize>,
    signature: Signature,
    leaves: fn(&(dyn Any + Send)) -> Vec<BatchLeaf>,
    with_tensors: fn(&(dyn Any + Send), Vec<Value>) -> Option<AnyBatch>,
    at_step: fn(&(dyn Any + Send), u64) -> Option<Box<dyn Any + Send>>,
    examples: Option<usize>,
    shard: Option<Shard>,
}

/// What a batch is of one that ranks share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// How many examples each rank has; none where all have the same batch.
    pub(crate) examples: Option<Vec<usize>>,
    /// A hash of the signatures of all shards.
    pub(crate) kind: u64,
}

impl AnyBatch {
    /// Flattens a batch. Its numbers are put where its first tensor is.
    pub fn new<B: Batch>(batch: B) -> Self {
        let mut flatten =
            Flatten { values: Vec::new(), numbers: Vec::new(), steps: Vec::new(), hasher: DefaultHasher::new() };
        let typed = batch.map(&mut flatten);
        let Flatten { values, numbers, steps, hasher } = flatten;
        // Burn's default device would be a graphics processor in a build that has one, which whoever computes on the CPU need not have.
        let device = values.iter().flatten().next().map_or_else(Device::flex, Value::device);
        let mut given = numbers.iter().map(|&(_, number)| number_on(number, &device));
        let values: Vec<Value> = values.into_iter().filter_map(|value| value.or_else(|| given.next())).collect();
        let tensors = values.iter().map(|value| (value.shape(), value.dtype())).collect();
        let signature = Signature { tensors, plain: hasher.finish() };
        let examples = typed.examples();
        let (leaves, with_tensors, at_step) = (leaves_of::<B>, with_tensors::<B>, at_step::<B>);
        let (typed, shard) = (Box::new(typed), None);
        AnyBatch { typed, values, numbers, steps, signature, leaves, with_tensors, at_step, examples, shard }
    }

    /// The batch with this number wherever it has that of the step.
    pub(crate) fn at_step(self: Rc<Self>, number: u64) -> Rc<Self> {
        let typed = if self.steps.is_empty() { None } else { (self.at_step)(&*self.typed, number) };
        let Some(typed) = typed else { return self };
        let (mut values, mut numbers) = (self.values.clone(), self.numbers.clone());
        for &of in &self.steps {
            let (index, given) = &mut numbers[of];
            *given = number as f64;
            values[*index] = number_on(*given, &values[*index].device());
        }
        let (steps, signature, shard) = (self.steps.clone(), self.signature.clone(), self.shard.clone());
        Rc::new(AnyBatch { typed, values, numbers, steps, signature, shard, ..*self })
    }

    /// A batch of the same type with other tensors, in the same order; numbers stay. None where the batch has other tensors every
    /// time that it is asked.
    pub(crate) fn with_tensors(&self, tensors: Vec<Value>) -> Option<Self> {
        (self.with_tensors)(&*self.typed, tensors)
    }

    /// The tensors that are no numbers.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = &Value> {
        let count = self.signature.tensors.len();
        let tensors = self.values[..count].iter().enumerate().filter(|&(index, _)| !self.is_number(index));
        tensors.map(|(_, value)| value)
    }

    /// The numbers, with their places among the values.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (usize, f64)> {
        self.numbers.iter().copied()
    }

    /// How many examples the batch holds, if that is known: what it says, or the leading dimension that all of its tensors have.
    pub(crate) fn examples(&self) -> Option<usize> {
        let mut leading = self.tensors().map(|tensor| tensor.shape().first().copied());
        self.examples.or_else(|| {
            let first = leading.next()??;
            leading.all(|other| other == Some(first)).then_some(first)
        })
    }

    /// The batch as one rank's shard: its share, a number that its loss is multiplied by, is one more value after all others.
    pub(crate) fn shared(mut self, shard: Shard, share: Value) -> Self {
        self.values.push(share);
        self.shard = Some(shard);
        self
    }

    /// The batch as a share like another one, without the number that its loss is multiplied by.
    pub(crate) fn like_share(mut self, other: &Self) -> Self {
        self.shard.clone_from(&other.shard);
        self
    }

    /// Which of its values is its share, if it is one.
    pub(crate) fn share(&self) -> Option<usize> {
        self.shard.as_ref().map(|_| self.signature.tensors.len())
    }

    /// What it is of a batch that ranks share, if they do.
    pub(crate) fn shard(&self) -> Option<&Shard> {
        self.shard.as_ref()
    }

    /// The same with its numbers on `device`; tensors stay where they are.
    pub(crate) fn with_numbers_on(mut self, device: &Device) -> Self {
        for &(index, number) in &self.numbers {
            if self.values[index].device() != *device {
                self.values[index] = number_on(number, device);
                self.signature.tensors[index].1 = self.values[index].dtype();
            }
        }
        self
    }

    /// The batch with its type, if it is a `B`.
    pub fn downcast<B: Batch>(&self) -> Option<&B> {
        self.typed.downcast_ref()
    }

    /// All tensors and numbers, in the batch's order.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Whether the value with this index is a number.
    pub(crate) fn is_number(&self, index: usize) -> bool {
        self.numbers.iter().any(|&(of, _)| of == index)
    }

    /// What a trace of a loss on this batch depends on.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What a trace depends on, part by part.
    pub(crate) fn leaves(&self) -> Vec<BatchLeaf> {
        (self.leaves)(&*self.typed)
    }

    /// Where the tensors are, if there are any and they are all in one place.
    pub fn device(&self) -> Option<Device> {
        let device = self.values.first()?.device();
        self.values.iter().all(|value| value.device() == device).then_some(device)
    }
}

/// A batch with other tensors, one for each of its own.
fn with_tensors<B: Batch>(typed: &(dyn Any + Send), tensors: Vec<Value>) -> Option<AnyBatch> {
    let mut replace = Replace { values: tensors.into_iter(), fits: true };
    let batch = typed.downcast_ref::<B>()?.clone().map(&mut replace);
    (replace.fits && replace.values.len() == 0).then(|| AnyBatch::new(batch))
}

/// A batch with this number wherever it has that of the step.
fn at_step<B: Batch>(typed: &(dyn Any + Send), number: u64) -> Option<Box<dyn Any + Send>> {
    Some(Box::new(typed.downcast_ref::<B>()?.clone().map(&mut AtStep(number))))
}

/// Puts a number in the place of that of the step; all else stays.
struct AtStep(u64);

impl BatchMapper for AtStep {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        tensor
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        tensor
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        tensor
    }

    fn number(&mut self, number: Number) -> Number {
        number
    }

    fn step(&mut self, _: Step) -> Step {
        Step::new(self.0)
    }

    fn plain(&mut self, _hash: u64) {}
}

/// Puts one tensor after the other.
struct Replace {
    values: std::vec::IntoIter<Value>,
    /// Whether there was one for each.
    fits: bool,
}

impl Replace {
    fn next<const D: usize, K: Basic>(&mut self, tensor: Tensor<D, K>) -> Tensor<D, K> {
        let fitting = self.values.next().filter(|value| value.shape().len() == D && value.dtype() == tensor.dtype());
        self.fits &= fitting.is_some();
        fitting.map_or(tensor, Value::into_tensor)
    }
}

impl BatchMapper for Replace {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        self.next(tensor)
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        self.next(tensor)
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        self.next(tensor)
    }

    fn number(&mut self, number: Number) -> Number {
        number
    }

    fn plain(&mut self, _hash: u64) {}
}

fn number_on(number: f64, device: &Device) -> Value {
    Value::scalar(number, type_on(device), device)
}

struct Flatten {
    /// None in the place of a number.
    values: Vec<Option<Value>>,
    numbers: Vec<(usize, f64)>,
    steps: Vec<usize>,
    hasher: DefaultHasher,
}

impl BatchMapper for Flatten {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        self.values.push(Some(Value::from_tensor(tensor.clone())));
        tensor
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        self.values.push(Some(Value::from_tensor(tensor.clone())));
        tensor
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        self.values.push(Some(Value::from_tensor(tensor.clone())));
        tensor
    }

    fn number(&mut self, number: Number) -> Number {
        match number.held() {
            Held::Given(value) => {
                self.numbers.push((self.values.len(), value));
                self.values.push(None);
                Number::new(value)
            }
            Held::Recorded(tensor) => Number::recorded(self.float(*tensor)),
        }
    }

    fn step(&mut self, step: Step) -> Step {
        self.steps.push(self.numbers.len());
        step.map_number(|number| self.number(number))
    }

    fn plain(&mut self, hash: u64) {
        hash.hash(&mut self.hasher);
    }
}
