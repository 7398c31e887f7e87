//! Sums over some dimensions of a tensor, on all threads and in double precision: those of a bias, of a batch's statistics.
//!
//! The tensor is seen as `[outer, summed, kept, within]`, summed over the second dimension and the fourth. What is added up is cut into
//! blocks whose sizes are fixed by those four; the blocks of one result are added in order.

use rayon::prelude::*;

use crate::Number;
use crate::vectorized::{Instructions, Work};

/// Numbers that one thread adds up at a time.
const BLOCK: usize = 1 << 15;

/// As many numbers as are worth another thread.
const LEAST: usize = 1 << 17;

/// Partial sums that do not wait for each other. Their number is that of no instruction set, so that all of them round alike.
const LANES: usize = 16;

/// Numbers next to each other that are worth a loop of their own; of fewer, each is a column.
const RUN: usize = 128;

/// Columns that are added up side by side: their sums stay in the nearest cache.
const COLUMNS: usize = 1 << 10;

/// Columns whose sums keep a processor busy while one waits for the next row: of fewer, several rows are seen as one.
const INDEPENDENT: usize = 64;

/// A tensor of four dimensions, to be summed over the second and the fourth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    outer: usize,
    summed: usize,
    kept: usize,
    within: usize,
}

impl Sums {
    /// The sums of a tensor of these sizes over the dimensions that are marked, if it can be seen as one of four dimensions: none if it
    /// is empty, if nothing is summed, or if dimensions that are summed are separated more often.
    #[must_use]
    pub fn new(dimensions: impl IntoIterator<Item = (usize, bool)>) -> Option<Self> {
        let mut groups: Vec<(usize, bool)> = Vec::new();
        for (size, is_summed) in dimensions {
            match groups.last_mut() {
                _ if size == 1 => {}
                Some((group, same)) if *same == is_summed => *group *= size,
                _ => groups.push((size, is_summed)),
            }
        }
        let mut take = |is_summed: bool| groups.pop_if(|(_, same)| *same == is_summed).map_or(1, |(size, _)| size);
        let (within, kept, summed, outer) = (take(true), take(false), take(true), take(false));
        let sums = Sums { outer, summed, kept, within };
        (groups.is_empty() && sums.terms() > 1 && sums.entries() > 0).then_some(sums)
    }

    /// How many numbers each sum has.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.summed * self.within
    }

    /// Whether each sum is that of neighbours.
    #[must_use]
    pub fn is_of_rows(&self) -> bool {
        self.summed == 1
    }

    /// How many numbers there are.
    fn entries(&self) -> usize {
        self.outer * self.summed * self.kept * self.within
    }

    /// The sums of these numbers, of which there are as many as the sizes say.
    ///
    /// # Panics
    /// If there are not.
    #[must_use]
    pub fn of<T: Number>(&self, numbers: &[T]) -> Vec<T> {
        assert_eq!(numbers.len(), self.entries(), "as many numbers as the sizes say");
        T::sums(*self, numbers)
    }

    pub(crate) fn of_in<T: Number>(self, numbers: &[T]) -> Vec<T> {
        self.with(Instructions::best(), numbers)
    }

    fn with<T: Number>(self, instructions: Instructions, numbers: &[T]) -> Vec<T> {
        let Sums { kept, within, .. } = self;
        if within >= RUN {
            return self.runs(instructions, numbers).into_iter().map(T::of).collect();
        }
        let columns = Sums { kept: kept * within, within: 1, ..self };
        let sums = columns.columns(instructions, numbers);
        match within {
            1 => sums.into_iter().map(T::of).collect(),
            _ => sums.chunks(within).map(|run| T::of(run.iter().sum())).collect(),
        }
    }

    /// How many pieces of work of so many numbers one thread takes at a time.
    fn at_once(&self, numbers: usize) -> usize {
        if self.entries() < LEAST { usize::MAX } else { BLOCK.div_ceil(numbers) }
    }

    /// Sums of runs of numbers that are neighbours, and of such runs.
    fn runs<T: Number>(self, instructions: Instructions, numbers: &[T]) -> Vec<f64> {
        let Sums { outer, summed, kept, within } = self;
        let runs = BLOCK.div_ceil(within).min(summed);
        let blocks = summed.div_ceil(runs);
        let stride = kept * within;
        let of_block = |place: usize| {
            let (result, block) = (place / blocks, place % blocks);
            let start = (result / kept * summed + block * runs) * stride + result % kept * within;
            let (count, mut sum) = (runs.min(summed - block * runs), 0.0);
            instructions.run(Runs { numbers: &numbers[start..], stride, within, count, sum: &mut sum });
            sum
        };
        let places = (0..outer * kept * blocks).into_par_iter().with_min_len(self.at_once(runs * within));
        let parts: Vec<f64> = places.map(of_block).collect();
        if blocks == 1 { parts } else { parts.chunks(blocks).map(|parts| parts.iter().sum()).collect() }
    }

    /// Sums of columns.
    fn columns<T: Number>(self, instructions: Instructions, numbers: &[T]) -> Vec<f64> {
        let Sums { outer, summed, kept, .. } = self;
        let width = kept.min(COLUMNS);
        let rows = BLOCK.div_ceil(width).min(summed);
        let blocks = summed.div_ceil(rows);
        let mut parts = vec![0.0; outer * blocks * kept];
        // Those of one block of rows lie one after the other.
        parts.par_chunks_mut(kept).with_min_len(self.at_once(rows * kept)).enumerate().for_each(|(place, sums)| {
            let (first, block) = (place / blocks * summed, place % blocks * rows);
            let numbers = &numbers[(first + block) * kept..];
            let count = rows.min(summed - block);
            let stripes = sums.par_chunks_mut(COLUMNS).with_min_len(self.at_once(rows * width)).enumerate();
            stripes.for_each(|(stripe, sums)| {
                instructions.run(Columns { numbers: &numbers[stripe * COLUMNS..], stride: kept, count, sums });
            });
        });
        if blocks == 1 {
            return parts;
        }
        let mut sums = Vec::with_capacity(outer * kept);
        for parts in parts.chunks(blocks * kept) {
            let (whole, rest) = parts.split_at(kept);
            let start = sums.len();
            sums.extend_from_slice(whole);
            for part in rest.chunks(kept) {
                sums[start..].iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
        }
        sums
    }
}

