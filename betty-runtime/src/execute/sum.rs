//! Sums of many vectors: in 16 bits one stands still once it is some hundred terms long, and in f16 it ends at 65504.

use burn::tensor::DType;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::Dispatch;

use super::wide::wide;
use super::{Value, Vector};
use crate::graph::accumulator;

/// A sum that is formed in types that are wide enough to add up in, in the order in which terms come.
#[derive(Clone, Default)]
pub(crate) struct Sum {
    total: Vector,
    /// Those of the first term.
    types: Vec<DType>,
    count: usize,
}

impl Sum {
    /// A vector without tensors counts as zero.
    pub(crate) fn add(&mut self, term: Vector) {
        if term.0.is_empty() {
            return;
        }
        self.count += 1;
        if self.count == 1 {
            self.types = term.0.iter().map(Value::dtype).collect();
            self.total = term;
            return;
        }
        if self.count == 2 {
            self.total = widened(std::mem::take(&mut self.total));
        }
        self.total.add_scaled(1.0, &widened(term));
    }

    pub(crate) fn scale(&mut self, factor: f64) {
        self.total.scale(factor);
    }

    /// The sum, in the types of its terms.
    pub(crate) fn total(self) -> Vector {
        let narrowed = self.total.0.into_iter().zip(self.types).map(|(x, dtype)| match x.dtype() == dtype {
            true => x,
            false => Value(Dispatch::float_cast(x.0, dtype.into())),
        });
        Vector(narrowed.collect())
    }
}

fn widened(x: Vector) -> Vector {
    let widened = x.0.into_iter().map(|x| match x.dtype() == accumulator(x.dtype()) {
        true => x,
        false => Value(wide(&x)),
    });
    Vector(widened.collect())
}
