//! A preconditioner that knows the large eigenvalues of an operator, from a Nyström approximation.
//!
//! Frangella, Tropp and Udell, *Randomized Nyström Preconditioning* (2021, arXiv:2110.02820): with the eigenvalues `λ` and
//! eigenvectors `U` of an approximation of rank `k`, and the smallest of them, `λₖ`,
//!
//! ```text
//! P⁻¹ = (λₖ + δ)·U·(Λ + δI)⁻¹·Uᵀ + (I − U·Uᵀ)
//! ```
//!
//! brings the known eigenvalues of `A + δI` down to `λₖ + δ` and leaves the others alone. Where `k` is twice the number of
//! eigenvalues that are not small against `δ`, conjugate gradients take a number of iterations that does not depend on the
//! condition of `A` (their theorem 5.1).
//!
//! Where products curve downwards, so that minimal residuals are called for, the approximation is that of Rayleigh and Ritz in the
//! span of the products, which takes as many products again, as far as it finds eigenvalues, and `|λ + δ|` stands for `λ + δ`: what is
//! left then has eigenvalues of both signs, but of one size.

use super::nystrom::{Approximation, Core, Eigenpairs, orthonormal};
use super::operator::{apply_damped, dot, inner_products};
use super::orthogonal::{Parts, orthogonalize};
use super::{Coordinates, InnerProductSpace, LinearOperator, NystromOptions, Preconditioner, Quantity, SolveError};

/// Eigenvalues smaller than this, relative to the largest, are rounding errors of the matrix that they were read from.
const NEGLIGIBLE: f64 = 1e-14;

/// A vector with less than this of its length outside the span of others adds rounding errors to it.
const DEPENDENT: f64 = 1e-10;

/// What of an eigenvalue the smallest one that counts may be at the least.
const SMALLEST: f64 = 1e-12;

/// The identity, but for what is known of an operator.
#[derive(Clone, Debug)]
pub struct LowRank<V> {
    /// Orthonormal.
    vectors: Vec<V>,
    /// By how much `P⁻¹` along each differs from 1; above −1.
    weights: Vec<f64>,
}

impl<V: Coordinates> LowRank<V> {
    /// Learns about `A + δI` from random products on the space that `like` lives in: `rank` of them, and as many again where `A`
    /// curves downwards.
    ///
    /// # Errors
    /// [`SolveError::SketchNotSymmetric`], [`SolveError::NotFinite`], [`SolveError::Operator`].
    pub fn of<A>(operator: &mut A, like: &V, options: &NystromOptions) -> Result<Self, SolveError<A::Error>>
    where
        A: LinearOperator<Vector = V> + ?Sized,
    {
        let NystromOptions { rank, damping, seed } = *options;
        if like.dimension() == 0 {
            return Ok(LowRank { vectors: Vec::new(), weights: Vec::new() });
        }
        let rank = rank.clamp(1, like.dimension());
        let probes = orthonormal::<A>(like, rank, seed)?;
        let products = all_products(operator, &probes)?;
        let core = Core::of::<A>(&probes, &products).map_err(of_a_preconditioner)?;
        let known = if core.curves_downwards() {
            let values = vec![0.0; rank];
            let basis = independent::<A>(Eigenpairs { values, vectors: products })?.vectors;
            let products = all_products(operator, &basis)?;
            let pairs = Core::of::<A>(&basis, &products).map_err(of_a_preconditioner)?.into_eigen();
            trusted::<A>(pairs, &basis, &products)?
        } else {
            Approximation::from_sketch(probes, products, core).eigen::<A>()?
        };
        Self::new::<A>(known, damping)
    }

