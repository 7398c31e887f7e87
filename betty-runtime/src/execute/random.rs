//! Random draws as a function of a seed: the `n`-th draw of a run is the same in whichever program asks for it.
//!
//! A gradient, the Hessian-vector products at the same point and a replay of an earlier step all see one dropout mask when
//! they run under one seed, on every device and thread, and whatever else the process draws.

use betty_kernels::random::{normal, uniform};
use burn::tensor::{DType, Device, DispatchTensor, TensorData, bf16, f16};
use burn_dispatch::DispatchDevice;

use super::Value;
use super::stored::Stored;
use super::value::uploaded;
use crate::graph::Distribution;

impl Value {
    /// The draw number `number` of a run under `seed`, as a program under that seed would make it.
    pub(crate) fn draw(
        shape: &[usize],
        dtype: DType,
        distribution: Distribution,
        seed: u64,
        number: usize,
        device: &Device,
    ) -> Self {
        let device = device.clone().without_autodiff();
        let dtype = if dtype.is_float() { dtype } else { Stored::on(&device).dtype(dtype) };
        Value(draw(shape, dtype, distribution, seed, number, device.as_dispatch()))
    }
}

/// Drawn on the host, and so the same on every device, in a type that the device has.
pub(super) fn draw(
    shape: &[usize],
    dtype: DType,
    distribution: Distribution,
    seed: u64,
    number: usize,
    device: &DispatchDevice,
) -> DispatchTensor {
    let (seed, count) = (mix(seed, number as u64), shape.iter().product());
    let mut numbers = match distribution {
        Distribution::Bernoulli(_) | Distribution::Uniform(..) => uniform(seed, count),
        Distribution::Normal(..) => normal(seed, count),
    };
    let is_float = dtype.is_float();
    numbers.iter_mut().for_each(|x| {
        *x = match distribution {
            Distribution::Bernoulli(p) => f64::from(u8::from(*x < p)),
            Distribution::Uniform(low, high) if is_float && low == high => low,
            Distribution::Uniform(low, high) if is_float => below(low + (high - low) * *x, high, dtype),
            Distribution::Uniform(low, high) => (low + (high - low) * *x).floor(),
            Distribution::Normal(mean, deviation) => mean + deviation * *x,
        }
    });
    uploaded(TensorData::new(numbers, shape.to_vec()).convert_dtype(dtype), device)
}

/// The number as the type has it, but less than `high` also where it is rounded up.
fn below(x: f64, high: f64, dtype: DType) -> f64 {
    let (rounded, lower) = match dtype {
        DType::F64 => (x, x.next_down()),
        DType::F16 => {
            let rounded = f16::from_f64(x);
            (rounded.to_f64(), f16::from_bits(bits_below(rounded.to_bits())).to_f64())
        }
        DType::BF16 => {
            let rounded = bf16::from_f64(x);
            (rounded.to_f64(), bf16::from_bits(bits_below(rounded.to_bits())).to_f64())
        }
        _ => (f64::from(x as f32), f64::from((x as f32).next_down())),
    };
    if rounded < high { rounded } else { lower }
}

/// The next lower number of a float type of 16 bits: a sign, and a size in the order of the bits behind it.
fn bits_below(bits: u16) -> u16 {
    const SIGN: u16 = 1 << 15;
    match bits {
        0 => SIGN | 1,
        _ if bits & SIGN == 0 => bits - 1,
        _ => bits + 1,
    }
}

/// Mixes a seed with a counter (the finaliser of SplitMix64, Steele, Lea and Flood 2014).
pub(crate) fn mix(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rounded;

    fn drawn(distribution: Distribution, dtype: DType, seed: u64) -> Vec<f64> {
        Value::draw(&[50, 200], dtype, distribution, seed, 3, &Device::flex()).to_vec().expect("host memory")
    }

    #[test]
    fn draws_have_the_moments_of_their_distributions_in_every_type() {
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I64] {
            // The deviation of an integer is that of what was rounded down.
            for (distribution, mean, variance) in [
                (Distribution::Bernoulli(0.3), 0.3, 0.21),
                (Distribution::Uniform(-4.0, 6.0), if dtype.is_float() { 1.0 } else { 0.5 }, 100.0 / 12.0),
                (Distribution::Normal(0.0, 3.0), 0.0, 9.0),
            ] {
                let numbers = drawn(distribution, dtype, 5);
                let found = numbers.iter().sum::<f64>() / numbers.len() as f64;
                // Five deviations of a mean of 10,000, and the rounding to 8 bits.
                assert!((found - mean).abs() < 0.05 * f64::sqrt(variance) + 4e-3, "{distribution:?} {dtype:?} {found}");
                if let Distribution::Uniform(low, high) = distribution {
                    assert!(numbers.iter().all(|&x| low <= x && x < high), "{dtype:?}");
                }
            }
        }
    }

    #[test]
    fn a_draw_is_a_function_of_its_seed() {
        let distribution = Distribution::Normal(0.0, 1.0);
        assert_eq!(drawn(distribution, DType::F32, 1), drawn(distribution, DType::F32, 1));
        assert_ne!(drawn(distribution, DType::F32, 1), drawn(distribution, DType::F32, 2));
        let wide = drawn(distribution, DType::F64, 1);
        assert!(drawn(distribution, DType::F32, 1).iter().zip(wide).all(|(&x, wide)| x == f64::from(wide as f32)));
    }

    #[test]
    fn a_number_that_is_rounded_up_stays_below_the_end() {
        for (dtype, epsilon) in
            [(DType::F32, f32::EPSILON.into()), (DType::F16, 2_f64.powi(-10)), (DType::BF16, 2_f64.powi(-7))]
        {
            // The largest number below 2, the one below -2, and the smallest below 0.
            assert_eq!(below(2.0 - f64::EPSILON, 2.0, dtype), 2.0 - epsilon, "{dtype:?}");
            assert_eq!(below(-2.0 - f64::EPSILON, -2.0, dtype), -2.0 - 2.0 * epsilon, "{dtype:?}");
            let tiny = below(-1e-300, 0.0, dtype);
            assert!(
                tiny < 0.0 && rounded(0.75 * tiny, dtype) == tiny && rounded(0.25 * tiny, dtype) == 0.0,
                "{dtype:?}"
            );
            assert_eq!(below(1.5, 2.0, dtype), 1.5);
        }
        assert_eq!(below(2.0, 2.0, DType::F64), 2.0 - f64::EPSILON);
        // An end that the type does not have, and one behind its largest number.
        assert!(below(0.099_999, 0.1, DType::BF16) < 0.1);
        assert_eq!(below(69_999.0, 70_000.0, DType::F16), 65_504.0);
    }

    /// What Gumbel noise and exponential draws are made of: `ln(1 − u)` of every number is finite.
    #[test]
    fn no_number_of_a_uniform_draw_is_its_upper_end() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let numbers = drawn(Distribution::Uniform(0.0, 1.0), dtype, 7);
            assert!(numbers.iter().all(|&u| u < 1.0), "{dtype:?}");
            // The upper end of bf16 would be one of 512 numbers.
            assert!(numbers.iter().any(|&u| u > 0.99), "{dtype:?}");
        }
        assert!(drawn(Distribution::Uniform(1.5, 1.5), DType::F32, 7).iter().all(|&u| u == 1.5));
    }
}
