//! Static single-assignment dataflow graphs: what a loss becomes after tracing, and what its derivatives are.
//!
//! A [`Graph`] is an append-only arena. [`Graph::push`] checks shapes and types, folds constants, applies the algebraic
//! clean-ups of [`simplify`](self) and merges equal nodes, so a graph never holds the same computation twice and a
//! derivative shares every intermediate value with the function it came from. What nobody needs is never executed:
//! dead code falls away when a [`Program`](crate::execute::Program) is planned from the nodes asked for.

mod arena;
mod build;
mod display;
mod error;
mod geometry;
mod image;
mod infer;
mod lanes;
mod node;
mod op;
mod push;
mod rules;
mod scalar;
mod simplify;
mod transform;

#[cfg(test)]
mod tests;

pub use arena::Graph;
pub(crate) use display::{label, type_and_shape};
pub use error::GraphError;
pub use geometry::{Convolution, Range, Window};
pub use image::Image;
pub use node::{Node, NodeId};
pub use op::{Binary, Comparison, Distribution, Op, Unary, Update, WithScalar};
pub use scalar::Scalar;
pub(crate) use transform::{Doubled, accumulator, in_f64, rounded};
pub use transform::{
    Vectorized, dependents, differentiated, expand_products, for_each, jvp, products_as_given, products_in, reachable,
    replay, vectorize, vjp,
};
