//! betty
pub mod config;
pub mod derivatives;
pub mod engine;
pub mod execute;
pub mod graph;
pub mod hypergradient;
pub mod linalg;
pub mod optimizer;
pub mod trace;
