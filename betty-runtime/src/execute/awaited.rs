//! Numbers that solvers compute with, on the host or on the device that vectors are on.

use std::ops::{Add, Div, Mul, Neg};

use burn::tensor::{DType, Device, DispatchTensor};
use burn_backend::ops::FloatTensorOps;
use burn_backend::{Scalar as Constant, TensorMetadata as _};
use burn_dispatch::Dispatch;

use super::stored::Stored;
use super::{ReadError, Unread, Value};
use crate::linalg::Scalar;

/// A number that is known, or that a device computes: nobody waits for it who does not read it.
#[derive(Clone, Debug)]
pub struct Awaited(pub(super) Kind);

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Known(f64),
    /// One element, in the widest type of its device.
    OnDevice(Value),
}

use Kind::{Known, OnDevice};

impl Awaited {
    /// The type in which a device computes with numbers of solvers. They are added, multiplied, divided and rooted, which devices without
    /// other functions of 64 bits do rightly.
    pub(super) fn widest(device: &Device) -> DType {
        if device.supports_dtype(DType::F64) { DType::F64 } else { DType::F32 }
    }

    /// The sum of one-element tensors of a device and of what is known.
    pub(super) fn sum(parts: Vec<DispatchTensor>, known: f64) -> Self {
        let Some(first) = parts.first() else { return known.into() };
        let dtype = Self::widest(&Device::new(first.device()));
        let total = Awaited(OnDevice(Value(pairwise(parts, dtype))));
        if known == 0.0 { total } else { total + known.into() }
    }

    /// The number, if it is at hand.
    pub(super) fn known(&self) -> Option<f64> {
        match self.0 {
            Known(number) => Some(number),
            OnDevice(_) => None,
        }
    }

    /// All of them, in one transfer.
    pub(super) fn read_all(all: &[Self]) -> Result<Vec<f64>, ReadError> {
        let unread = all.iter().map(|number| match &number.0 {
            Known(number) => Unread::Known(vec![*number]),
            OnDevice(value) => Unread::OnDevice(value.clone()),
        });
        Ok(Unread::read_all(unread.collect())?.concat())
    }

    /// `self · x`, in the type of `x`.
    pub(super) fn times(&self, x: DispatchTensor) -> DispatchTensor {
        match &self.0 {
            Known(factor) if *factor == 1.0 => x,
            Known(factor) => Dispatch::float_mul_scalar(x, Constant::Float(*factor)),
            OnDevice(value) => {
                let ones = vec![1; x.shape().num_dims()];
                let factor = Dispatch::float_cast(value.0.clone(), x.dtype().into());
                Dispatch::float_mul(x, Dispatch::float_reshape(factor, ones.into()))
            }
        }
    }

    /// As a tensor like another one.
    fn like(self, other: &Value) -> DispatchTensor {
        match self.0 {
            Known(number) => Value::scalar(number, other.dtype(), &other.device()).0,
            OnDevice(value) => value.0,
        }
    }

    /// Computed on the host if both are known, and on the device otherwise.
    fn with(
        self,
        other: Self,
        known: fn(f64, f64) -> f64,
        on_device: fn(DispatchTensor, DispatchTensor) -> DispatchTensor,
    ) -> Self {
        Awaited(match (self.0, other.0) {
            (Known(x), Known(y)) => Known(known(x, y)),
            (OnDevice(x), y) => {
                let y = Awaited(y).like(&x);
                OnDevice(Value(on_device(x.0, y)))
            }
            (x, OnDevice(y)) => OnDevice(Value(on_device(Awaited(x).like(&y), y.0))),
        })
    }
}

/// The sum of one-element tensors, each of two halves: its rounding errors grow with the logarithm of their number.
fn pairwise(parts: Vec<DispatchTensor>, dtype: DType) -> DispatchTensor {
    let flat = |part: DispatchTensor| Dispatch::float_cast(Dispatch::float_reshape(part, [1].into()), dtype.into());
    let mut sums: Vec<DispatchTensor> = parts.into_iter().map(flat).collect();
    let count = sums.len();
    let whole = count.next_power_of_two();
    if whole > count {
        let device = Device::new(sums[0].device());
        sums.push(Value::zeros(&[whole - count], dtype, &device).0);
    }
    let mut sum = if sums.len() == 1 { sums.remove(0) } else { Dispatch::float_cat(sums, 0) };
    let mut length = whole;
    while length > 1 {
        length /= 2;
        sum = Dispatch::float_sum_dim(Dispatch::float_reshape(sum, [2, length].into()), 0);
    }
    Dispatch::float_reshape(sum, [1].into())
}

impl From<f64> for Awaited {
    fn from(number: f64) -> Self {
        Awaited(Known(number))
    }
}

