//! Correct programs and batches in unusual clothes: they compile, without a warning, and mean what they say.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod batches;
mod constants;
pub mod fields;
mod names;
mod one_level;