    /// What is known of these eigenvalues and their vectors, which are nearly orthonormal.
    fn new<A>(known: Eigenpairs<V>, damping: f64) -> Result<Self, SolveError<A::Error>>
    where
        A: LinearOperator<Vector = V> + ?Sized,
    {
        let sizes = known.values.into_iter().map(|value| (value + damping).abs());
        let mut known: Vec<(f64, V)> = sizes.zip(known.vectors).collect();
        // The vectors of large eigenvalues come first, because others are made orthogonal to them.
        known.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let largest = known.first().map_or(0.0, |(size, _)| *size);
        known.retain(|(size, _)| *size > NEGLIGIBLE * largest);
        let (values, vectors) = known.into_iter().unzip();
        let Eigenpairs { values: sizes, vectors } = independent::<A>(Eigenpairs { values, vectors })?;
        let smallest = sizes.last().map_or(0.0, |size| size.max(SMALLEST * largest));
        // As far as the vectors are from orthonormal, P⁻¹ may be from what is meant; it shall stay positive by a margin.
        let gram = inner_products::<A>(&vectors, &vectors, 0)?;
        let gap = |i: usize, j: usize| (gram[i][j] - f64::from(u8::from(i == j))).powi(2);
        let n = vectors.len();
        let error = (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| gap(i, j)).sum::<f64>().sqrt();
        let least = (8.0 * error).max(8.0 * f64::EPSILON);
        let weights = sizes.iter().map(|size| (smallest / size).clamp(least.min(1.0), 1.0) - 1.0).collect();
        Ok(LowRank { vectors, weights })
    }
}

/// A solver that preconditions need not be one that needs symmetry.
fn of_a_preconditioner<E>(error: SolveError<E>) -> SolveError<E> {
    match error {
        SolveError::NotSymmetric { asymmetry } => SolveError::SketchNotSymmetric { asymmetry },
        other => other,
    }
}

fn all_products<A: LinearOperator + ?Sized>(
    operator: &mut A,
    vectors: &[A::Vector],
) -> Result<Vec<A::Vector>, SolveError<A::Error>> {
    vectors.iter().map(|vector| apply_damped(operator, 0.0, vector)).collect()
}

/// Those pairs of Rayleigh and Ritz that belong to an eigenvalue: `‖A·u − θ·u‖ ≤ |θ|/2`. Of both signs, others may be zero as a
/// mean of large ones.
fn trusted<A: LinearOperator + ?Sized>(
    (values, weights): (Vec<f64>, Vec<Vec<f64>>),
    basis: &[A::Vector],
    products: &[A::Vector],
) -> Result<Eigenpairs<A::Vector>, SolveError<A::Error>> {
    let (vectors, images) = (A::Vector::combinations(&weights, basis), A::Vector::combinations(&weights, products));
    let mut pairs = Eigenpairs { values: Vec::new(), vectors: Vec::new() };
    for ((value, vector), mut rest) in values.into_iter().zip(vectors).zip(images) {
        rest.add_scaled((-value).into(), &vector);
        if dot::<A>(&rest, &rest, 0, Quantity::Entry)?.sqrt() <= 0.5 * value.abs() {
            pairs.values.push(value);
            pairs.vectors.push(vector);
        }
    }
    Ok(pairs)
}

/// The same with orthonormal vectors, without those that depend on others before them.
fn independent<A: LinearOperator + ?Sized>(
    all: Eigenpairs<A::Vector>,
) -> Result<Eigenpairs<A::Vector>, SolveError<A::Error>> {
    let (mut values, mut vectors) = (Vec::new(), Vec::new());
    for (value, mut vector) in all.values.into_iter().zip(all.vectors) {
        let Parts { before, left, is_dependent, .. } = orthogonalize::<A>(&mut vector, &vectors, 0)?;
        if left > DEPENDENT * before && (vectors.is_empty() || !is_dependent) {
            vector.scale((1.0 / left).into());
            values.push(value);
            vectors.push(vector);
        }
    }
    Ok(Eigenpairs { values, vectors })
}

impl<A: LinearOperator + ?Sized> Preconditioner<A> for LowRank<A::Vector> {
    fn precondition(&mut self, _operator: &mut A, r: &A::Vector) -> Result<A::Vector, A::Error> {
        let mut z = r.clone();
        if self.vectors.is_empty() {
            return Ok(z);
        }
        z.add_scaled((1.0).into(), &A::Vector::along(&self.vectors, &self.weights, r)?);
        Ok(z)
    }
}
