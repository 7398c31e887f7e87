//! Folders of PNG and JPEG files, one for each class.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_png::PngDecoder;

use super::dataset::Dataset;

/// The folders of the two sets.
const SETS: [&str; 2] = ["train", "test"];
/// As many classes as labels can tell apart.
const CLASSES: usize = 256;

/// A file or folder that cannot be used: which one, and why.
#[derive(thiserror::Error)]
#[error("cannot use `{}`: {problem}", path.display())]
pub struct FoldersError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub problem: FoldersProblem,
}

/// What can be wrong with folders of images.
#[derive(thiserror::Error)]
pub enum FoldersProblem {
    /// It cannot be read.
    #[error("reading failed: {0}")]
    Read(#[from] io::Error),
    /// There is no such folder.
    #[error("there is no such folder; images are expected in `train/CLASS` and `test/CLASS`")]
    Missing,
    /// A folder without folders.
    #[error("it holds no folder, but one for each class is expected")]
    NoClasses,
    /// More classes than labels can tell apart.
    #[error("it holds {0} folders, but at most {CLASSES} classes are possible")]
    ManyClasses(usize),
    /// A class without images.
    #[error("it holds no `.png`, `.jpg` or `.jpeg` file")]
    NoImages,
    /// The test has a class that training has not.
    #[error("there is no such class to train on")]
    UnknownClass,
    /// Something else than images and folders of images.
    #[error("it is neither a folder of images nor a `.png`, `.jpg` or `.jpeg` file; take it away")]
    Foreign,
    /// A damaged image.
    #[error("it is no image that can be read: {0}")]
    Damaged(String),
    /// Images of different sizes.
    #[error(
        "it has {} × {} pixels, and the first image {} × {}; bring all images to one size first", found[0], found[1], first[0], first[1]
    )]
    Size {
        /// Rows and columns of the first image.
        first: [usize; 2],
        /// Those of this one.
        found: [usize; 2],
    },
}

betty_runtime::debug_as_report!(FoldersError, FoldersProblem);

/// Whether a folder holds folders of images.
pub(super) fn is_folders(folder: &Path) -> bool {
    folder.join(SETS[0]).is_dir()
}

/// The training and the test set in `folder/train/CLASS` and `folder/test/CLASS`: PNG and JPEG files of one size, the classes in the order
/// of the alphabet. Images are grey where all of them are, and have three channels otherwise; transparency is left out. Hidden files are
/// passed over, and anything else is an error.
///
/// # Errors
/// When something cannot be read, or does not fit the rest.
pub fn load_folders(folder: &Path) -> Result<(Dataset, Dataset), FoldersError> {
    let [train, test] = SETS.map(|set| folder.join(set));
    let names: Vec<String> = entries(&train)?.into_keys().collect();
    if names.is_empty() {
        return at(&train, Err(FoldersProblem::NoClasses));
    }
    if names.len() > CLASSES {
        return at(&train, Err(FoldersProblem::ManyClasses(names.len())));
    }
    let mut size = None;
    if entries(&test)?.is_empty() {
        return at(&test, Err(FoldersProblem::NoClasses));
    }
    let train = read_set(&train, &names, &mut size)?;
    let test = read_set(&test, &names, &mut size)?;
    let [rows, columns] = size.unwrap_or_default();
    let channels = if train.iter().chain(&test).all(|(image, _)| image.is_grey()) { 1 } else { 3 };
    let dataset = |images: &[(Image, u8)]| {
        let values = images.iter().flat_map(|(image, _)| image.values(channels)).map(|value| f32::from(value) / 255.0);
        let labels = images.iter().map(|(_, label)| *label).collect();
        Dataset::new(values.collect(), labels, [channels, rows, columns], names.len())
            .expect("all images have that shape")
    };
    Ok((dataset(&train), dataset(&test)))
}

/// An image: its channels, 1 or 3, which stand side by side for each pixel.
struct Image {
    channels: usize,
    bytes: Vec<u8>,
}

