//! The derivatives of one loss, for modules and batches of any type.

use std::marker::PhantomData;
use std::rc::Rc;

use burn::module::Module;
use burn::tensor::Tensor;

use super::DerivativesError;
use super::held::Held;
use super::operator::{CurvatureOperator, Which};
use super::second::{Nothing, Second};
use super::state::State;
use super::vector::ParameterVector;
use crate::trace::{AnyBatch, Batch, LossValue, Measured, Tracer, output, plain_data};

/// Calls a loss on what a tracer stands in for its arguments.
pub(super) type Call<'f, M, N> = Box<dyn Fn(&M, &N, &mut Tracer<'_>) -> Measured + 'f>;

/// The derivatives of one loss by the parameters of a Burn module, exact and of first and second order, at a point: the
/// module as it was given, and a batch.
///
/// The loss is a function of the module and the batch, as a training loop has it; what else it captures is taken as it is when the
/// loss is recorded. It is recorded once as a graph; what is asked
/// for is compiled from that once. [`at`](Self::at) and [`on`](Self::on) move to other parameters and batches, and record again
/// only for shapes that are new.
///
/// ```
/// use betty_runtime::{Derivatives, linalg::CgOptions};
/// # use burn::nn::{Linear, LinearConfig};
/// # use burn::tensor::{Device, Distribution, Tensor};
/// # fn main() -> Result<(), betty_runtime::DerivativesError> {
/// # let device = Device::flex();
/// # let model = LinearConfig::new(3, 1).init(&device);
/// # let batch = (Tensor::<2>::random([8, 3], Distribution::Default, &device), Tensor::<2>::ones([8, 1], &device));
/// # fn loss(model: &Linear, (x, y): (Tensor<2>, Tensor<2>)) -> Tensor<1> {
/// #     (model.forward(x) - y).square().mean()
/// # }
/// let mut derivatives = Derivatives::of(loss, &model, &batch)?;
/// let (value, gradient) = derivatives.value_and_gradient()?;
/// let top = derivatives.hessian()?.eigenvalues(20, 0)?.largest();
/// let newton = CgOptions { iterations: 50, tolerance: 1e-4, damping: 0.1 };
/// let step = derivatives.hessian()?.conjugate_gradient(&gradient, &newton)?.x;
/// # assert!(value > 0.0 && top.value > 0.0 && step.dot(&gradient)? > 0.0);
/// # Ok(())
/// # }
/// ```
///
/// - Differentiated is by what Burn would train: float parameters that are not frozen. What the loss does not read of them has
///   derivative zero. Running statistics stay as they are.
/// - All derivatives of a recording rest on a gradient that was compared with Burn's autodiff, as the engine does it; a
///   `detach` in the loss is an error that asks for [`stop_gradient`](crate::stop_gradient).
/// - Random draws of the loss, such as dropout masks, are the same for all derivatives at a point; [`seed`](Self::seed) decides
///   them. Dropout and batch statistics are active as in training, unless the loss uses
///   [`nn::inference`](crate::nn::inference) or the module's flags say otherwise.
pub struct Derivatives<'f, M, B, N = Nothing> {
    call: Call<'f, M, N>,
    pub(super) modules: (M, N),
    /// What was recorded besides tensors.
    plain: (u64, u64),
    pub(super) state: State,
    batch: PhantomData<fn(B)>,
}

