//! What betty's examples share: options, comparisons over seeds, data sets, a problem, initial parameters, rivals, metrics,
//! plots, failures, careful output, runs that can be stopped and gone on with, and runs that several processes share.

pub mod command;
pub mod compare;
pub mod data;
pub mod device;
pub mod failure;
pub mod going;
pub mod init;
pub mod metrics;
pub mod output;
pub mod penalized;
pub mod plot;
pub mod ranks;
pub mod relabel;
pub mod rival;
pub mod saved;
pub mod stop;
pub mod watching;
