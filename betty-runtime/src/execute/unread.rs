//! Numbers that are computed on the device, to be read together with others: each transfer waits for the device.

use burn::tensor::{DType, DispatchTensor};
use burn_backend::TensorMetadata as _;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::Dispatch;

use super::total::total;
use super::wide::wide;
use super::{ReadError, Value, Vector, host};

/// A few numbers, known already or still on the device.
#[derive(Clone, Debug)]
pub(crate) enum Unread {
    /// On the host.
    Known(Vec<f64>),
    /// On the device, as a float tensor of one dimension.
    OnDevice(Value),
}

impl Unread {
    /// The square of a vector's norm.
    pub(crate) fn square_norm(vector: &Vector) -> Self {
        Self::dot(vector, vector)
    }

    /// The inner product of two vectors of the same shapes.
    pub(crate) fn dot(one: &Vector, other: &Vector) -> Self {
        let pairs = || one.0.iter().zip(&other.0);
        let on_host: Option<f64> = pairs().map(|(x, y)| host::dot(&x.0, &y.0)).sum();
        if let Some(product) = on_host {
            return Unread::Known(vec![product]);
        }
        let sum = Self::sum(pairs().map(|(x, y)| total(Dispatch::float_mul(wide(x), wide(y)))));
        // In 16 bits there are numbers whose square single precision has not; those in host memory are known here.
        let is_beyond = matches!(&sum, Unread::OnDevice(sum) if host::is_finite(&sum.0) == Some(false));
        let in_double = || pairs().map(|(x, y)| host::dot(&wide(x), &wide(y))).sum::<Option<f64>>();
        is_beyond.then(in_double).flatten().map_or(sum, |product| Unread::Known(vec![product]))
    }

    /// A number that is not finite if any entry of these tensors is. That it is not does not say that one is: finite entries
    /// may have a sum that is not.
    pub(crate) fn finiteness<'a>(tensors: impl Iterator<Item = &'a Value> + Clone) -> Self {
        let floats = tensors.filter(|x| x.dtype().is_float());
        let on_host: Option<Vec<bool>> = floats.clone().map(|x| host::is_finite(&x.0)).collect();
        match on_host {
            Some(all) => Unread::Known(vec![if all.iter().all(|&finite| finite) { 0.0 } else { f64::NAN }]),
            None => Self::sum(floats.map(|x| total(wide(x)))),
        }
    }

    /// The sum of one-element tensors, in the type of the first.
    fn sum(mut parts: impl Iterator<Item = DispatchTensor>) -> Self {
        let Some(first) = parts.next() else { return Unread::Known(vec![0.0]) };
        let dtype = first.dtype();
        let total =
            parts.fold(first, |total, part| Dispatch::float_add(total, Dispatch::float_cast(part, dtype.into())));
        Unread::OnDevice(Value(total))
    }

    /// Reads all, in one transfer.
    pub(crate) fn read<const N: usize>(all: [Self; N]) -> Result<[Vec<f64>; N], ReadError> {
        let mut read = Self::read_all(all.into())?.into_iter();
        Ok(std::array::from_fn(|_| read.next().unwrap_or_default()))
    }

    /// For each list the sum of its numbers, in order and in double precision, all in one transfer.
    pub(crate) fn read_sums(lists: Vec<Vec<Self>>) -> Result<Vec<f64>, ReadError> {
        let lengths: Vec<usize> = lists.iter().map(Vec::len).collect();
        let mut read = Self::read_all(lists.into_iter().flatten().collect())?.into_iter();
        let sum = |length: usize| read.by_ref().take(length).flatten().fold(0.0, |total, part| total + part);
        Ok(lengths.into_iter().map(sum).collect())
    }

    /// As [`read`](Self::read), for any number of them.
    pub(crate) fn read_all(all: Vec<Self>) -> Result<Vec<Vec<f64>>, ReadError> {
        let mut read = Vec::with_capacity(all.len());
        let mut waiting: Vec<(usize, Value)> = Vec::new();
        for (place, unread) in all.into_iter().enumerate() {
            read.push(match unread {
                Unread::Known(numbers) => numbers,
                Unread::OnDevice(value) => {
                    waiting.push((place, value));
                    Vec::new()
                }
            });
        }
        let Some(dtype) = common(waiting.iter().map(|(_, value)| value.dtype())) else { return Ok(read) };
        let lengths: Vec<usize> = waiting.iter().map(|(_, value)| value.shape().iter().product()).collect();
        let flat = waiting.iter().zip(&lengths).map(|((_, value), &length)| {
            let flat = Dispatch::float_reshape(value.0.clone(), [length].into());
            if value.dtype() == dtype { flat } else { Dispatch::float_cast(flat, dtype.into()) }
        });
        let mut flat: Vec<DispatchTensor> = flat.collect();
        let joined = if flat.len() == 1 { flat.remove(0) } else { Dispatch::float_cat(flat, 0) };
        let mut numbers = Value(joined).to_vec()?.into_iter();
        for ((place, _), length) in waiting.into_iter().zip(lengths) {
            read[place] = numbers.by_ref().take(length).collect();
        }
        Ok(read)
    }
}

