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
//! sketched for a shift `ν` that covers rounding errors, and `ν` is taken out of the eigenvalues afterwards. With the
//! eigenvalues `θ` and eigenvectors `E` of `Ωᵀ·Y`, and the eigenvalues `σ` and eigenvectors `V` of `Bᵀ·B`,
//!
//! ```text
//! B = (Y + νΩ)·E·(θ + ν)^(−½)        Aₖ = B·Bᵀ − νP,  P the projection onto the span of B
//! x = (b − B·V·w·Vᵀ·Bᵀ·b)/ρ,  w = (σ − ν) / (σ·(σ − ν + ρ))
//! ```
//!
//! Where `ρ` is small beside the eigenvalues, almost all of `b/ρ` cancels in that, and leaves roundings of it that are larger than
//! `x`. With the eigenvectors `U = B·V·σ^(−½)` nothing has to cancel: what is known of `b` is solved for and taken out, and so again
//! with what roundings have left, until only what is not known is divided by `ρ`:
//!
//! ```text
//! x ← x + U·(σ − ν + ρ)⁻¹·Uᵀ·b,  b ← b − U·Uᵀ·b,  and in the end  x ← x + b/ρ
//! ```
//!
//! All that grows with the number of unknowns are inner products between two lists of vectors, and combinations of a list:
//! products of matrices, where the space has them.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

use super::cholesky::{Dependent, whitening};
use super::definite::Suspect;
use super::operator::{apply_damped, dot, inner_products, read_all, unread};
use super::symmetric::eigen;
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

/// Parts of a symmetric operator differ from their transpose by rounding errors, which are smaller than this: where products are
/// rounded to 16 bits, by up to 2e-3 of systems of ten unknowns.
const ASYMMETRY: f64 = 3e-2;

/// Vectors with less independence than this are not orthonormal up to rounding errors after one pass.
const INDEPENDENT: f64 = 1e-2;

/// Roundings of `b/ρ` that are larger than this part of the smallest `x` that there may be are not left to cancel.
const CANCELS: f64 = 1e-4;

/// How often what is known is taken out of a right-hand side. Eigenvectors are orthonormal up to a part of about 10⁻⁴, where
/// eigenvalues are as small as roundings of products: three times that is nothing.
const PASSES: usize = 3;

/// Solves `(Aₖ + ρI)·x = b` for an approximation `Aₖ` of rank `k` of a symmetric operator `A`.
///
/// The residual in the outcome is that of the system with `A` itself, measured with one more product: it tells how good
/// the approximation is.
///
/// # Errors
/// [`SolveError::Undamped`] without damping, [`SolveError::NotPositiveDefinite`] when `A + ρI` curves downwards in the
/// directions seen, [`SolveError::NotSymmetric`], [`SolveError::NotFinite`], [`SolveError::Operator`].
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
    let rank = rank.clamp(1, b.dimension());
    let vectors = orthonormal::<A>(b, rank, seed)?;
    let products: Result<_, _> = vectors.iter().map(|vector| apply_damped(operator, 0.0, vector)).collect();
    let products: Vec<A::Vector> = products?;
    let core = Core::of::<A>(&vectors, &products)?;
    if core.smallest + damping <= 0.0 {
        let suspect = Suspect { damping, start: b, iterations: rank };
        return Err(suspect.not_positive_definite(operator, rank, core.smallest + damping));
    }
    let approximation = Approximation::from_sketch(vectors, products, core);
    let x = approximation.solve::<A>(b, damping)?;

    let mut r = b.clone();
    r.add_scaled((-1.0).into(), &apply_damped(operator, damping, &x)?);
    let residual = (dot::<A>(&r, &r, rank, Quantity::Residual)? / scale).sqrt();
    Ok(Solution { x, outcome: Outcome { iterations: rank, residual, converged: residual <= f64::EPSILON } })
}

