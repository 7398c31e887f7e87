//! Training: the schedule executed on data, with everything that a run needs around it.

mod advance;
mod check;
mod checkpoint;
mod error;
mod event;
mod explain;
mod gradient;
mod ground;
mod level;
mod losses;
mod metrics;
mod program;
mod progress;
mod rates;
mod record;
mod replays;
pub mod schedule;
mod selection;
mod start;
mod stream;
mod tangents;
mod train;
mod trajectory;
mod update;
mod validation;

pub use check::{HypergradientCheck, ResponseCheck};
pub use checkpoint::{Checkpoint, CheckpointError, StreamPosition};
pub use error::EngineError;
pub use event::Event;
pub use explain::{Explanation, LevelCost, ResponseCost};
pub use gradient::TotalGradient;
pub use program::Multilevel;
pub use schedule::{LevelSpec, Schedule, Through};
pub use stream::{BatchStream, DataError, Stream, StreamError};
pub use train::{Engine, LevelReport, Report};
pub use validation::{Goal, Validation};
