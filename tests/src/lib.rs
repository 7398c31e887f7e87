//! What the tests and benchmarks of betty share: whole models, made of Burn's `nn`.

pub mod models;
