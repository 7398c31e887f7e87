//! What another device computes is what the CPU computes; built and run by `tools/gpu-check` only.
//!
//! `BETTY_DEVICE` names the device, `cuda`, `wgpu` or `rocm`; without it, it is the first of these that the build has. A software adapter of
//! Vulkan does for `wgpu`.
#![cfg(any(feature = "cuda", feature = "wgpu", feature = "rocm"))]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod checkpoints;
mod defaults;
mod draws;
mod methods;
mod models;
mod precision;
mod problem;
mod reading;
mod streams;

use betty_runtime::LevelModule;
use betty_runtime::execute::Value;
use burn::module::Module;
use burn::tensor::{DType, TensorData};

/// A smooth sequence that is no pattern, between −1 and 1.
fn numbers(count: usize, phase: f64) -> Vec<f32> {
    (0..count).map(|i| ((i as f64 * 12.9898 + phase).sin() * 43_758.547).fract() as f32).collect()
}

/// The module with such numbers for everything that is trained, in this type.
fn placed<M: Module + 'static>(mut module: M, dtype: DType) -> M {
    let values = module.leaves().into_iter().enumerate().map(|(i, leaf)| {
        if !leaf.trainable {
            return leaf.value;
        }
        let (shape, device) = (leaf.value.shape(), leaf.value.device());
        let data = TensorData::new(numbers(shape.iter().product(), i as f64), shape).convert_dtype(dtype);
        Value::from_data(data, &device)
    });
    let values = values.collect();
    module.assign(values);
    module
}

/// `‖x − y‖ / ‖y‖`
fn apart(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut x.iter().zip(y).map(|(x, y)| x - y)) / norm(&mut y.iter().copied())
}