impl Neg for Awaited {
    type Output = Self;

    fn neg(self) -> Self {
        Awaited(match self.0 {
            Known(number) => Known(-number),
            OnDevice(value) => OnDevice(Value(Dispatch::float_neg(value.0))),
        })
    }
}

impl Add for Awaited {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, |x, y| x + y, Dispatch::float_add)
    }
}

impl Mul for Awaited {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.with(other, |x, y| x * y, Dispatch::float_mul)
    }
}

impl Div for Awaited {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        self.with(other, |x, y| x / y, Dispatch::float_div)
    }
}

impl Scalar for Awaited {
    fn sqrt(&self) -> Self {
        Awaited(match &self.0 {
            Known(number) => Known(number.sqrt()),
            OnDevice(value) => OnDevice(Value(Dispatch::float_sqrt(value.0.clone()))),
        })
    }

    fn while_above(self, measure: &Self, limit: &Self) -> Self {
        let (like, measure, limit) = match (&measure.0, &limit.0) {
            (Known(measure), Known(limit)) => return if measure <= limit { 0.0.into() } else { self },
            (OnDevice(like), _) | (_, OnDevice(like)) => (like.clone(), measure.clone(), limit.clone()),
        };
        let mask = Stored::on(&like.device()).mask;
        let is_below = Dispatch::float_lower_equal(measure.like(&like), limit.like(&like), mask);
        Awaited(OnDevice(Value(Dispatch::float_mask_fill(self.like(&like), is_below, Constant::Float(0.0)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::reads;

    fn on_device(number: f64, dtype: DType) -> Awaited {
        Awaited(OnDevice(Value::scalar(number, dtype, &Device::flex())))
    }

    fn read(number: &Awaited) -> f64 {
        Awaited::read_all(std::slice::from_ref(number)).expect("host memory")[0]
    }

    #[test]
    fn arithmetic_is_that_of_numbers_wherever_they_are() {
        for dtype in [DType::F32, DType::F64] {
            let numbers = |x: f64| [Awaited::from(x), on_device(x, dtype)];
            for x in numbers(3.0) {
                for y in numbers(-0.5) {
                    let (x, y) = (|| x.clone(), || y.clone());
                    let found = [x() + y(), x() * y(), x() / y(), -x(), (x() * x()).sqrt()];
                    assert_eq!(found.map(|number| read(&number)), [2.5, -1.5, -6.0, -3.0, 3.0]);
                    assert_eq!(read(&x().hypot(&(y() * 8.0.into()))), 5.0);
                }
            }
        }
    }

    #[test]
    fn a_number_is_0_from_where_another_one_is_small() {
        for dtype in [DType::F32, DType::F64] {
            let numbers = |x: f64| [Awaited::from(x), on_device(x, dtype)];
            for (measure, expected) in [(2.0, 5.0), (1.0, 0.0), (0.5, 0.0), (f64::NAN, 5.0)] {
                for number in numbers(5.0) {
                    for measure in numbers(measure) {
                        for limit in numbers(1.0) {
                            assert_eq!(read(&number.clone().while_above(&measure, &limit)), expected);
                        }
                    }
                }
            }
            // What is no number goes as well.
            let none = on_device(f64::NAN, dtype).while_above(&0.0.into(), &0.0.into());
            assert_eq!(read(&none), 0.0);
        }
    }

    #[test]
    fn sums_are_those_of_all_parts() {
        for dtype in [DType::F32, DType::F64] {
            for count in 1..=17 {
                let parts = (1..=count).map(|k| Value::scalar(f64::from(k), DType::F32, &Device::flex()).0);
                let sum = Value(pairwise(parts.collect(), dtype));
                assert_eq!(sum.to_f64().ok(), Some(f64::from(count * (count + 1) / 2)));
                assert_eq!((sum.dtype(), sum.shape()), (dtype, vec![1]));
            }
        }
        // In single precision every second one would be lost beside a sum that has grown.
        let parts = (0..1 << 12).map(|_| Value::scalar(1.0 + f64::from(f32::EPSILON), DType::F32, &Device::flex()).0);
        let sum = Value(pairwise(parts.collect(), DType::F32)).to_f64();
        assert_eq!(sum.ok(), Some(4096.0 * (1.0 + f64::from(f32::EPSILON))));
    }

    #[test]
    fn numbers_come_over_together() {
        let before = reads();
        let all = [on_device(1.0, DType::F64), 2.0.into(), on_device(3.0, DType::F64)];
        assert_eq!(Awaited::read_all(&all).ok(), Some(vec![1.0, 2.0, 3.0]));
        assert_eq!(reads() - before, 1);
    }
}
