//! Numbers that say how well something went.

mod auc;
mod comparison;
mod correlation;
mod summary;
mod table;

pub use auc::roc_auc;
pub use comparison::Comparison;
pub use correlation::{correlation, rank_correlation};
pub use summary::Summary;
pub use table::csv_table;
