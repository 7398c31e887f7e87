//! The binary version of CIFAR-10 and CIFAR-100: colour images of 32 × 32 pixels in records of one length.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::dataset::{Dataset, DatasetError};

const SHAPE: [usize; 3] = [3, 32, 32];
const VALUES: usize = 3 * 32 * 32;

/// A file of CIFAR that cannot be used: which one, and why.
#[derive(thiserror::Error)]
#[error("cannot use `{}`: {problem}", file.display())]
pub struct CifarError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong.
    #[source]
    pub problem: CifarProblem,
}

/// What can be wrong with a file of CIFAR.
#[derive(thiserror::Error)]
pub enum CifarProblem {
    /// It cannot be read.
    #[error("reading failed: {0}")]
    Read(#[from] io::Error),
    /// It is not made of whole records.
    #[error("its {bytes} bytes are no whole number of records of {record} bytes; is it the binary version, and whole?")]
    Length {
        /// Bytes there.
        bytes: usize,
        /// Bytes of a record.
        record: usize,
    },
    /// There is no example.
    #[error("it holds no example")]
    Empty,
    /// A label names no class.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

betty_runtime::debug_as_report!(CifarError, CifarProblem);

/// Which of the two it is: the files to train on and for the test, the bytes of labels before each image, the last of which counts,
/// and how many classes there are.
struct Kind {
    train: &'static [&'static str],
    test: &'static str,
    labels: usize,
    classes: usize,
}

const KINDS: [Kind; 2] = [
    Kind {
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: "test_batch.bin",
        labels: 1,
        classes: 10,
    },
    // The coarse class, then the fine one.
    Kind { train: &["train.bin"], test: "test.bin", labels: 2, classes: 100 },
];

/// Whether a folder holds files of CIFAR.
pub(super) fn is_cifar(folder: &Path) -> bool {
    KINDS.iter().any(|kind| folder.join(kind.train[0]).exists())
}

/// The training and the test set in a folder of CIFAR's binary files: `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin` of
/// CIFAR-10, or `train.bin` and `test.bin` of CIFAR-100, whose fine classes are taken.
///
/// # Errors
/// When a file is missing or damaged.
pub fn load_cifar(folder: &Path) -> Result<(Dataset, Dataset), CifarError> {
    let kind = KINDS.iter().find(|kind| folder.join(kind.train[0]).exists()).unwrap_or(&KINDS[0]);
    let parts = kind.train.iter().map(|name| kind.read(folder.join(name))).collect::<Result<Vec<_>, _>>()?;
    Ok((Dataset::concat(parts), kind.read(folder.join(kind.test))?))
}

impl Kind {
    fn read(&self, file: PathBuf) -> Result<Dataset, CifarError> {
        let read = || {
            let (bytes, record) = (fs::read(&file)?, self.labels + VALUES);
            match bytes.len() {
                0 => Err(CifarProblem::Empty),
                length if length.is_multiple_of(record) => Ok(self.dataset(&bytes, record)?),
                bytes => Err(CifarProblem::Length { bytes, record }),
            }
        };
        read().map_err(|problem| CifarError { file, problem })
    }

    fn dataset(&self, bytes: &[u8], record: usize) -> Result<Dataset, DatasetError> {
        let records = || bytes.chunks_exact(record).map(|record| record.split_at(self.labels));
        let labels = records().map(|(labels, _)| labels[self.labels - 1]).collect();
        let images = records().flat_map(|(_, image)| image).map(|&value| f32::from(value) / 255.0).collect();
        Dataset::new(images, labels, SHAPE, self.classes)
    }
}
