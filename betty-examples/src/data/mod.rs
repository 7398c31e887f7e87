//! Labelled images: where they come from, and how they are split, corrupted and batched; tables, and text.

mod batches;
mod cifar;
mod dataset;
mod digits;
mod folders;
mod identity;
mod idx;
mod images;
mod noise;
mod reviews;
mod split;
mod table;

pub use batches::Batches;
pub use cifar::{CifarError, CifarProblem, load_cifar};
pub use dataset::{Dataset, DatasetError, DeviceDataset};
pub use digits::digits;
pub use folders::{FoldersError, FoldersProblem, load_folders};
pub use identity::{identity, identity_of_file};
pub use idx::{IdxError, load_idx};
pub use images::{FORMS, ImagesError, load_images};
pub use noise::{NoiseError, Noisy, WrongLabel};
pub use reviews::{Review, lexicon, reviews};
pub use split::{Split, SplitError};
pub use table::{Column, Inputs, Table, TableError, Values};
