//! The inverse of an approximation of low rank, which random products reveal.
//!
//! Hataya and Yamada, *Nyström Method for Accurate and Scalable Implicit Differentiation* (AISTATS 2023, arXiv:2302.09726):
//! with products `Y = A·Ω` of `k` vectors
//!
//! ```text
//! A ≈ Aₖ = Y·(Ωᵀ·Y)⁻¹·Yᵀ        x = (Aₖ + ρI)⁻¹·b,  by inverting matrices of size k only
//! ```
//!
//! which is exact where `A` has rank `k`, and close where the eigenvalues beyond the `k`-th are small against `ρ`. The products
//! do not depend on each other or on `b`: no iteration can diverge.
//!
//! The vectors are orthonormal and uniformly random, which needs no luck with coordinates; and the numerics are those of
//! Frangella, Tropp and Udell, *Randomized Nyström Preconditioning* (2021, arXiv:2110.02820), algorithm 2.1: `A + νI` is
//! sketched for a shift `ν` that covers rounding errors, and `ν` is taken out of the eigenvalues afterwards. With `Q·R` the
//! orthogonal factorisation of `Y + νΩ`,
//!
//! ```text
//! Aₖ = Q·(T − νI)·Qᵀ,  T = R·(Ωᵀ·Y + νI)⁻¹·Rᵀ        x = b/ρ + Q·((T + (ρ − ν)I)⁻¹ − I/ρ)·Qᵀ·b
//! ```

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::dense::eliminate;
use super::jacobi::eigen;
use super::operator::{apply_damped, dot};
use super::orthogonal::{Parts, orthogonalize};
use super::{Coordinates, InnerProductSpace, LinearOperator, Outcome, Quantity, Solution, SolveError};

/// How good an approximation to make, and how much to regularise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NystromOptions {
    /// Rank of the approximation, and number of products; at least 1 (0 counts as 1), at most the number of unknowns (more
    /// counts as these).
    pub rank: usize,
    /// `ρ > 0` in `A + ρI`, the only eigenvalue in directions that the approximation knows nothing about.
    pub damping: f64,
    /// Decides the random vectors: equal seeds give equal vectors.
    pub seed: u64,
}

/// Parts of a symmetric operator differ from their transpose by rounding errors, which are smaller than this.
const ASYMMETRY: f64 = 1e-3;

