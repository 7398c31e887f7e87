//! Several ranks against one process on the joined batches: the same numbers, whatever the method and the depth, and one error for
//! all where there is one.

mod directions;
mod draws;
mod edits;
mod empty;
mod exact;
mod faults;
mod language;
mod last;
mod means;
mod nested_tasks;
mod norms;
mod problem;
mod runs;
mod scores;
mod solvers;
mod sums;
mod tasks;