impl<'f, M: Module + 'static, B: Batch> Derivatives<'f, M, B> {
    /// The derivatives of `loss` at a module and a batch, by the module's parameters.
    ///
    /// # Errors
    /// [`DerivativesError`] when the loss cannot be recorded, tensors are on several devices, or nothing is trainable.
    pub fn of<L: LossValue>(loss: impl Fn(&M, B) -> L + 'f, module: &M, batch: &B) -> Result<Self, DerivativesError> {
        let call = move |module: &M, _: &Nothing, tracer: &mut Tracer<'_>| {
            let module = tracer.module(0, module);
            loss(&module, tracer.batch()).into_measured()
        };
        Self::new(Box::new(call), (module.clone(), Nothing), batch)
    }

    /// The derivatives of a model's output `f`, and of the loss `½·‖f‖²`, whose Gauss-Newton matrix is `JᵀJ`.
    ///
    /// ```
    /// # use betty_runtime::{Derivatives, ParameterVector};
    /// # use burn::nn::{Linear, LinearConfig};
    /// # use burn::tensor::{Device, Tensor};
    /// # fn main() -> Result<(), betty_runtime::DerivativesError> {
    /// # let model = LinearConfig::new(3, 2).init(&Device::flex());
    /// # let x = Tensor::<2>::ones([4, 3], &Device::flex());
    /// let mut model_at = Derivatives::of_output(|model: &Linear, x: Tensor<2>| model.forward(x), &model, &x)?;
    /// let direction = model_at.parameters().normal(0);
    /// let moved: Tensor<2> = model_at.jvp(&direction)?; // how the output moves along the direction
    /// let pulled = model_at.vjp(moved)?; // Jᵀ·J·direction
    /// # assert_eq!(pulled.len(), direction.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_output<const D: usize>(
        model: impl Fn(&M, B) -> Tensor<D> + 'f,
        module: &M,
        batch: &B,
    ) -> Result<Self, DerivativesError> {
        let loss = move |module: &M, batch: B| output(model(module, batch)).square().sum().mul_scalar(0.5);
        Self::of(loss, module, batch)
    }
}

