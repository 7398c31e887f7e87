//! What the map of a fixed point answers, recorded so that its derivatives can be compared with Burn's.

use burn::tensor::{Bool, Int, Tensor, TensorData};

use super::batch::{Batch, BatchMapper};
use super::measured::Measured;
use super::output::next;

/// What the map of a fixed point may return: the level's next parameters, as a tensor, a tuple or a vector of tensors, or a struct
/// that is a [`Batch`]; one for each parameter that the level trains, in the order of its module.
///
/// ```
/// use betty_runtime::{Engine, EngineError, Stream, multilevel};
/// use burn::module::Param;
/// use burn::tensor::{Device, Tensor};
/// use std::convert::Infallible;
///
/// type Point = Param<Tensor<1>>;
///
/// /// The entries of a tensor, by so much closer to 0.
/// fn shrunk(x: Tensor<1>, by: Tensor<1>) -> Tensor<1> {
///     let count = x.dims()[0];
///     x.clone().sign() * (x.abs() - by.expand([count])).clamp_min(0.0)
/// }
///
/// /// ½‖x − b‖² + e^λ‖x‖₁
/// fn denoised(x: &Point, lambda: &Point, b: Tensor<1>) -> Tensor<1> {
///     (x.val() - b).square().sum() * 0.5 + lambda.val().exp() * x.val().abs().sum()
/// }
///
/// /// A proximal step, which leaves the minimum where it is.
/// fn proximal(x: &Point, lambda: &Point, b: Tensor<1>) -> Tensor<1> {
///     shrunk(x.val() - (x.val() - b) * 0.5, lambda.val().exp() * 0.5)
/// }
///
/// fn gap(_lambda: &Point, x: &Point, target: Tensor<1>) -> Tensor<1> {
///     (x.val() - target).square().sum()
/// }
///
/// multilevel! {
///     struct Denoising;
///     level lambda: Point { lower: [x], batch: Tensor<1>, loss: gap, optimizer: sgd(lr = 0.2) }
///     level x: Point {
///         upper: [lambda], batch: Tensor<1>, loss: denoised, condition: fixed_point(proximal), hypergradient: gmres,
///         solver: custom(|program: &Denoising, b: &Tensor<1>| {
///             Ok::<_, Infallible>(Param::from_tensor(shrunk(b.clone(), program.lambda.val().exp())))
///         }),
///     }
/// }
///
/// # fn main() -> Result<(), EngineError> {
/// let tensor = |at: [f32; 2]| Tensor::<1>::from_floats(at, &Device::flex());
/// let program = Denoising {
///     lambda: Param::from_tensor(Tensor::from_floats([0.0], &Device::flex())),
///     x: Param::from_tensor(tensor([0.0, 0.0])),
/// };
/// let data = DenoisingData { lambda: Stream::constant(tensor([2.5, 0.0])), x: Stream::constant(tensor([3.0, 0.2])) };
/// let mut engine = Engine::new(program, data, DenoisingConfig::default())?;
/// engine.run(100)?;
/// // The first entry has to be half a unit smaller, and the second one is 0.
/// assert!((engine.problem().lambda.val().exp().into_scalar::<f32>() - 0.5).abs() < 1e-3);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what the map of a fixed point returns",
    note = "return the level's next parameters in the order of its module: a `Tensor`, or a tuple of them"
)]
pub trait NextParameters {
    /// The parameters as outputs of a recording, under one number that depends on all of them.
    fn into_measured(self) -> Measured;
}

impl<T: Batch> NextParameters for T {
    fn into_measured(self) -> Measured {
        let mut marked = Marked::default();
        self.map(&mut marked);
        Measured::new(marked.0.expect("the map of a fixed point returns at least one tensor of floats"))
    }
}

/// Marks tensors in their order, and adds them up with weights that no derivative hides behind.
#[derive(Default)]
pub(super) struct Marked(pub(super) Option<Tensor<1>>);

impl BatchMapper for Marked {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        // A tensor of its own for each, also where a map returns one twice.
        let tensor = next(tensor * 1.0);
        let count = tensor.shape().num_elements();
        let weights: Vec<f64> = (0..count).map(|index| 1.0 + 0.5 * (index as f64).sin()).collect();
        let place = (&tensor.device(), tensor.dtype());
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), place);
        let sum = (tensor.clone().reshape([count]) * weights).sum();
        self.0 = Some(match self.0.take() {
            None => sum,
            Some(others) => {
                let dtype = others.dtype();
                others + sum.cast(dtype)
            }
        });
        tensor
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        tensor
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        tensor
    }

    fn plain(&mut self, _hash: u64) {}
}
