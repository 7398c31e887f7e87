//! What has to hold between the options of levels, and between them and the program: the rules that
//! [`ConflictError::Broken`](crate::ConflictError::Broken) names. [`multilevel!`](crate::multilevel) holds a program against the same
//! rules, in the same words.

pub use betty_schema::rules::{Apart, Clash, Idle, Obstacle, Unfixed, Unscheduled, Violation};
