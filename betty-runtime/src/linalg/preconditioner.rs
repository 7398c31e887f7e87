//! Preconditioners: approximations of a system's inverse that a solver applies once an iteration.
//!
//! With `P ≈ A + δI` whose inverse is cheap, a solver works in the Krylov space of `P⁻¹·(A + δI)`, whose eigenvalues lie closer
//! together (Saad, *Iterative Methods for Sparse Linear Systems*, chapter 9). The system that is solved, and the residual that is
//! told, stay those of `A + δI`: a poor preconditioner costs iterations, never the answer.

use super::operator::dot;
use super::{InnerProductSpace, LinearOperator, Quantity, SolveError};

/// An approximation `P` of an operator, known by the products with its inverse.
///
/// Closures `|operator, r| …` are preconditioners, and so are [`Diagonal`](super::Diagonal) and [`LowRank`](super::LowRank), which
/// learn what they know from products with the operator.
///
/// ```
/// # use std::convert::Infallible;
/// use betty_runtime::linalg::{CgOptions, InnerProductSpace, LinearOperator, preconditioned_conjugate_gradient};
/// # #[derive(Clone)]
/// # struct Column(Vec<f64>);
/// # impl InnerProductSpace for Column {
/// #     type Scalar = f64;
/// #     type Error = Infallible;
/// #     fn dot(&self, other: &Self) -> Result<f64, Infallible> {
/// #         Ok(self.0.iter().zip(&other.0).map(|(x, y)| x * y).sum())
/// #     }
/// #     fn read(scalar: &f64) -> Result<f64, Infallible> { Ok(*scalar) }
/// #     fn scale(&mut self, factor: f64) { self.0.iter_mut().for_each(|x| *x *= factor) }
/// #     fn add_scaled(&mut self, factor: f64, other: &Self) {
/// #         self.0.iter_mut().zip(&other.0).for_each(|(x, y)| *x += factor * y)
/// #     }
/// #     fn zero(&self) -> Self { Column(vec![0.0; self.0.len()]) }
/// # }
///
/// /// diag(1, 10⁶), plus ones everywhere.
/// struct Matrix;
///
/// impl LinearOperator for Matrix {
///     type Vector = Column;
///     type Error = Infallible;
///
///     fn apply(&mut self, x: &Column) -> Result<Column, Infallible> {
///         let sum = x.0[0] + x.0[1];
///         Ok(Column(vec![x.0[0] + sum, 1e6 * x.0[1] + sum]))
///     }
/// }
///
/// let mut jacobi = |_: &mut Matrix, r: &Column| Ok(Column(vec![r.0[0] / 2.0, r.0[1] / (1e6 + 1.0)]));
/// let options = CgOptions { iterations: 10, tolerance: 1e-12, damping: 0.0 };
/// let b = Column(vec![2.0, 1.0]);
/// let solution = preconditioned_conjugate_gradient(&mut Matrix, &mut jacobi, &b, None, &options).unwrap();
/// assert!(solution.outcome.converged);
/// ```
pub trait Preconditioner<A: LinearOperator + ?Sized> {
    /// The product `P⁻¹·r`. Products with the operator may be formed for it; they are not counted as iterations.
    ///
    /// # Errors
    /// When the product cannot be formed.
    fn precondition(&mut self, operator: &mut A, r: &A::Vector) -> Result<A::Vector, A::Error>;
}

impl<A, F> Preconditioner<A> for F
where
    A: LinearOperator + ?Sized,
    F: FnMut(&mut A, &A::Vector) -> Result<A::Vector, A::Error>,
{
    fn precondition(&mut self, operator: &mut A, r: &A::Vector) -> Result<A::Vector, A::Error> {
        self(operator, r)
    }
}

/// How far a preconditioner may be from linear and symmetric, relative to what it answers: rounding errors of 16 bits are smaller.
const ALLOWED: f64 = 1e-2;

/// A preconditioner that is held against what solvers for symmetric operators need: on the first two residuals it has to be linear
/// and symmetric, which costs one product with it, and on each it has to be positive.
pub(super) struct Checked<'p, A: LinearOperator + ?Sized> {
    preconditioner: &'p mut dyn Preconditioner<A>,
    first: Option<(A::Vector, A::Vector)>,
    is_checked: bool,
}

impl<'p, A: LinearOperator + ?Sized> Checked<'p, A> {
    pub(super) fn new(preconditioner: &'p mut dyn Preconditioner<A>) -> Self {
        Checked { preconditioner, first: None, is_checked: false }
    }

    /// `P⁻¹·r`
    pub(super) fn precondition(
        &mut self,
        operator: &mut A,
        r: &A::Vector,
        iteration: usize,
    ) -> Result<A::Vector, SolveError<A::Error>> {
        let z = self.preconditioner.precondition(operator, r).map_err(SolveError::Operator)?;
        if !self.is_checked {
            match self.first.take() {
                None => self.first = Some((r.clone(), z.clone())),
                Some(first) => {
                    self.is_checked = true;
                    self.check(operator, &first, (r, &z), iteration)?;
                }
            }
        }
        Ok(z)
    }

    fn check(
        &mut self,
        operator: &mut A,
        (r_0, z_0): &(A::Vector, A::Vector),
        (r, z): (&A::Vector, &A::Vector),
        iteration: usize,
    ) -> Result<(), SolveError<A::Error>> {
        let norm = |x: &A::Vector| Ok(dot::<A>(x, x, iteration, Quantity::Preconditioned)?.sqrt());
        let (long_0, long) = (norm(r_0)?, norm(r)?);
        if long_0 == 0.0 || long == 0.0 {
            return Ok(());
        }
        let (answer_0, answer) = (norm(z_0)? / long_0, norm(z)? / long);
        let forth = dot::<A>(r, z_0, iteration, Quantity::Preconditioned)?;
        let back = dot::<A>(r_0, z, iteration, Quantity::Preconditioned)?;
        let size = answer_0 + answer;
        if size == 0.0 {
            return Ok(());
        }
        let asymmetry = (forth - back).abs() / (long_0 * long) / size;
        if asymmetry > ALLOWED {
            return Err(SolveError::PreconditionerNotSymmetric { asymmetry });
        }
        let mut sum = r_0.clone();
        sum.combine((1.0 / long_0).into(), (1.0 / long).into(), r);
        let mut rest = self.preconditioner.precondition(operator, &sum).map_err(SolveError::Operator)?;
        rest.add_scaled((-1.0 / long_0).into(), z_0);
        rest.add_scaled((-1.0 / long).into(), z);
        let nonlinearity = norm(&rest)? / size;
        if nonlinearity > ALLOWED {
            return Err(SolveError::PreconditionerNotLinear { nonlinearity });
        }
        Ok(())
    }
}
