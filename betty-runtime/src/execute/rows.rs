//! Lists of vectors as the rows of matrices, for inner products and combinations by the dozen.

use burn::tensor::{DType, Device, DispatchTensor, Slice, TensorData};
use burn_backend::TensorMetadata as _;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::Dispatch;

use super::wide::wide;
use super::{Awaited, ReadError, Value, Vector};

/// All `⟨xᵢ, yⱼ⟩`, by rows: products of matrices, and one read for each type of numbers.
pub(super) fn inner_products(xs: &[Vector], ys: &[Vector]) -> Result<Vec<Vec<f64>>, ReadError> {
    let mut sums: Vec<DispatchTensor> = Vec::new();
    for position in positions(xs) {
        let left = rows(xs, position);
        let right = if std::ptr::eq(xs, ys) { left.clone() } else { rows(ys, position) };
        let product = Dispatch::float_matmul(left, Dispatch::float_transpose(right));
        match sums.iter_mut().find(|sum| sum.dtype() == product.dtype()) {
            Some(sum) => *sum = Dispatch::float_add(sum.clone(), product),
            None => sums.push(product),
        }
    }
    let mut all = vec![vec![0.0; ys.len()]; xs.len()];
    for sum in sums {
        let read = Value(sum).to_vec()?;
        all.iter_mut().flatten().zip(read).for_each(|(entry, part)| *entry += part);
    }
    Ok(all)
}

/// `Σⱼ wᵢⱼ·xⱼ` for each row `wᵢ` of `weights`.
pub(super) fn combinations(weights: &[Vec<f64>], xs: &[Vector]) -> Vec<Vector> {
    let matrix = |dtype: DType, device: &Device| {
        let matrix = TensorData::new(weights.concat(), [weights.len(), xs.len()]).convert_dtype(dtype);
        Value::from_data(matrix, device).0
    };
    combined(matrix, weights.len(), xs)
}

/// `Σᵢ wᵢ·⟨xᵢ, r⟩·xᵢ`, with nothing read in between.
pub(super) fn along(xs: &[Vector], weights: &[f64], r: &Vector) -> Vector {
    let products = positions(xs).map(|position| {
        let product = Dispatch::float_matmul(
            rows(std::slice::from_ref(r), position),
            Dispatch::float_transpose(rows(xs, position)),
        );
        let widest = Awaited::widest(&Device::new(product.device()));
        Dispatch::float_cast(product, widest.into())
    });
    let Some(sum) = products.reduce(Dispatch::float_add) else { return r.clone() };
    let factors = TensorData::new(weights.to_vec(), [1, weights.len()]).convert_dtype(sum.dtype());
    let factors = Value::from_data(factors, &Device::new(sum.device()));
    let sum = Dispatch::float_mul(sum, factors.0);
    combined(|dtype, _| Dispatch::float_cast(sum.clone(), dtype.into()), 1, xs).pop().unwrap_or_else(|| r.clone())
}

/// As many combinations of vectors as a matrix has rows, which is asked for in the type and on the device of each product.
fn combined(matrix: impl Fn(DType, &Device) -> DispatchTensor, count: usize, xs: &[Vector]) -> Vec<Vector> {
    let Some(like) = xs.first() else { return Vec::new() };
    // Tensors without an element are nobody's combination.
    let mut combined = vec![like.clone(); count];
    for position in positions(xs) {
        let like = &like.0[position];
        let rows = rows(xs, position);
        let matrix = matrix(rows.dtype(), &like.device());
        let product = Dispatch::float_cast(Dispatch::float_matmul(matrix, rows), like.dtype().into());
        for (i, vector) in combined.iter_mut().enumerate() {
            let row = [Slice::new(i as isize, Some(i as isize + 1), 1), Slice::full()];
            let row = Dispatch::float_slice(product.clone(), &row);
            vector.0[position] = Value(Dispatch::float_reshape(row, like.0.shape()));
        }
    }
    combined
}

/// The tensors that have elements.
fn positions(vectors: &[Vector]) -> impl Iterator<Item = usize> {
    let tensors = vectors.first().map_or(&[][..], |vector| &vector.0).iter();
    let filled = tensors.enumerate().filter(|(_, value)| value.0.shape().num_elements() > 0);
    filled.map(|(position, _)| position).collect::<Vec<_>>().into_iter()
}

/// The tensors at one position, one a row, in the type in which they are added up.
fn rows(vectors: &[Vector], position: usize) -> DispatchTensor {
    let row = |vector: &Vector| {
        let tensor = wide(&vector.0[position]);
        let length = tensor.shape().num_elements();
        Dispatch::float_reshape(tensor, [1, length].into())
    };
    let mut all: Vec<DispatchTensor> = vectors.iter().map(row).collect();
    if all.len() == 1 { all.remove(0) } else { Dispatch::float_cat(all, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::InnerProductSpace;

    /// Two tensors of different types and an empty one, with other numbers for every `seed`.
    fn vector(seed: usize) -> Vector {
        let value = |count: usize, shape: &[usize], dtype: DType| {
            let numbers: Vec<f64> = (0..count).map(|k| ((7 * k + 3 * seed) % 11) as f64 - 5.0).collect();
            Value::from_data(TensorData::new(numbers, shape.to_vec()).convert_dtype(dtype), &Device::flex())
        };
        Vector(vec![value(6, &[2, 3], DType::F32), value(0, &[0], DType::F32), value(5, &[5], DType::F64)])
    }

    #[test]
    fn inner_products_are_those_of_each_pair() {
        let (xs, ys) = ([vector(1), vector(2), vector(3)], [vector(4), vector(5)]);
        let all = Vector::inner_products(&xs, &ys).expect("host memory");
        // Small integers are exact in every type.
        for (x, row) in xs.iter().zip(&all) {
            for (y, &product) in ys.iter().zip(row) {
                assert_eq!(x.dot(y).ok(), Some(product));
            }
        }
        assert_eq!((all.len(), all[0].len()), (3, 2));
    }

    #[test]
    fn combinations_are_sums_of_multiples() {
        let xs = [vector(1), vector(2), vector(3)];
        let weights = [vec![1.0, -2.0, 0.5], vec![0.0, 3.0, 0.0]];
        let all = Vector::combinations(&weights, &xs);
        assert_eq!(all.len(), 2);
        for (found, weights) in all.iter().zip(&weights) {
            let mut sum = xs[0].zero();
            weights.iter().zip(&xs).for_each(|(&weight, x)| sum.add_scaled(weight, x));
            assert_eq!(found.to_vec().ok(), sum.to_vec().ok());
            let shapes = |of: &Vector| of.0.iter().map(|value| (value.shape(), value.dtype())).collect::<Vec<_>>();
            assert_eq!(shapes(found), shapes(&xs[0]));
        }
        assert!(Vector::combinations(&weights, &[]).is_empty());
    }
}
