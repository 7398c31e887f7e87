//! Labelled images: where they come from, and how they are split, corrupted and batched; tables, and text.

mod batches;
mod dataset;
mod digits;
mod idx;
mod noise;
mod reviews;
mod split;
mod table;

pub use batches::Batches;
pub use dataset::{Dataset, DatasetError, DeviceDataset};
pub use digits::digits;
pub use idx::{IdxError, load_idx};
pub use noise::{NoiseError, Noisy, WrongLabel};
pub use reviews::{Review, lexicon, reviews};
pub use split::{Split, SplitError};
pub use table::{Column, Inputs, Table, TableError, Values};
