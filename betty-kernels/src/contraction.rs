//! Products of matrices whose entries lie anywhere: `C[i, j] = Σₖ A[i, k]·B[k, j]`.
//!
//! An entry's place is the sum of two numbers, one for each of its indices. Matrices in any order are of this kind, and so are
//! the windows of a convolution, which are never written down: entries are gathered while they are packed for the inner loop
//! (Matthews, *High-performance tensor contraction without transposition*, 2018). The loops around it are those of Goto and van
//! de Geijn, *Anatomy of high-performance matrix multiplication* (2008).
//!
//! The smaller operand is packed once, for all tasks. Of the larger one each task packs what it needs itself, block by block, into
//! memory that stays in its cache: large weights are read once and never written again.
//!
//! Terms are added up in blocks, from the first to the last, whatever the number of threads: bits depend on sizes alone. A small result
//! of many terms, such as the weight's adjoint in a first layer, would be the work of one thread: its terms are cut into parts of a
//! fixed length, whose results are added in order.

use rayon::prelude::*;

use crate::Number;
use crate::gather::{Gather, Operand, pack_rows};
use crate::tile::{ROWS, Tile, accumulate};
use crate::vectorized::{Instructions, Work};

/// Terms that are added up before they are added to what was.
const TERMS: usize = 256;
/// Terms of a part, where the result is small: some blocks of them.
const PART: usize = 16 * TERMS;
/// Panels of rows whose block of terms stays in the second cache.
const PANELS: usize = 32;
/// Columns of a task: between these, a few tasks for each thread.
const COLUMNS: (usize, usize) = (64, 256);
/// Multiplications below which a second thread is not worth it.
const SMALL: usize = 1 << 16;

/// The product, its columns in runs of `run`: the result is an array of shape `[columns / run, rows, run]`.
pub(crate) fn contract<T: Number>(a: Operand<'_, T>, b: Operand<'_, T>, run: usize) -> Vec<T> {
    contract_with(Instructions::best(), a, b, run)
}

pub(crate) fn contract_with<T: Number>(with: Instructions, a: Operand<'_, T>, b: Operand<'_, T>, run: usize) -> Vec<T> {
    let is_of_one_task = a.free.len().max(b.free.len()) <= COLUMNS.0;
    if !is_of_one_task || a.summed.len() < 2 * PART {
        return whole(with, a, b, run);
    }
    let parts: Vec<(&[usize], &[usize])> = a.summed.chunks(PART).zip(b.summed.chunks(PART)).collect();
    let results: Vec<Vec<T>> = parts
        .into_par_iter()
        .map(|(of_a, of_b)| whole(with, Operand { summed: of_a, ..a }, Operand { summed: of_b, ..b }, run))
        .collect();
    let mut results = results.into_iter();
    let mut sum = results.next().unwrap_or_default();
    for result in results {
        sum.iter_mut().zip(result).for_each(|(sum, result)| *sum = *sum + result);
    }
    sum
}

/// The product with all its terms at once.
fn whole<T: Number>(with: Instructions, a: Operand<'_, T>, b: Operand<'_, T>, run: usize) -> Vec<T> {
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
    let is_turned = rows > columns;
    let (whole, parted) = if is_turned { (b, a) } else { (a, b) };
    let tasks =
        if is_turned { parts_of_rows(&mut out, rows, run) } else { parts_of_columns(&mut out, rows, columns, run) };
    let packed = pack_rows(with, &whole, is_small);
    let work = |task: Task<'_, T>| {
        with.run(Block::<T, WIDTH> { packed: &packed, rows: whole.free.len(), columns: parted, task, is_turned });
    };
    if is_small {
        tasks.into_iter().for_each(work);
    } else {
        tasks.into_par_iter().for_each(work);
    }
    out
}

/// What one thread computes: some of the columns, or, turned, some of the rows as if they were columns.
struct Task<'a, T> {
    columns: std::ops::Range<usize>,
    /// Where its entries go: for each run, row by row; turned, for each run, all that belongs to these rows.
    runs: Vec<&'a mut [T]>,
}

