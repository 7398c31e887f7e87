//! What the tests and benchmarks of betty share: whole models, made of Burn's `nn`, and the vectors of small problems.

pub mod models;
pub mod vectors;
