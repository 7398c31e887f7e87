//! Observers that ship with the library, and what every observer may do.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod answers;
mod files;
mod health;
mod held;
mod lines;
mod names;
mod problem;
mod ranks;
mod report;
mod retry;
mod rules;
mod saved;
mod tensorboard;
