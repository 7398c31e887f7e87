//! Sums of whole tensors.
//!
//! Burn adds up large tensors in host memory on all threads, in an order that depends on their number and on which of them takes what:
//! two runs have not the same bits. What ranks or a resumed run must agree on is summed here, in an order that sizes fix.

use std::cmp::Reverse;

use betty_kernels::arithmetic::LEAST;
use burn::tensor::{DType, DispatchTensor, TensorData};
use burn_backend::TensorMetadata as _;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::{BackendTensor, Dispatch, DispatchTensorKind};

/// The sum of all entries of a float tensor, as a tensor of one dimension.
pub(super) fn total(x: DispatchTensor) -> DispatchTensor {
    on_host(&x).unwrap_or_else(|| Dispatch::float_sum(x))
}

/// The sum of many numbers in host memory; few of them Burn adds up on one thread.
fn on_host(x: &DispatchTensor) -> Option<DispatchTensor> {
    let DispatchTensorKind::Flex(BackendTensor::Float(entries)) = &x.kind else { return None };
    if entries.shape().num_elements() < LEAST || !matches!(entries.dtype(), DType::F32 | DType::F64) {
        return None;
    }
    // In the order of memory: a transposed tensor is not copied.
    let strides = entries.layout().strides();
    let mut axes: Vec<usize> = (0..strides.len()).collect();
    axes.sort_by_key(|&axis| Reverse(strides[axis].unsigned_abs()));
    let x = Dispatch::float_permute(x.clone(), &axes);
    let DispatchTensorKind::Flex(BackendTensor::Float(entries)) = &x.kind else { return None };
    let entries = entries.to_contiguous();
    let data = match entries.dtype() {
        DType::F64 => TensorData::new(vec![betty_kernels::sum(entries.as_slice::<f64>()?)], [1]),
        _ => TensorData::new(vec![betty_kernels::sum(entries.as_slice::<f32>()?) as f32], [1]),
    };
    Some(Dispatch::float_from_data(data, &x.device()))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::execute::{Unread, Value, Vector};

    /// Numbers whose sums are rounded, a few more than Burn adds up on one thread.
    const SHAPE: [usize; 2] = [2048, 2052];

    fn numbers() -> Vec<f32> {
        (0..SHAPE[0] * SHAPE[1]).map(|i| ((i * 7919) as f32 * 0.618_034).fract() - 0.49).collect()
    }

    fn read(x: DispatchTensor) -> f64 {
        Value(x).to_vec().expect("host memory")[0]
    }

    /// The sums of a tensor, as it is and seen otherwise, of a part of it, and of its squares.
    fn sums(x: &DispatchTensor) -> Vec<f64> {
        let part = Dispatch::float_slice(x.clone(), &[(1..SHAPE[0]).into(), (0..SHAPE[1] - 1).into()]);
        let views = [
            x.clone(),
            Dispatch::float_permute(x.clone(), &[1, 0]),
            Dispatch::float_flip(x.clone(), &[1]),
            part.clone(),
            Dispatch::float_permute(part, &[1, 0]),
        ];
        let vector = Vector(vec![Value(x.clone())]);
        let [unread] = Unread::read([Unread::square_norm(&vector)]).expect("host memory");
        let squares = [vector.dot(&vector).expect("host memory"), unread[0]];
        views.into_iter().map(|view| read(total(view))).chain(squares).collect()
    }

    #[test]
    fn a_sum_is_that_of_the_numbers_on_any_number_of_threads() {
        let numbers = numbers();
        for (dtype, digits) in [(DType::F64, 1e-13), (DType::F32, 6e-8), (DType::F16, 1e-6)] {
            let data = TensorData::new(numbers.clone(), SHAPE).convert_dtype(dtype);
            // As they are in this type, and by halves: rounding grows with the logarithm of their number.
            let exact = |of: &dyn Fn(usize, f64) -> f64| {
                let mut parts: Vec<f64> = data.iter::<f64>().enumerate().map(|(place, x)| of(place, x)).collect();
                while parts.len() > 1 {
                    parts = parts.chunks(2).map(|pair| pair.iter().sum()).collect();
                }
                parts[0]
            };
            let (whole, squares) = (exact(&|_, x| x), exact(&|_, x| x * x));
            let is_inside = |place: usize| place >= SHAPE[1] && place % SHAPE[1] < SHAPE[1] - 1;
            let part = exact(&|place, x| if is_inside(place) { x } else { 0.0 });
            let x = Value::from_data(data.clone(), &Device::flex()).0;
            let mut alone = None;
            for threads in [1, 2, 3, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                let found = pool.install(|| sums(&x));
                let alone = alone.get_or_insert_with(|| found.clone());
                assert_eq!(&found, alone, "{dtype:?}, {threads} threads");
            }
            let found = alone.unwrap_or_default();
            let expected = [whole, whole, whole, part, part, squares, squares];
            // Sums of 16 bits are formed in 32 where they are asked for, and come as 16 here.
            let places = if dtype == DType::F16 { 5..7 } else { 0..7 };
            for place in places {
                let (found, expected) = (found[place], expected[place]);
                assert!((found - expected).abs() <= digits * expected.abs(), "{dtype:?}: {found}, not {expected}");
            }
        }
    }
}
