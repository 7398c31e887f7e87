//! What Burn computes eagerly, and how far single precision is from double.

use burn::tensor::{DType, Device, Tensor};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Function;
use super::compare::{distance, float};
use super::input::Numbers;

/// Value, loss and gradient of a function by Burn's autodiff.
pub(crate) struct Eager {
    pub(crate) value: Vec<f64>,
    pub(crate) loss: Vec<f64>,
    pub(crate) gradient: Vec<f64>,
}

/// How far gradients in single precision are from the one in double precision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SingleErrors {
    pub(crate) ours: f64,
    pub(crate) burn: f64,
    /// How far the one in double precision moves when every number it is computed from is rounded once more: what no
    /// computation in single precision can avoid.
    pub(crate) sensitivity: f64,
}

impl Numbers {
    /// The function at these numbers; without `w` and `c`, the value alone.
    pub(crate) fn eager(&self, dtype: DType, f: Function<'_>, weights: Option<(&[f64], &[f64])>) -> Eager {
        let host = |tensor: Tensor<1>| tensor.inner().into_data().iter::<f64>().collect::<Vec<_>>();
        let taped = Device::flex().autodiff();
        let leaves: Vec<Tensor<1>> =
            Self::float_tensors(&self.parameters, &taped, dtype).into_iter().map(Tensor::require_grad).collect();
        let data = Self::float_tensors(&self.data, &taped, dtype);
        let value = f(&self.arguments(leaves.clone(), data, self.int_tensors(&taped)));
        let Some((w, c)) = weights else {
            return Eager { value: host(value), loss: Vec::new(), gradient: Vec::new() };
        };
        let loss = super::loss(value.clone(), float(w, &taped, dtype), float(c, &taped, dtype));
        let gradients = loss.backward();
        let gradient = leaves.iter().flat_map(|leaf| match leaf.grad(&gradients) {
            Some(gradient) => gradient.into_data().iter::<f64>().collect(),
            None => vec![0.0; leaf.dims()[0]],
        });
        Eager { gradient: gradient.collect(), value: host(value), loss: host(loss) }
    }

    /// Holds two gradients in single precision against the one in double precision.
    pub(crate) fn against_double(
        &self,
        f: Function<'_>,
        w: &[f64],
        c: &[f64],
        ours: &[f64],
        burn: &[f64],
    ) -> SingleErrors {
        let mut rng = StdRng::seed_from_u64(13);
        let mut gradient = |unit: f64| {
            let mut change = |x: f64| f64::from(x as f32) * (1.0 + unit * rng.random_range(-1.0..1.0));
            let (w, c): (Vec<f64>, Vec<f64>) = w.iter().zip(c).map(|(&w, &c)| (change(w), change(c))).unzip();
            self.changed(change).eager(DType::F64, f, Some((&w, &c))).gradient
        };
        let exact = gradient(0.0);
        let half_a_unit = f64::from(f32::EPSILON) / 2.0;
        let sensitivity = (0..8).map(|_| distance(&gradient(half_a_unit), &exact)).fold(0.0, f64::max);
        SingleErrors { ours: distance(ours, &exact), burn: distance(burn, &exact), sensitivity }
    }

    /// The same numbers, each changed a little.
    fn changed(&self, mut change: impl FnMut(f64) -> f64) -> Self {
        let mut all = |of: &[(Vec<usize>, Vec<f64>)]| -> Vec<(Vec<usize>, Vec<f64>)> {
            of.iter().map(|(shape, values)| (shape.clone(), values.iter().map(|&x| change(x)).collect())).collect()
        };
        Numbers { parameters: all(&self.parameters), data: all(&self.data), indices: self.indices.clone() }
    }
}
