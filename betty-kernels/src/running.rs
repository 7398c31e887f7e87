//! Running sums, in double precision: each is rounded once, however many terms it has.

use rayon::prelude::*;

use crate::Number;

/// As many numbers as are worth another thread.
const LEAST: usize = 1 << 16;

/// `Σⱼ≤ᵢ xⱼ` along the middle one of three dimensions, of which the last two have these sizes.
///
/// # Panics
/// If the numbers do not fill whole planes of those sizes.
#[must_use]
pub fn running_sums<T: Number>(numbers: &[T], [length, within]: [usize; 2]) -> Vec<T> {
    let plane = length * within;
    assert!(plane > 0 && numbers.len().is_multiple_of(plane), "whole planes");
    let mut sums = numbers.to_vec();
    let least = if numbers.len() < LEAST { usize::MAX } else { LEAST.div_ceil(plane) };
    sums.par_chunks_mut(plane).with_min_len(least).for_each(|plane| T::add_up(plane, within));
    sums
}

/// Replaces each row of a plane by the sum of it and all rows before.
pub(crate) fn add_up<T: Number>(plane: &mut [T], within: usize) {
    if within == 1 {
        let mut sum = 0.0;
        for number in plane {
            sum += number.wide();
            *number = T::of(sum);
        }
        return;
    }
    let mut sums = vec![0.0; within];
    for row in plane.chunks_mut(within) {
        for (number, sum) in row.iter_mut().zip(&mut sums) {
            *sum += number.wide();
            *number = T::of(*sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_all_numbers_so_far() {
        for [outer, length, within] in [[1, 9, 1], [3, 5, 2], [2, 100_000, 1], [2, 30_000, 3], [1, 1, 7]] {
            // Integers, whose sums are exact.
            let integers: Vec<f32> = (0..outer * length * within).map(|i| (i * 31 % 101) as f32 - 50.0).collect();
            let found = running_sums(&integers, [length, within]);
            for (place, &number) in found.iter().enumerate().step_by(997) {
                let (first, at) = (place / (length * within) * length * within + place % within, place);
                let expected: f32 = (first..=at).step_by(within).map(|i| integers[i]).sum();
                assert_eq!(number, expected, "{outer}, {length}, {within}: {place}");
            }
        }
    }

    /// In single precision a million tenths, one after the other, are a hundredth off.
    #[test]
    fn each_sum_is_rounded_once() {
        for within in [1, 2] {
            let found = running_sums(&vec![0.1f32; within << 20], [1 << 20, within]);
            for (row, sums) in found.chunks(within).enumerate() {
                let expected = (f64::from(0.1f32) * (row + 1) as f64) as f32;
                assert!(sums.iter().all(|sum| (sum - expected).abs() <= f32::EPSILON * expected), "{row}: {sums:?}");
            }
        }
    }
}