/// A type that has all numbers of these types; none where there are no types.
fn common(types: impl Iterator<Item = DType>) -> Option<DType> {
    let of_both = |one, other| match (one, other) {
        (one, other) if one == other => one,
        (DType::F64, _) | (_, DType::F64) => DType::F64,
        _ => DType::F32,
    };
    types.reduce(of_both)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn value(numbers: &[f64], dtype: DType) -> Value {
        let data = TensorData::new(numbers.to_vec(), [numbers.len()]).convert_dtype(dtype);
        Value::from_data(data, &Device::flex())
    }

    const TYPES: [DType; 4] = [DType::F32, DType::F64, DType::F16, DType::BF16];

    #[test]
    fn one_entry_that_is_not_finite_is_seen_in_every_type_and_place() {
        for dtype in TYPES {
            for length in [1, 40, 70_000] {
                for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    for place in [0, length / 2, length - 1] {
                        let mut numbers = vec![-0.5; length];
                        numbers[place] = bad;
                        let all = [value(&[1.0, 2.0], dtype), value(&numbers, dtype)];
                        let [told] = Unread::read([Unread::finiteness(all.iter())]).expect("host memory");
                        assert!(!told[0].is_finite(), "{dtype:?} {length} {bad} {place}");
                    }
                }
                let [told] =
                    Unread::read([Unread::finiteness([value(&vec![-0.5; length], dtype)].iter())]).expect("host");
                assert!(told[0].is_finite(), "{dtype:?} {length}");
            }
        }
    }

    #[test]
    fn opposite_infinities_do_not_cancel() {
        for dtype in TYPES {
            let all = [value(&[f64::INFINITY, 1.0], dtype), value(&[f64::NEG_INFINITY, 1.0], dtype)];
            let [told] = Unread::read([Unread::finiteness(all.iter())]).expect("host memory");
            assert!(!told[0].is_finite(), "{dtype:?}");
        }
    }

    #[test]
    fn numbers_of_several_types_are_read_each_at_its_place() {
        let on_device = |numbers: &[f64], dtype| Unread::OnDevice(value(numbers, dtype));
        let all = [
            on_device(&[1.0, 2.0], DType::F32),
            Unread::Known(vec![3.0]),
            on_device(&[4.0], DType::F64),
            on_device(&[5.0, 6.0, 7.0], DType::F32),
        ];
        let read = Unread::read(all).expect("host memory");
        assert_eq!(read, [vec![1.0, 2.0], vec![3.0], vec![4.0], vec![5.0, 6.0, 7.0]]);
    }

    #[test]
    fn squares_are_summed_in_every_type() {
        for dtype in TYPES {
            let vector = Vector(vec![value(&[3.0, 4.0], dtype), value(&[12.0], dtype)]);
            assert_eq!(Unread::read([Unread::square_norm(&vector)]).ok(), Some([vec![169.0]]), "{dtype:?}");
        }
        // 1e40 is no number of single precision.
        let power = 2.0_f64.powi(66);
        let vector = Vector(vec![value(&[power, -power], DType::BF16), value(&[power], DType::F32)]);
        let found = Unread::read([Unread::square_norm(&vector)]).ok();
        assert_eq!(found, Some([vec![3.0 * power * power]]));
    }
}
