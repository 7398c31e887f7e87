//! The operations that chains are made of.

use crate::Number;
use crate::arithmetic::{Arithmetic, with_function};
use crate::entrywise::{Function, Real};

/// The number of a value: first come the inputs, and then what steps make, in order.
pub type Value = usize;

/// An operation on values of the chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Of two values.
    Of(Arithmetic, Value, Value),
    /// Of a value and a number.
    With(Arithmetic, Value, f64),
    /// `y` where `x` is positive or no number, 0 elsewhere.
    Gate(Value, Value),
    /// `−x`
    Negative(Value),
    /// `x` where it is positive or no number, 0 elsewhere.
    Relu(Value),
    /// The square root.
    Root(Value),
    /// `1 / x`
    Reciprocal(Value),
    /// A function that takes many instructions.
    Function(Function, Value),
}

impl Step {
    /// The values that it reads.
    pub fn reads(self) -> impl Iterator<Item = Value> {
        let (first, second) = match self {
            Step::Of(_, x, y) | Step::Gate(x, y) => (x, Some(y)),
            Step::With(_, x, _)
            | Step::Negative(x)
            | Step::Relu(x)
            | Step::Root(x)
            | Step::Reciprocal(x)
            | Step::Function(_, x) => (x, None),
        };
        std::iter::once(first).chain(second)
    }
}

/// Writes what a step makes of a tile.
#[inline(always)]
pub(super) fn computed<'a, T: Real>(step: Step, at: impl Fn(Value) -> &'a [T], out: &mut [T]) {
    match step {
        Step::Of(of, x, y) => with_function!(of, f => both(at(x), at(y), out, f)),
        Step::With(of, x, number) => {
            let y = T::of(number);
            with_function!(of, f => each(at(x), out, |x| f(x, y)));
        }
        Step::Gate(x, y) => both(at(x), at(y), out, T::gate),
        Step::Negative(x) => each(at(x), out, |x| -x),
        Step::Relu(x) => each(at(x), out, |x| x.gate(x)),
        Step::Root(x) => each(at(x), out, T::root),
        Step::Reciprocal(x) => {
            let one = T::of(1.0);
            each(at(x), out, |x| one / x);
        }
        Step::Function(function, x) => {
            out.copy_from_slice(at(x));
            T::replace(function, out);
        }
    }
}

#[inline(always)]
fn both<T: Number>(x: &[T], y: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
    for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
        *out = f(x, y);
    }
}

#[inline(always)]
fn each<T: Number>(x: &[T], out: &mut [T], f: impl Fn(T) -> T) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}
