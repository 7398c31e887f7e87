//! Observers that ship with the library: lines for people, tables and events for programs, TensorBoard, a report, health, what
//! was best, and the last checkpoints. Each is [attached](crate::Engine::attach) to an engine, and uses what every observer can use.
//!
//! ```
//! # use betty_runtime::{EngineError, Multilevel, Stream, multilevel};
//! use betty_runtime::watch::{Console, CsvFile, JsonLines, TensorBoard};
//! use betty_runtime::{Engine, Goal, Score, Validation};
//! # use burn::module::Param;
//! # use burn::tensor::{Device, Tensor};
//! # type Point = Param<Tensor<1>>;
//! # fn below(x: &Point, y: &Point, _batch: ()) -> Tensor<1> { (x.val() - y.val()).square().sum() }
//! # fn above(y: &Point, x: &Point, _batch: ()) -> Tensor<1> { (x.val() * y.val() - 1.0).square().sum() }
//! # multilevel! {
//! #     struct Pair;
//! #     level y: Point { lower: [x], batch: (), loss: above, optimizer: sgd(lr = 0.1) }
//! #     level x: Point {
//! #         upper: [y], batch: (), loss: below, optimizer: sgd(lr = 0.1), hypergradient: cg(iterations = 2, damping = 0.0),
//! #     }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! # let point = |at: f32| Param::from_tensor(Tensor::<1>::from_floats([at], &Device::flex()));
//! # let problem = Pair { y: point(0.5), x: point(0.0) };
//! # let data = PairData { y: Stream::constant(()), x: Stream::constant(()) };
//! let far = |problem: &Pair| {
//!     let (y, x): (f32, f32) = (problem.y.val().into_scalar(), problem.x.val().into_scalar());
//!     Ok(Score::new(f64::from((y - 1.0).abs())).with("below", f64::from((x - 1.0).abs())))
//! };
//! let mut engine = Engine::new(problem, data, PairConfig::default())?
//!     .validate(Validation::every(10, Goal::Min, far))
//!     .attach(Console::every(20))
//!     .attach(CsvFile::new(folder.join("run.csv")))
//!     .attach(JsonLines::new(folder.join("run.jsonl")))
//!     .attach(TensorBoard::new(folder.join("tensorboard")));
//! engine.run(100)?;
//! drop(engine);
//! assert!(std::fs::read_to_string(folder.join("run.csv"))?.contains("\n100,y,100,loss,"));
//! # Ok(())
//! # }
//! ```
//!
//! What is written into files is never behind a checkpoint, and a run that goes on from one goes on with its files: what was
//! written after that checkpoint is taken out first. A run that begins at iteration 0 begins its files anew, unless there is one that
//! no such observer has written: that is left as it is ([`WatchError::Foreign`]). While a run writes a file, others are refused. A
//! file that cannot be written ends the run after the iteration in hand, with a [`WatchError`].

mod best;
mod console;
mod csv;
mod error;
mod health;
mod json;
mod last;
mod log;
mod place;
mod report;
mod retry;
mod scalars;
mod tensorboard;
mod versions;

pub use best::KeepBest;
pub use console::Console;
pub use csv::CsvFile;
pub use error::WatchError;
pub use health::{Health, OnUnhealthy};
pub use json::JsonLines;
pub use last::KeepLast;
pub use report::ReportFile;
pub use retry::Retry;
pub use tensorboard::TensorBoard;
