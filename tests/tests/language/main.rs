//! What levels say of their learning rates and of their batches: schedules, and several batches of one stream.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod after_step;
mod fresh;
mod numbers;
mod radius;
mod schedules;
mod streams;
mod unmoved;
