//! Comparing our gradients with Burn's own, once for every trace.

use burn::tensor::DType;

/// How far one gradient is from Burn's.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// `‖ours − Burn's‖` relative to the larger of both norms, at least a thousandth of the whole gradient's norm.
    pub difference: f64,
    /// Path of the parameter where it is largest.
    pub parameter: String,
}

/// The relative difference that rounding can explain: two correct derivatives of one float computation in another order.
///
/// A derivative that runs through a `detach` is off by far more.
pub fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-9,
        DType::F32 | DType::Flex32 => 1e-3,
        _ => 5e-2,
    }
}

impl Verification {
    /// Compares pairs of gradients (path, ours, Burn's), each as host numbers.
    pub(crate) fn compare(pairs: &[(String, Vec<f64>, Vec<f64>)]) -> Self {
        let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
        let whole = pairs.iter().map(|(_, ours, _)| norm(ours).powi(2)).sum::<f64>().sqrt();
        let mut worst = Verification { difference: 0.0, parameter: String::new() };
        for (path, ours, burn) in pairs {
            let gap: Vec<f64> = ours.iter().zip(burn).map(|(x, y)| x - y).collect();
            let scale = norm(ours).max(norm(burn)).max(1e-3 * whole).max(f64::MIN_POSITIVE);
            let difference = norm(&gap) / scale;
            if difference.is_nan() || difference > worst.difference {
                worst = Verification { difference, parameter: path.clone() };
            }
        }
        worst
    }
}
