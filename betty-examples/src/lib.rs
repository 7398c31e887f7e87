//! What betty's examples share: data sets, a problem, initial parameters, metrics, plots, failures, and careful output.

pub mod data;
pub mod device;
pub mod failure;
pub mod init;
pub mod metrics;
pub mod output;
pub mod penalized;
pub mod plot;
