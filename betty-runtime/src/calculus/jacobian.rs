//! A model's output, and products with its Jacobian.

use burn::module::Module;
use burn::tensor::Tensor;

use super::second::Second;
use super::state::check_finite;
use super::vector::{ParameterVector, check_belongs};
use super::{Derivatives, DerivativesError};
use crate::derivatives::OutputProduct;
use crate::execute::{Value, Vector};
use crate::trace::Batch;

impl<M: Module + 'static, B: Batch, N: Second> Derivatives<'_, M, B, N> {
    /// The output `f` that the loss [marks](crate::output).
    ///
    /// # Errors
    /// [`DerivativesError::NoOutput`], [`DerivativesError::SeveralOutputs`], [`DerivativesError::Rank`] for another rank than the
    /// output has.
    pub fn output<const D: usize>(&mut self) -> Result<Tensor<D>, DerivativesError> {
        self.prepare()?;
        self.check_rank::<D>()?;
        Ok(self.state.output()?.into_tensor())
    }

    /// The Jacobian-vector product `J·v`, with `J = ∂f/∂θ`: how the output moves when the first module's parameters move along
    /// `v`.
    ///
    /// # Errors
    /// As [`output`](Self::output), [`DerivativesError::OtherParameters`], and [`DerivativesError::NotFinite`].
    pub fn jvp<const D: usize>(&mut self, tangent: &ParameterVector) -> Result<Tensor<D>, DerivativesError> {
        check_belongs(&self.state.modules[0].parameters, tangent)?;
        self.prepare()?;
        self.check_rank::<D>()?;
        let mut moved = self.state.of_output(OutputProduct::Jvp, &tangent.vector.0)?;
        check_finite(&moved, "Jacobian product")?;
        Ok(moved.0.remove(0).into_tensor())
    }

    /// The vector-Jacobian product `Jᵀ·c`, with `J = ∂f/∂θ`: the gradient of `⟨f, c⟩` in the first module's parameters. The
    /// cotangent `c` has shape and type of the output.
    ///
    /// # Errors
    /// As [`output`](Self::output), [`DerivativesError::OtherOutput`], [`DerivativesError::WrongDevice`], and
    /// [`DerivativesError::NotFinite`].
    pub fn vjp<const D: usize>(&mut self, cotangent: Tensor<D>) -> Result<ParameterVector, DerivativesError> {
        self.prepare()?;
        let (shape, dtype) = self.state.output_like()?;
        let cotangent = Value::from_tensor(cotangent);
        let (found_shape, found_dtype) = (cotangent.shape(), cotangent.dtype());
        if (&shape, dtype) != (&found_shape, found_dtype) {
            return Err(DerivativesError::OtherOutput { shape, dtype, found_shape, found_dtype });
        }
        super::held::check_device(|| "the cotangent".into(), &cotangent, &self.state.device)?;
        let pulled: Vector = self.state.of_output(OutputProduct::Vjp, &[cotangent])?;
        check_finite(&pulled, "Jacobian product")?;
        Ok(ParameterVector::new(&self.state.modules[0].parameters, pulled))
    }

    fn check_rank<const D: usize>(&mut self) -> Result<(), DerivativesError> {
        let (shape, _) = self.state.output_like()?;
        if shape.len() == D {
            return Ok(());
        }
        Err(DerivativesError::Rank { path: "output".into(), shape, rank: D })
    }
}
