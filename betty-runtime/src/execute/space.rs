//! Vectors of tensors as elements of a space with an inner product, in which solvers work.

use burn::tensor::{DType, DispatchTensor, TensorData};
use burn_backend::TensorMetadata as _;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::Dispatch;

use super::factor::{fits, scaled};
use super::total::total;
use super::wide::wide;
use super::{Awaited, ReadError, Unread, Value, Vector, host, rows};
use crate::linalg::{Coordinates, InnerProductSpace};

/// After so many iterations a solver reads the numbers of vectors that are on a device, all in one transfer.
pub(crate) const CHECK_EVERY: usize = 8;

/// What solvers do with numbers that are known; generic ones do the same with numbers that may be on the device.
impl Vector {
    /// The inner product `⟨self, other⟩`, read at once.
    ///
    /// # Errors
    /// [`ReadError`] when a device cannot deliver it.
    pub fn dot(&self, other: &Self) -> Result<f64, ReadError> {
        Ok(Unread::read_sums(vec![self.dot_unread(other)])?[0])
    }

    /// The inner product as parts, one a tensor, to be summed in order in f64: those that are on a device come over together.
    pub(crate) fn dot_unread(&self, other: &Self) -> Vec<Unread> {
        let parts = self.0.iter().zip(&other.0).map(|(x, y)| match host::dot(&x.0, &y.0) {
            Some(product) => Unread::Known(vec![product]),
            None => Unread::OnDevice(Value(product(x, y))),
        });
        parts.collect()
    }

    /// `self ← factor · self`
    pub fn scale(&mut self, factor: f64) {
        let scaled = std::mem::take(&mut self.0).into_iter().map(|mut x| {
            if !(fits(factor, x.dtype()) && host::combine(&mut x.0, factor, 0.0, None)) {
                x = Value(scaled(x.0, factor));
            }
            x
        });
        self.0 = scaled.collect();
    }

    /// `self ← self + factor · other`
    pub fn add_scaled(&mut self, factor: f64, other: &Self) {
        self.combine(1.0, factor, other);
    }

    /// `self ← scale · self + factor · other`
    pub fn combine(&mut self, scale: f64, factor: f64, other: &Self) {
        let sums = std::mem::take(&mut self.0).into_iter().zip(&other.0).map(|(mut y, x)| {
            let fits = fits(scale, y.dtype()) && fits(factor, y.dtype());
            if !(fits && host::combine(&mut y.0, scale, factor, Some(&x.0))) {
                if scale != 1.0 {
                    y = Value(scaled(y.0, scale));
                }
                y = Value(Dispatch::float_add(y.0, scaled(x.0.clone(), factor)));
            }
            y
        });
        self.0 = sums.collect();
    }

    /// Whether numbers stay on the one device that all its tensors are on.
    fn keeps_numbers(&self) -> bool {
        let Some(first) = self.0.iter().find(|x| !host::is_plain(&x.0)) else { return false };
        let device = first.0.device();
        self.0.iter().all(|x| x.0.device() == device)
    }
}

/// The sum of the products of the entries, on the device.
fn product(x: &Value, y: &Value) -> DispatchTensor {
    total(Dispatch::float_mul(wide(x), wide(y)))
}

impl InnerProductSpace for Vector {
    type Scalar = Awaited;
    type Error = ReadError;

    fn dot(&self, other: &Self) -> Result<Awaited, ReadError> {
        if !self.keeps_numbers() {
            return Ok(Vector::dot(self, other)?.into());
        }
        let (mut known, mut parts) = (0.0, Vec::new());
        for (x, y) in self.0.iter().zip(&other.0) {
            match host::dot(&x.0, &y.0) {
                Some(product) => known += product,
                None => parts.push(product(x, y)),
            }
        }
        Ok(Awaited::sum(parts, known))
    }

    fn read(scalar: &Awaited) -> Result<f64, ReadError> {
        Ok(Self::read_all(std::slice::from_ref(scalar))?[0])
    }

    fn read_all(scalars: &[Awaited]) -> Result<Vec<f64>, ReadError> {
        Awaited::read_all(scalars)
    }

    fn check_every(&self) -> usize {
        if self.keeps_numbers() { CHECK_EVERY } else { 1 }
    }

    fn scale(&mut self, factor: Awaited) {
        if let Some(factor) = factor.known() {
            return Vector::scale(self, factor);
        }
        for x in &mut self.0 {
            *x = narrow(factor.times(wide(x)), x.dtype());
        }
    }

    fn add_scaled(&mut self, factor: Awaited, other: &Self) {
        InnerProductSpace::combine(self, (1.0).into(), factor, other);
    }

    fn combine(&mut self, scale: Awaited, factor: Awaited, other: &Self) {
        if let (Some(scale), Some(factor)) = (scale.known(), factor.known()) {
            return Vector::combine(self, scale, factor, other);
        }
        for (y, x) in self.0.iter_mut().zip(&other.0) {
            *y = narrow(Dispatch::float_add(scale.times(wide(y)), factor.times(wide(x))), y.dtype());
        }
    }