/// As many runs of numbers, a stride apart, of which the sum is wanted.
struct Runs<'a, T> {
    numbers: &'a [T],
    stride: usize,
    within: usize,
    count: usize,
    sum: &'a mut f64,
}

impl<T: Number> Work for Runs<'_, T> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let mut lanes = [0.0; LANES];
        for run in 0..self.count {
            let (chunks, rest) = self.numbers[run * self.stride..][..self.within].as_chunks::<LANES>();
            for chunk in chunks {
                for (lane, number) in lanes.iter_mut().zip(chunk) {
                    *lane += number.wide();
                }
            }
            for (lane, number) in lanes.iter_mut().zip(rest) {
                *lane += number.wide();
            }
        }
        *self.sum = lanes.iter().sum();
    }
}

/// As many rows of numbers, a stride apart, of which the sums by column are wanted.
struct Columns<'a, T> {
    numbers: &'a [T],
    stride: usize,
    count: usize,
    sums: &'a mut [f64],
}

impl<T: Number> Work for Columns<'_, T> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Columns { numbers, stride, count, sums } = self;
        let width = sums.len();
        if stride > width || width >= INDEPENDENT {
            return add_rows(sums, numbers, stride, count);
        }
        let side_by_side = INDEPENDENT.div_ceil(width);
        let mut wide = [0.0; 2 * INDEPENDENT];
        let wide = &mut wide[..side_by_side * width];
        let whole = count / side_by_side;
        add_rows(wide, numbers, wide.len(), whole);
        add_rows(sums, &numbers[whole * wide.len()..], stride, count - whole * side_by_side);
        for row in wide.chunks(width) {
            for (sum, number) in sums.iter_mut().zip(row) {
                *sum += number;
            }
        }
    }
}

