//! Numbers inside operations.

use std::hash::{Hash, Hasher};

use burn::tensor::DType;

/// A host number inside an operation; equality and hash are bitwise, so that equal nodes merge and `NaN` is a number.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    /// A number for float tensors.
    Float(f64),
    /// A number for integer tensors.
    Int(i64),
    /// A truth value for bool tensors.
    Bool(bool),
}

impl Scalar {
    /// The number as `f64`; truth values are 0 and 1.
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::Float(value) => value,
            Scalar::Int(value) => value as f64,
            Scalar::Bool(value) => f64::from(u8::from(value)),
        }
    }

    /// `value` in the kind of number that tensors of type `dtype` hold.
    pub fn of(dtype: DType, value: f64) -> Self {
        if dtype.is_float() {
            Scalar::Float(value)
        } else if dtype.is_bool() {
            Scalar::Bool(value != 0.0)
        } else {
            Scalar::Int(value as i64)
        }
    }

    /// The same number in the kind that tensors of type `dtype` hold.
    pub fn to(self, dtype: DType) -> Self {
        match self {
            Scalar::Int(_) if dtype.is_int() || dtype.is_uint() => self,
            _ => Self::of(dtype, self.as_f64()),
        }
    }

    fn bits(self) -> (u8, u64) {
        match self {
            Scalar::Float(value) => (0, value.to_bits()),
            Scalar::Int(value) => (1, value as u64),
            Scalar::Bool(value) => (2, u64::from(value)),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}
