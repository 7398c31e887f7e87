//! What betty's examples share: data sets, metrics, plots, and careful output.

pub mod data;
pub mod device;
pub mod metrics;
pub mod output;
pub mod plot;