    fn zero(&self) -> Self {
        let zeros = self.0.iter().map(|value| {
            let tensor = &value.0;
            Value(Dispatch::float_zeros(tensor.shape(), &tensor.device(), tensor.dtype().into()))
        });
        Vector(zeros.collect())
    }

    /// That of the coarsest type of its tensors.
    fn rounding(&self) -> f64 {
        let unit = |value: &Value| value.dtype().finfo().map_or(f64::EPSILON, |info| info.epsilon);
        self.0.iter().map(unit).fold(f64::EPSILON, f64::max)
    }

    fn inner_products(xs: &[Self], ys: &[Self]) -> Result<Vec<Vec<f64>>, ReadError> {
        rows::inner_products(xs, ys)
    }

    fn combinations(weights: &[Vec<f64>], xs: &[Self]) -> Vec<Self> {
        rows::combinations(weights, xs)
    }

    fn along(xs: &[Self], weights: &[f64], r: &Self) -> Result<Self, ReadError> {
        if r.keeps_numbers() {
            return Ok(rows::along(xs, weights, r));
        }
        let parts = Self::inner_products(xs, std::slice::from_ref(r))?;
        let along: Vec<f64> = weights.iter().zip(&parts).map(|(weight, part)| weight * part[0]).collect();
        Ok(Self::combinations(&[along], xs).pop().unwrap_or_else(|| r.zero()))
    }
}

/// What was computed in a wide type, in its own.
fn narrow(x: DispatchTensor, dtype: DType) -> Value {
    Value(if x.dtype() == dtype { x } else { Dispatch::float_cast(x, dtype.into()) })
}

impl Coordinates for Vector {
    fn dimension(&self) -> usize {
        self.len()
    }

    fn coordinates(&self) -> Result<Vec<f64>, ReadError> {
        self.to_vec()
    }

    fn all_coordinates(xs: &[Self]) -> Result<Vec<Vec<f64>>, ReadError> {
        let waits = xs.first().is_some_and(Self::keeps_numbers);
        if waits { Self::to_vecs(xs) } else { xs.iter().map(Self::to_vec).collect() }
    }

    fn with_coordinates(&self, coordinates: &[f64]) -> Self {
        let mut rest = coordinates;
        let values = self.0.iter().map(|value| {
            let shape = value.shape();
            let (own, others) = rest.split_at(shape.iter().product());
            rest = others;
            Value::from_data(TensorData::new(own.to_vec(), shape).convert_dtype(value.dtype()), &value.device())
        });
        Vector(values.collect())
    }

    fn entrywise(&self, other: &Self) -> Result<Self, ReadError> {
        let products = self.0.iter().zip(&other.0).map(|(x, y)| Value(Dispatch::float_mul(x.0.clone(), y.0.clone())));
        Ok(Vector(products.collect()))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::execute::reads;

    fn vector(values: &[f64], dtype: DType) -> Vector {
        let data = TensorData::new(values.to_vec(), [values.len()]).convert_dtype(dtype);
        Vector(vec![Value::from_data(data, &Device::flex())])
    }

    #[test]
    fn a_shared_vector_is_not_changed_behind_its_other_owner() {
        for dtype in [DType::F32, DType::F64] {
            let x = vector(&[1.0, 2.0, 3.0], dtype);
            let mut y = x.clone();
            y.add_scaled(2.0, &vector(&[1.0, 1.0, -1.0], dtype));
            y.scale(0.5);
            assert_eq!(x.to_vec().ok(), Some(vec![1.0, 2.0, 3.0]));
            assert_eq!(y.to_vec().ok(), Some(vec![1.5, 2.0, 0.5]));
        }
    }

    #[test]
    fn combinations_are_those_of_numbers_at_every_length() {
        for length in [1, 40, 70_000] {
            let number = |k: usize| (k % 101) as f64 - 50.0;
            let x: Vec<f64> = (0..length).map(number).collect();
            let y: Vec<f64> = (0..length).map(|k| number(7 * k)).collect();
            let expected: Vec<f64> = x.iter().zip(&y).map(|(x, y)| 0.5 * y - 2.0 * x).collect();
            for dtype in [DType::F32, DType::F64] {
                let x = vector(&x, dtype);
                let mut alone = vector(&y, dtype);
                alone.combine(0.5, -2.0, &x);
                assert_eq!(alone.to_vec().ok().as_ref(), Some(&expected));
                let mut shared = vector(&y, dtype);
                let other = shared.clone();
                shared.combine(0.5, -2.0, &x);
                assert_eq!(shared.to_vec().ok().as_ref(), Some(&expected));
                assert_eq!(other.to_vec().ok().as_ref(), Some(&y));
            }
        }
    }

    #[test]
    fn a_factor_need_not_be_a_number_of_the_vectors_type() {
        // Every number here has few digits, and all but the factors are numbers of 16 bits.
        let (short, long) = (2.0_f64.powi(-18), 2.0_f64.powi(15));
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let mut x = vector(&[short, -3.0 * short], dtype);
            x.scale(1.0 / short);
            assert_eq!(x.to_vec().ok(), Some(vec![1.0, -3.0]), "{dtype:?}");
            let mut y = vector(&[1.0, 1.0], dtype);
            y.combine(0.5, 1.0 / short, &vector(&[short, 0.0], dtype));
            assert_eq!(y.to_vec().ok(), Some(vec![1.5, 0.5]), "{dtype:?}");
            let mut x = vector(&[long, 0.0], dtype);
            x.scale(2.0_f64.powi(-26));
            assert_eq!(x.to_vec().ok(), Some(vec![2.0_f64.powi(-11), 0.0]), "{dtype:?}");
        }
        // One over numbers as short as these is none of 32 bits.
        let (short, long) = (2.0_f64.powi(-132), 2.0_f64.powi(120));
        for dtype in [DType::BF16, DType::F32, DType::F64] {
            let mut x = vector(&[short, -2.0 * short], dtype);
            let shared = x.clone();
            x.scale(1.0 / short);
            assert_eq!(x.to_vec().ok(), Some(vec![1.0, -2.0]), "{dtype:?}");
            let mut y = vector(&[1.0, 1.0], dtype);
            y.combine(0.5, -1.0 / short, &shared);
            assert_eq!(y.to_vec().ok(), Some(vec![-0.5, 2.5]), "{dtype:?}");
            let mut x = vector(&[long, 0.0], dtype);
            x.scale(2.0_f64.powi(-140));
            assert_eq!(x.to_vec().ok(), Some(vec![2.0_f64.powi(-20), 0.0]), "{dtype:?}");
        }
    }

