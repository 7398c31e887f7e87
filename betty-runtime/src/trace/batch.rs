//! Batches as trees of tensors: what a loss is fed, flattened for execution and rebuilt for tracing.

use std::any::Any;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use burn::tensor::{Bool, DType, Device, Int, Tensor};

use super::changes::{BatchLeaf, leaves_of};
use super::number::{Held, Number, type_on};
use crate::execute::Value;

/// A tree of tensors, [`Number`]s and plain data that a level's loss takes.
///
/// Implemented for Burn tensors, `Number`, tuples, `Option`, `Vec`, arrays and plain numbers; derive it for structs. Plain
/// data are part of the batch's signature: another value means another trace.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the batch of a level",
    note = "derive `betty_runtime::Batch` for `{Self}`; its fields must be tensors, numbers, options, vectors or batches"
)]
pub trait Batch: Clone + Send + 'static {
    /// Replaces every tensor by the mapper's answer, in a fixed order, and shows it all plain data.
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self;
}

/// Visits and replaces the leaves of a [`Batch`].
pub trait BatchMapper {
    /// Answers a float tensor with one of the same shape and type.
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D>;
    /// Answers an integer tensor with one of the same shape and type.
    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int>;
    /// Answers a bool tensor with one of the same shape.
    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool>;
    /// Answers a number with one that may stand for it; where a loss is recorded, that is a tensor of one element.
    fn number(&mut self, number: Number) -> Number {
        match number.held() {
            Held::Given(value) => Number::new(value),
            Held::Recorded(tensor) => Number::recorded(self.float(*tensor)),
        }
    }
    /// Is shown the hash of plain data, and of the tree's own structure (lengths, variants).
    fn plain(&mut self, hash: u64);
    /// Is told that what follows is the part of this name.
    fn enter(&mut self, _part: &'static str) {}
    /// Is told that the part last entered ends.
    fn leave(&mut self) {}
}

/// The hash by which plain data enter a batch's signature.
pub fn hash_plain(data: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}

impl<const D: usize> Batch for Tensor<D> {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        mapper.float(self)
    }
}

impl<const D: usize> Batch for Tensor<D, Int> {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        mapper.int(self)
    }
}

impl<const D: usize> Batch for Tensor<D, Bool> {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        mapper.bool(self)
    }
}

impl Batch for Number {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        mapper.number(self)
    }
}

impl<B: Batch> Batch for Option<B> {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        mapper.plain(u64::from(self.is_some()));
        self.map(|batch| batch.map(mapper))
    }
}

impl<B: Batch> Batch for Vec<B> {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        mapper.plain(self.len() as u64);
        self.into_iter().map(|batch| batch.map(mapper)).collect()
    }
}

impl<B: Batch, const N: usize> Batch for [B; N] {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        self.map(|batch| batch.map(mapper))
    }
}

impl Batch for () {
    fn map<M: BatchMapper>(self, _mapper: &mut M) -> Self {}
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*)),* $(,)?) => {$(
        impl<$($name: Batch),*> Batch for ($($name,)*) {
            fn map<Mapper: BatchMapper>(self, mapper: &mut Mapper) -> Self {
                ($({
                    mapper.enter(stringify!($index));
                    let part = self.$index.map(mapper);
                    mapper.leave();
                    part
                },)*)
            }
        }
    )*};
}

tuples! {
    (A 0), (A 0, B 1), (A 0, B 1, C 2), (A 0, B 1, C 2, D 3), (A 0, B 1, C 2, D 3, E 4),
    (A 0, B 1, C 2, D 3, E 4, F 5), (A 0, B 1, C 2, D 3, E 4, F 5, G 6), (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7),
}

macro_rules! plain {
    ($($kind:ty => $bits:expr),* $(,)?) => {$(
        impl Batch for $kind {
            fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
                let bits: fn(&$kind) -> u64 = $bits;
                mapper.plain(bits(&self));
                self
            }
        }
    )*};
}

plain! {
    bool => hash_plain, char => hash_plain, String => hash_plain,
    u8 => hash_plain, u16 => hash_plain, u32 => hash_plain, u64 => hash_plain, usize => hash_plain,
    i8 => hash_plain, i16 => hash_plain, i32 => hash_plain, i64 => hash_plain, isize => hash_plain,
    f32 => |x| hash_plain(&x.to_bits()), f64 => |x| hash_plain(&x.to_bits()),
}

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
    signature: Signature,
    leaves: fn(&(dyn Any + Send)) -> Vec<BatchLeaf>,
}

impl AnyBatch {
    /// Flattens a batch. Its numbers are put where its first tensor is.
    pub fn new<B: Batch>(batch: B) -> Self {
        let mut flatten = Flatten { values: Vec::new(), numbers: Vec::new(), hasher: DefaultHasher::new() };
        let typed = batch.map(&mut flatten);
        let Flatten { values, numbers, hasher } = flatten;
        let device = values.iter().flatten().next().map(Value::device).unwrap_or_default();
        let mut given = numbers.iter().map(|&(_, number)| number_on(number, &device));
        let values: Vec<Value> = values.into_iter().filter_map(|value| value.or_else(|| given.next())).collect();
        let tensors = values.iter().map(|value| (value.shape(), value.dtype())).collect();
        let signature = Signature { tensors, plain: hasher.finish() };
        AnyBatch { typed: Box::new(typed), values, numbers, signature, leaves: leaves_of::<B> }
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

fn number_on(number: f64, device: &Device) -> Value {
    Value::scalar(number, type_on(device), device)
}

struct Flatten {
    /// None in the place of a number.
    values: Vec<Option<Value>>,
    numbers: Vec<(usize, f64)>,
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

    fn plain(&mut self, hash: u64) {
        hash.hash(&mut self.hasher);
    }
}