impl Image {
    fn is_grey(&self) -> bool {
        self.channels == 1 || self.bytes.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2])
    }

    /// Channel by channel; a grey image has three that are the same.
    fn values(&self, channels: usize) -> impl Iterator<Item = u8> + '_ {
        (0..channels)
            .flat_map(move |channel| self.bytes.iter().skip(channel % self.channels).step_by(self.channels))
            .copied()
    }
}

/// All images of a set, each with its class; `size` is what all images have that were read before.
fn read_set(folder: &Path, names: &[String], size: &mut Option<[usize; 2]>) -> Result<Vec<(Image, u8)>, FoldersError> {
    let mut images = Vec::new();
    for (name, class) in entries(folder)? {
        let Some(label) = names.iter().position(|known| *known == name) else {
            return at(&class, Err(FoldersProblem::UnknownClass));
        };
        if !class.is_dir() {
            return at(&class, Err(FoldersProblem::Foreign));
        }
        let files = entries(&class)?;
        if files.is_empty() {
            return at(&class, Err(FoldersProblem::NoImages));
        }
        for file in files.into_values() {
            let (image, found) = at(&file, read_image(&file))?;
            match *size.get_or_insert(found) {
                first if first != found => return at(&file, Err(FoldersProblem::Size { first, found })),
                _ => images.push((image, label as u8)),
            }
        }
    }
    Ok(images)
}

/// What a folder holds and does not hide, in the order of the alphabet.
fn entries(folder: &Path) -> Result<BTreeMap<String, PathBuf>, FoldersError> {
    let read = || {
        if !folder.is_dir() {
            return Err(FoldersProblem::Missing);
        }
        let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| (entry.file_name(), entry.path())));
        let entries = entries.collect::<Result<Vec<_>, _>>()?.into_iter();
        let named = entries.map(|(name, path)| (name.to_string_lossy().into_owned(), path));
        Ok(named.filter(|(name, _)| !name.starts_with('.')).collect())
    };
    at(folder, read())
}

fn at<T>(path: &Path, result: Result<T, FoldersProblem>) -> Result<T, FoldersError> {
    result.map_err(|problem| FoldersError { path: path.into(), problem })
}

/// An image, and its rows and columns.
fn read_image(file: &Path) -> Result<(Image, [usize; 2]), FoldersProblem> {
    let extension = file.extension().map(|extension| extension.to_ascii_lowercase());
    match extension.as_deref().and_then(|extension| extension.to_str()) {
        Some("png") => read_png(file),
        Some("jpg" | "jpeg") => read_jpeg(file),
        _ => Err(FoldersProblem::Foreign),
    }
}

/// Of 16 bits a channel, the upper 8; palettes become colours, and transparency is left out.
fn read_png(file: &Path) -> Result<(Image, [usize; 2]), FoldersProblem> {
    let options = DecoderOptions::default().png_set_strip_to_8bit(true).png_set_confirm_crc(true);
    let mut decoder = PngDecoder::new_with_options(BufReader::new(File::open(file)?), options);
    let bytes = decoder.decode_raw().map_err(|reason| FoldersProblem::Damaged(reason.to_string()))?;
    let all = decoder.colorspace().map_or(1, |colours| colours.num_components());
    let channels = if all < 3 { 1 } else { 3 };
    let bytes = bytes.chunks_exact(all).flat_map(|pixel| &pixel[..channels]).copied().collect();
    Ok((Image { channels, bytes }, size(decoder.dimensions())?))
}

fn read_jpeg(file: &Path) -> Result<(Image, [usize; 2]), FoldersProblem> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(BufReader::new(File::open(file)?), options);
    let bytes = decoder.decode().map_err(|reason| FoldersProblem::Damaged(reason.to_string()))?;
    Ok((Image { channels: 3, bytes }, size(decoder.dimensions())?))
}

/// Rows and columns.
fn size(dimensions: Option<(usize, usize)>) -> Result<[usize; 2], FoldersProblem> {
    let (columns, rows) = dimensions.ok_or_else(|| FoldersProblem::Damaged("it has no size".into()))?;
    Ok([rows, columns])
}
