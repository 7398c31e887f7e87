//! Loops over numbers in host memory: what betty computes itself on the CPU instead of asking Burn for it.
//!
//! Nothing here knows of tensors. The crate is apart from betty's runtime so that it is compiled with optimisations also where
//! the runtime is not, as in tests.
//!
//! The order of every sum is fixed by sizes alone: results are the same bits for any number of threads.

pub mod arithmetic;
pub mod chain;
mod contraction;
mod convolution;
pub mod entrywise;
mod functions;
mod gather;
mod number;
pub mod product;
pub mod random;
mod running;
mod softmax;
mod sum;
mod sums;
mod tile;
mod vectorized;

pub use convolution::Convolution;
pub use number::Number;
pub use running::running_sums;
pub use softmax::softmax;
pub use sum::sum;
pub use sums::Sums;

#[cfg(test)]
mod tests;
