//! Classes, and tasks made of them.

use std::convert::Infallible;

use betty_examples::data::{Dataset, digits};
use betty_examples::failure::Failure;
use betty_examples::ranks::Ranks;
use betty_runtime::{Batch, Stream};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::seq::index;
use rand::{RngExt, SeedableRng};

/// Classes of a task.
pub(crate) const WAYS: usize = 5;
/// Pixels of an image, and of its side.
pub(crate) const PIXELS: usize = SIDE * SIDE;
pub(crate) const SIDE: usize = 8;
/// Images of each class that judge what was learned.
const QUERIES: usize = 10;
/// Digits that only the test sees: none of them looks like itself or another one when it is turned.
const NOVEL: [usize; 3] = [3, 4, 7];
/// Images of a batch of ordinary training.
const BATCH: usize = 128;

/// Images, and which of the classes each shows.
#[derive(Clone, Debug, Batch)]
pub(crate) struct Examples {
    pub(crate) images: Tensor<2>,
    pub(crate) labels: Tensor<1, Int>,
}

/// Digits in four rotations, and those in a mirror if asked for, each a class of its own.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    /// Images of each digit.
    digits: Vec<Dataset>,
    /// How many classes each of them makes.
    places: usize,
}

impl Classes {
    /// Those of the known digits, with those in a mirror, and those of the novel digits.
    pub(crate) fn known_and_novel() -> (Self, Self) {
        let all = digits();
        let of_digit = |digit: usize| {
            let chosen = (0..all.len()).filter(|&index| usize::from(all.labels()[index]) == digit);
            all.subset(&chosen.collect::<Vec<_>>())
        };
        let known = (0..all.classes()).filter(|digit| !NOVEL.contains(digit)).map(of_digit).collect();
        let novel = NOVEL.into_iter().map(of_digit).collect();
        (Classes { digits: known, places: 8 }, Classes { digits: novel, places: 4 })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places * self.digits.len()
    }

    fn images(&self, class: usize) -> usize {
        self.digits[class / self.places].len()
    }

    fn image(&self, class: usize, number: usize) -> Vec<f32> {
        let mut image = self.digits[class / self.places].image(number).to_vec();
        let place = class % self.places;
        if place >= 4 {
            image.chunks_mut(SIDE).for_each(<[f32]>::reverse);
        }
        (0..place % 4).fold(image, |image, _| turned(&image))
    }

    /// Batches of ordinary training, without end: of each this rank's share.
    ///
    /// # Errors
    /// [`Failure::TooFewExamples`] where a batch has not one example for each rank.
    pub(crate) fn batches(&self, seed: u64, ranks: &Ranks, device: &Device) -> Result<Stream<Examples>, Failure> {
        ranks.check_batch(BATCH)?;
        let share = ranks.share(BATCH);
        let (classes, device, mut rng) = (self.clone(), device.clone(), StdRng::seed_from_u64(seed));
        let batches = std::iter::repeat_with(move || {
            let drawn = (0..BATCH).map(|_| {
                let class = rng.random_range(0..classes.len());
                (classes.image(class, rng.random_range(0..classes.images(class))), class)
            });
            Ok::<_, Infallible>(examples(&drawn.collect::<Vec<_>>()[share.clone()], &device))
        });
        Ok(Stream::batches(batches))
    }
}

/// A quarter turn.
fn turned(image: &[f32]) -> Vec<f32> {
    (0..PIXELS).map(|pixel| image[(SIDE - 1 - pixel % SIDE) * SIDE + pixel / SIDE]).collect()
}

/// Tasks without end, each with its number.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    classes: Classes,
    shots: usize,
    seed: u64,
}

/// Images, each with its place among the classes of the task.
type Images = Vec<(Vec<f32>, usize)>;

impl Tasks {
    /// Tasks with so many images of each class to learn from; the same for the same seed.
    pub(crate) fn new(classes: Classes, shots: usize, seed: u64) -> Self {
        Tasks { classes, shots, seed }
    }

    /// What a task is learned from, and what it is judged by.
    fn task(&self, number: u64) -> (Images, Images) {
        // Far apart, no two tasks of any two seeds coincide.
        let mut rng = StdRng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number));
        let (mut support, mut query) = (Vec::new(), Vec::new());
        for (place, class) in index::sample(&mut rng, self.classes.len(), WAYS).into_iter().enumerate() {
            let chosen = index::sample(&mut rng, self.classes.images(class), self.shots + QUERIES).into_vec();
            let mut images = chosen.into_iter().map(|image| (self.classes.image(class, image), place));
            support.extend(images.by_ref().take(self.shots));
            query.extend(images);
        }
        (support, query)
    }

    /// What tasks are learned from, each as often as its steps take a batch.
    pub(crate) fn support(&self, batches: usize, device: &Device) -> impl Iterator<Item = Examples> + use<> {
        let (tasks, device) = (self.clone(), device.clone());
        (0..).flat_map(move |number| std::iter::repeat_n(examples(&tasks.task(number).0, &device), batches))
    }

    /// What tasks are judged by.
    pub(crate) fn query(&self, device: &Device) -> impl Iterator<Item = Examples> + use<> {
        let (tasks, device) = (self.clone(), device.clone());
        (0..).map(move |number| examples(&tasks.task(number).1, &device))
    }

    /// The share of images over some tasks whose nearest image to learn from is of their class.
    pub(crate) fn nearest(&self, tasks: usize) -> f64 {
        let distance = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        let (mut right, mut all) = (0usize, 0usize);
        for number in 0..tasks as u64 {
            let (support, query) = self.task(number);
            for (image, place) in &query {
                let nearest =
                    support.iter().min_by(|one, other| distance(&one.0, image).total_cmp(&distance(&other.0, image)));
                right += usize::from(nearest.is_some_and(|nearest| nearest.1 == *place));
                all += 1;
            }
        }
        right as f64 / all.max(1) as f64
    }
}

fn examples(images: &[(Vec<f32>, usize)], device: &Device) -> Examples {
    let pixels: Vec<f32> = images.iter().flat_map(|(image, _)| image).copied().collect();
    let labels: Vec<i32> = images.iter().map(|(_, place)| *place as i32).collect();
    let count = images.len();
    Examples {
        images: Tensor::from_data(TensorData::new(pixels, [count, PIXELS]), device),
        labels: Tensor::from_data(TensorData::new(labels, [count]), device),
    }
}