    #[test]
    fn a_view_of_a_part_leaves_the_rest_alone() {
        let whole = burn::tensor::Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0], &Device::flex());
        let mut part = Vector(vec![Value::from_tensor(whole.slice(1..3))]);
        part.add_scaled(1.0, &vector(&[10.0, 20.0], DType::F32));
        assert_eq!(part.to_vec().ok(), Some(vec![12.0, 23.0]));
        assert_eq!(part.dot(&vector(&[1.0, 1.0], DType::F32)).ok(), Some(35.0));
    }

    #[test]
    fn an_inner_product_is_read_once_however_many_tensors_there_are() {
        let tensors = |dtype: DType| (1..=60).map(move |k| vector(&[f64::from(k), 1.0], dtype).0.remove(0));
        let expected: f64 = (1..=60).map(|k| f64::from(k * k) + 1.0).sum();
        // There is no loop of ours over numbers of 16 bits, which are added up by Burn as they are on any device.
        let x = Vector(tensors(DType::F16).collect());
        let before = reads();
        assert_eq!(x.dot(&x).ok(), Some(expected));
        assert_eq!(reads() - before, 1);
        // What is in host memory is not read at all, and comes in its place.
        let x = Vector(tensors(DType::F32).chain(tensors(DType::BF16)).chain(tensors(DType::F64)).collect());
        let before = reads();
        assert_eq!(x.dot(&x).ok(), Some(3.0 * expected));
        assert_eq!(reads() - before, 1);
    }

    #[test]
    fn inner_products_hold_at_every_length() {
        for length in [0, 1, 15, 16, 17, 40, 70_000] {
            let values: Vec<f64> = (0..length).map(|k| f64::from(k % 11)).collect();
            let exact: f64 = values.iter().map(|x| x * x).sum();
            for dtype in [DType::F32, DType::F64] {
                let x = vector(&values, dtype);
                assert_eq!(x.dot(&x).ok(), Some(exact));
            }
            for dtype in [DType::F16, DType::BF16] {
                // The values are exact in 16 bits, their sum is one of 24.
                let x = vector(&values, dtype);
                let product = x.dot(&x).unwrap_or(f64::NAN);
                assert!((product - exact).abs() <= 1e-6 * exact, "{dtype:?} {length}: {product} {exact}");
            }
        }
    }

    /// Squares that single precision has not: a gradient of `x·wᵀ` is a transposed view.
    #[test]
    fn inner_products_of_views_are_formed_in_double_precision() {
        for dtype in [DType::F32, DType::F64] {
            for size in [1e-30, 1e30] {
                let numbers = TensorData::new(vec![size, -2.0 * size, 3.0 * size, 0.0, size, size], [2, 3]);
                let whole = Value::from_data(numbers.convert_dtype(dtype), &Device::flex());
                let turned = |value: &Value| Value(Dispatch::float_permute(value.0.clone(), &[1, 0]));
                let view = Vector(vec![turned(&whole)]);
                let dense =
                    Vector(vec![Value::from_data(turned(&whole).to_data().expect("host memory"), &Device::flex())]);
                let [square] = Unread::read([Unread::square_norm(&view)]).expect("host memory");
                let products =
                    [view.dot(&view).ok(), view.dot(&dense).ok(), dense.dot(&view).ok(), square.first().copied()];
                for product in products {
                    let product = product.expect("host memory") / (size * size);
                    assert!((product - 16.0).abs() < 1e-5, "{dtype:?}, {size:e}: {product}");
                }
                let [finite] = Unread::read([Unread::finiteness(view.0.iter())]).expect("host memory");
                assert_eq!(finite, [0.0]);
            }
        }
    }
}
