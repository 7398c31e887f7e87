//! Compiled derivatives of one traced loss: gradients, products with second derivatives, perturbed gradients.
//!
//! Everything here is planned at first use and kept; at every later use only kernels run.

mod linearize;
mod loss;
mod perturb;

pub use linearize::Linearization;
pub use loss::{GradientProgram, Gradients, Loss};
pub use perturb::Perturbation;
