//! Sums, differences, products and quotients of many numbers, entry by entry, on all threads: they move bytes, and two threads move more
//! than one. Each entry is rounded as it is anywhere else.

use rayon::prelude::*;

use crate::Number;

/// What becomes of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// `x + y`
    Add,
    /// `x − y`
    Sub,
    /// `x · y`
    Mul,
    /// `x / y`
    Div,
}

/// As many entries as are worth another thread.
pub const LEAST: usize = 1 << 16;

/// Entries that one thread computes at a time.
const BLOCK: usize = 1 << 15;

impl Arithmetic {
    /// Replaces each entry of `x` by what becomes of it and that of `y`; of the shorter one's length, if they differ.
    pub fn replace_first<T: Number>(self, x: &mut [T], y: &[T]) {
        T::replace_first(self, x, y);
    }

    /// Replaces each entry of `y` by what becomes of that of `x` and it; of the shorter one's length, if they differ.
    pub fn replace_second<T: Number>(self, x: &[T], y: &mut [T]) {
        T::replace_second(self, x, y);
    }

    /// What becomes of each entry of both; of the shorter one's length, if they differ.
    #[must_use]
    pub fn fresh<T: Number>(self, x: &[T], y: &[T]) -> Vec<T> {
        T::fresh(self, x, y)
    }
}

/// The operation as a function, compiled for itself.
macro_rules! with_function {
    ($of:expr, $f:ident => $work:expr) => {
        match $of {
            Arithmetic::Add => {
                let $f = |x, y| x + y;
                $work
            }
            Arithmetic::Sub => {
                let $f = |x, y| x - y;
                $work
            }
            Arithmetic::Mul => {
                let $f = |x, y| x * y;
                $work
            }
            Arithmetic::Div => {
                let $f = |x, y| x / y;
                $work
            }
        }
    };
}

pub(crate) use with_function;

/// `x ← f(x, y)`
pub(crate) fn replace_first<T: Number>(x: &mut [T], y: &[T], f: impl Fn(T, T) -> T + Sync + Send) {
    let blocks = x.par_chunks_mut(BLOCK).zip(y.par_chunks(BLOCK));
    blocks.for_each(|(x, y)| x.iter_mut().zip(y).for_each(|(x, &y)| *x = f(*x, y)));
}

/// `y ← f(x, y)`
pub(crate) fn replace_second<T: Number>(x: &[T], y: &mut [T], f: impl Fn(T, T) -> T + Sync + Send) {
    let blocks = x.par_chunks(BLOCK).zip(y.par_chunks_mut(BLOCK));
    blocks.for_each(|(x, y)| x.iter().zip(y).for_each(|(&x, y)| *y = f(x, *y)));
}

/// `f(x, y)`
pub(crate) fn fresh<T: Number>(x: &[T], y: &[T], f: impl Fn(T, T) -> T + Sync + Send) -> Vec<T> {
    x.par_iter().with_min_len(BLOCK).zip(y).map(|(&x, &y)| f(x, y)).collect()
}
