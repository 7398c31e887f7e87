//! What may be written in a program of betty, and the graph of its levels.
//!
//! No tensors and no tokens. [`FIELDS`] and the [`FAMILIES`] are the tables: one row for each name, with its options, their ranges, defaults
//! and meanings. What `multilevel!` and a config accept and the tables of the [`manual`] follow from them. [`Graph`] computes what each hypergradient passes through, and the [`rules`] say what has to
//! hold between the numbers of its levels.

mod fields;
mod graph;
mod groups;
mod level_solvers;
pub mod manual;
mod methods;
mod names;
mod optimizers;
mod preconditioners;
mod projections;
mod range;
pub mod rules;
mod schedules;
mod solvers;
mod table;
mod words;

pub use fields::{FIELDS, Field, Holds, Key, OF_A_GROUP, PATHS, field, of_a_group};
pub use graph::{Circle, Edges, Graph, Stop};
pub use groups::{lies_in, overlap};
pub use level_solvers::LEVEL_SOLVERS;
pub use methods::METHODS;
pub use names::{did_you_mean, listed, suggestion};
pub use optimizers::{NEEDS_MOMENTUM, OPTIMIZERS};
pub use preconditioners::PRECONDITIONERS;
pub use projections::PROJECTIONS;
pub use range::{ALL, BOUNDED, Given, OF_THE_STEP, Range};
pub use schedules::SCHEDULES;
pub use solvers::SOLVERS;
pub use table::{Family, Opt, Row, Seen, Way};
pub use words::{BATCHES, CLIPS, CURVATURES, PRECISIONS, STARTS, TRANSFORMS, Word, Words};

/// Every family: what a field with a name and options knows.
pub static FAMILIES: [&Family; 7] =
    [&METHODS, &OPTIMIZERS, &SCHEDULES, &LEVEL_SOLVERS, &PRECONDITIONERS, &PROJECTIONS, &SOLVERS];
