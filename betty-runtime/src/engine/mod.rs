//! Training: the schedule executed on data, with everything that a run needs around it.

mod advance;
mod ask;
mod checkpoint;
mod current;
mod data;
mod edit;
mod event;
mod guard;
mod held;
mod host;
mod iterate;
mod log;
mod metrics;
mod multilevel;
mod news;
mod observe;
mod periodic;
mod progress;
mod report;
mod run;
mod runaway;
mod savepoint;
mod saves;
mod step;
mod tasks;
mod train;
mod usual;
mod validation;
mod verdict;
mod watch;

pub use checkpoint::StreamPosition;
pub use current::Current;
pub(crate) use data::{next_of, seed_of};
pub use event::Event;
pub(crate) use log::log;
pub use multilevel::Multilevel;
pub(crate) use news::tell;
pub use report::{LevelReport, Report};
pub use train::Engine;
pub use validation::{Goal, Validation};
pub use verdict::Verdict;

pub use crate::checkpoint::Checkpoint;
pub use crate::data::{BatchStream, Stream, StreamError};
pub use crate::error::{CheckpointError, DataError, EngineError, Unverified};
pub use crate::program::{Explanation, HypergradientCheck, LevelCost, ResponseCheck, ResponseCost, TotalGradient};
