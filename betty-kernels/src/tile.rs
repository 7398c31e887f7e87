//! The inner loop: a small tile of a product of matrices, held in registers.

use crate::Number;

/// Rows of a tile: with two vectors a row, what the registers of AVX2 hold.
pub(crate) const ROWS: usize = 6;

/// A part of a product, by rows.
pub(crate) type Tile<T, const WIDTH: usize> = [[T; WIDTH]; ROWS];

/// `tile ← tile + Σₖ a[·, k]·b[k, ·]`, each sum formed from the first `k` to the last before it is added.
#[inline(always)]
pub(crate) fn accumulate<T: Number, const WIDTH: usize, const FUSED: bool>(
    tile: &mut Tile<T, WIDTH>,
    a: &[[T; ROWS]],
    b: &[[T; WIDTH]],
) {
    let mut sums = [[T::default(); WIDTH]; ROWS];
    for (a, b) in a.iter().zip(b) {
        for row in 0..ROWS {
            for column in 0..WIDTH {
                sums[row][column] = a[row].multiplied::<FUSED>(b[column], sums[row][column]);
            }
        }
    }
    for (tile, sums) in tile.iter_mut().zip(&sums) {
        for (tile, &sum) in tile.iter_mut().zip(sums) {
            *tile = *tile + sum;
        }
    }
}
