//! Products of a vector and a matrix over very many terms, on all threads and in double precision: the gradient of a model with one output
//! is one, over all examples.

use rayon::prelude::*;

use crate::Number;
use crate::vectorized::{Instructions, Work};

/// Numbers that one thread multiplies at a time.
const BLOCK: usize = 1 << 15;

/// As many numbers as are worth another thread.
const LEAST: usize = 1 << 17;

/// Partial sums that do not wait for each other. Their number is that of no instruction set, so that all of them round alike.
const LANES: usize = 16;

/// `Σᵢ vᵢ·Mᵢⱼ` for each column of a matrix that lies in memory row by row.
///
/// # Panics
/// If the matrix has not as many rows as the vector has numbers.
#[must_use]
pub fn of_columns<T: Number>(vector: &[T], matrix: &[T]) -> Vec<T> {
    assert!(!vector.is_empty() && matrix.len().is_multiple_of(vector.len()), "a row for each number");
    T::of_columns(vector, matrix)
}

/// `Σⱼ Mᵢⱼ·vⱼ` for each row of a matrix that lies in memory row by row.
///
/// # Panics
/// If its rows are not as long as the vector.
#[must_use]
pub fn of_rows<T: Number>(matrix: &[T], vector: &[T]) -> Vec<T> {
    assert!(!vector.is_empty() && matrix.len().is_multiple_of(vector.len()), "rows as long as the vector");
    T::of_rows(matrix, vector)
}

pub(crate) fn of_columns_with<T: Number>(instructions: Instructions, vector: &[T], matrix: &[T]) -> Vec<T> {
    let width = matrix.len() / vector.len();
    if width == 0 {
        return Vec::new();
    }
    let rows = BLOCK.div_ceil(width).min(vector.len());
    let blocks = vector.len().div_ceil(rows);
    let mut parts = vec![0.0; blocks * width];
    let least = if matrix.len() < LEAST { usize::MAX } else { 1 };
    let terms = vector.par_chunks(rows).zip(matrix.par_chunks(rows * width));
    terms.zip(parts.par_chunks_mut(width)).with_min_len(least).for_each(|((vector, matrix), sums)| {
        instructions.run(Columns { vector, matrix, sums });
    });
    let (whole, rest) = parts.split_at_mut(width);
    for part in rest.chunks(width) {
        whole.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    whole.iter().map(|&sum| T::of(sum)).collect()
}

pub(crate) fn of_rows_with<T: Number>(instructions: Instructions, matrix: &[T], vector: &[T]) -> Vec<T> {
    let of_block = |(row, vector): (&[T], &[T])| {
        let mut sum = 0.0;
        instructions.run(Terms { row, vector, sum: &mut sum });
        sum
    };
    let blocks = |row: &[T]| -> f64 { row.chunks(BLOCK).zip(vector.chunks(BLOCK)).map(of_block).sum() };
    if matrix.len() < LEAST {
        return matrix.chunks(vector.len()).map(|row| T::of(blocks(row))).collect();
    }
    // Few rows are cut, so that there is something for every thread.
    let parts = |row: &[T]| -> f64 {
        row.par_chunks(BLOCK).zip(vector.par_chunks(BLOCK)).map(of_block).collect::<Vec<f64>>().into_iter().sum()
    };
    let rows = matrix.par_chunks(vector.len()).with_min_len(BLOCK.div_ceil(vector.len()));
    rows.map(|row| T::of(parts(row))).collect()
}

/// Rows of a matrix, to be added up with these factors.
struct Columns<'a, T> {
    vector: &'a [T],
    matrix: &'a [T],
    sums: &'a mut [f64],
}

