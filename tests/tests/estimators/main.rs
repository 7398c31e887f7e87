//! Methods that follow the steps of a level forward, or take them again: in every direction, in random ones, and displaced.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod evolution;
mod forward;
mod forward_gradient;
mod graphs;
mod linear;
mod problem;
mod statistics;
