//! A data set of images, in whatever form a folder holds it.

use std::path::{Path, PathBuf};

use super::cifar::{CifarError, is_cifar, load_cifar};
use super::dataset::Dataset;
use super::folders::{FoldersError, is_folders, load_folders};
use super::idx::{IdxError, is_idx, load_idx};

/// What `--data` accepts.
pub const FORMS: &str = "IDX files as of MNIST or Fashion-MNIST, plain or gzipped; the binary version of CIFAR-10 or CIFAR-100; or folders \
                         `train/CLASS` and `test/CLASS` of PNG or JPEG files of one size";

/// A folder that holds no data set of images that can be used.
#[derive(thiserror::Error)]
pub enum ImagesError {
    /// IDX files.
    #[error(transparent)]
    Idx(#[from] IdxError),
    /// Files of CIFAR.
    #[error(transparent)]
    Cifar(#[from] CifarError),
    /// Folders of PNG and JPEG files.
    #[error(transparent)]
    Folders(#[from] FoldersError),
    /// No folder at all.
    #[error("there is no folder `{}`", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// Nothing that is known.
    #[error("`{}` holds none of what is accepted: {FORMS}", folder.display())]
    Unknown {
        /// The folder.
        folder: PathBuf,
    },
}

betty_runtime::debug_as_report!(ImagesError);

/// The training and the test set in a folder: of [`load_idx`], [`load_cifar`] or [`load_folders`], whichever the folder looks like.
///
/// # Errors
/// When it looks like none of them, or cannot be read.
pub fn load_images(folder: &Path) -> Result<(Dataset, Dataset), ImagesError> {
    if is_idx(folder) {
        Ok(load_idx(folder)?)
    } else if is_cifar(folder) {
        Ok(load_cifar(folder)?)
    } else if is_folders(folder) {
        Ok(load_folders(folder)?)
    } else {
        Err(if folder.is_dir() {
            ImagesError::Unknown { folder: folder.into() }
        } else {
            ImagesError::Missing { folder: folder.into() }
        })
    }
}