/// Solves `(Aₖ + ρI)·x = b` for an approximation `Aₖ` of rank `k` of a symmetric operator `A`.
///
/// The residual in the outcome is that of the system with `A` itself, measured with one more product: it tells how good
/// the approximation is.
///
/// # Errors
/// [`SolveError::Undamped`] without damping, [`SolveError::NotPositiveDefinite`] when `A + ρI` curves downwards in the
/// directions seen, [`SolveError::NotSymmetric`], [`SolveError::Singular`] when `ρ` is lost in the rounding errors of `A`,
/// [`SolveError::NotFinite`], [`SolveError::Operator`].
pub fn nystrom<A>(
    operator: &mut A,
    b: &A::Vector,
    options: &NystromOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>>
where
    A: LinearOperator<Vector: Coordinates> + ?Sized,
{
    let NystromOptions { rank, damping, seed } = *options;
    if damping.is_nan() || damping <= 0.0 {
        return Err(SolveError::Undamped { damping });
    }
    let scale = dot::<A>(b, b, 0, Quantity::RightHandSide)?;
    if scale == 0.0 {
        return Ok(Solution { x: b.zero(), outcome: Outcome::TRIVIAL });
    }
    let sketch = Sketch::of(operator, b, rank.clamp(1, b.dimension()), seed)?;
    let rank = sketch.products.len();
    let approximation = sketch.approximate::<A>(damping)?;
    let x = approximation.solve::<A>(b, damping)?;

    let mut r = b.clone();
    r.add_scaled(-1.0, &apply_damped(operator, damping, &x)?);
    let residual = (dot::<A>(&r, &r, rank, Quantity::Residual)? / scale).sqrt();
    Ok(Solution { x, outcome: Outcome { iterations: rank, residual, converged: residual <= f64::EPSILON } })
}

/// What random products tell about an operator.
struct Sketch<V> {
    /// Orthonormal `ω₁ … ωₖ`.
    vectors: Vec<V>,
    /// `A·ω₁ … A·ωₖ`
    products: Vec<V>,
}

impl<V: Coordinates> Sketch<V> {
    /// `like` is any vector of the space.
    fn of<A>(operator: &mut A, like: &V, rank: usize, seed: u64) -> Result<Self, SolveError<A::Error>>
    where
        A: LinearOperator<Vector = V> + ?Sized,
    {
        let mut generator = StdRng::seed_from_u64(seed);
        let mut vectors: Vec<V> = Vec::with_capacity(rank);
        while vectors.len() < rank {
            let coordinates: Vec<f64> = (0..like.dimension()).map(|_| normal(&mut generator)).collect();
            let mut vector = like.with_coordinates(&coordinates);
            let Parts { left, .. } = orthogonalize::<A>(&mut vector, &vectors, 0)?;
            // Normally distributed vectors are independent with probability one; a draw that is not is drawn again.
            if left > 0.0 {
                vector.scale(1.0 / left);
                vectors.push(vector);
            }
        }
        let products: Result<_, _> = vectors.iter().map(|vector| apply_damped(operator, 0.0, vector)).collect();
        Ok(Sketch { vectors, products: products? })
    }

    /// The approximation that this sketch gives, for an operator that is positive definite with this damping.
    fn approximate<A>(self, damping: f64) -> Result<Approximation<V>, SolveError<A::Error>>
    where
        A: LinearOperator<Vector = V> + ?Sized,
    {
        let Sketch { vectors, mut products } = self;
        let rank = vectors.len();
        let (core, asymmetry, norm) = core::<A>(&vectors, &products)?;
        if asymmetry > ASYMMETRY * norm {
            return Err(SolveError::NotSymmetric { asymmetry: asymmetry / norm });
        }
        let (eigenvalues, eigenvectors) = eigen(core);
        let smallest = eigenvalues.iter().copied().fold(f64::INFINITY, f64::min);
        if smallest + damping <= 0.0 {
            return Err(SolveError::NotPositiveDefinite { iteration: rank, curvature: smallest + damping });
        }
        // Of a symmetric operator asymmetry is rounding error; and what curves downwards a little is lifted by twice that.
        let shift = (f64::EPSILON * norm).max(asymmetry).max(-2.0 * smallest);
        for (product, vector) in products.iter_mut().zip(&vectors) {
            product.add_scaled(shift, vector);
        }
        let (basis, triangle) = factorize::<A>(products)?;

        // T is the sum of f·fᵀ over f = R·e/√(θ + ν), for the eigenvectors e of ΩᵀY and their eigenvalues θ.
        let mut inner = vec![vec![0.0; rank]; rank];
        for (eigenvalue, eigenvector) in eigenvalues.iter().zip(&eigenvectors) {
            // Not so only if all products are 0.
            if eigenvalue + shift <= 0.0 {
                continue;
            }
            let mut factor = vec![0.0; rank];
            for (column, weight) in triangle.iter().zip(eigenvector) {
                factor.iter_mut().zip(column).for_each(|(sum, entry)| *sum += entry * weight);
            }
            for (column, left) in inner.iter_mut().zip(&factor) {
                let left = left / (eigenvalue + shift);
                column.iter_mut().zip(&factor).for_each(|(sum, right)| *sum += left * right);
            }
        }
        for (i, column) in inner.iter_mut().enumerate() {
            column[i] -= shift;
        }
        Ok(Approximation { basis, inner })
    }
}

/// `Q·B·Qᵀ`
struct Approximation<V> {
    /// The orthonormal columns of `Q`.
    basis: Vec<V>,
    /// The columns of `B`.
    inner: Vec<Vec<f64>>,
}

impl<V: InnerProductSpace> Approximation<V> {
    /// `(Q·B·Qᵀ + ρI)⁻¹·b`
    fn solve<A>(mut self, b: &V, damping: f64) -> Result<V, SolveError<A::Error>>
    where
        A: LinearOperator<Vector = V> + ?Sized,
    {
        let rank = self.basis.len();
        let parts = self.basis.iter().map(|q| dot::<A>(q, b, rank, Quantity::Entry));
        let parts: Vec<f64> = parts.collect::<Result<_, _>>()?;
        for (i, column) in self.inner.iter_mut().enumerate() {
            column[i] += damping;
        }
        let mut solved = parts.clone();
        eliminate(&mut self.inner, &mut solved)?;
        let mut x = b.clone();
        x.scale(1.0 / damping);
        for ((q, solved), part) in self.basis.iter().zip(solved).zip(parts) {
            x.add_scaled(solved - part / damping, q);
        }
        Ok(x)
    }
}

/// The symmetric part of `Ωᵀ·Y`, the norm of what is not symmetric, and that of `Y`.
type Core = (Vec<Vec<f64>>, f64, f64);

fn core<A: LinearOperator + ?Sized>(
    vectors: &[A::Vector],
    products: &[A::Vector],
) -> Result<Core, SolveError<A::Error>> {
    let rank = vectors.len();
    let mut square = 0.0;
    let mut entries: Vec<Vec<f64>> = Vec::with_capacity(rank);
    for product in products {
        square += dot::<A>(product, product, rank, Quantity::Entry)?;
        let column = vectors.iter().map(|vector| dot::<A>(vector, product, rank, Quantity::Entry));
        entries.push(column.collect::<Result<_, _>>()?);
    }
    let matrix = |of: fn(f64, f64) -> f64| -> Vec<Vec<f64>> {
        (0..rank).map(|i| (0..rank).map(|j| of(entries[i][j], entries[j][i])).collect()).collect()
    };
    let asymmetry = matrix(|x, y| x - y).concat().iter().map(|gap| gap * gap).sum::<f64>().sqrt();
    Ok((matrix(|x, y| 0.5 * (x + y)), asymmetry, square.sqrt()))
}

/// Orthonormal vectors, and the columns of the triangle that makes the given ones of them.
type Factors<V> = (Vec<V>, Vec<Vec<f64>>);

fn factorize<A: LinearOperator + ?Sized>(vectors: Vec<A::Vector>) -> Result<Factors<A::Vector>, SolveError<A::Error>> {
    let rank = vectors.len();
    let mut basis = Vec::with_capacity(rank);
    let mut triangle = Vec::with_capacity(rank);
    for mut vector in vectors {
        let Parts { along: mut column, left, .. } = orthogonalize::<A>(&mut vector, &basis, rank)?;
        column.push(left);
        column.resize(rank, 0.0);
        triangle.push(column);
        // A vector that depends on those before it adds nothing.
        if left > 0.0 {
            vector.scale(1.0 / left);
        } else {
            vector = vector.zero();
        }
        basis.push(vector);
    }
    Ok((basis, triangle))
}

/// A normally distributed number (Box and Muller, 1958).
fn normal(generator: &mut StdRng) -> f64 {
    // 1 − u lies in (0, 1], where the logarithm is finite.
    let (u, v): (f64, f64) = (generator.random(), generator.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
