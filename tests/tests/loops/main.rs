//! Gradients of a program's levels in a training loop of the user's own: equal to the engine's, and to what Burn and closed forms say.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod closed_forms;
mod engine;
mod mistakes;
mod modules;
mod problem;
