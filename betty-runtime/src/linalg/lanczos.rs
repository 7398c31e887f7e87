//! Lanczos's process: a symmetric operator as it looks in the Krylov space of a vector.
//!
//! Lanczos, *An Iteration Method for the Solution of the Eigenvalue Problem of Linear Differential and Integral Operators*
//! (1950). In an orthonormal basis `V` of the Krylov space of a vector the operator is `T = Vᵀ·A·V`, a tridiagonal matrix,
//! and all columns of `A·V − V·T` vanish but the last, whose length is `β`. An eigenvalue `θ` of `T`, with an eigenvector
//! that ends in `s`, tells of those of `A` (Parlett, *The Symmetric Eigenvalue Problem*, §11.3 and §13.2)
//!
//! ```text
//! λ_min ≤ θ ≤ λ_max        |λ − θ| ≤ β·|s|  for one of them
//! ```
//!
//! up to a few roundings of the largest `|θ|`, which are added to the bound, and the outermost `θ` reach the ends of the spectrum
//! long before the basis is complete. Every new vector is made orthogonal to all before it, without which rounding errors would bring
//! eigenvalues back that have been found.

use super::operator::{apply_damped, dot};
use super::orthogonal::{Parts, orthogonalize};
use super::rounded::negligible;
use super::symmetric::eigen;
use super::{InnerProductSpace, LinearOperator, Quantity, SolveError};

/// An eigenvalue of a symmetric operator, as a Krylov space shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RitzValue {
    /// The estimate. It lies between the smallest and the largest eigenvalue.
    pub value: f64,
    /// An eigenvalue of a symmetric operator is this close to the estimate: what is left of the residual, and what rounding may make of
    /// the products.
    pub error: f64,
    /// The square of the part that the start, scaled to length 1, has along it; over all estimates they add up to 1.
    pub weight: f64,
}

/// A symmetric operator in the Krylov space of a vector.
#[derive(Clone, Debug)]
pub struct Krylov<V> {
    basis: Vec<V>,
    /// Estimates, in no order.
    values: Vec<RitzValue>,
    /// The eigenvector of each estimate, in the basis.
    coordinates: Vec<Vec<f64>>,
    /// How far rounding errors may move an estimate.
    pub(super) rounding: f64,
}

impl<V: InnerProductSpace> Krylov<V> {
    /// The estimates of eigenvalues, one for each product, in no order.
    pub fn values(&self) -> &[RitzValue] {
        &self.values
    }

    /// Vectors of length 1 that are nearly eigenvectors for these estimates, by their numbers: `‖A·x − θ·x‖` is the estimate's
    /// error.
    ///
    /// # Panics
    /// When there is no estimate of such a number.
    pub fn vectors(&self, numbers: &[usize]) -> Vec<V> {
        let weights: Vec<Vec<f64>> = numbers.iter().map(|&number| self.coordinates[number].clone()).collect();
        V::combinations(&weights, &self.basis[..self.values.len()])
    }
}

/// The operator `A + damping·I` in the Krylov space of `start`, from at most this many products (at least one is formed); of
/// `start = 0` it has no dimension.
///
/// The products' vectors are kept, one each. Of an operator that is not symmetric the values are those of its symmetric part,
/// and the errors mean nothing.
///
/// # Errors
/// [`SolveError::NotFinite`], [`SolveError::Operator`].
pub fn lanczos<A: LinearOperator + ?Sized>(
    operator: &mut A,
    damping: f64,
    start: &A::Vector,
    products: usize,
) -> Result<Krylov<A::Vector>, SolveError<A::Error>> {
    let length = dot::<A>(start, start, 0, Quantity::RightHandSide)?.sqrt();
    if length == 0.0 {
        return Ok(Krylov { basis: Vec::new(), values: Vec::new(), coordinates: Vec::new(), rounding: 0.0 });
    }
    let mut basis = vec![start.clone()];
    basis[0].scale((1.0 / length).into());
    // The columns of the projected matrix down to the diagonal, and the entries below it.
    let (mut columns, mut below) = (Vec::new(), Vec::new());
    while columns.len() < products.max(1) {
        let mut next = apply_damped(operator, damping, &basis[columns.len()])?;
        let Parts { along, left, is_dependent, .. } = orthogonalize::<A>(&mut next, &basis, columns.len() + 1)?;
        columns.push(along);
        below.push(if is_dependent { 0.0 } else { left });
        if is_dependent || left == 0.0 {
            break;
        }
        next.scale((1.0 / left).into());
        basis.push(next);
    }
    let n = columns.len();
    let entry = |i: usize, j: usize| match i {
        _ if i <= j => columns[j][i],
        _ if i == j + 1 => below[j],
        _ => 0.0,
    };
    let symmetric = |i: usize, j: usize| 0.5 * (entry(i, j) + entry(j, i));
    let (values, coordinates) = eigen((0..n).map(|i| (0..n).map(|j| symmetric(i, j)).collect()).collect());
    // A product is off by a few roundings of the largest eigenvalue that it shows, whichever vector it is of.
    let rounding = negligible(values.iter().fold(0.0, |size: f64, value| size.max(value.abs())), start);
    let estimate = |(&value, vector): (&f64, &Vec<f64>)| RitzValue {
        value,
        error: below[n - 1] * vector[n - 1].abs() + rounding,
        weight: vector[0] * vector[0],
    };
    let values = values.iter().zip(&coordinates).map(estimate).collect();
    Ok(Krylov { basis, values, coordinates, rounding })
}