impl<'f, M: Module + 'static, B: Batch, N: Second> Derivatives<'f, M, B, N> {
    pub(super) fn new(call: Call<'f, M, N>, modules: (M, N), batch: &B) -> Result<Self, DerivativesError> {
        let held = held(&modules)?;
        let device = held[0].parameters.device.clone();
        let state = State::new(held, AnyBatch::new(batch.clone()), device)?;
        let plain = (plain_data(&modules.0), modules.1.plain());
        let mut derivatives = Derivatives { call, modules, plain, state, batch: PhantomData };
        derivatives.with_call(State::record)?;
        Ok(derivatives)
    }

    /// Moves to other parameters: the module as it is now. It must have the same tensors as the one that was recorded; where its
    /// plain fields differ, a dropout rate say, the loss is recorded again. Not seen are plain numbers of Burn's reparameterizations, as
    /// the scale of a LoRA adapter: make new derivatives where those change.
    ///
    /// # Errors
    /// [`DerivativesError::OtherModule`] and [`DerivativesError::WrongDevice`]; the point stays what it was then.
    pub fn at(&mut self, module: &M) -> Result<&mut Self, DerivativesError> {
        self.go_to((module.clone(), self.modules.1.clone()))
    }

    pub(super) fn go_to(&mut self, modules: (M, N)) -> Result<&mut Self, DerivativesError> {
        let held = held(&modules)?;
        for held in &held {
            held.check_on(&self.state.device)?;
        }
        self.state.set_modules(held)?;
        let plain = (plain_data(&modules.0), modules.1.plain());
        if plain != self.plain {
            self.state.recordings.recheck();
        }
        (self.modules, self.plain) = (modules, plain);
        Ok(self)
    }

    /// Moves to another batch.
    ///
    /// # Errors
    /// [`DerivativesError::WrongDevice`]; the point stays what it was then.
    pub fn on(&mut self, batch: &B) -> Result<&mut Self, DerivativesError> {
        self.state.set_batch(AnyBatch::new(batch.clone()))?;
        Ok(self)
    }

    /// Decides every random draw inside the loss; 0 at first.
    pub fn seed(&mut self, seed: u64) -> &mut Self {
        self.state.set_seed(seed);
        self
    }

    /// Lets a gradient be used that could not be compared with Burn's autodiff; one that was and differs never is.
    pub fn allow_unverified(&mut self) -> &mut Self {
        self.state.recordings.verify.unchecked_allowed = true;
        self
    }

    /// How many bytes a comparison with Burn's autodiff may hold, the parameters and the batch included; at first 80 for each
    /// number of the module, and 1 GiB at least. What would take more is compared on a part of the batch.
    pub fn verification_memory(&mut self, bytes: usize) -> &mut Self {
        self.state.recordings.verify.memory = crate::derivatives::Memory(Some(bytes));
        self
    }

    /// How often the loss has been recorded: once for each kind of batch, unless the module's plain fields changed.
    pub fn recordings(&self) -> usize {
        self.state.recordings.count
    }

    /// The first module's parameters at the point.
    pub fn parameters(&self) -> ParameterVector {
        let (parameters, vector) = self.state.parameters(0);
        ParameterVector::new(&parameters, vector)
    }

    /// The loss at the point.
    ///
    /// # Errors
    /// As [`value_and_gradient`](Self::value_and_gradient).
    pub fn value(&mut self) -> Result<f64, DerivativesError> {
        self.prepare()?;
        Ok(self.state.gradients()?.loss)
    }

    /// Gradient `∂ℓ/∂θ` in the parameters of the first module.
    ///
    /// # Errors
    /// As [`value_and_gradient`](Self::value_and_gradient).
    pub fn gradient(&mut self) -> Result<ParameterVector, DerivativesError> {
        Ok(self.value_and_gradient()?.1)
    }

    /// The loss and its gradient in the parameters of the first module.
    ///
    /// # Errors
    /// [`DerivativesError::NotFinite`] where they are not finite, [`DerivativesError::Verification`] where Burn's autodiff has
    /// another gradient.
    pub fn value_and_gradient(&mut self) -> Result<(f64, ParameterVector), DerivativesError> {
        self.prepare()?;
        let gradients = self.state.gradients()?;
        let (value, gradient) = (gradients.loss, gradients.of[0].clone());
        Ok((value, ParameterVector::new(&self.state.modules[0].parameters, gradient)))
    }

    /// What the loss reports beside its value, as [`Measured`] does.
    ///
    /// # Errors
    /// As [`value_and_gradient`](Self::value_and_gradient).
    pub fn metrics(&mut self) -> Result<Vec<(Rc<str>, f64)>, DerivativesError> {
        self.prepare()?;
        Ok(self.state.gradients()?.metrics.clone())
    }

    /// The Hessian `∂²ℓ/∂θ²` at the point, known by its products.
    ///
    /// # Errors
    /// [`DerivativesError::Verification`] where Burn's autodiff has another gradient.
    pub fn hessian(&mut self) -> Result<CurvatureOperator<'_>, DerivativesError> {
        self.prepare()?;
        Ok(CurvatureOperator::new(&mut self.state, Which::Hessian))
    }

    /// The Gauss-Newton matrix `Jᵀ·(∂²ℓ/∂f²)·J` of the output `f` that the loss [marks](crate::output), with the Jacobian
    /// `J = ∂f/∂θ`; what the loss reads of parameters beside its output, in a penalty say, adds its own Hessian.
    ///
    /// # Errors
    /// [`DerivativesError::NoOutput`] and [`DerivativesError::SeveralOutputs`], and as [`hessian`](Self::hessian).
    pub fn gauss_newton(&mut self) -> Result<CurvatureOperator<'_>, DerivativesError> {
        self.prepare()?;
        self.state.output_like()?;
        Ok(CurvatureOperator::new(&mut self.state, Which::GaussNewton))
    }

    pub(super) fn prepare(&mut self) -> Result<(), DerivativesError> {
        self.with_call(State::prepare)
    }

    fn with_call<T>(&mut self, f: impl FnOnce(&mut State, &super::recordings::Call<'_>) -> T) -> T {
        let Derivatives { call, modules: (module, second), state, .. } = self;
        f(state, &|tracer| call(module, second, tracer))
    }
}

/// The tensors of both modules, all on the device of the first.
fn held<M: Module + 'static, N: Second>((module, second): &(M, N)) -> Result<Vec<Held>, DerivativesError> {
    let first = Held::of(module, None)?;
    if first.parameters.all.is_empty() {
        return Err(DerivativesError::NoParameters);
    }
    let second = second.module().map(|second| Held::of(second, Some(&first.parameters.device))).transpose()?;
    Ok(std::iter::once(first).chain(second).collect())
}
