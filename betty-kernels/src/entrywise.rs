//! Functions of one number, entry by entry, on all threads. Each entry is what the standard library answers, whatever the number of
//! threads.

use rayon::prelude::*;

/// Entries that one thread computes at a time; waking another takes as long as a few thousand.
pub const BLOCK: usize = 1 << 13;

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
    /// Replaces each entry by the function of it.
    fn replace(function: Function, entries: &mut [Self]);
}

macro_rules! real {
    ($number:ident, $erf:path) => {
        impl Real for $number {
            fn replace(function: Function, entries: &mut [Self]) {
                match function {
                    Function::Exp => each(entries, $number::exp),
                    Function::Log => each(entries, $number::ln),
                    Function::Log1p => each(entries, $number::ln_1p),
                    Function::Sin => each(entries, $number::sin),
                    Function::Cos => each(entries, $number::cos),
                    Function::Tanh => each(entries, $number::tanh),
                    Function::Sigmoid => each(entries, |x| {
                        // The exponential of what is not positive cannot overflow.
                        if x >= 0.0 {
                            1.0 / (1.0 + (-x).exp())
                        } else {
                            let e = x.exp();
                            e / (1.0 + e)
                        }
                    }),
                    Function::LogSigmoid => {
                        each(entries, |x| if x >= 0.0 { -((-x).exp().ln_1p()) } else { x - x.exp().ln_1p() });
                    }
                    Function::Erf => each(entries, $erf),
                    Function::Gelu => {
                        each(entries, |x| 0.5 * x * (1.0 + $erf(x / std::$number::consts::SQRT_2)));
                    }
                }
            }
        }
    };
}

real!(f32, libm::erff);
real!(f64, libm::erf);

fn each<T: Copy + Send>(entries: &mut [T], f: impl Fn(T) -> T + Sync) {
    entries.par_chunks_mut(BLOCK).for_each(|block| block.iter_mut().for_each(|entry| *entry = f(*entry)));
}
