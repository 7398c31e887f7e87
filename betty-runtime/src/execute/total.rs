//! Sums of the entries of a tensor, all of them or those along some dimensions.
//!
//! Burn adds up large tensors in host memory on all threads, in an order that depends on their number and on which of them takes what:
//! two runs have not the same bits. Along dimensions it adds up one number after the other in the type of the tensor: in f32 a sum of
//! a million equal terms is wrong by a hundredth. What is long or large is summed here, in double precision and in an order that sizes fix.

use betty_kernels::arithmetic::LEAST;
use betty_kernels::{Number, Sums};
use burn::tensor::{DispatchTensor, TensorData};
use burn_backend::TensorMetadata as _;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::Dispatch;

use super::host::{from_entries, order_of_memory};

/// Entries of a tensor whose sums along dimensions Burn may form: there is little to lose.
const FEW: usize = 1 << 10;

/// Neighbours of which a sum is worth more than Burn's, which adds up 64 of them side by side.
const LONG: usize = 1 << 12;

/// The sum of all entries of a float tensor, as a tensor of one dimension.
pub(super) fn total(x: DispatchTensor) -> DispatchTensor {
    // Few numbers Burn adds up on one thread.
    let is_many = x.shape().num_elements() >= LEAST;
    let ordered = order_of_memory(&x).filter(|_| is_many).map(|axes| Dispatch::float_permute(x.clone(), &axes));
    let whole = ordered.and_then(|x| from_entries!(&x, [1], entries => vec![sum(entries)]));
    whole.unwrap_or_else(|| Dispatch::float_sum(x))
}

fn sum<T: Number>(entries: &[T]) -> T {
    T::of(betty_kernels::sum(entries))
}

/// The sums of a float tensor along some dimensions, of which sizes of 1 are left.
pub(super) fn sums(x: DispatchTensor, axes: &[usize]) -> DispatchTensor {
    on_host(&x, axes).unwrap_or_else(|| match axes {
        [axis] => Dispatch::float_sum_dim(x, *axis),
        _ => Dispatch::float_sum_dims(x, axes),
    })
}

fn on_host(x: &DispatchTensor, axes: &[usize]) -> Option<DispatchTensor> {
    let shape = x.shape();
    if shape.num_elements() < FEW {
        return None;
    }
    let order = order_of_memory(x)?;
    let sums = Sums::new(order.iter().map(|&axis| (shape[axis], axes.contains(&axis))))?;
    if sums.is_of_rows() && sums.terms() < LONG {
        return None;
    }
    let sizes: Vec<usize> = order.iter().map(|&axis| if axes.contains(&axis) { 1 } else { shape[axis] }).collect();
    let ordered = Dispatch::float_permute(x.clone(), &order);
    let found = from_entries!(&ordered, sizes, entries => sums.of(entries))?;
    Some(Dispatch::float_permute(found, &inverse(&order)))
}

/// The order that takes another one back.
pub(super) fn inverse(order: &[usize]) -> Vec<usize> {
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &axis)| back[axis] = place);
    back
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

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
