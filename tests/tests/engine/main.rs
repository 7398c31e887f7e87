//! The engine on a small reweighting problem: what a run does, and how it fails.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod asking;
mod causes;
mod checkpoints;
mod constants;
mod data;
mod edges;
mod explain;
mod failed_steps;
mod failures;
mod finite;
mod indices;
mod intervals;
mod large;
mod memory;
mod metrics;
mod of_program;
mod older_files;
mod panics;
mod plans;
mod pretrained;
mod problem;
mod reading;
mod recordings;
mod restarts;
mod runs;
mod saving;
mod schedule;
mod selection;
mod standing;
mod statistics;
mod tied;
mod unread;
mod verification;
mod warmup;
mod watching;
