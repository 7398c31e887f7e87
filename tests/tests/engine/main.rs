//! The engine on a small reweighting problem: what a run does, and how it fails.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod asking;
mod causes;
mod checkpoints;
mod data;
mod edges;
mod explain;
mod failures;
mod finite;
mod memory;
mod metrics;
mod panics;
mod problem;
mod recordings;
mod runs;
mod selection;
mod statistics;
mod twin;
mod verification;
mod warmup;
