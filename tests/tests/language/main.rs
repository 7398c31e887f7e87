//! What a program says of its levels: schedules of learning rates, fresh starts, maps after steps.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod schedules;
