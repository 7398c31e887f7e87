//! Preconditioners: approximations of a system's inverse that a solver applies once an iteration.
//!
//! With `P ≈ A + δI` whose inverse is cheap, a solver works in the Krylov space of `P⁻¹·(A + δI)`, whose eigenvalues lie closer
//! together (Saad, *Iterative Methods for Sparse Linear Systems*, chapter 9). The system that is solved, and the residual that is
//! told, stay those of `A + δI`: a poor preconditioner costs iterations, never the answer.

use super::operator::{dot, unread};
use super::{InnerProductSpace, LinearOperator, Quantity, Scalar as _, SolveError};

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

    /// As [`precondition`](Self::precondition), with nothing read: what the first two residuals tell is returned with the second one.
    pub(super) fn precondition_unread(
        &mut self,
        operator: &mut A,
        r: &A::Vector,
    ) -> Result<Answer<A>, SolveError<A::Error>> {
        let z = self.preconditioner.precondition(operator, r).map_err(SolveError::Operator)?;
        if self.is_checked {
            return Ok((z, None));
        }
        let Some((r_0, z_0)) = self.first.take() else {
            self.first = Some((r.clone(), z.clone()));
            return Ok((z, None));
        };
        self.is_checked = true;
        let (long_0, long) = (unread::<A>(&r_0, &r_0)?, unread::<A>(r, r)?);
        let (answer_0, answer) = (unread::<A>(&z_0, &z_0)?, unread::<A>(&z, &z)?);
        let (forth, back) = (unread::<A>(r, &z_0)?, unread::<A>(&r_0, &z)?);
        let one = || NumberOf::<A>::from(1.0);
        let rest = self.rest(operator, (&r_0, &z_0), (r, &z), (one() / long_0.sqrt(), one() / long.sqrt()))?;
        let rest = unread::<A>(&rest, &rest)?;
        Ok((z, Some([long_0, long, answer_0, answer, forth, back, rest])))
    }

    fn check(
        &mut self,
        operator: &mut A,
        (r_0, z_0): &(A::Vector, A::Vector),
        (r, z): (&A::Vector, &A::Vector),
        iteration: usize,
    ) -> Result<(), SolveError<A::Error>> {
        let product = |x: &A::Vector, y: &A::Vector| dot::<A>(x, y, iteration, Quantity::Preconditioned);
        let (long_0, long) = (product(r_0, r_0)?, product(r, r)?);
        if long_0 == 0.0 || long == 0.0 {
            return Ok(());
        }
        let (answer_0, answer) = (product(z_0, z_0)?, product(z, z)?);
        let told = Told { long_0, long, answer_0, answer, forth: product(r, z_0)?, back: product(r_0, z)? };
        let size = told.size();
        if size == 0.0 {
            return Ok(());
        }
        told.check_symmetry::<A::Error>()?;
        let scales = ((1.0 / long_0.sqrt()).into(), (1.0 / long.sqrt()).into());
        let rest = self.rest(operator, (r_0, z_0), (r, z), scales)?;
        told.check_linearity(product(&rest, &rest)?)
    }

    /// What the sum of two residuals, scaled like this, is preconditioned to beside what each one is.
    fn rest(
        &mut self,
        operator: &mut A,
        (r_0, z_0): (&A::Vector, &A::Vector),
        (r, z): (&A::Vector, &A::Vector),
        (scale_0, scale): (NumberOf<A>, NumberOf<A>),
    ) -> Result<A::Vector, SolveError<A::Error>> {
        let mut sum = r_0.clone();
        sum.combine(scale_0.clone(), scale.clone(), r);
        let mut rest = self.preconditioner.precondition(operator, &sum).map_err(SolveError::Operator)?;
        rest.add_scaled(-scale_0, z_0);
        rest.add_scaled(-scale, z);
        Ok(rest)
    }
}

type NumberOf<A> = <<A as LinearOperator>::Vector as InnerProductSpace>::Scalar;

/// `P⁻¹·r`, and with the second residual what both tell.
type Answer<A> = (<A as LinearOperator>::Vector, Option<[NumberOf<A>; Told::NUMBERS]>);

/// What two residuals `r₀` and `r` tell of a preconditioner that makes `z₀` and `z` of them.
#[derive(Clone, Copy)]
pub(super) struct Told {
    /// `⟨r₀, r₀⟩`
    long_0: f64,
    /// `⟨r, r⟩`
    long: f64,
    /// `⟨z₀, z₀⟩`
    answer_0: f64,
    /// `⟨z, z⟩`
    answer: f64,
    /// `⟨r, z₀⟩`
    forth: f64,
    /// `⟨r₀, z⟩`
    back: f64,
}

impl Told {
    /// With the square of what the sum of both is preconditioned to beside what each one is.
    pub(super) const NUMBERS: usize = 7;

    /// Whether numbers that were read say that the preconditioner is linear and symmetric, without a doubt.
    pub(super) fn is_fine([long_0, long, answer_0, answer, forth, back, rest]: [f64; Self::NUMBERS]) -> bool {
        let told = Told { long_0, long, answer_0, answer, forth, back };
        let is_finite = [long_0, long, answer_0, answer, forth, back].iter().all(|number| number.is_finite());
        if !is_finite || long_0 == 0.0 || long == 0.0 || told.size() == 0.0 {
            return is_finite;
        }
        let checked: Result<(), SolveError<()>> = told.check_symmetry().and_then(|()| told.check_linearity(rest));
        rest.is_finite() && checked.is_ok()
    }

    fn size(&self) -> f64 {
        self.answer_0.sqrt() / self.long_0.sqrt() + self.answer.sqrt() / self.long.sqrt()
    }

    fn check_symmetry<E>(&self) -> Result<(), SolveError<E>> {
        let asymmetry = (self.forth - self.back).abs() / (self.long_0.sqrt() * self.long.sqrt()) / self.size();
        if asymmetry > ALLOWED { Err(SolveError::PreconditionerNotSymmetric { asymmetry }) } else { Ok(()) }
    }

    /// `rest` being the square of what the sum of both is preconditioned to beside what each one is.
    fn check_linearity<E>(&self, rest: f64) -> Result<(), SolveError<E>> {
        let nonlinearity = rest.sqrt() / self.size();
        if nonlinearity > ALLOWED { Err(SolveError::PreconditionerNotLinear { nonlinearity }) } else { Ok(()) }
    }
}

/// The largest `⟨r, z⟩/⟨r, r⟩` so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Positive(f64);

impl Positive {
    /// Refuses a preconditioner that is not positive along a residual.
    pub(super) fn check<E>(&mut self, rz: f64, square: f64, iteration: usize) -> Result<(), SolveError<E>> {
        let curvature = rz / square;
        self.0 = self.0.max(curvature);
        if curvature > f64::EPSILON * self.0 {
            return Ok(());
        }
        Err(SolveError::PreconditionerNotPositiveDefinite { iteration, curvature })
    }
}
