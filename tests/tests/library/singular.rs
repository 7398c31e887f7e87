//! Losses that are smooth where Burn's autodiff has no number: a rule of Burn's meets zeros of the batch, or numbers beyond the range of
//! a branch that nobody reads. Derivatives are held against differences in double precision.

use betty_runtime::{Derivatives, DerivativesError, Unverified};
use burn::module::Param;
use burn::tensor::activation::elu;
use burn::tensor::{DType, Device, Tensor, TensorData};

type Vector = Param<Tensor<1>>;

const WEIGHTS: [f64; 3] = [0.7, 1.3, 0.9];
const DIRECTION: [f64; 3] = [0.6, -0.4, 0.8];
/// A row of zeros, one with a zero, one without.
const X: [f64; 9] = [0.0, 0.0, 0.0, 0.5, 0.0, 1.2, 0.3, 0.9, 1.1];

/// What is made of the rows and their weights.
type Function = fn(Tensor<2>, Tensor<2>) -> Tensor<2>;

fn tensor<const D: usize>(numbers: &[f64], shape: [usize; D]) -> Tensor<D> {
    let data = TensorData::new(numbers.to_vec(), shape);
    Tensor::from_data(data, (&Device::flex(), DType::F64))
}

fn like<const D: usize>(x: &Tensor<2>, numbers: [f64; D]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), [1, D]), (&x.device(), x.dtype()))
}

/// `0⁰`, `0¹` and `0²` with exponents in a tensor.
fn powers(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    let exponents = like(&x, [0.0, 1.0, 2.0]).expand(x.dims());
    (x * w).powf(exponents)
}

/// A gamma correction of black pixels.
fn learned_exponents(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    x.clone().powf(w.expand(x.dims()))
}

fn products(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    (x * w + 0.0).prod_dim(1)
}

fn running_products(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    (x * w).cumprod(1)
}

/// Lengths of rows, 0 for those of nothing.
fn lengths(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    let square = (x * w).square().sum_dim(1);
    let nothing = square.clone().equal_scalar(0.0);
    square.sqrt().mask_fill(nothing, 0.0)
}

/// `x·ln x`, continued by 0.
fn entropies(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    let x = x * w;
    let nothing = x.clone().equal_scalar(0.0);
    (x.clone() * x.log()).mask_fill(nothing, 0.0)
}

/// `sin(x)/x`, continued by 1.
fn cardinal_sines(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    let x = x * w;
    let nothing = x.clone().equal_scalar(0.0);
    (x.clone().sin() / x).mask_fill(nothing, 1.0)
}

/// Beyond 709, where the exponential is infinite.
fn far(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    elu(x * 1000.0 * w - 1.0, 0.7) * 1e-3
}

/// Exponentials of hundreds, bounded.
fn bounded(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    let x = x * w;
    (x.clone() * 1000.0).exp().clamp_max(20.0) + x
}

const FUNCTIONS: [(&str, Function); 9] = [
    ("powers", powers),
    ("learned exponents", learned_exponents),
    ("products", products),
    ("running products", running_products),
    ("lengths", lengths),
    ("entropies", entropies),
    ("cardinal sines", cardinal_sines),
    ("beyond the range of an exponential", far),
    ("bounded exponentials", bounded),
];

fn loss(f: Function, w: Tensor<1>, x: Tensor<2>) -> Tensor<1> {
    (f(x, w.unsqueeze()) - 0.3).square().mean()
}

/// The loss without any derivative.
fn value(f: Function, steps: f64) -> f64 {
    let moved: Vec<f64> = WEIGHTS.iter().zip(DIRECTION).map(|(w, u)| w + steps * u).collect();
    loss(f, tensor(&moved, [3]), tensor(&X, [3, 3])).into_scalar::<f64>()
}

fn weights() -> Vector {
    Param::from_tensor(tensor(&WEIGHTS, [3]))
}

#[test]
fn a_finite_gradient_is_used_where_that_of_burn_is_no_number() {
    for (name, f) in FUNCTIONS {
        let x = tensor(&X, [3, 3]);
        let mut derivatives =
            Derivatives::of(move |w: &Vector, x: Tensor<2>| loss(f, w.val(), x), &weights(), &x).unwrap();
        let gradient = derivatives.gradient().unwrap_or_else(|error| panic!("{name}: {error}"));
        let gradient = gradient.to_vec().unwrap();
        let h = 1e-3;
        let [one, back, two, back_two] = [h, -h, 2.0 * h, -2.0 * h].map(|steps| value(f, steps));
        let slope = (8.0 * (one - back) - (two - back_two)) / (12.0 * h);
        let found: f64 = gradient.iter().zip(DIRECTION).map(|(g, u)| g * u).sum();
        assert!((found - slope).abs() < 1e-8, "{name}: slope {found} for {slope}");
        let v = derivatives.parameters().with_values(&DIRECTION).unwrap();
        let product = derivatives.hessian().unwrap().product(&v).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found: f64 = product.to_vec().unwrap().iter().zip(DIRECTION).map(|(g, u)| g * u).sum();
        let curvature = (16.0 * (one + back) - (two + back_two) - 30.0 * value(f, 0.0)) / (12.0 * h * h);
        assert!((found - curvature).abs() < 1e-6, "{name}: curvature {found} for {curvature}");
    }
}

#[test]
fn a_detach_is_found_there_too() {
    for (name, f) in FUNCTIONS {
        let hidden = move |w: &Vector, x: Tensor<2>| loss(f, w.val() * 0.5 + w.val().detach() * 0.5, x);
        let outcome = Derivatives::of(hidden, &weights(), &tensor(&X, [3, 3])).unwrap().gradient();
        assert!(matches!(outcome, Err(DerivativesError::Verification { .. })), "{name}: {outcome:?}");
    }
}

#[test]
fn what_burn_has_no_number_for_anywhere_is_said_to_be_burns() {
    // Nothing that is moved moves the base from zero.
    let constant = |w: &Vector, x: Tensor<2>| {
        let nothing = w.val() - w.val() * 1.0;
        let ones = nothing.powf(Tensor::zeros([3], (&x.device(), x.dtype())));
        (x * w.val().unsqueeze::<2>() * ones.unsqueeze::<2>()).square().sum()
    };
    let mut derivatives = Derivatives::of(constant, &weights(), &tensor(&X, [3, 3])).unwrap();
    let error = derivatives.gradient().unwrap_err();
    assert!(matches!(error, DerivativesError::Unverified(Unverified::BurnNotFinite)), "{error}");
    assert!(format!("{error:?}").contains("in a rule of Burn's zero meets infinity"), "{error:?}");
    assert!(derivatives.allow_unverified().gradient().is_ok());
}
