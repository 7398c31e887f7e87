//! Levels whose best response a solver finds, against closed forms, scikit-learn and differences of whole solves.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod closed_forms;
mod fixed_points;
mod kept;
mod layers;
mod mistakes;
mod own;
mod preconditioned;
mod runs;
mod scikit_learn;
