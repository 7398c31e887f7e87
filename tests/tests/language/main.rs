//! What a program may say: every field, names and constants of all kinds, batches in unusual clothes, schedules of learning rates.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod after_step;
mod batches;
mod constants;
pub mod fields;
mod fresh;
mod handed_on;
mod keywords;
mod names;
mod numbers;
mod one_level;
mod radius;
mod same_words;
mod schedules;
mod streams;
mod unmoved;