/// How many columns a task has.
fn wanted(columns: usize) -> usize {
    (columns / (4 * rayon::current_num_threads())).clamp(COLUMNS.0, COLUMNS.1).next_multiple_of(COLUMNS.0)
}

fn parts_of_columns<T>(out: &mut [T], rows: usize, columns: usize, run: usize) -> Vec<Task<'_, T>> {
    let wanted = wanted(columns);
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

fn parts_of_rows<T>(out: &mut [T], rows: usize, run: usize) -> Vec<Task<'_, T>> {
    let part = wanted(rows);
    let starts = (0..rows).step_by(part);
    let mut tasks: Vec<Task<'_, T>> =
        starts.map(|start| Task { columns: start..rows.min(start + part), runs: Vec::new() }).collect();
    for rows in out.chunks_mut(rows * run) {
        for (task, piece) in tasks.iter_mut().zip(rows.chunks_mut(part * run)) {
            task.runs.push(piece);
        }
    }
    tasks
}

/// The columns of a task.
struct Block<'a, 'b, T, const WIDTH: usize> {
    packed: &'a [[T; ROWS]],
    rows: usize,
    columns: Operand<'a, T>,
    task: Task<'b, T>,
    is_turned: bool,
}

impl<T: Number, const WIDTH: usize> Work for Block<'_, '_, T, WIDTH> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Block { packed, rows, columns: from, task, is_turned } = self;
        let terms = from.summed.len();
        let free = &from.free[task.columns.clone()];
        let (across, down) = (free.len().div_ceil(WIDTH), rows.div_ceil(ROWS));
        let mut tiles: Vec<Tile<T, WIDTH>> = vec![[[T::default(); WIDTH]; ROWS]; across * down];
        let mut columns = vec![[T::default(); WIDTH]; across * TERMS.min(terms)];
        for first in (0..terms).step_by(TERMS) {
            let summed = &from.summed[first..terms.min(first + TERMS)];
            let length = summed.len();
            for (panel, out) in columns.chunks_exact_mut(length).take(across).enumerate() {
                let free = std::array::from_fn(|i| free[(panel * WIDTH + i).min(free.len() - 1)]);
                Gather::<T, WIDTH> { data: from.data, free, summed, out }.run::<FUSED>();
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
        if is_turned {
            write_turned(task, &tiles, across);
        } else {
            write(task, &tiles, rows, across);
        }
    }
}

/// Writes entries where they belong: rows of tiles are rows of the result.
#[inline(always)]
fn write<T: Number, const WIDTH: usize>(mut task: Task<'_, T>, tiles: &[Tile<T, WIDTH>], rows: usize, across: usize) {
    let mut first = 0;
    for run in task.runs.chunks_mut(rows) {
        let length = run[0].len();
        for (row, out) in run.iter_mut().enumerate() {
            let tiles = &tiles[row / ROWS * across..][..across];
            let (mut column, mut out) = (first, &mut **out);
            while !out.is_empty() {
                let entries = &tiles[column / WIDTH][row % ROWS][column % WIDTH..];
                let (beside, rest) = out.split_at_mut(out.len().min(entries.len()));
                beside.copy_from_slice(&entries[..beside.len()]);
                column += beside.len();
                out = rest;
            }
        }
        first += length;
    }
}

/// Writes entries where they belong: columns of tiles are rows of the result.
#[inline(always)]
fn write_turned<T: Number, const WIDTH: usize>(task: Task<'_, T>, tiles: &[Tile<T, WIDTH>], across: usize) {
    let mut first = 0;
    for rows in task.runs {
        let run = rows.len() / task.columns.len();
        for (column, out) in rows.chunks_exact_mut(run).enumerate() {
            for (row, out) in (first..).zip(out) {
                *out = tiles[row / ROWS * across + column / WIDTH][row % ROWS][column % WIDTH];
            }
        }
        first += run;
    }
}
