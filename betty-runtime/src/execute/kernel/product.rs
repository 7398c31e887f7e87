//! Products of matrices.

use betty_kernels::product::{of_columns, of_rows};
use burn::tensor::{DispatchTensor, TensorData};
use burn_backend::TensorMetadata as _;
use burn_backend::ops::{FloatTensorOps, IntTensorOps};
use burn_dispatch::Dispatch as B;

use super::wide::{in_type, summed_in};
use crate::execute::host::{Plain, dense, from_entries, order_of_memory};
use crate::graph::Op;

/// Terms of a product with a vector that are worth more than Burn's, which adds them up one after the other.
const LONG: usize = 1 << 10;

/// The product of two matrices, or of two batches of matrices.
pub(crate) fn product(x: DispatchTensor, y: DispatchTensor) -> DispatchTensor {
    let dtype = x.dtype();
    if !dtype.is_float() {
        return B::int_matmul(x, y);
    }
    match summed_in(&Op::MatMul, dtype, &x.device()) {
        Some(wide) => in_type(of_floats(in_type(x, wide), in_type(y, wide)), dtype),
        None => of_floats(x, y),
    }
}

fn of_floats(x: DispatchTensor, y: DispatchTensor) -> DispatchTensor {
    let (rows, columns) = (x.shape(), y.shape());
    let last = rows.num_dims() - 1;
    let (batch, is_vector) = (&rows[..last - 1], rows[last - 1] == 1 || columns[last] == 1);
    if !is_vector || rows[last] < LONG || batch != &columns[..last - 1] {
        return B::float_matmul(x, y);
    }
    let found = match batch.iter().product() {
        1 => with_vector(&x, &y),
        count => in_turn(&x, &y, count),
    };
    found.unwrap_or_else(|| B::float_matmul(x, y))
}

/// The product of a matrix and a vector, in a batch of one.
fn with_vector(x: &DispatchTensor, y: &DispatchTensor) -> Option<DispatchTensor> {
    let last = x.shape().num_dims() - 1;
    let mut sizes = x.shape();
    sizes[last] = y.shape()[last];
    // As `M·v`.
    let transposed = |of: &DispatchTensor| B::float_swap_dims(of.clone(), last - 1, last);
    let (matrix, vector) = if sizes[last] == 1 { (x.clone(), y) } else { (transposed(y), x) };
    let order = order_of_memory(&matrix)?;
    let place = |axis: usize| order.iter().position(|&of| of == axis);
    let (vector, by_column) = (dense(vector)?, place(last - 1) > place(last));
    let matrix = if by_column { transposed(&matrix) } else { matrix };
    from_entries!(&matrix, sizes, entries => times(entries, &vector, by_column))
}

fn times<T: Plain>(matrix: &[T], vector: &DispatchTensor, by_column: bool) -> Vec<T> {
    let Some(vector) = T::plain(vector) else { unreachable!("both factors of a product are of one type") };
    if by_column { of_columns(vector, matrix) } else { of_rows(matrix, vector) }
}

/// The products of as many matrices with a vector each.
fn in_turn(x: &DispatchTensor, y: &DispatchTensor, count: usize) -> Option<DispatchTensor> {
    let last = x.shape().num_dims() - 1;
    let mut sizes = x.shape();
    sizes[last] = y.shape()[last];
    let flat = |of: &DispatchTensor| {
        let [rows, columns] = [of.shape()[last - 1], of.shape()[last]];
        B::float_reshape(of.clone(), vec![count, rows, columns].into())
    };
    let [x, y] = [x, y].map(flat);
    let at = |of: &DispatchTensor, place: usize| B::float_slice(of.clone(), &[(place..place + 1).into()]);
    let products: Option<Vec<_>> = (0..count).map(|place| with_vector(&at(&x, place), &at(&y, place))).collect();
    Some(B::float_reshape(B::float_cat(products?, 0), sizes))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;
    use crate::execute::Value;

    const TERMS: usize = 5000;

    fn tensor(sizes: &[usize], of: impl Fn(usize) -> f64, dtype: DType) -> DispatchTensor {
        let data = TensorData::new((0..sizes.iter().product()).map(of).collect::<Vec<f64>>(), sizes);
        Value::from_data(data.convert_dtype(dtype), &Device::flex()).0
    }

    fn seen(x: DispatchTensor, transposed: bool) -> DispatchTensor {
        let last = x.shape().num_dims() - 1;
        if transposed { B::float_swap_dims(x, last - 1, last) } else { x }
    }

    /// Small integers, whose products and sums are exact in any order.
    #[test]
    fn long_products_with_a_vector_are_those_of_the_numbers_however_they_lie() {
        let integer = |place: usize| (place * 31 % 7) as f64 - 3.0;
        let other = |place: usize| (place * 17 % 5) as f64 - 2.0;
        for dtype in [DType::F32, DType::F64] {
            for batch in [&[][..], &[1], &[2, 3]] {
                for [rows, columns] in [[3, 1], [1, 3], [1, 1]] {
                    for [turn_x, turn_y] in [[false, false], [false, true], [true, false], [true, true]] {
                        let sizes =
                            |a: usize, b: usize, turn: bool| [batch, &if turn { [b, a] } else { [a, b] }].concat();
                        let x = seen(tensor(&sizes(rows, TERMS, turn_x), integer, dtype), turn_x);
                        let y = seen(tensor(&sizes(TERMS, columns, turn_y), other, dtype), turn_y);
                        let (found, expected) = (product(x.clone(), y.clone()), B::float_matmul(x, y));
                        assert_eq!(found.shape(), expected.shape());
                        let [found, expected] = [found, expected].map(|of| Value(of).to_vec().expect("host memory"));
                        assert_eq!(found, expected, "{batch:?}, {rows} × {columns}, {turn_x} {turn_y}");
                    }
                }
            }
        }
    }

    /// One after the other a million tenths are a hundredth off in single precision.
    #[test]
    fn very_many_terms_are_added_up_as_few_are() {
        const MANY: usize = 1 << 20;
        let exact = f64::from((f64::from(0.1_f32) * MANY as f64) as f32);
        let examples = seen(tensor(&[MANY, 3], |_| 0.1, DType::F32), true);
        let cotangents = tensor(&[MANY, 1], |_| 1.0, DType::F32);
        let found = Value(product(examples, cotangents)).to_vec().expect("host memory");
        assert_eq!(found, [exact; 3]);
    }
}
