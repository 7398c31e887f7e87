//! Derivatives of traced losses against Burn's autodiff, central differences and their own algebra.
//!
//! Every case is one line: inputs, and a function of them. [`harness`] says what is checked.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

#[macro_use]
mod harness;

mod activations;
mod batch_norm;
mod composed;
mod constants;
mod convolutions;
mod elementwise;
mod errors;
mod gradient;
mod graphs;
mod indexing;
mod models;
#[macro_use]
mod modules;
mod masks;
mod nn_activations;
mod nn_layers;
mod nn_losses;
mod ordering;
mod programs;
mod random;
mod ranks;
mod reductions;
mod resampling;
mod shapes;
mod tracing;
mod updates;
mod vectorize;
mod whole;
