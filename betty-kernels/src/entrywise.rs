//! Functions of one number, entry by entry, on all threads. Each entry is the same number whatever stands beside it, and however many
//! threads there are.

use rayon::prelude::*;

use crate::functions;
use crate::vectorized::{Instructions, Work};

/// A function that takes many instructions for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `eˣ`
    Exp,
    /// The natural logarithm.
    Log,
    /// `log(1 + x)`
    Log1p,
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
    /// `−log(1 + e⁻ˣ)`
    LogSigmoid,
    /// The error function.
    Erf,
    /// `½·x·(1 + erf(x/√2))`
    Gelu,
}

/// A float type with these functions: `f32` or `f64`.
pub trait Real: crate::Number {
    /// Replaces each entry by the function of it: in double precision what the standard library answers, in single precision within
    /// three units in the last place, or for [`Gelu`](Function::Gelu) what that leaves of `1 + erf` where it cancels.
    fn replace(function: Function, entries: &mut [Self]);
}

/// Entries that one thread computes at a time: what takes much longer than waking another.
const SLOW: usize = 1 << 13;
const FAST: usize = 1 << 15;

macro_rules! by_library {
    ($number:ident, $erf:path, $function:expr, $entries:expr) => {
        match $function {
            Function::Exp => each($entries, $number::exp),
            Function::Log => each($entries, $number::ln),
            Function::Log1p => each($entries, $number::ln_1p),
            Function::Sin => each($entries, $number::sin),
            Function::Cos => each($entries, $number::cos),
            Function::Tanh => each($entries, $number::tanh),
            Function::Sigmoid => each($entries, |x| {
                // The exponential of what is not positive cannot overflow.
                let e = (-x.abs()).exp();
                (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
            }),
            Function::LogSigmoid => {
                each($entries, |x| if x >= 0.0 { -((-x).exp().ln_1p()) } else { x - x.exp().ln_1p() });
            }
            Function::Erf => each($entries, $erf),
            Function::Gelu => each($entries, |x| 0.5 * x * (1.0 + $erf(x / std::$number::consts::SQRT_2))),
        }
    };
}

impl Real for f64 {
    fn replace(function: Function, entries: &mut [Self]) {
        by_library!(f64, libm::erf, function, entries);
    }
}

impl Real for f32 {
    fn replace(function: Function, entries: &mut [Self]) {
        let (Function::Exp | Function::Tanh | Function::Sigmoid | Function::Erf | Function::Gelu) = function else {
            return by_library!(f32, libm::erff, function, entries);
        };
        let instructions = Instructions::best();
        blocks(entries, FAST, |entries| instructions.run(Vectors { function, entries }));
    }
}

fn each<T: Copy + Send>(entries: &mut [T], f: impl Fn(T) -> T + Send + Sync) {
    blocks(entries, SLOW, |block| block.iter_mut().for_each(|entry| *entry = f(*entry)));
}

fn blocks<T: Send>(entries: &mut [T], length: usize, work: impl Fn(&mut [T]) + Send + Sync) {
    if entries.len() <= length { work(entries) } else { entries.par_chunks_mut(length).for_each(work) }
}

/// Entries that are computed a vector at a time.
pub(crate) struct Vectors<'a> {
    pub(crate) function: Function,
    pub(crate) entries: &'a mut [f32],
}

impl Work for Vectors<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        match self.function {
            Function::Exp => self.each(functions::exp::<FUSED>),
            Function::Tanh => self.each(functions::tanh::<FUSED>),
            Function::Sigmoid => self.each(functions::sigmoid::<FUSED>),
            Function::Erf => self.each(functions::erf::<FUSED>),
            _ => self.each(functions::gelu::<FUSED>),
        }
    }
}

impl Vectors<'_> {
    #[inline(always)]
    fn each(self, f: impl Fn(f32) -> f32) {
        for entry in self.entries {
            *entry = f(*entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of every size and sign.
    fn numbers() -> Vec<f32> {
        let spread = (0..200_000).map(|i| ((i as f32) * 0.7).sin() * 10_f32.powi(i % 9 - 6));
        let dense = (-110_000..110_000).map(|i| i as f32 * 1e-3);
        spread.chain(dense).collect()
    }

    /// How far a number is from another, in units in the last place of what it should be, and of the smallest normal number below it.
    fn units(found: f32, expected: f64) -> f64 {
        let size = expected.abs().max(f64::from(f32::MIN_POSITIVE));
        let unit = 2_f64.powi(size.log2().floor() as i32 - 23);
        (f64::from(found) - expected).abs() / unit
    }

    #[test]
    fn functions_are_right_to_the_last_places_in_every_set_of_instructions() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        type Case = (Function, fn(f64) -> f64, f64);
        let cases: [Case; 4] = [
            (Function::Exp, f64::exp, 1.5),
            (Function::Tanh, f64::tanh, 2.0),
            (Function::Sigmoid, sigmoid, 2.5),
            (Function::Erf, libm::erf, 3.0),
        ];
        for instructions in Instructions::all() {
            for (function, exact, bound) in cases {
                let numbers = numbers();
                let mut found = numbers.clone();
                instructions.run(Vectors { function, entries: &mut found });
                let worst = numbers.iter().zip(&found).map(|(&x, &y)| {
                    let expected = exact(f64::from(x));
                    // What is too large for single precision is infinite.
                    if expected > f64::from(f32::MAX) {
                        if y == f32::INFINITY { 0.0 } else { f64::MAX }
                    } else {
                        units(y, expected)
                    }
                });
                let worst = worst.fold(0.0, f64::max);
                println!("{function:?} with {instructions:?}: {worst:.2} units");
                assert!(worst <= bound, "{function:?} with {instructions:?}: {worst} units");
            }
        }
    }

    #[test]
    fn gelu_is_right_to_what_its_cancellation_leaves() {
        let numbers: Vec<f32> = (-8000..8000).map(|i| i as f32 * 1e-3).collect();
        let mut found = numbers.clone();
        f32::replace(Function::Gelu, &mut found);
        for (&x, &y) in numbers.iter().zip(&found) {
            let wide = f64::from(x);
            let expected = 0.5 * wide * (1.0 + libm::erf(wide / std::f64::consts::SQRT_2));
            assert!((f64::from(y) - expected).abs() <= 2e-7 * wide.abs().max(1e-30), "{x}: {y}, not {expected}");
        }
    }

    #[test]
    fn what_is_no_number_stays_so_and_ends_are_reached() {
        let ends = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0];
        let cases = [
            (Function::Exp, [f32::INFINITY, 0.0, 1.0, 1.0]),
            (Function::Tanh, [1.0, -1.0, 0.0, -0.0]),
            (Function::Sigmoid, [1.0, 0.0, 0.5, 0.5]),
            (Function::Erf, [1.0, -1.0, 0.0, -0.0]),
        ];
        for (function, expected) in cases {
            let mut found = ends;
            f32::replace(function, &mut found);
            assert!(found[0].is_nan(), "{function:?}: {found:?}");
            let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found[1..]), bits(&expected), "{function:?}: {found:?}");
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        for function in [Function::Exp, Function::Log, Function::Gelu, Function::Tanh] {
            let mut together: Vec<f32> = numbers().into_iter().map(f32::abs).collect();
            let mut alone = together.clone();
            f32::replace(function, &mut together);
            alone.chunks_mut(1000).for_each(|part| f32::replace(function, part));
            assert!(together.iter().zip(&alone).all(|(x, y)| x.to_bits() == y.to_bits()), "{function:?}");
        }
    }
}