/// Orthonormal vectors of the space that `like` lives in, with directions that are uniformly distributed.
pub(super) fn orthonormal<A>(like: &A::Vector, rank: usize, seed: u64) -> Result<Vec<A::Vector>, SolveError<A::Error>>
where
    A: LinearOperator<Vector: Coordinates> + ?Sized,
{
    let mut generator = StdRng::seed_from_u64(seed);
    let mut draw = || {
        like.with_coordinates(
            &(0..like.dimension()).map(|_| StandardNormal.sample(&mut generator)).collect::<Vec<f64>>(),
        )
    };
    let mut vectors: Vec<A::Vector> = (0..rank).map(|_| draw()).collect();
    loop {
        let squares = inner_products::<A>(&vectors, &vectors, 0)?;
        match whitening(&squares) {
            Ok((weights, independence)) => {
                vectors = A::Vector::combinations(&weights, &vectors);
                if independence > INDEPENDENT {
                    return Ok(vectors);
                }
            }
            // Normally distributed vectors are independent with probability one; one that hardly is is drawn again.
            Err(Dependent(index)) => vectors[index] = draw(),
        }
    }
}

/// `Aₖ = B·Bᵀ − νP`
pub(super) struct Approximation<V> {
    /// The columns of `B`.
    factor: Vec<V>,
    /// `ν`
    shift: f64,
    /// What no eigenvalue of `Bᵀ·B` is smaller than: the smallest of `Ωᵀ·Y + νI`.
    smallest: f64,
    /// The norm of what it was made from.
    norm: f64,
}

impl<V: InnerProductSpace> Approximation<V> {
    /// The approximation from orthonormal vectors and their products with an operator.
    pub(super) fn from_sketch(vectors: Vec<V>, mut products: Vec<V>, core: Core) -> Self {
        let Core { eigenvalues, eigenvectors, smallest, asymmetry, norm } = core;
        // Of a symmetric operator asymmetry is rounding error; and what curves downwards a little is lifted by twice that.
        let shift = (f64::EPSILON * norm).max(asymmetry).max(-2.0 * smallest);
        let smallest = smallest + shift;
        // Not so only if all products are 0.
        if smallest <= 0.0 {
            return Approximation { factor: Vec::new(), shift, smallest, norm };
        }
        for (product, vector) in products.iter_mut().zip(vectors) {
            product.add_scaled(shift.into(), &vector);
        }
        let weights = eigenvalues.into_iter().zip(eigenvectors).map(|(eigenvalue, mut vector)| {
            let factor = (eigenvalue + shift).sqrt().recip();
            vector.iter_mut().for_each(|entry| *entry *= factor);
            vector
        });
        Approximation { factor: V::combinations(&weights.collect::<Vec<_>>(), &products), shift, smallest, norm }
    }

    /// `(Aₖ + ρI)⁻¹·b`
    fn solve<A>(&self, b: &V, damping: f64) -> Result<V, SolveError<A::Error>>
    where
        A: LinearOperator<Vector = V> + ?Sized,
    {
        let Approximation { factor, shift, smallest, norm } = self;
        if b.rounding() * norm > CANCELS * damping {
            return self.solve_apart::<A>(b, damping);
        }
        let rank = factor.len();
        let mut x = b.clone();
        x.scale((1.0 / damping).into());
        if rank == 0 {
            return Ok(x);
        }
        let parts = inner_products::<A>(factor, std::slice::from_ref(b), rank)?;
        let (eigenvalues, eigenvectors) = eigen(inner_products::<A>(factor, factor, rank)?);
        let mut along = vec![0.0; rank];
        for (eigenvalue, eigenvector) in eigenvalues.into_iter().zip(&eigenvectors) {
            let eigenvalue = eigenvalue.max(*smallest);
            let known = eigenvalue - shift;
            let part: f64 = eigenvector.iter().zip(&parts).map(|(entry, part)| entry * part[0]).sum();
            let weight = known / (eigenvalue * (known + damping)) * part;
            along.iter_mut().zip(eigenvector).for_each(|(sum, entry)| *sum += weight * entry);
        }
        V::combinations(&[along], factor).iter().for_each(|known| x.add_scaled((-1.0 / damping).into(), known));
        Ok(x)
    }