/// Adds rows to sums: four at a time, so that sums are read and written a quarter as often.
#[inline(always)]
fn add_rows<T: Number>(sums: &mut [f64], numbers: &[T], stride: usize, count: usize) {
    let width = sums.len();
    for row in 0..count / 4 {
        let start = row * 4 * stride;
        let a = &numbers[start..][..width];
        let b = &numbers[start + stride..][..width];
        let c = &numbers[start + 2 * stride..][..width];
        let d = &numbers[start + 3 * stride..][..width];
        for column in 0..width {
            sums[column] += (a[column].wide() + b[column].wide()) + (c[column].wide() + d[column].wide());
        }
    }
    for row in count / 4 * 4..count {
        let a = &numbers[row * stride..][..width];
        for column in 0..width {
            sums[column] += a[column].wide();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of 24 bits whose sums are rounded in single precision, of every sign.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + 1) as f32 * 0.618_034).fract() - 0.49).collect()
    }

    /// What sums are by their definition, in double precision.
    fn expected(numbers: &[f32], sizes: &[usize], summed: &[usize]) -> Vec<f64> {
        let kept: usize = (0..sizes.len()).filter(|axis| !summed.contains(axis)).map(|axis| sizes[axis]).product();
        let mut sums = vec![0.0; kept];
        for (place, &number) in numbers.iter().enumerate() {
            let (mut rest, mut result, mut stride) = (place, 0, 1);
            for axis in (0..sizes.len()).rev() {
                if !summed.contains(&axis) {
                    result += rest % sizes[axis] * stride;
                    stride *= sizes[axis];
                }
                rest /= sizes[axis];
            }
            sums[result] += f64::from(number);
        }
        sums
    }

    fn of(sizes: &[usize], summed: &[usize]) -> Option<Sums> {
        Sums::new(sizes.iter().enumerate().map(|(axis, &size)| (size, summed.contains(&axis))))
    }

    const CASES: [(&[usize], &[usize]); 17] = [
        (&[3, 5], &[0]),
        (&[70_001, 3], &[0]),
        (&[70_001, 16], &[0]),
        (&[513, 127], &[0]),
        (&[129, 128], &[0]),
        (&[2, 70_001], &[0]),
        (&[40, 2049], &[0]),
        (&[5, 70_001], &[1]),
        (&[3, 2, 70_001], &[0, 2]),
        (&[3, 700, 11], &[1]),
        (&[8, 16, 14, 14], &[0, 2, 3]),
        (&[700, 16, 7, 7], &[0, 2, 3]),
        (&[70, 33, 3, 5], &[0, 2, 3]),
        (&[700, 16, 2, 2], &[0, 2, 3]),
        (&[4, 6, 5, 300], &[1, 3]),
        (&[1, 9, 1, 300, 1], &[0, 1, 4]),
        (&[70_001], &[0]),
    ];

    #[test]
    fn sums_are_those_of_the_numbers() {
        for (sizes, summed) in CASES {
            let numbers = numbers(sizes.iter().product());
            let sums = of(sizes, summed).expect("four dimensions");
            let terms = sums.terms() as f64;
            let wide: Vec<f64> = numbers.iter().map(|&x| f64::from(x)).collect();
            let (single, double, expected) = (sums.of(&numbers), sums.of(&wide), expected(&numbers, sizes, summed));
            assert_eq!((single.len(), double.len()), (expected.len(), expected.len()), "{sizes:?} over {summed:?}");
            for ((single, double), expected) in single.into_iter().zip(double).zip(expected) {
                assert!((double - expected).abs() <= 1e-15 * terms, "{sizes:?} over {summed:?}: {double}, {expected}");
                assert_eq!(single, double as f32, "{sizes:?} over {summed:?}");
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_threads_and_instructions() {
        for (sizes, summed) in CASES {
            let numbers: Vec<f64> = numbers(sizes.iter().product()).into_iter().map(|x| f64::from(x) * 0.1).collect();
            let sums = of(sizes, summed).expect("four dimensions");
            let bits = |threads: usize, instructions: Instructions| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                pool.install(|| sums.with(instructions, &numbers).into_iter().map(f64::to_bits).collect::<Vec<_>>())
            };
            let alone = bits(1, Instructions::Least);
            for threads in [1, 2, 3, 8] {
                for instructions in Instructions::all() {
                    assert_eq!(bits(threads, instructions), alone, "{sizes:?} over {summed:?}, {threads} threads");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_is_in_its_sum_alone() {
        let mut numbers = vec![1.0f32; 700 * 16 * 49];
        numbers[16 * 49 * 600 + 49 * 3 + 48] = f32::NAN;
        let sums = of(&[700, 16, 49], &[0, 2]).expect("four dimensions").of(&numbers);
        assert!(sums.iter().enumerate().all(|(place, sum)| if place == 3 { sum.is_nan() } else { *sum == 34_300.0 }));
    }

    #[test]
    fn what_is_empty_or_sums_nothing_or_is_cut_too_often_is_not_seen_so() {
        for (sizes, summed) in [
            (&[0, 3][..], &[0][..]),
            (&[3, 0], &[0]),
            (&[3, 4], &[]),
            (&[1, 4], &[0]),
            (&[2, 3, 4, 5, 6], &[0, 2, 4]),
            (&[], &[]),
        ] {
            assert_eq!(of(sizes, summed), None, "{sizes:?} over {summed:?}");
        }
    }
}
