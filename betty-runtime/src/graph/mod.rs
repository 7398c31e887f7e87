//! Static single-assignment dataflow graphs: what a loss becomes after tracing, and what its derivatives are.
//!
//! A [`Graph`] is an append-only arena. [`Graph::push`] checks shapes and types, folds constants, applies the algebraic
//! clean-ups of [`simplify`](self) and merges equal nodes, so a graph never holds the same computation twice and a
//! derivative shares every intermediate value with the function it came from. What nobody needs is never executed:
//! dead code falls away when a [`Program`](crate::execute::Program) is planned from the nodes asked for.
//!
//! ```
//! use betty_runtime::graph::{Graph, GraphError, vjp};
//! use burn::tensor::DType;
//!
//! # fn main() -> Result<(), GraphError> {
//! let mut graph = Graph::new();
//! let x = graph.input(&[1], DType::F32);
//! let square = graph.mul(x, x)?;
//! let cube = graph.mul(square, x)?;
//! let one = graph.full(&[1], DType::F32, 1.0);
//! let slope = vjp(&mut graph, &[(cube, one)], &[x])?[0].expect("it depends on x");
//! let curvature = vjp(&mut graph, &[(slope, one)], &[x])?[0].expect("and so does its slope");
//! assert_eq!(graph.shape(curvature), [1]); // 6x, as a node like any other
//! # Ok(())
//! # }
//! ```

mod arena;
mod build;
mod display;
mod error;
mod geometry;
pub(crate) mod image;
mod infer;
mod lanes;
mod node;
mod op;
mod push;
mod rules;
mod scalar;
mod signs;
mod simplify;
pub(crate) mod transform;
mod whole;

#[cfg(test)]
mod tests;

pub use arena::Graph;
pub(crate) use display::{label, type_and_shape};
pub use error::GraphError;
pub use geometry::{Convolution, Range, Window};
pub(crate) use image::Image;
pub use node::{Node, NodeId};
pub use op::{Binary, Comparison, Distribution, Op, Unary, Update, WithScalar};
pub use scalar::Scalar;
pub(crate) use transform::{Doubled, accumulator, in_f64, rounded};
pub(crate) use transform::{
    Leads, Vectorized, dependents, differentiated, for_each, lowered, over_ranks, products_as_given, products_in,
    replay, shared, summed_over_ranks, vectorize, written_once,
};
pub use transform::{jvp, reachable, vjp};
pub(crate) use whole::SumOverRanks;
pub use whole::{Group, Whole};
