//! Image files in the IDX format of MNIST and its successors, plain or gzipped.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::dataset::{Dataset, DatasetError};

const IMAGES: &str = "images-idx3-ubyte";
const LABELS: &str = "labels-idx1-ubyte";
/// The magic number of IDX: two zeros, the element type (8: unsigned byte), the number of dimensions.
const UNSIGNED_BYTE: u8 = 8;
/// No file of the MNIST family comes near; a header that asks for more is damaged.
const MOST_BYTES: usize = 1 << 32;

/// An IDX file that cannot be used: which one, and why.
#[derive(thiserror::Error)]
#[error("cannot use `{}`: {problem}", file.display())]
pub struct IdxError {
    /// The file, or the folder when files do not fit together.
    pub file: PathBuf,
    /// What is wrong.
    #[source]
    pub problem: IdxProblem,
}

/// What can be wrong with an IDX file.
#[derive(thiserror::Error)]
pub enum IdxProblem {
    /// Neither the plain nor the gzipped file exists.
    #[error("there is no such file, nor a gzipped one with `.gz` behind its name")]
    Missing,
    /// The file cannot be read, or its compression is damaged.
    #[error("reading failed: {0}")]
    Read(#[from] io::Error),
    /// The file ends inside of the header.
    #[error("the header needs {expected} bytes, but the file ends after {found}")]
    Header {
        /// Bytes of a whole header.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// The magic number is another one.
    #[error("its magic number is {found:#010x}, not {expected:#010x}; is it an IDX file of unsigned bytes?")]
    Magic {
        /// The number of a fitting file.
        expected: u32,
        /// The number found.
        found: u32,
    },
    /// The header promises more than any real file holds.
    #[error("its header promises {0:?} values, which is too many; is it damaged?")]
    Size(Vec<usize>),
    /// The file ends before the values that the header promises.
    #[error("its header promises {expected} values, but the file ends after {found}")]
    Truncated {
        /// Values promised.
        expected: usize,
        /// Values there.
        found: usize,
    },
    /// More bytes follow after the values.
    #[error("bytes follow after the {expected} values that its header promises")]
    Trailing {
        /// Values promised.
        expected: usize,
    },
    /// There is no example.
    #[error("it holds no example")]
    Empty,
    /// Images and labels are not equally many.
    #[error("it has {labels} labels for {images} images")]
    Count {
        /// How many labels.
        labels: usize,
        /// How many images.
        images: usize,
    },
    /// Training and test images differ in size.
    #[error("its images have {} × {} pixels, those for training {} × {}", found[0], found[1], expected[0], expected[1])]
    Pixels {
        /// Rows and columns of a training image.
        expected: [usize; 2],
        /// Those found.
        found: [usize; 2],
    },
    /// The parts do not make a data set.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

betty_runtime::debug_as_report!(IdxError, IdxProblem);

/// Whether a folder holds one of the four files.
pub(super) fn is_idx(folder: &Path) -> bool {
    let parts = [("train", IMAGES), ("train", LABELS), ("t10k", IMAGES), ("t10k", LABELS)];
    let names = parts.map(|(set, part)| format!("{set}-{part}"));
    names.iter().any(|name| folder.join(name).exists() || folder.join(format!("{name}.gz")).exists())
}

/// The training and the test set in a folder of the four files of MNIST, each plain or gzipped:
/// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and the same with `t10k`.
///
/// No value is read, nor unpacked, before all headers fit each other.
///
/// # Errors
/// When a file is missing, damaged, or does not fit the others.
pub fn load_idx(folder: &Path) -> Result<(Dataset, Dataset), IdxError> {
    let train = Part::open(folder, "train")?;
    let test = Part::open(folder, "t10k")?;
    if test.size() != train.size() {
        let problem = IdxProblem::Pixels { expected: train.size(), found: test.size() };
        return Err(IdxError { file: test.images.path, problem });
    }
    let (train, test) = (train.read()?, test.read()?);
    let largest = train.labels.iter().chain(&test.labels).copied().max().unwrap_or(0);
    let classes = usize::from(largest) + 1;
    Ok((train.into_dataset(classes)?, test.into_dataset(classes)?))
}

/// The files of one of the two sets, whose headers fit each other.
struct Part {
    images: IdxFile<3>,
    labels: IdxFile<1>,
}

/// Images and labels of one of the two sets.
struct Examples {
    images_file: PathBuf,
    images: Vec<u8>,
    labels: Vec<u8>,
    size: [usize; 2],
}

impl Part {
    fn open(folder: &Path, name: &str) -> Result<Self, IdxError> {
        let images = IdxFile::<3>::open(folder.join(format!("{name}-{IMAGES}")))?;
        let labels = IdxFile::<1>::open(folder.join(format!("{name}-{LABELS}")))?;
        let ([count, ..], [label_count]) = (images.shape, labels.shape);
        if label_count != count {
            let problem = IdxProblem::Count { labels: label_count, images: count };
            return Err(IdxError { file: labels.path, problem });
        }
        if count == 0 {
            return Err(IdxError { file: images.path, problem: IdxProblem::Empty });
        }
        Ok(Part { images, labels })
    }

    /// Rows and columns of an image.
    fn size(&self) -> [usize; 2] {
        let [_, rows, columns] = self.images.shape;
        [rows, columns]
    }

    fn read(self) -> Result<Examples, IdxError> {
        let (size, images_file) = (self.size(), self.images.path.clone());
        // The smaller ones first.
        let labels = self.labels.values()?;
        Ok(Examples { images: self.images.values()?, images_file, labels, size })
    }
}

impl Examples {
    fn into_dataset(self, classes: usize) -> Result<Dataset, IdxError> {
        let images = self.images.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
        let [rows, columns] = self.size;
        Dataset::new(images, self.labels, [1, rows, columns], classes)
            .map_err(|problem| IdxError { file: self.images_file, problem: problem.into() })
    }
}

/// A file whose header was read, and whose values were not.
struct IdxFile<const D: usize> {
    /// The one there is, plain or gzipped.
    path: PathBuf,
    shape: [usize; D],
    /// How many there are according to the header.
    count: usize,
    rest: Box<dyn Read>,
}

impl<const D: usize> IdxFile<D> {
    fn open(plain: PathBuf) -> Result<Self, IdxError> {
        let mut gzipped = plain.clone().into_os_string();
        gzipped.push(".gz");
        let gzipped = PathBuf::from(gzipped);
        let (path, mut rest): (PathBuf, Box<dyn Read>) = if let Some(file) = in_file(&plain, open)? {
            (plain, Box::new(file))
        } else if let Some(file) = in_file(&gzipped, open)? {
            (gzipped, Box::new(MultiGzDecoder::new(file)))
        } else {
            return Err(IdxError { file: plain, problem: IdxProblem::Missing });
        };
        let (shape, count) = in_file(&path, |_| read_header(&mut rest))?;
        Ok(IdxFile { path, shape, count, rest })
    }

    /// As many values as the header promises.
    fn values(self) -> Result<Vec<u8>, IdxError> {
        let Self { path, count: expected, rest, .. } = self;
        let mut values = Vec::new();
        in_file(&path, |_| {
            // One byte more than promised, to notice what follows.
            rest.take(expected as u64 + 1).read_to_end(&mut values)?;
            match values.len() {
                found if found < expected => Err(IdxProblem::Truncated { expected, found }),
                found if found > expected => Err(IdxProblem::Trailing { expected }),
                _ => Ok(values),
            }
        })
    }
}

/// Adds the file's name to what goes wrong in it.
fn in_file<T>(file: &Path, read: impl FnOnce(&Path) -> Result<T, IdxProblem>) -> Result<T, IdxError> {
    read(file).map_err(|problem| IdxError { file: file.into(), problem })
}

/// The open file, or `None` when there is none.
fn open(path: &Path) -> Result<Option<BufReader<File>>, IdxProblem> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => Ok(result.map(|file| Some(BufReader::new(file)))?),
    }
}

/// The dimensions in the header, and the number of values after it.
fn read_header<const D: usize>(source: &mut impl Read) -> Result<([usize; D], usize), IdxProblem> {
    let header_bytes = 4 + 4 * D;
    let mut header = Vec::with_capacity(header_bytes);
    source.take(header_bytes as u64).read_to_end(&mut header)?;
    let (words, _) = header.as_chunks::<4>();
    let mut words = words.iter().map(|&word| u32::from_be_bytes(word));
    let short = || IdxProblem::Header { expected: header_bytes, found: header.len() };

    let found = words.next().ok_or_else(short)?;
    let expected = u32::from_be_bytes([0, 0, UNSIGNED_BYTE, D as u8]);
    if found != expected {
        return Err(IdxProblem::Magic { expected, found });
    }
    let mut shape = [0; D];
    for size in &mut shape {
        *size = words.next().ok_or_else(short)? as usize;
    }
    let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match count.filter(|&bytes| bytes <= MOST_BYTES) {
        Some(count) => Ok((shape, count)),
        None => Err(IdxProblem::Size(shape.to_vec())),
    }
}
