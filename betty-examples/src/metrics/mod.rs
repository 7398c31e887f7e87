//! Numbers that say how well something went.

mod auc;
mod summary;
mod table;

pub use auc::roc_auc;
pub use summary::Summary;
pub use table::csv_table;
