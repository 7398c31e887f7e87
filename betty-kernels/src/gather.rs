//! Entries that lie anywhere, gathered in the order in which the inner loop reads them.

use rayon::prelude::*;

use crate::Number;
use crate::tile::ROWS;
use crate::vectorized::{Instructions, Work};

/// Terms that are gathered from one row before the next: a line of the cache.
const LINE: usize = 16;

/// A matrix whose entry in row or column `free` and at the term `summed` lies at the sum of both places.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) free: &'a [usize],
    pub(crate) summed: &'a [usize],
}

/// An operand in panels of a few rows, each with its terms in order.
pub(crate) fn pack_rows<T: Number>(with: Instructions, a: &Operand<'_, T>, is_small: bool) -> Vec<[T; ROWS]> {
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
pub(crate) struct Gather<'a, T, const N: usize> {
    pub(crate) data: &'a [T],
    pub(crate) free: [usize; N],
    pub(crate) summed: &'a [usize],
    pub(crate) out: &'a mut [[T; N]],
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

    /// Row by row or column by column, in pieces of a cache line whose terms lie beside each other: between two pieces of one row
    /// others are on their way from memory.
    #[inline(always)]
    fn along_terms(self) {
        let mut first = 0;
        for terms in self.summed.chunk_by(|one, next| one + 1 == *next) {
            let mut start = terms[0];
            for out in self.out[first..first + terms.len()].chunks_mut(LINE) {
                for (n, free) in self.free.iter().enumerate() {
                    let entries = &self.data[start + free..][..out.len()];
                    for (out, &entry) in out.iter_mut().zip(entries) {
                        out[n] = entry;
                    }
                }
                start += out.len();
            }
            first += terms.len();
        }
    }

    /// One number after the other.
    #[inline(always)]
    fn one_by_one(self) {
        for (out, &summed) in self.out.iter_mut().zip(self.summed) {
            for (out, free) in out.iter_mut().zip(self.free) {
                *out = self.data[summed + free];
            }
        }
    }

    /// Whether all pieces of this length lie beside each other.
    #[inline(always)]
    fn has_runs(&self, length: usize) -> bool {
        N.is_multiple_of(length)
            && self.free.chunks(length).all(|run| run.iter().enumerate().all(|(i, &place)| place == run[0] + i))
    }

    /// Whether most terms lie beside the next one.
    #[inline(always)]
    fn has_terms_along(&self) -> bool {
        let breaks = self.summed.windows(2).filter(|pair| pair[0] + 1 != pair[1]).count();
        8 * breaks < self.summed.len()
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
        } else if self.has_terms_along() {
            self.along_terms();
        } else {
            self.one_by_one();
        }
    }
}
