//! Correct programs and batches in unusual clothes: they compile, without a warning, and mean what they say.

mod batches;
mod constants;
pub mod fields;
mod names;
mod one_level;
