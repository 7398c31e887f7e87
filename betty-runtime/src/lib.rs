//! betty
pub mod execute;
pub mod graph;
pub mod linalg;
pub mod optimizer;
