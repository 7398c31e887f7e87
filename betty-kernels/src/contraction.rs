//! Products of matrices whose entries lie anywhere: `C[i, j] = Σₖ A[i, k]·B[k, j]`.
//!
//! An entry's place is the sum of two numbers, one for each of its indices. Matrices in any order are of this kind, and so are
//! the windows of a convolution, which are never written down: entries are gathered while they are packed for the inner loop
//! (Matthews, *High-performance tensor contraction without transposition*, 2018). The loops around it are those of Goto and van
//! de Geijn, *Anatomy of high-performance matrix multiplication* (2008).
//!
//! Terms are added up in blocks, from the first to the last, whatever the number of threads: bits depend on sizes alone.

use rayon::prelude::*;

use crate::Number;
use crate::tile::{ROWS, Tile, accumulate};
use crate::vectorized::{Instructions, Work};

/// Terms that are added up before they are added to what was.
const TERMS: usize = 256;
/// Rows of `A` whose block of terms stays in the second cache.
const PANELS: usize = 32;
/// Columns of a task: between these, a few tasks for each thread.
const COLUMNS: (usize, usize) = (64, 256);
/// Multiplications below which a second thread is not worth it.
const SMALL: usize = 1 << 16;

/// A matrix whose entry in row or column `free` and at the term `summed` lies at the sum of both places.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) free: &'a [usize],
    pub(crate) summed: &'a [usize],
}

/// The product, its columns in runs of `run`: the result is an array of shape `[columns / run, rows, run]`.
pub(crate) fn contract<T: Number>(a: Operand<'_, T>, b: Operand<'_, T>, run: usize) -> Vec<T> {
    contract_with(Instructions::best(), a, b, run)
}

pub(crate) fn contract_with<T: Number>(with: Instructions, a: Operand<'_, T>, b: Operand<'_, T>, run: usize) -> Vec<T> {
    // Two vectors.
    match 2 * with.bytes() / size_of::<T>() {
        32 => in_tiles::<T, 32>(with, a, b, run),
        16 => in_tiles::<T, 16>(with, a, b, run),
        8 => in_tiles::<T, 8>(with, a, b, run),
        _ => in_tiles::<T, 4>(with, a, b, run),
    }
}

fn in_tiles<T: Number, const WIDTH: usize>(
    with: Instructions,
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    run: usize,
) -> Vec<T> {
    let (rows, terms, columns) = (a.free.len(), a.summed.len(), b.free.len());
    let mut out = vec![T::default(); rows * columns];
    if out.is_empty() || terms == 0 {
        return out;
    }
    let is_small = rows * columns * terms < SMALL;
    let packed = pack_rows(with, &a, is_small);
    let tasks = tasks(&mut out, rows, columns, run);
    let work = |task: Task<'_, T>| with.run(Block::<T, WIDTH> { packed: &packed, rows, b, task });
    if is_small {
        tasks.into_iter().for_each(work)
    } else {
        tasks.into_par_iter().for_each(work)
    }
    out
}

/// Columns that one thread computes, and where their entries go: for each run, row by row.
struct Task<'a, T> {
    columns: std::ops::Range<usize>,
    runs: Vec<&'a mut [T]>,
}

fn tasks<T>(out: &mut [T], rows: usize, columns: usize, run: usize) -> Vec<Task<'_, T>> {
    let wanted = columns / (4 * rayon::current_num_threads());
    let wanted = wanted.clamp(COLUMNS.0, COLUMNS.1).next_multiple_of(COLUMNS.0);
    // Several runs, or a part of one.
    let (together, part) = if run < wanted { (wanted / run, run) } else { (1, wanted) };
    let parts = run.div_ceil(part);
    let mut tasks: Vec<Task<'_, T>> = Vec::new();
    for (number, rows) in out.chunks_mut(rows * run).enumerate() {
        for row in rows.chunks_mut(run) {
            for (index, piece) in row.chunks_mut(part).enumerate() {
                let task = number / together * parts + index;
                if task == tasks.len() {
                    let start = number * run + index * part;
                    tasks.push(Task { columns: start..start, runs: Vec::new() });
                }
                tasks[task].columns.end = number * run + index * part + piece.len();
                tasks[task].runs.push(piece);
            }
        }
    }
    tasks
}

