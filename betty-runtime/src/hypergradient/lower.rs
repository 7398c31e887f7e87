//! The lower level at one point: everything a method may ask of it.

use super::ProductError;
use crate::derivatives::Loss;
use crate::execute::{Value, Vector};
use crate::linalg::LinearOperator;

/// The lower loss `c(θ, λ)` at the current `θ` and `λ`, on one batch and under one seed.
///
/// Products are linearised at their first use and share everything that does not depend on the vector. As a
/// [`LinearOperator`], it is the Hessian `H = ∂²c/∂θ²`.
pub struct LowerProblem<'a> {
    loss: &'a mut Loss,
    level: usize,
    into: &'a [usize],
    inputs: Vec<Value>,
    parameters: Vector,
    seed: u64,
    point: Option<Vec<Value>>,
    products: usize,
}

impl<'a> LowerProblem<'a> {
    /// The problem of `level`, seen by the upper levels `into`. `inputs` are the loss's inputs, in the trace's order.
    pub fn new(
        loss: &'a mut Loss,
        level: usize,
        into: &'a [usize],
        inputs: Vec<Value>,
        parameters: Vector,
        seed: u64,
    ) -> Self {
        LowerProblem { loss, level, into, inputs, parameters, seed, point: None, products: 0 }
    }

    /// The current parameters `θ`.
    pub fn parameters(&self) -> &Vector {
        &self.parameters
    }

    /// Hessian-vector products formed so far.
    pub fn products(&self) -> usize {
        self.products
    }

    /// `H·v`
    ///
    /// # Errors
    /// [`ProductError::Graph`] if the second derivative cannot be built.
    pub fn hvp(&mut self, v: &Vector) -> Result<Vector, ProductError> {
        self.products += 1;
        let point = self.point()?;
        let product = self.loss.linearization(self.level, self.into)?.hvp(&point, v);
        self.point = Some(point);
        Ok(product)
    }

    /// `(∂²c/∂λ∂θ)·v` for each upper level.
    ///
    /// # Errors
    /// [`ProductError::Graph`] if the second derivative cannot be built.
    pub fn mixed(&mut self, v: &Vector) -> Result<Vec<Vector>, ProductError> {
        let point = self.point()?;
        let products = self.loss.linearization(self.level, self.into)?.mixed(&point, v);
        self.point = Some(point);
        Ok(products)
    }

    /// `∂c/∂λ` at other parameters, with stopped values and random draws held at the current ones.
    ///
    /// # Errors
    /// [`ProductError::Graph`] if the derivative cannot be built.
    pub fn upper_gradient_at(&mut self, parameters: &Vector) -> Result<Vec<Vector>, ProductError> {
        Ok(self.loss.perturbation(self.level, self.into)?.run(&self.inputs, parameters, self.seed))
    }

    fn point(&mut self) -> Result<Vec<Value>, ProductError> {
        match self.point.take() {
            Some(point) => Ok(point),
            None => Ok(self.loss.linearization(self.level, self.into)?.at(self.inputs.clone(), self.seed)),
        }
    }
}

impl LinearOperator for LowerProblem<'_> {
    type Vector = Vector;
    type Error = ProductError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ProductError> {
        self.hvp(x)
    }
}
