//! Labelled images in memory and on a device.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Images of one size, each with its class.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    images: Vec<f32>,
    labels: Vec<u8>,
    shape: [usize; 3],
    classes: usize,
}

/// Images and labels that do not make a data set.
#[derive(Clone, PartialEq, thiserror::Error)]
pub enum DatasetError {
    /// Images have no pixels.
    #[error("images without pixels")]
    NoPixels,
    /// The numbers of images and labels differ.
    #[error("{values} pixel values do not make {labels} images of {pixels}")]
    Count {
        /// How many pixel values there are.
        values: usize,
        /// How many labels there are.
        labels: usize,
        /// Values an image.
        pixels: usize,
    },
    /// A label names no class.
    #[error("label {label} of example {index} is not below the number of classes, {classes}")]
    Label {
        /// Which example, counted from 0.
        index: usize,
        /// Its label.
        label: u8,
        /// How many classes there are.
        classes: usize,
    },
}

betty_runtime::debug_as_report!(DatasetError);

impl Dataset {
    /// Images whose values are in 0..1, one after the other, and a label below `classes` for each. `shape` is how many channels an image
    /// has, and how many rows and columns each of them; values stand channel by channel, and row by row.
    ///
    /// # Errors
    /// When the numbers do not fit together.
    pub fn new(images: Vec<f32>, labels: Vec<u8>, shape: [usize; 3], classes: usize) -> Result<Self, DatasetError> {
        let pixels = shape.iter().product();
        if pixels == 0 {
            return Err(DatasetError::NoPixels);
        }
        if labels.len().checked_mul(pixels) != Some(images.len()) {
            return Err(DatasetError::Count { values: images.len(), labels: labels.len(), pixels });
        }
        if let Some((index, &label)) = labels.iter().enumerate().find(|&(_, &label)| usize::from(label) >= classes) {
            return Err(DatasetError::Label { index, label, classes });
        }
        Ok(Dataset { images, labels, shape, classes })
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Channels of an image, and rows and columns of each.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Values an image: one for each channel of each pixel.
    pub fn pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of classes; labels are below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The values of an example, channel by channel and row by row, each in 0..1.
    pub fn image(&self, index: usize) -> &[f32] {
        let pixels = self.pixels();
        &self.images[index * pixels..][..pixels]
    }

    /// All labels.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The examples at `indices`, in that order.
    pub fn subset(&self, indices: &[usize]) -> Self {
        Dataset {
            images: indices.iter().flat_map(|&index| self.image(index)).copied().collect(),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            ..*self
        }
    }

    /// These examples, and then those of `other`.
    ///
    /// # Panics
    /// When the two differ in image size or number of classes.
    pub fn join(&self, other: &Self) -> Self {
        assert_eq!((self.shape, self.classes), (other.shape, other.classes), "data sets of one kind");
        Dataset {
            images: [self.images.as_slice(), &other.images].concat(),
            labels: [self.labels.as_slice(), &other.labels].concat(),
            ..*self
        }
    }

    /// All examples of several sets, of which there is one at least, one set after the other.
    ///
    /// # Panics
    /// When two of them differ in image size or number of classes, or there is none.
    pub(super) fn concat(parts: Vec<Self>) -> Self {
        let mut parts = parts.into_iter();
        let mut all = parts.next().expect("one set at least");
        for part in parts {
            assert_eq!((all.shape, all.classes), (part.shape, part.classes), "data sets of one kind");
            all.images.extend(part.images);
            all.labels.extend(part.labels);
        }
        all
    }

    /// The same images under other labels.
    pub(super) fn relabelled(&self, labels: Vec<u8>) -> Self {
        debug_assert!(labels.len() == self.len() && labels.iter().all(|&label| usize::from(label) < self.classes));
        Dataset { images: self.images.clone(), labels, ..*self }
    }

    /// Copies everything to a device.
    pub fn to_device(&self, device: &Device) -> DeviceDataset {
        let images = TensorData::new(self.images.clone(), [self.len(), self.pixels()]);
        let labels: Vec<i32> = self.labels.iter().copied().map(i32::from).collect();
        DeviceDataset {
            images: Tensor::from_data(images, device),
            labels: Tensor::from_data(TensorData::new(labels, [self.len()]), device),
        }
    }
}

/// A [`Dataset`] on a device, from which batches are taken without further transfers of images.
#[derive(Clone, Debug)]
pub struct DeviceDataset {
    /// One image a row.
    pub images: Tensor<2>,
    /// The class of each row.
    pub labels: Tensor<1, Int>,
}

impl DeviceDataset {
    /// The examples at `indices`, which are on the same device.
    pub fn select(&self, indices: Tensor<1, Int>) -> Self {
        DeviceDataset {
            images: self.images.clone().select(0, indices.clone()),
            labels: self.labels.clone().select(0, indices),
        }
    }

    /// Where the examples are.
    pub fn device(&self) -> Device {
        self.images.device()
    }
}
