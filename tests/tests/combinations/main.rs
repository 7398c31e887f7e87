//! Features of the engine in combination, against two ways to the same numbers or differences of whole runs.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod ahead;
mod interruptions;
mod methods;
mod models;
mod nested;
mod numbers;
mod problem;
mod selected;
mod together;
mod ways;
