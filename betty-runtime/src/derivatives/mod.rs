//! Compiled derivatives: gradients of one traced loss, and second derivatives of what levels make of each other's losses.
//!
//! Everything here is planned at first use and kept; at every later use only kernels run.

mod boundary;
mod cache;
mod curvature;
mod decay;
mod doubled;
mod error;
mod fixed_point;
mod lagrangian;
mod loss;
mod moved;
mod output;
mod perturb;
mod shared;
mod square_norm;
mod steps;
mod tasks;
mod vectorized;
mod verification;

pub(crate) use cache::{Bound, Cache};
pub use curvature::{Curvature, Point};
pub use decay::Decay;
pub(crate) use doubled::{DoubledLoss, Draw};
pub use error::LossError;
pub use lagrangian::{Input, Lagrangian, StepInput, Variable};
pub use loss::{GradientProgram, Gradients, Loss};
pub(crate) use loss::{Launched, loss_in, square_norm_in};
pub(crate) use output::{LinearProgram, OutputProduct};
pub use steps::{LevelAbove, StepGraph, UnrolledSteps};
pub use tasks::{LossFound, StepFound, TaskFound, TaskSteps, Tasks, TasksFound};
pub use verification::{Agreement, Unverified, Verification, VerificationError};
pub(crate) use verification::{
    Compared, Comparison, Difference, Memory, OPERATIONS, Point as PlacedInputs, Source, Verified, on_host,
};
