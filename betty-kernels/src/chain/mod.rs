//! Operations that follow one another entry by entry, in one pass over memory: what one of them makes the next finds in the first cache.
//! Each number is rounded as it is where every operation is a pass of its own.

mod gathered;
mod part;
mod plan;
mod step;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::entrywise::Real;
use crate::vectorized::Instructions;
use part::Part;

pub use part::Input;
pub use plan::Chain;
pub use step::{Step, Value};

/// A float type that chains exist for: `f32` or `f64`.
pub trait Chained: Real {
    /// [`Chain::run`]. What is generic is compiled where it is used, and this here.
    #[doc(hidden)]
    fn run_chain(
        of: &Chain,
        shape: &[usize],
        inputs: &[Input<'_, Self>],
        outputs: Vec<Option<&mut [Self]>>,
    ) -> Vec<Vec<Self>>;
}

macro_rules! chained {
    ($number:ty) => {
        impl Chained for $number {
            fn run_chain(
                of: &Chain,
                shape: &[usize],
                inputs: &[Input<'_, Self>],
                outputs: Vec<Option<&mut [Self]>>,
            ) -> Vec<Vec<Self>> {
                of.run_in(shape, inputs, outputs)
            }
        }
    };
}

chained!(f32);
chained!(f64);

/// Entries that one thread computes at a time.
const BLOCK: usize = 1 << 14;
/// Operations below which a second thread is not worth it.
const SMALL: usize = 1 << 18;

impl Chain {
    /// Computes the results for an array of this shape: each into the memory of an output where that is given, the others, in order, as
    /// vectors of their own.
    ///
    /// # Panics
    /// When inputs or outputs are not as many, or shorter, than the chain and the shape say.
    pub fn run<T: Chained>(
        &self,
        shape: &[usize],
        inputs: &[Input<'_, T>],
        outputs: Vec<Option<&mut [T]>>,
    ) -> Vec<Vec<T>> {
        T::run_chain(self, shape, inputs, outputs)
    }

    pub(crate) fn run_in<T: Chained>(
        &self,
        shape: &[usize],
        inputs: &[Input<'_, T>],
        outputs: Vec<Option<&mut [T]>>,
    ) -> Vec<Vec<T>> {
        let length: usize = shape.iter().product();
        let is_fresh = |output: &&Option<&mut [T]>| output.is_none();
        let mut made: Vec<Vec<T>> = outputs.iter().filter(is_fresh).map(|_| vec![T::default(); length]).collect();
        let mut fresh = made.iter_mut();
        let mut parts: Vec<Part<'_, '_, T>> = (0..length.div_ceil(BLOCK))
            .map(|number| Part { chain: self, inputs, shape, first: number * BLOCK, outputs: Vec::new() })
            .collect();
        for memory in outputs.into_iter().filter_map(|output| output.or_else(|| fresh.next().map(Vec::as_mut_slice))) {
            assert_eq!(memory.len(), length, "an output has the shape of the chain");
            parts.iter_mut().zip(memory.chunks_mut(BLOCK)).for_each(|(part, memory)| part.outputs.push(memory));
        }
        let instructions = Instructions::best();
        if length * self.steps.len() < SMALL {
            parts.into_iter().for_each(|part| instructions.run(part));
        } else {
            parts.into_par_iter().for_each(|part| instructions.run(part));
        }
        made
    }
}
