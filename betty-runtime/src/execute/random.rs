//! Random draws as a function of a seed: the `n`-th draw of a run is the same in whichever program asks for it.
//!
//! A gradient, the Hessian-vector products at the same point and a replay of an earlier step all see one dropout mask when
//! they run under one seed, on every thread and whatever else the process draws.

use burn::tensor::{DType, Device, TensorData};
use burn_backend::ops::{FloatTensorOps, IntTensorOps};
use burn_backend::{Backend, TensorMetadata as _};
use burn_dispatch::{Dispatch, DispatchDevice};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Value;
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
        Value(draw(shape, dtype, distribution, seed, number, device.as_dispatch()))
    }
}

pub(super) fn draw(
    shape: &[usize],
    dtype: DType,
    distribution: Distribution,
    seed: u64,
    number: usize,
    device: &DispatchDevice,
) -> burn::tensor::DispatchTensor {
    let seed = mix(seed, number as u64);
    let distribution = match distribution {
        Distribution::Bernoulli(p) => burn::tensor::Distribution::Bernoulli(p),
        Distribution::Uniform(low, high) => burn::tensor::Distribution::Uniform(low, high),
        Distribution::Normal(mean, deviation) => burn::tensor::Distribution::Normal(mean, deviation),
    };
    if !dtype.is_float() {
        return integers(shape, dtype, distribution, seed, device);
    }
    if matches!(device, DispatchDevice::Flex(_)) {
        // Burn's CPU generator is one for the whole process; our own keeps draws independent of other threads.
        let mut generator = StdRng::seed_from_u64(seed);
        let data = if dtype == DType::F64 {
            TensorData::random::<f64, _, _>(shape.to_vec(), distribution, &mut generator)
        } else {
            TensorData::random::<f32, _, _>(shape.to_vec(), distribution, &mut generator).convert_dtype(dtype)
        };
        return Dispatch::float_from_data(data, device);
    }
    Dispatch::seed(device, seed);
    let tensor = Dispatch::float_random(shape.to_vec().into(), distribution, device, dtype.into());
    debug_assert_eq!(tensor.dtype(), dtype);
    tensor
}

/// Integers drawn on the host: the same on every device.
fn integers(
    shape: &[usize],
    dtype: DType,
    distribution: burn::tensor::Distribution,
    seed: u64,
    device: &DispatchDevice,
) -> burn::tensor::DispatchTensor {
    let mut generator = StdRng::seed_from_u64(seed);
    let data = TensorData::random::<i64, _, _>(shape.to_vec(), distribution, &mut generator).convert_dtype(dtype);
    Dispatch::int_from_data(data, device)
}

/// Mixes a seed with a counter (the finaliser of SplitMix64, Steele, Lea and Flood 2014).
pub(crate) fn mix(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