/// `A` in panels of a few rows, each with its terms in order.
fn pack_rows<T: Number>(with: Instructions, a: &Operand<'_, T>, is_small: bool) -> Vec<[T; ROWS]> {
    let terms = a.summed.len();
    let mut packed = vec![[T::default(); ROWS]; a.free.len().div_ceil(ROWS) * terms];
    let pack = |(panel, out): (usize, &mut [[T; ROWS]])| {
        // Rows that are none are copies of the last; nobody looks at what comes of them.
        let free = std::array::from_fn(|i| a.free[(panel * ROWS + i).min(a.free.len() - 1)]);
        with.run(Gather::<T, ROWS> { data: a.data, free, summed: a.summed, out });
    };
    if is_small {
        packed.chunks_mut(terms).enumerate().for_each(pack);
    } else {
        packed.par_chunks_mut(terms).enumerate().for_each(pack);
    }
    packed
}

/// A few rows or columns, term by term.
struct Gather<'a, T, const N: usize> {
    data: &'a [T],
    free: [usize; N],
    summed: &'a [usize],
    out: &'a mut [[T; N]],
}

impl<T: Number, const N: usize> Gather<'_, T, N> {
    /// In pieces of `RUN` numbers that lie beside each other.
    #[inline(always)]
    fn in_runs<const RUN: usize>(self) {
        for (out, &summed) in self.out.iter_mut().zip(self.summed) {
            for (out, free) in out.as_chunks_mut::<RUN>().0.iter_mut().zip(self.free.iter().step_by(RUN)) {
                let start = summed + free;
                out.copy_from_slice(&self.data[start..start + RUN]);
            }
        }
    }

    /// Whether all pieces of this length lie beside each other.
    #[inline(always)]
    fn has_runs(&self, length: usize) -> bool {
        N.is_multiple_of(length)
            && self.free.chunks(length).all(|run| run.iter().enumerate().all(|(i, &place)| place == run[0] + i))
    }
}

impl<T: Number, const N: usize> Work for Gather<'_, T, N> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        if self.has_runs(16) {
            self.in_runs::<16>();
        } else if self.has_runs(8) {
            self.in_runs::<8>();
        } else if self.has_runs(4) {
            self.in_runs::<4>();
        } else {
            self.in_runs::<1>();
        }
    }
}

/// The columns of a task.
struct Block<'a, 'b, T, const WIDTH: usize> {
    packed: &'a [[T; ROWS]],
    rows: usize,
    b: Operand<'a, T>,
    task: Task<'b, T>,
}

impl<T: Number, const WIDTH: usize> Work for Block<'_, '_, T, WIDTH> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Block { packed, rows, b, mut task } = self;
        let terms = b.summed.len();
        let free = &b.free[task.columns.clone()];
        let (across, down) = (free.len().div_ceil(WIDTH), rows.div_ceil(ROWS));
        let mut tiles: Vec<Tile<T, WIDTH>> = vec![[[T::default(); WIDTH]; ROWS]; across * down];
        let mut columns = vec![[T::default(); WIDTH]; across * TERMS.min(terms)];
        for first in (0..terms).step_by(TERMS) {
            let summed = &b.summed[first..terms.min(first + TERMS)];
            let length = summed.len();
            for (panel, out) in columns.chunks_exact_mut(length).take(across).enumerate() {
                let free = std::array::from_fn(|i| free[(panel * WIDTH + i).min(free.len() - 1)]);
                Gather::<T, WIDTH> { data: b.data, free, summed, out }.run::<FUSED>();
            }
            for start in (0..down).step_by(PANELS) {
                for (panel, columns) in columns.chunks_exact(length).take(across).enumerate() {
                    for row in start..down.min(start + PANELS) {
                        let a = &packed[row * terms + first..][..length];
                        accumulate::<T, WIDTH, FUSED>(&mut tiles[row * across + panel], a, columns);
                    }
                }
            }
        }
        let mut column = 0;
        for run in task.runs.chunks_mut(rows) {
            let length = run[0].len();
            for (row, out) in run.iter_mut().enumerate() {
                let tiles = &tiles[row / ROWS * across..];
                for (offset, out) in out.iter_mut().enumerate() {
                    let at = column + offset;
                    *out = tiles[at / WIDTH][row % ROWS][at % WIDTH];
                }
            }
            column += length;
        }
    }
}
