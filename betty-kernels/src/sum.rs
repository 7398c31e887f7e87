//! Sums of many numbers, on all threads and in double precision.
//!
//! Blocks of one length are summed each by itself and added in order: neither the number of threads nor what they take from each other
//! changes a bit.

use rayon::prelude::*;

use crate::Number;
use crate::vectorized::{Instructions, Work};

/// Numbers that one thread adds up at a time.
const BLOCK: usize = 1 << 16;

/// Partial sums that do not wait for each other. Their number is that of no instruction set, so that all of them round alike.
const LANES: usize = 16;

/// The sum of all numbers, in double precision.
#[must_use]
pub fn sum<T: Number>(numbers: &[T]) -> f64 {
    T::sum(numbers)
}

pub(crate) fn sum_in<T: Number>(numbers: &[T]) -> f64 {
    sum_with(Instructions::best(), numbers)
}

pub(crate) fn sum_with<T: Number>(instructions: Instructions, numbers: &[T]) -> f64 {
    let of_block = |block: &[T]| {
        let mut sum = 0.0;
        instructions.run(Block { block, sum: &mut sum });
        sum
    };
    if numbers.len() <= BLOCK {
        return of_block(numbers);
    }
    numbers.par_chunks(BLOCK).map(of_block).collect::<Vec<f64>>().into_iter().sum()
}

/// Numbers of which the sum is wanted.
struct Block<'a, T> {
    block: &'a [T],
    sum: &'a mut f64,
}

impl<T: Number> Work for Block<'_, T> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = self.block.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, number) in lanes.iter_mut().zip(chunk) {
                *lane += number.wide();
            }
        }
        for (lane, number) in lanes.iter_mut().zip(rest) {
            *lane += number.wide();
        }
        *self.sum = lanes.iter().sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose sums are rounded, of every sign.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + 1) as f32 * 0.618_034).fract() - 0.49).collect()
    }

    #[test]
    fn bits_do_not_depend_on_threads_and_instructions() {
        let single = numbers((1 << 22) + 12_345);
        let double: Vec<f64> = single.iter().map(|&x| f64::from(x) * 0.1).collect();
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let sums = Instructions::all().into_iter().map(|i| (sum_with(i, &single), sum_with(i, &double)));
            pool.install(|| sums.map(|(x, y)| (x.to_bits(), y.to_bits())).collect::<Vec<_>>())
        };
        let alone = bits(1);
        assert!(alone.iter().all(|bits| *bits == alone[0]), "{alone:?}");
        for threads in [2, 3, 8] {
            assert_eq!(bits(threads), alone, "{threads} threads");
        }
    }

    #[test]
    fn sums_are_those_of_numbers_at_every_length() {
        for length in [0, 1, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 21] {
            // Integers, whose sums are exact, and numbers of 24 bits, whose sum is that of integers over a power of two.
            let integers: Vec<f64> = (0..length).map(|i| (i * 31 % 101) as f64 - 50.0).collect();
            assert_eq!(sum(&integers), integers.iter().sum::<f64>(), "{length}");
            let numbers = numbers(length);
            let units: i64 = numbers.iter().map(|&x| (f64::from(x) * 2_f64.powi(40)) as i64).sum();
            let error = (sum(&numbers) - units as f64 / 2_f64.powi(40)).abs();
            assert!(error <= 1e-12 * (length as f64).max(1.0), "{length}: {error}");
        }
    }

    #[test]
    fn what_is_no_number_is_in_the_sum() {
        let mut numbers = numbers(3 * BLOCK);
        for (place, bad) in [(7, f32::INFINITY), (2 * BLOCK + 3, f32::NEG_INFINITY), (BLOCK, f32::NAN)] {
            let good = std::mem::replace(&mut numbers[place], bad);
            assert_eq!(sum(&numbers).to_bits() & !(1 << 63), f64::from(bad).to_bits() & !(1 << 63));
            numbers[place] = good;
        }
        // Beyond the numbers of single precision, but not the sum.
        assert_eq!(sum(&[f32::MAX, f32::MAX, -f32::MAX]), f64::from(f32::MAX));
    }
}
