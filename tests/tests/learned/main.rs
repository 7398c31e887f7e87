//! Numbers of an optimizer that a level above learns, against central differences of whole runs and closed forms.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod closed_forms;
mod decay;
mod derivatives;
mod mistakes;
mod nested;
mod problem;
mod runs;
mod steps;
mod through;
mod unseen;
