//! Training: the schedule executed on data, with everything that a run needs around it.

mod advance;
mod ask;
mod checkpoint;
mod current;
mod data;
mod distributed;
mod edit;
mod gathered;
mod guard;
mod held;
mod host;
mod iterate;
mod multilevel;
mod news;
mod observe;
mod own_tasks;
mod pending;
mod periodic;
mod progress;
mod run;
mod runaway;
mod savepoint;
mod saves;
mod solve;
mod split;
mod step;
mod tasks;
mod train;
mod untold;
mod validation;
mod watch;
mod watched;

pub use checkpoint::StreamPosition;
pub use current::Current;
pub(crate) use data::{next_of, seed_of};
pub use multilevel::Multilevel;
pub(crate) use multilevel::own;
pub use observe::Observer;
pub use train::Engine;
pub use validation::Validation;
pub use watch::Looks;

pub use crate::checkpoint::Checkpoint;
pub use crate::data::{BatchStream, Shards, Stream, StreamError};
pub use crate::event::{Event, Facts, Goal, LevelReport, Report, Score, Verdict, Warning};
pub use crate::program::{Explanation, HypergradientCheck, LevelCost, ResponseCheck, ResponseCost, TotalGradient};
