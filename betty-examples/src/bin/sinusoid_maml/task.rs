//! The distribution of tasks: sine waves of random amplitude and phase.

use std::f32::consts::PI;
use std::ops::RangeInclusive;

use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::model::Samples;

/// Where a wave is seen.
const X: RangeInclusive<f32> = -5.0..=5.0;

/// Points at which an adapted network is judged.
const GRID: usize = 101;

/// The wave `amplitude · sin(x − phase)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wave {
    /// In 0.1..=5.
    pub(crate) amplitude: f32,
    /// In 0..=π.
    pub(crate) phase: f32,
}

/// Points of a wave, in memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Points {
    /// Where.
    pub(crate) x: Vec<f32>,
    /// The wave there.
    pub(crate) y: Vec<f32>,
}

/// A wave to learn from few points.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    /// The wave.
    pub(crate) wave: Wave,
    /// What is learned from.
    pub(crate) support: Points,
    /// As many other points, on which training judges what was learned.
    pub(crate) query: Points,
}

impl Wave {
    fn draw(rng: &mut impl RngExt) -> Self {
        Wave { amplitude: rng.random_range(0.1..=5.0), phase: rng.random_range(0.0..=PI) }
    }

    fn at(&self, x: Vec<f32>) -> Points {
        let y = x.iter().map(|x| self.amplitude * (x - self.phase).sin()).collect();
        Points { x, y }
    }

    /// Evenly spaced points, on which a test judges what was learned.
    pub(crate) fn grid(&self) -> Points {
        let (low, high) = (X.start(), X.end());
        self.at((0..GRID).map(|index| low + (high - low) * index as f32 / (GRID - 1) as f32).collect())
    }
}

impl Points {
    /// Copies the points to a device.
    pub(crate) fn to_device(&self, device: &Device) -> Samples {
        let column = |values: &[f32]| Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), device);
        Samples { x: column(&self.x), y: column(&self.y) }
    }

    /// All points of some tasks, those to learn from and those to judge by.
    pub(crate) fn of_tasks(tasks: &[Task]) -> Self {
        let parts = || tasks.iter().flat_map(|task| [&task.support, &task.query]);
        Points {
            x: parts().flat_map(|points| &points.x).copied().collect(),
            y: parts().flat_map(|points| &points.y).copied().collect(),
        }
    }
}

/// Tasks without end, each with `shots` points to learn from; the same for the same seed.
pub(crate) fn tasks(shots: usize, seed: u64) -> impl Iterator<Item = Task> {
    let mut rng = StdRng::seed_from_u64(seed);
    std::iter::repeat_with(move || {
        let wave = Wave::draw(&mut rng);
        let mut points = || wave.at((0..shots).map(|_| rng.random_range(X)).collect());
        Task { wave, support: points(), query: points() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_as_published() {
        let tasks: Vec<Task> = tasks(5, 0).take(2000).collect();
        let mean = |of: fn(&Task) -> f32| tasks.iter().map(of).sum::<f32>() / tasks.len() as f32;
        // Five standard errors of the means of U[0.1, 5] and U[0, π], whose deviations are their widths by √12.
        assert!((mean(|task| task.wave.amplitude) - 2.55).abs() < 5.0 * 4.9 / 12.0f32.sqrt() / 2000.0f32.sqrt());
        assert!((mean(|task| task.wave.phase) - PI / 2.0).abs() < 5.0 * PI / 12.0f32.sqrt() / 2000.0f32.sqrt());
        for task in &tasks {
            assert!((0.1..=5.0).contains(&task.wave.amplitude) && (0.0..=PI).contains(&task.wave.phase));
            for points in [&task.support, &task.query] {
                assert_eq!(points.x.len(), 5);
                assert!(points.x.iter().all(|x| X.contains(x)));
                assert_eq!(task.wave.at(points.x.clone()), *points);
            }
            assert_ne!(task.support, task.query);
        }
    }

    #[test]
    fn seeds_decide_tasks() {
        let first = |seed| tasks(3, seed).nth(4);
        assert_eq!(first(7), first(7));
        assert_ne!(first(7), first(8));
    }

    #[test]
    fn the_grid_reaches_from_end_to_end() {
        let Points { x, y } = Wave { amplitude: 2.0, phase: 0.5 }.grid();
        assert_eq!((x[0], x[50], x[100]), (-5.0, 0.0, 5.0));
        assert!((y[50] + 2.0 * 0.5f32.sin()).abs() < 1e-6);
    }
}
