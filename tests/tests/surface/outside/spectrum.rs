//! The spectrum of a Hessian, of a model as it is.

use betty_runtime::{Derivatives, DerivativesError};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

pub(super) type Examples = (Tensor<2>, Tensor<2>);

pub(super) fn loss(model: &Linear, (x, y): Examples) -> Tensor<1> {
    (model.forward(x) - y).square().mean()
}

/// Inputs whose second moments are known: H = 2xᵀx/4 is diag(2, 8, 32) without a bias.
pub(super) fn examples(device: &Device) -> Examples {
    let x = [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 8.0], [0.0, 0.0, 0.0]];
    (Tensor::from_floats(x, device), Tensor::from_floats([[1.0], [2.0], [3.0], [4.0]], device))
}

#[test]
fn eigenvalues_of_a_linear_model() -> Result<(), DerivativesError> {
    let device = Device::flex();
    let model = LinearConfig::new(3, 1).with_bias(false).init(&device);
    let mut derivatives = Derivatives::of(loss, &model, &examples(&device))?;
    let found: Vec<_> = derivatives.hessian()?.eigenvalues(3, 0)?.all().collect();
    for (found, expected) in found.iter().zip([2.0, 8.0, 32.0]) {
        assert!((found.value - expected).abs() <= found.error + 1e-4, "{found:?} is not {expected}");
    }
    assert_eq!(found.len(), 3);
    Ok(())
}
