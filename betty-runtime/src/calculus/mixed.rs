//! Losses of two modules: gradients in both, and the mixed second derivatives between them.

use burn::module::Module;

use super::state::check_finite;
use super::vector::check_belongs;
use super::{Derivatives, DerivativesError, ParameterVector};
use crate::trace::{Batch, LossValue, Tracer};

impl<'f, M: Module + 'static, B: Batch, N: Module + 'static> Derivatives<'f, M, B, N> {
    /// The derivatives of a loss of two modules, by the parameters of both: those of the first as for one module, and the mixed
    /// ones.
    ///
    /// ```
    /// # use betty_runtime::Derivatives;
    /// # use burn::module::Param;
    /// # use burn::nn::{Linear, LinearConfig};
    /// # use burn::tensor::{Device, Tensor};
    /// # fn main() -> Result<(), betty_runtime::DerivativesError> {
    /// # let device = Device::flex();
    /// # let model = LinearConfig::new(3, 1).init(&device);
    /// # let x = Tensor::<2>::ones([4, 3], &device);
    /// // How much each of four examples counts.
    /// let weights = Param::from_tensor(Tensor::<1>::ones([4], &device));
    /// let weighted = |model: &Linear, weights: &Param<Tensor<1>>, x: Tensor<2>| {
    ///     (weights.val().reshape([4, 1]) * model.forward(x).square()).mean()
    /// };
    /// let mut derivatives = Derivatives::of_two(weighted, (&model, &weights), &x)?;
    /// let direction = derivatives.parameters().normal(0);
    /// let by_weights = derivatives.mixed_product(&direction)?; // (∂²ℓ/∂weights∂model)·direction
    /// # assert_eq!(by_weights.len(), 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`of`](Derivatives::of).
    pub fn of_two<L: LossValue>(
        loss: impl Fn(&M, &N, B) -> L + 'f,
        (module, second): (&M, &N),
        batch: &B,
    ) -> Result<Self, DerivativesError> {
        let call = move |module: &M, second: &N, tracer: &mut Tracer<'_>| {
            let (module, second) = (tracer.module(0, module), tracer.module(1, second));
            loss(&module, &second, tracer.batch()).into_measured()
        };
        Self::new(Box::new(call), (module.clone(), second.clone()), batch)
    }

    /// Moves to other parameters of both modules of [`of_two`](Self::of_two), as [`at`](Self::at).
    ///
    /// # Errors
    /// As [`at`](Self::at).
    pub fn at_both(&mut self, module: &M, second: &N) -> Result<&mut Self, DerivativesError> {
        self.go_to((module.clone(), second.clone()))
    }

    /// The second module's parameters at the point.
    pub fn second_parameters(&self) -> ParameterVector {
        let (parameters, vector) = self.state.parameters(1);
        ParameterVector::new(&parameters, vector)
    }

    /// Gradient `∂ℓ/∂λ` in the parameters `λ` of the second module.
    ///
    /// # Errors
    /// As [`value_and_gradient`](Self::value_and_gradient).
    pub fn second_gradient(&mut self) -> Result<ParameterVector, DerivativesError> {
        self.prepare()?;
        let gradient = self.state.gradients()?.of[1].clone();
        Ok(ParameterVector::new(&self.state.modules[1].parameters, gradient))
    }

    /// `(∂²ℓ/∂λ∂θ)·v`, from a vector of the first module's parameters to one of the second's.
    ///
    /// # Errors
    /// [`DerivativesError::OtherParameters`], [`DerivativesError::NotFinite`], and as [`hessian`](Self::hessian).
    pub fn mixed_product(&mut self, vector: &ParameterVector) -> Result<ParameterVector, DerivativesError> {
        self.mixed(vector, 0, 1)
    }

    /// `(∂²ℓ/∂θ∂λ)·w`, from a vector of the second module's parameters to one of the first's: the transpose of
    /// [`mixed_product`](Self::mixed_product).
    ///
    /// # Errors
    /// As [`mixed_product`](Self::mixed_product).
    pub fn transposed_mixed_product(&mut self, vector: &ParameterVector) -> Result<ParameterVector, DerivativesError> {
        self.mixed(vector, 1, 0)
    }

    fn mixed(&mut self, vector: &ParameterVector, from: usize, to: usize) -> Result<ParameterVector, DerivativesError> {
        check_belongs(&self.state.modules[from].parameters, vector)?;
        self.prepare()?;
        let product = self.state.second((from, &vector.vector), to)?;
        check_finite(&product, "mixed product")?;
        Ok(ParameterVector::new(&self.state.modules[to].parameters, product))
    }
}
