//! x
pub mod config;
/// x
pub mod engine {
    pub mod schedule;
}
