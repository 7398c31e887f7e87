//! Derivatives of one loss by themselves, against closed forms, Burn's autodiff, central differences and dense solvers.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod estimates;
mod least_squares;
mod logistic;
mod mistakes;
mod mixed;
mod models;
mod points;
mod quadratic;
mod reference;
mod saturated;
mod singular;
mod types;
mod vectors;
