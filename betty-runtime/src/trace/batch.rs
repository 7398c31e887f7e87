//! Batches as trees of tensors: what a loss is fed.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use burn::tensor::{Bool, Int, Tensor};

use super::number::{Held, Number};
use super::step::Step;

/// A tree of tensors, [`Number`]s and plain data that a level's loss takes.
///
/// Implemented for Burn tensors, `Number`, tuples, `Option`, `Vec`, arrays and plain numbers; derive it for structs. Plain
/// data are part of the batch's signature: another value means another trace.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the batch of a level",
    note = "derive `betty_runtime::Batch` for `{Self}`; its fields must be tensors, numbers, options, vectors or batches; plain data are marked `#[batch(skip)]` and are `Hash`"
)]
pub trait Batch: Clone + Send + 'static {
    /// Replaces every tensor by the mapper's answer, in a fixed order, and shows it all plain data.
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self;

    /// How many examples the batch holds, if it says so: where ranks share the examples of a batch, each weighs as much as it has of
    /// them. A batch that does not say it holds as many as the leading dimension of its tensors, if they all have the same.
    fn examples(&self) -> Option<usize> {
        None
    }
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
    /// Answers the number of a step with one that may stand for it: another number.
    fn step(&mut self, step: Step) -> Step {
        step.map_number(|number| self.number(number))
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

    fn examples(&self) -> Option<usize> {
        self.shape().first().copied()
    }
}

impl<const D: usize> Batch for Tensor<D, Int> {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        mapper.int(self)
    }

    fn examples(&self) -> Option<usize> {
        self.shape().first().copied()
    }
}

impl<const D: usize> Batch for Tensor<D, Bool> {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        mapper.bool(self)
    }

    fn examples(&self) -> Option<usize> {
        self.shape().first().copied()
    }
}

impl Batch for Step {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        mapper.step(self)
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
