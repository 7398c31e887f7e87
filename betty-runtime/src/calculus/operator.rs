//! The Hessian and the Gauss-Newton matrix, known by their products: products, the matrix itself, linear systems.

use std::rc::Rc;

use betty_schema::{Given, Range};

use super::DerivativesError;
use super::parameters::Parameters;
use super::state::{State, check_finite};
use super::vector::{ParameterVector, check_belongs};
use crate::derivatives::OutputProduct;
use crate::execute::Vector;
use crate::linalg::{self, CgOptions, LinearOperator, MinresOptions, Solution};

/// Which matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Hessian,
    GaussNewton,
}

/// A symmetric matrix of second derivatives at a point, of which only products are formed, each at about the cost of two
/// gradients: [`Derivatives::hessian`](super::Derivatives::hessian) or
/// [`Derivatives::gauss_newton`](super::Derivatives::gauss_newton).
///
/// It is a [`LinearOperator`], so that every solver of [`linalg`](crate::linalg), and one of your own, takes it.
pub struct CurvatureOperator<'d> {
    state: &'d mut State,
    which: Which,
}

impl<'d> CurvatureOperator<'d> {
    /// The matrix at a point that has been prepared.
    pub(super) fn new(state: &'d mut State, which: Which) -> Self {
        CurvatureOperator { state, which }
    }

    /// Number of rows and columns: of entries of all parameters.
    pub fn dimension(&self) -> usize {
        self.space().len()
    }

    /// The product with a vector.
    ///
    /// # Errors
    /// [`DerivativesError::OtherParameters`] for a vector of other parameters, [`DerivativesError::NotFinite`] where an entry of the
    /// product is infinite or not a number.
    pub fn product(&mut self, vector: &ParameterVector) -> Result<ParameterVector, DerivativesError> {
        let product = self.apply(vector)?;
        check_finite(&product.vector, "product")?;
        Ok(product)
    }

    /// All entries, row by row, from one product a row; the matrix is as symmetric as rounding leaves it.
    ///
    /// # Errors
    /// [`DerivativesError::TooLarge`] when there are more than `limit` rows, and as [`product`](Self::product).
    pub fn matrix(&mut self, limit: usize) -> Result<Vec<Vec<f64>>, DerivativesError> {
        let dimension = self.dimension();
        if dimension > limit {
            return Err(DerivativesError::TooLarge { dimension, limit });
        }
        let like = self.vector();
        let mut unit = vec![0.0; dimension];
        let mut rows = Vec::with_capacity(dimension);
        for row in 0..dimension {
            unit[row] = 1.0;
            rows.push(self.product(&like.with_values(&unit)?)?.to_vec()?);
            unit[row] = 0.0;
        }
        Ok(rows)
    }

    /// Solves `(A + damping·I)·x = b` by [conjugate gradients](crate::linalg::conjugate_gradient), which needs the damped matrix
    /// to be positive definite. The residual `‖b − (A + damping·I)·x‖ / ‖b‖` in the outcome is measured with one more product.
    ///
    /// With a tolerance of 0 iterations end where rounding is all that is left, or when they are used up, and how far they lead is the
    /// answer.
    ///
    /// # Errors
    /// [`SolveError::NotPositiveDefinite`](linalg::SolveError::NotPositiveDefinite), with damping that makes it so, and [`SolveError::NoConvergence`](linalg::SolveError::NoConvergence) where the residual is
    /// above a tolerance that is not 0, both as [`DerivativesError::Solve`]; [`DerivativesError::OtherParameters`], and
    /// [`DerivativesError::Option`] for options out of range.
    pub fn conjugate_gradient(
        &mut self,
        b: &ParameterVector,
        options: &CgOptions,
    ) -> Result<Solution<ParameterVector>, DerivativesError> {
        self.check(b)?;
        check_options(options.iterations, options.tolerance, options.damping)?;
        let solution = linalg::conjugate_gradient(self, b, None, options)?;
        self.measured(b, solution, options.damping, options.tolerance)
    }

    /// Solves `(A + damping·I)·x = b` by [minimal residuals](crate::linalg::minres), which needs the damped matrix to be
    /// invertible, and lets it curve downwards; otherwise as [`conjugate_gradient`](Self::conjugate_gradient).
    ///
    /// # Errors
    /// [`SolveError::Singular`](linalg::SolveError::Singular) and [`SolveError::NoConvergence`](linalg::SolveError::NoConvergence) as [`DerivativesError::Solve`];
    /// [`DerivativesError::OtherParameters`].
    pub fn minres(
        &mut self,
        b: &ParameterVector,
        options: &MinresOptions,
    ) -> Result<Solution<ParameterVector>, DerivativesError> {
        self.check(b)?;
        check_options(options.iterations, options.tolerance, options.damping)?;
        let solution = linalg::minres(self, b, None, options)?;
        within(solution, options.tolerance)
    }

    /// The solution with its true residual, if that is small enough.
    fn measured(
        &mut self,
        b: &ParameterVector,
        mut solution: Solution<ParameterVector>,
        damping: f64,
        tolerance: f64,
    ) -> Result<Solution<ParameterVector>, DerivativesError> {
        let length = b.norm()?;
        if length > 0.0 {
            let mut rest = self.apply(&solution.x)?;
            rest.add_scaled(damping, &solution.x)?;
            rest.add_scaled(-1.0, b)?;
            solution.outcome.residual = rest.norm()? / length;
        }
        within(solution, tolerance)
    }

    /// A vector that the matrix acts on.
    pub(super) fn vector(&self) -> ParameterVector {
        let (parameters, vector) = self.state.parameters(0);
        ParameterVector::new(&parameters, vector)
    }

    fn check(&self, vector: &ParameterVector) -> Result<(), DerivativesError> {
        check_belongs(self.space(), vector)
    }

    fn space(&self) -> &Rc<Parameters> {
        &self.state.modules[0].parameters
    }
}

impl LinearOperator for CurvatureOperator<'_> {
    type Vector = ParameterVector;
    type Error = DerivativesError;

    fn apply(&mut self, x: &ParameterVector) -> Result<ParameterVector, DerivativesError> {
        self.check(x)?;
        let product: Vector = match self.which {
            Which::Hessian => self.state.second((0, &x.vector), 0)?,
            Which::GaussNewton => self.state.of_output(OutputProduct::GaussNewton, &x.vector.0)?,
        };
        Ok(x.with(product))
    }
}

/// The solution if its measured residual is small enough; a tolerance of 0 asks for what so many iterations bring, which is at best
/// what rounding leaves.
fn within(
    mut solution: Solution<ParameterVector>,
    tolerance: f64,
) -> Result<Solution<ParameterVector>, DerivativesError> {
    let reachable = linalg::reachable(tolerance, &solution.x);
    solution.outcome.converged = solution.outcome.residual <= reachable;
    if tolerance == 0.0 { Ok(solution) } else { Ok(solution.within::<DerivativesError>(reachable)?) }
}

/// That the numbers of a solver are some that it can work with; a negative damping shifts the spectrum the other way.
fn check_options(iterations: usize, tolerance: f64, damping: f64) -> Result<(), DerivativesError> {
    let options = [
        ("iterations", iterations as f64, Range::Positive, Range::Count.describe()),
        ("tolerance", tolerance, Range::NonNegative, Range::NonNegative.describe()),
        ("damping", damping, Range::Number, "a finite number"),
    ];
    let refused = options.into_iter().find(|&(_, value, range, _)| !range.accepts(Given::Number(value)));
    refused.map_or(Ok(()), |(option, value, _, expected)| Err(DerivativesError::Option { option, value, expected }))
}
