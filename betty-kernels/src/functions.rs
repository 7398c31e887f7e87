//! `exp`, `tanh`, the logistic and the error function in single precision, without branches, so that processors compute them for a
//! vector of numbers at once: to less than three units in the last place, where the standard library computes one after the other.
//!
//! Ranges are reduced, and coefficients chosen, as in Moshier's *Cephes* (1989).

use crate::Number as _;

/// Added to a number below 2²² and taken away again, it leaves the nearest integer, which is in the last bits of the sum.
const ROUNDING: f32 = 12_582_912.0;
/// `ln 2` in two parts, of which the first has few bits, so that its multiples are exact.
const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);

/// The polynomial with these coefficients, highest power first.
#[inline(always)]
fn polynomial<const FUSED: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    for coefficient in &coefficients[1..] {
        sum = sum.multiplied::<FUSED>(x, *coefficient);
    }
    sum
}

/// `eˣ = 2ⁿ·eʳ` with the nearest integer `n` to `x / ln 2`.
#[inline(always)]
pub(crate) fn exp<const FUSED: bool>(x: f32) -> f32 {
    // Beyond these it is 0 and infinity.
    let inside = if x < -105.0 { -105.0 } else { x };
    let inside = if inside > 89.0 { 89.0 } else { inside };
    let shifted = inside.multiplied::<FUSED>(std::f32::consts::LOG2_E, ROUNDING);
    let n = shifted - ROUNDING;
    let r = n.multiplied::<FUSED>(-LN_2.0, inside);
    let r = n.multiplied::<FUSED>(-LN_2.1, r);
    let p = polynomial::<FUSED, 6>(r, [1.987_569_2e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5]);
    let power = (p * r).multiplied::<FUSED>(r, r) + 1.0;
    // Two factors, because 2ⁿ itself may be too large or too small for a number of full precision.
    let n = shifted.to_bits().wrapping_sub(ROUNDING.to_bits()).cast_signed();
    let half = n >> 1;
    let factor = |n: i32| f32::from_bits(((n + 127) << 23).cast_unsigned());
    power * factor(half) * factor(n - half)
}

/// `1 / (1 + e⁻ˣ)`, of the exponential that cannot overflow.
#[inline(always)]
pub(crate) fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    let e = exp::<FUSED>(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// A polynomial where `1 − 2 / (e²ˣ + 1)` would cancel.
#[inline(always)]
pub(crate) fn tanh<const FUSED: bool>(x: f32) -> f32 {
    let size = x.abs();
    let square = x * x;
    let p = polynomial::<FUSED, 5>(square, [-5.704_989e-3, 2.063_909e-2, -5.373_971_6e-2, 0.133_314_42, -0.333_332_8]);
    let small = (p * square).multiplied::<FUSED>(x, x);
    let large = 1.0 - 2.0 / (exp::<FUSED>(2.0 * size) + 1.0);
    (if size < 0.625 { small } else { large }).copysign(x)
}

/// A polynomial below 1, and `1 − e^(−x²)·p(1/x²)/x` beyond.
#[inline(always)]
pub(crate) fn erf<const FUSED: bool>(x: f32) -> f32 {
    let size = x.abs();
    let square = x * x;
    let small = x * polynomial::<FUSED, 7>(
        square,
        [
            7.853_861e-5,
            -8.010_193_6e-4,
            5.188_327_7e-3,
            -2.685_381_2e-2,
            0.112_835_85,
            -0.376_126_26,
            std::f32::consts::FRAC_2_SQRT_PI,
        ],
    );
    // Where it is not used, it is not infinite either.
    let inverse = 1.0 / if size < 1.0 { 1.0 } else { size };
    let y = inverse * inverse;
    let near = polynomial::<FUSED, 9>(
        y,
        [
            2.326_82e-2,
            -0.138_703_94,
            0.368_742_47,
            -0.582_473_3,
            0.621_000_46,
            -0.494_451_53,
            0.340_488,
            -0.274_112_7,
            0.563_825_94,
        ],
    );
    let far = polynomial::<FUSED, 8>(
        y,
        [-10.477_664, 12.977_2, -7.495_518_7, 2.921_019, -1.015_265_3, 0.421_846_34, -0.282_076_74, 0.564_189_5],
    );
    let tail = exp::<FUSED>(-square) * inverse * if size < 2.0 { near } else { far };
    let large = (1.0 - tail).copysign(x);
    if size < 1.0 { small } else { large }
}

/// `½·x·(1 + erf(x/√2))`
#[inline(always)]
pub(crate) fn gelu<const FUSED: bool>(x: f32) -> f32 {
    0.5 * x * (1.0 + erf::<FUSED>(x * std::f32::consts::FRAC_1_SQRT_2))
}
