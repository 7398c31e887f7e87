//! Correct programs and batches in unusual clothes: they compile, without a warning, and mean what they say.

mod batches;
pub mod fields;
mod names;
