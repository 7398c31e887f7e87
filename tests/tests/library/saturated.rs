//! Activations far from zero, where a branch that is not selected is beyond the range of the type: first and second derivatives.

use betty_runtime::Derivatives;
use burn::module::Param;
use burn::tensor::activation::{
    celu, elu, gelu, gelu_approximate, hard_sigmoid, hard_swish, leaky_relu, log_sigmoid, mish, relu, selu, sigmoid,
    silu, softplus, softsign, tanhshrink,
};
use burn::tensor::{DType, Device, Tensor, TensorData};

type Vector = Param<Tensor<1>>;
type Activation = fn(Tensor<1>) -> Tensor<1>;

fn tensor(numbers: &[f64], dtype: DType) -> Tensor<1> {
    let data = TensorData::new(numbers.to_vec(), [numbers.len()]).convert_dtype(dtype);
    Tensor::from_data(data, (&Device::flex(), dtype))
}

/// First and second derivative at every number.
fn derivatives(f: Activation, at: &[f64], dtype: DType) -> [Vec<f64>; 2] {
    let x = Param::from_tensor(tensor(at, dtype));
    let sum = move |x: &Vector, _: ()| f(x.val()).sum();
    let mut derivatives = Derivatives::of(sum, &x, &()).unwrap();
    let first = derivatives.gradient().unwrap().to_vec().unwrap();
    let ones = derivatives.parameters().with_values(&vec![1.0; at.len()]).unwrap();
    [first, derivatives.hessian().unwrap().product(&ones).unwrap().to_vec().unwrap()]
}

fn close(name: &str, at: &[f64], found: &[f64], expected: impl Iterator<Item = f64>, tolerance: f64) {
    for ((x, found), expected) in at.iter().zip(found).zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{name} at {x}: {found} for {expected}");
    }
}

#[test]
fn exponential_units_have_their_closed_forms_far_from_zero() {
    const ALPHA: f64 = 1.673_263_242_354_377_2;
    const GAMMA: f64 = 1.050_700_987_355_480_5;
    // Their slope on the right; the factor of the exponential on the left, and what divides its argument.
    let units: [(&str, Activation, f64, f64, f64); 3] = [
        ("elu", |x| elu(x, 0.7), 1.0, 0.7, 1.0),
        ("celu", |x| celu(x, 0.5), 1.0, 1.0, 0.5),
        ("selu", selu, GAMMA, GAMMA * ALPHA, 1.0),
    ];
    for (dtype, at, tolerance) in [
        (DType::F32, [100.0, 1000.0, -0.5, -100.0, 0.25], 1e-6),
        (DType::F64, [100.0, 1000.0, -0.5, -100.0, 0.25], 1e-13),
        (DType::F16, [12.0, 100.0, -0.5, -100.0, 0.25], 4e-3),
        (DType::BF16, [90.0, 1000.0, -0.5, -100.0, 0.25], 3e-2),
    ] {
        for (name, f, right, factor, divisor) in units {
            let name = format!("{name} in {dtype:?}");
            let [first, second] = derivatives(f, &at, dtype);
            let left = |x: f64| factor * (x / divisor).exp();
            close(&name, &at, &first, at.iter().map(|&x| if x > 0.0 { right } else { left(x) }), tolerance);
            let curved = at.iter().map(|&x| if x > 0.0 { 0.0 } else { left(x) / divisor });
            close(&name, &at, &second, curved, tolerance);
        }
    }
}

#[test]
fn activations_are_in_single_precision_what_they_are_in_double() {
    let activations: [(&str, Activation); 16] = [
        ("relu", relu),
        ("leaky_relu", |x| leaky_relu(x, 0.1)),
        ("gelu", gelu),
        ("gelu_approximate", gelu_approximate),
        ("sigmoid", sigmoid),
        ("log_sigmoid", log_sigmoid),
        ("hard_sigmoid", |x| hard_sigmoid(x, 0.2, 0.5)),
        ("hard_swish", hard_swish),
        ("softplus", |x| softplus(x, 1.5)),
        ("silu", silu),
        ("mish", mish),
        ("elu", |x| elu(x, 0.7)),
        ("celu", |x| celu(x, 0.7)),
        ("selu", selu),
        ("softsign", softsign),
        ("tanhshrink", tanhshrink),
    ];
    let at = [100.0, -100.0, 95.0, -60.0, 30.0, -20.0, 12.0, -3.5, 0.75, -0.25];
    for (name, f) in activations {
        let exact = derivatives(f, &at, DType::F64);
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::BF16, 0.1), (DType::F16, 2e-2)] {
            let found = derivatives(f, &at, dtype);
            for (found, exact) in found.iter().zip(&exact) {
                close(&format!("{name} in {dtype:?}"), &at, found, exact.iter().copied(), tolerance);
            }
        }
    }
}