    /// The same, with what is known and what is not solved for apart.
    fn solve_apart<A>(&self, b: &V, damping: f64) -> Result<V, SolveError<A::Error>>
    where
        A: LinearOperator<Vector = V> + ?Sized,
    {
        let failed = |error: V::Error| SolveError::Operator(error.into());
        let Eigenpairs { values, vectors } = self.eigen::<A>()?;
        let (mut x, mut rest) = (b.zero(), b.clone());
        if !vectors.is_empty() {
            let inverses: Vec<f64> = values.iter().map(|value| (value + damping).recip()).collect();
            let ones = vec![1.0; vectors.len()];
            let parts: Vec<f64> =
                inner_products::<A>(&vectors, std::slice::from_ref(b), vectors.len())?.into_iter().flatten().collect();
            let solved = parts.iter().zip(&inverses).map(|(part, inverse)| part * inverse).collect();
            V::combinations(&[solved], &vectors).iter().for_each(|solved| x.add_scaled((1.0).into(), solved));
            V::combinations(&[parts], &vectors).iter().for_each(|known| rest.add_scaled((-1.0).into(), known));
            for _ in 1..PASSES {
                let solved = V::along(&vectors, &inverses, &rest).map_err(failed)?;
                let known = V::along(&vectors, &ones, &rest).map_err(failed)?;
                x.add_scaled((1.0).into(), &solved);
                rest.add_scaled((-1.0).into(), &known);
            }
        }
        x.add_scaled((1.0 / damping).into(), &rest);
        Ok(x)
    }
}

impl<V: InnerProductSpace> Approximation<V> {
    /// The eigenvalues of `Aₖ`, and a vector of length about 1 for each.
    pub(super) fn eigen<A>(&self) -> Result<Eigenpairs<V>, SolveError<A::Error>>
    where
        A: LinearOperator<Vector = V> + ?Sized,
    {
        let Approximation { factor, shift, smallest, .. } = self;
        if factor.is_empty() {
            return Ok(Eigenpairs { values: Vec::new(), vectors: Vec::new() });
        }
        let (squares, mut weights) = eigen(inner_products::<A>(factor, factor, factor.len())?);
        let squares: Vec<f64> = squares.into_iter().map(|square| square.max(*smallest)).collect();
        for (weights, square) in weights.iter_mut().zip(&squares) {
            weights.iter_mut().for_each(|weight| *weight /= square.sqrt());
        }
        let values = squares.iter().map(|square| square - shift).collect();
        Ok(Eigenpairs { values, vectors: V::combinations(&weights, factor) })
    }
}

/// Eigenvalues, and a vector for each.
pub(super) struct Eigenpairs<V> {
    pub(super) values: Vec<f64>,
    pub(super) vectors: Vec<V>,
}

/// What an operator does within the span of some vectors.
pub(super) struct Core {
    /// Those of the symmetric part of `Ωᵀ·Y`.
    eigenvalues: Vec<f64>,
    eigenvectors: Vec<Vec<f64>>,
    /// The smallest eigenvalue.
    smallest: f64,
    /// The norm of what is not symmetric.
    asymmetry: f64,
    /// The norm of `Y`.
    norm: f64,
}

impl Core {
    pub(super) fn of<A: LinearOperator + ?Sized>(
        vectors: &[A::Vector],
        products: &[A::Vector],
    ) -> Result<Self, SolveError<A::Error>> {
        let rank = vectors.len();
        let squares: Result<Vec<_>, _> = products.iter().map(|product| unread::<A>(product, product)).collect();
        let square: f64 = read_all::<A>(&squares?, rank, Quantity::Entry)?.into_iter().sum();
        let entries = inner_products::<A>(vectors, products, rank)?;
        let matrix = |of: fn(f64, f64) -> f64| -> Vec<Vec<f64>> {
            (0..rank).map(|i| (0..rank).map(|j| of(entries[i][j], entries[j][i])).collect()).collect()
        };
        let asymmetry = matrix(|x, y| x - y).concat().iter().map(|gap| gap * gap).sum::<f64>().sqrt();
        let norm = square.sqrt();
        if asymmetry > ASYMMETRY * norm {
            return Err(SolveError::NotSymmetric { asymmetry: asymmetry / norm });
        }
        let (eigenvalues, eigenvectors) = eigen(matrix(|x, y| 0.5 * (x + y)));
        let smallest = eigenvalues.iter().copied().fold(f64::INFINITY, f64::min);
        Ok(Core { eigenvalues, eigenvectors, smallest, asymmetry, norm })
    }

    /// Whether the operator curves downwards, by more than rounding errors of its products.
    pub(super) fn curves_downwards(&self) -> bool {
        self.smallest < -2.0 * self.asymmetry.max(f64::EPSILON * self.norm)
    }

    /// The eigenvalues, and for each an eigenvector in the basis.
    pub(super) fn into_eigen(self) -> (Vec<f64>, Vec<Vec<f64>>) {
        (self.eigenvalues, self.eigenvectors)
    }
}
