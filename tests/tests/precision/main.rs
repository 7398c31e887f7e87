//! Products in 16 bits: what is rounded and what is not, how much derivatives of every order move, and training with it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod depth;
mod derivatives;
mod displaced;
mod engine;
mod fixed_point;
mod model;
mod scaling;
mod small;
mod statistics;
mod structure;
mod sums;
