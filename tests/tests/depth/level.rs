//! Levels whose parameters are one vector in double precision.

pub(crate) use betty_tests::vectors::tensor as vector;
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// The parameters of a level.
#[derive(Module, Debug)]
pub(crate) struct Vector {
    pub(crate) x: Param<Tensor<1>>,
}

impl Vector {
    pub(crate) fn new(values: &[f64]) -> Self {
        Vector { x: Param::from_tensor(vector(values)) }
    }
}

impl Vector {
    /// The numbers.
    pub(crate) fn values(&self) -> Vec<f64> {
        self.x.val().into_data().try_to_vec().unwrap()
    }
}

pub(crate) fn matrix(rows: &[Vec<f64>]) -> Tensor<2> {
    let columns = rows.first().map_or(0, Vec::len);
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), columns]), (&Device::flex(), DType::F64))
}

#[track_caller]
pub(crate) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let gap: Vec<f64> = found.iter().zip(expected).map(|(x, y)| x - y).collect();
    let relative = norm(&gap) / norm(expected);
    assert!(found.len() == expected.len() && relative <= tolerance, "{found:?} is not {expected:?} ({relative:e})");
}
