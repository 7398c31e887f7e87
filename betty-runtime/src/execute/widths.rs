//! How far apart the numbers of a vector stand.

use burn::tensor::DType;
use burn_backend::Scalar;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::Dispatch;

use super::wide::wide;
use super::{Value, Vector};

impl Vector {
    /// Whether any of its numbers has 16 bits.
    pub(crate) fn is_coarse(&self) -> bool {
        self.0.iter().any(|x| matches!(x.dtype(), DType::F16 | DType::BF16))
    }

    /// For each entry `least`, or what is between the numbers of its type there if that is more: in a type that is wide enough to add up
    /// in.
    pub(crate) fn widths(&self, least: f64) -> Vector {
        let width = |x: &Value| {
            let unit = x.dtype().finfo().map_or(f64::EPSILON, |info| info.epsilon);
            let between = Dispatch::float_mul_scalar(Dispatch::float_abs(wide(x)), Scalar::Float(unit));
            Value(Dispatch::float_clamp_min(between, Scalar::Float(least)))
        };
        Vector(self.0.iter().map(width).collect())
    }

    /// Entry by entry times `other`.
    pub(crate) fn times(&self, other: &Vector) -> Vector {
        let product = |(x, y): (&Value, &Value)| Value(Dispatch::float_mul(x.0.clone(), y.0.clone()));
        Vector(self.0.iter().zip(&other.0).map(product).collect())
    }

    /// Entry by entry divided by `other`.
    pub(crate) fn over(&self, other: &Vector) -> Vector {
        let quotient = |(x, y): (&Value, &Value)| Value(Dispatch::float_div(x.0.clone(), y.0.clone()));
        Vector(self.0.iter().zip(&other.0).map(quotient).collect())
    }

    /// In the types of `like`.
    pub(crate) fn in_types_of(&self, like: &Vector) -> Vector {
        let cast = |(x, like): (&Value, &Value)| Value(Dispatch::float_cast(x.0.clone(), like.dtype().into()));
        Vector(self.0.iter().zip(&like.0).map(cast).collect())
    }
}
