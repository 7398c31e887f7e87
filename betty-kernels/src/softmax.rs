//! Softmax along rows, on all threads. Each row's exponentials are added up in double precision: rows may be as long as there are examples.

use rayon::prelude::*;

use crate::Number;
use crate::functions;
use crate::vectorized::{Instructions, Work};

/// Entries that one thread computes at a time: what takes much longer than waking another.
const BLOCK: usize = 1 << 13;

/// Entries side by side. Their number is that of no instruction set, so that all of them round alike.
const LANES: usize = 16;

/// `exp(xᵢ − max x) / Σⱼ exp(xⱼ − max x)` for each row of so many entries, one row after the other. A row with a `NaN` or an infinite
/// largest entry has no finite softmax, and becomes `NaN`.
///
/// # Panics
/// If the entries are no whole rows.
#[must_use]
pub fn softmax<T: Number>(rows: &[T], length: usize) -> Vec<T> {
    assert!(length > 0 && rows.len().is_multiple_of(length), "whole rows");
    let mut entries = rows.to_vec();
    T::softmax(&mut entries, length);
    entries
}

/// Replaces rows by their softmax, in the type's own way.
pub(crate) fn replace<T: Send>(entries: &mut [T], length: usize, rows: impl Fn(&mut [T]) + Send + Sync) {
    let block = BLOCK.div_ceil(length) * length;
    if entries.len() <= block { rows(entries) } else { entries.par_chunks_mut(block).for_each(rows) }
}

pub(crate) fn single(entries: &mut [f32], length: usize) {
    single_with(Instructions::best(), entries, length);
}

fn single_with(instructions: Instructions, entries: &mut [f32], length: usize) {
    replace(entries, length, |entries| instructions.run(Rows { entries, length }));
}

pub(crate) fn double(entries: &mut [f64], length: usize) {
    replace(entries, length, |entries| {
        for row in entries.chunks_mut(length) {
            let largest = row.iter().fold(f64::NEG_INFINITY, |largest, &x| if x > largest { x } else { largest });
            row.iter_mut().for_each(|x| *x = (*x - largest).exp());
            let inverse = 1.0 / row.iter().sum::<f64>();
            row.iter_mut().for_each(|x| *x *= inverse);
        }
    });
}

/// Rows that are computed a vector at a time.
struct Rows<'a> {
    entries: &'a mut [f32],
    length: usize,
}

impl Work for Rows<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for row in self.entries.chunks_mut(self.length) {
            let largest = largest(row);
            let (chunks, rest) = row.as_chunks_mut::<LANES>();
            let mut sums = [0.0; LANES];
            for chunk in chunks {
                for (entry, sum) in chunk.iter_mut().zip(&mut sums) {
                    *entry = functions::exp::<FUSED>(*entry - largest);
                    *sum += entry.wide();
                }
            }
            for (entry, sum) in rest.iter_mut().zip(&mut sums) {
                *entry = functions::exp::<FUSED>(*entry - largest);
                *sum += entry.wide();
            }
            let mut whole = 0.0;
            for sum in sums {
                whole += sum;
            }
            let inverse = (1.0 / whole) as f32;
            for entry in row {
                *entry *= inverse;
            }
        }
    }
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &entry) in lanes.iter_mut().zip(chunk) {
            *lane = if entry > *lane { entry } else { *lane };
        }
    }
    for (lane, &entry) in lanes.iter_mut().zip(rest) {
        *lane = if entry > *lane { entry } else { *lane };
    }
    let mut largest = f32::NEG_INFINITY;
    for lane in lanes {
        largest = if lane > largest { lane } else { largest };
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + 1) as f32 * 0.618_034).fract() * 9.0 - 4.0).collect()
    }

    #[test]
    fn softmax_is_that_of_its_definition_in_every_set_of_instructions() {
        for length in [1, 2, 15, 16, 17, 100, 5000, 1 << 20] {
            let rows = numbers(length * (20_000 / length).max(1));
            let wide: Vec<f64> = rows.iter().copied().map(f64::from).collect();
            let expected: Vec<f64> = wide
                .chunks(length)
                .flat_map(|row| {
                    let sum: f64 = row.iter().map(|x| x.exp()).sum();
                    row.iter().map(move |x| x.exp() / sum)
                })
                .collect();
            let double = softmax(&wide, length);
            // One after the other, what is expected is rounded as often as a row is long.
            let rounding = 1e-15 * length.max(10) as f64;
            assert!(double.iter().zip(&expected).all(|(x, y)| (x - y).abs() <= rounding * y), "{length}");
            for instructions in Instructions::all() {
                let mut single = rows.clone();
                single_with(instructions, &mut single, length);
                let far = single.iter().zip(&expected).map(|(&x, y)| (f64::from(x) - y).abs() / y).fold(0.0, f64::max);
                // The difference to the largest entry is rounded once, by up to 2⁻²² at these numbers.
                assert!(far <= 7e-7, "{length}, {instructions:?}: {far:e}");
            }
        }
    }

    /// Each exponential is 0.1, which is rounded the same way each time: one after the other a million of them are a hundredth off.
    #[test]
    fn a_long_row_adds_up_to_one() {
        const LENGTH: usize = 1 << 20;
        let mut row = vec![0.0f32; LENGTH];
        row[0] = 10_f32.ln();
        for instructions in Instructions::all() {
            let mut row = row.clone();
            single_with(instructions, &mut row, LENGTH);
            let sum: f64 = row.into_iter().map(f64::from).sum();
            assert!((sum - 1.0).abs() <= 2e-7, "{instructions:?}: {sum}");
        }
    }

    #[test]
    fn rows_do_not_depend_on_threads_and_what_is_beside_them() {
        let rows = numbers(300 * 257);
        let mut alone = rows.clone();
        alone.chunks_mut(257).for_each(|row| single(row, 257));
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let found = pool.install(|| softmax(&rows, 257));
            assert!(found.iter().zip(&alone).all(|(x, y)| x.to_bits() == y.to_bits()), "{threads} threads");
        }
    }

    #[test]
    fn what_is_no_number_is_in_its_row_alone_and_what_is_masked_is_zero() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let rows = [0.0, -inf, 0.0, nan, 0.0, 0.0, -inf, -inf, -inf, inf, 0.0, 0.0];
        let found = softmax(&rows, 3);
        assert_eq!(found[..3], [0.5, 0.0, 0.5]);
        assert!(
            found[3..].iter().all(|x| x.is_nan() || *x == 0.0) && found[3..9].iter().all(|x| x.is_nan()),
            "{found:?}"
        );
    }
}