impl<T: Number> Work for Columns<'_, T> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Columns { vector, matrix, sums } = self;
        let width = sums.len();
        let (fours, rest) = vector.as_chunks::<4>();
        for (place, factors) in fours.iter().enumerate() {
            let rows = &matrix[place * 4 * width..][..4 * width];
            let (a, rows) = rows.split_at(width);
            let (b, rows) = rows.split_at(width);
            let (c, d) = rows.split_at(width);
            let [p, q, r, s] = [factors[0].wide(), factors[1].wide(), factors[2].wide(), factors[3].wide()];
            for column in 0..width {
                let first = p * a[column].wide() + q * b[column].wide();
                sums[column] += first + (r * c[column].wide() + s * d[column].wide());
            }
        }
        for (row, factor) in matrix[fours.len() * 4 * width..].chunks(width).zip(rest) {
            for column in 0..width {
                sums[column] += factor.wide() * row[column].wide();
            }
        }
    }
}

/// Two rows of numbers, of which the inner product is wanted.
struct Terms<'a, T> {
    row: &'a [T],
    vector: &'a [T],
    sum: &'a mut f64,
}

impl<T: Number> Work for Terms<'_, T> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let mut lanes = [0.0; LANES];
        let ((x, x_rest), (y, y_rest)) = (self.row.as_chunks::<LANES>(), self.vector.as_chunks::<LANES>());
        for (x, y) in x.iter().zip(y) {
            for lane in 0..LANES {
                lanes[lane] += x[lane].wide() * y[lane].wide();
            }
        }
        for lane in 0..x_rest.len().min(y_rest.len()) {
            lanes[lane] += x_rest[lane].wide() * y_rest[lane].wide();
        }
        let mut whole = 0.0;
        for lane in lanes {
            whole += lane;
        }
        *self.sum = whole;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of 24 bits, of every sign.
    fn numbers(count: usize, by: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * by + 1) as f32 * 0.618_034).fract() - 0.49).collect()
    }

    #[test]
    fn products_are_the_sums_that_define_them_on_any_number_of_threads() {
        for (terms, width) in [(1, 1), (5, 3), (1027, 1), (4096, 7), (70_001, 2), (1027, 300), (3, 70_001)] {
            let (vector, matrix) = (numbers(terms, 7919), numbers(terms * width, 104_729));
            let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<f64>>();
            let (v, m) = (wide(&vector), wide(&matrix));
            let columns: Vec<f64> =
                (0..width).map(|column| (0..terms).map(|row| v[row] * m[row * width + column]).sum()).collect();
            let rows: Vec<f64> =
                (0..width).map(|row| (0..terms).map(|term| v[term] * m[row * terms + term]).sum()).collect();
            let mut alone = None;
            for threads in [1, 2, 3, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                for instructions in Instructions::all() {
                    let found = pool.install(|| {
                        let double = [of_columns_with(instructions, &v, &m), of_rows_with(instructions, &m, &v)];
                        let single = [
                            of_columns_with(instructions, &vector, &matrix),
                            of_rows_with(instructions, &matrix, &vector),
                        ];
                        (double, single)
                    });
                    let alone = alone.get_or_insert_with(|| found.clone());
                    assert_eq!(&found, alone, "{terms} × {width}, {threads} threads, {instructions:?}");
                }
            }
            let (double, single) = alone.unwrap_or_default();
            for (expected, (double, single)) in [columns, rows].iter().zip(double.iter().zip(&single)) {
                assert_eq!((double.len(), single.len()), (width, width));
                for (expected, (double, single)) in expected.iter().zip(double.iter().zip(single)) {
                    // One after the other, what is expected is rounded as often as there are terms.
                    assert!((double - expected).abs() <= 1e-11 * terms as f64, "{terms} × {width}: {double}");
                    assert_eq!(*single, *double as f32, "{terms} × {width}");
                }
            }
        }
    }

    /// In single precision a million tenths, one after the other, are a hundredth off.
    #[test]
    fn very_many_terms_are_added_up_as_few_are() {
        const TERMS: usize = 1 << 20;
        let (tenths, ones) = (vec![0.1f32; TERMS], vec![1.0f32; TERMS * 3]);
        let exact = (f64::from(0.1f32) * TERMS as f64) as f32;
        assert_eq!(of_columns(&tenths, &ones), [exact; 3]);
        assert_eq!(of_rows(&ones, &tenths), [exact; 3]);
    }
}
