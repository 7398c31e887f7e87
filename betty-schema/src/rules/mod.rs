//! What has to hold between the numbers of a program's levels, and between them and the graph.
//!
//! Each rule answers what breaks it at one level, and each is listed in [`Facts::broken`]. What is said of it, whoever asks, is
//! [`Facts::text`]; the macro adds a span, and the runtime the path in a config. A number that is not known, because what stands in
//! its place was refused already, breaks no rule.

mod condition;
mod curvature;
mod facts;
mod learned;
mod numbers;
mod preconditioner;
mod schedule;
mod solver;
mod start;
mod steps;
mod system;
#[cfg(test)]
mod tests;
mod text;
mod together;
mod used;
mod violation;

pub use condition::Unfixed;
pub use curvature::Idle;
pub use facts::Facts;
pub use numbers::{Begins, LearnedNumber, Method, Numbers};
pub use schedule::Unscheduled;
pub use solver::Clash;
pub use start::depends_on_start;
pub use system::Apart;
pub use together::{Obstacle, one_by_one};
pub use violation::{Place, Violation};
