//! What is computed along rows in host memory, where Burn adds up one number after the other in their own type.

use burn::tensor::{DispatchTensor, TensorData};
use burn_backend::TensorMetadata as _;
use burn_backend::ops::{ActivationOps, FloatTensorOps, IntTensorOps};
use burn_dispatch::Dispatch as B;

use crate::execute::host::from_entries;

/// Softmax along a dimension.
pub(super) fn softmax(x: DispatchTensor, axis: usize) -> DispatchTensor {
    let shape = x.shape();
    let last = shape.num_dims() - 1;
    let mut axes: Vec<usize> = (0..=last).collect();
    axes.swap(axis, last);
    let rows = B::float_permute(x.clone(), &axes);
    let found = from_entries!(&rows, rows.shape(), entries => betty_kernels::softmax(entries, shape[axis]));
    found.map_or_else(|| B::softmax(x, axis), |found| B::float_permute(found, &axes))
}

/// Running sums along a dimension.
pub(super) fn cumulative_sum(x: DispatchTensor, axis: usize) -> DispatchTensor {
    if !x.dtype().is_float() {
        return B::int_cumsum(x, axis);
    }
    let sizes = [x.shape()[axis], x.shape()[axis + 1..].iter().product()];
    let found = from_entries!(&x, x.shape(), entries => betty_kernels::running_sums(entries, sizes));
    found.unwrap_or_else(|| B::float_cumsum(x, axis))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::execute::Value;

    fn tensor(numbers: Vec<f32>, sizes: &[usize]) -> DispatchTensor {
        Value::from_data(TensorData::new(numbers, sizes), &Device::flex()).0
    }

    fn read(x: DispatchTensor) -> Vec<f64> {
        Value(x).to_vec().expect("host memory")
    }

    /// A row as long as there are examples, of which each exponential is a tenth: one after the other a million are a hundredth off.
    #[test]
    fn softmax_of_a_long_row_adds_up_to_one() {
        const LENGTH: usize = 1 << 20;
        let mut numbers = vec![0.0; LENGTH];
        numbers[0] = 10_f32.ln();
        let sum: f64 = read(softmax(tensor(numbers, &[LENGTH]), 0)).into_iter().sum();
        assert!((sum - 1.0).abs() < 2e-7, "{sum}");
    }

    #[test]
    fn dimensions_of_softmax_and_of_running_sums_are_those_of_burn() {
        let numbers = |count: usize| (0..count).map(|i| (i * 31 % 13) as f32 * 0.25 - 1.0).collect::<Vec<f32>>();
        for axis in 0..3 {
            let x = B::float_swap_dims(tensor(numbers(3 * 5 * 4), &[3, 5, 4]), 1, 2);
            let (found, expected) = (softmax(x.clone(), axis), B::softmax(x.clone(), axis));
            assert_eq!(found.shape(), expected.shape());
            assert!(read(found).iter().zip(read(expected)).all(|(x, y)| (x - y).abs() <= 1e-6 * y), "{axis}");
            // Quarters, whose sums are exact.
            assert_eq!(read(cumulative_sum(x.clone(), axis)), read(B::float_cumsum(x, axis)), "{axis}");
        }
    }

    #[test]
    fn a_long_running_sum_is_rounded_once() {
        const LENGTH: usize = 1 << 20;
        let found = read(cumulative_sum(tensor(vec![0.1; LENGTH * 2], &[LENGTH, 2]), 0));
        let exact = f64::from((f64::from(0.1_f32) * LENGTH as f64) as f32);
        assert_eq!(found[2 * LENGTH - 2..], [exact; 2]);
    }
}
