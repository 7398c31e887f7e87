//! The interfaces every solver is written against.

use super::{Quantity, Scalar, SolveError};

/// A real vector space with an inner product, owned by value.
pub trait InnerProductSpace: Clone {
    /// What inner products are: `f64` where they are computed on the host.
    type Scalar: Scalar;
    /// Why a number could not be read off a vector (a device failed, say).
    type Error;

    /// The inner product `⟨self, other⟩`.
    ///
    /// # Errors
    /// Where the product is read at once: when it cannot be.
    fn dot(&self, other: &Self) -> Result<Self::Scalar, Self::Error>;

    /// A number of the space on the host.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(scalar: &Self::Scalar) -> Result<f64, Self::Error>;

    /// Several numbers of the space on the host, at once where that takes less than one by one.
    ///
    /// # Errors
    /// When one of them cannot be read.
    fn read_all(scalars: &[Self::Scalar]) -> Result<Vec<f64>, Self::Error> {
        scalars.iter().map(Self::read).collect()
    }

    /// Every how many iterations a solver reads numbers, to decide by them; 1 where all are at hand.
    ///
    /// What it answers does not depend on it: on the way from one reading to the next it stops by itself where it would have been stopped, and
    /// where something turns out to have been doubtful, it begins again and reads every iteration.
    fn check_every(&self) -> usize {
        1
    }

    /// `self ← factor · self`
    fn scale(&mut self, factor: Self::Scalar);

    /// `self ← self + factor · other`
    fn add_scaled(&mut self, factor: Self::Scalar, other: &Self);

    /// `self ← scale · self + factor · other`; two passes over memory unless the space does it in one.
    fn combine(&mut self, scale: Self::Scalar, factor: Self::Scalar, other: &Self) {
        self.scale(scale);
        self.add_scaled(factor, other);
    }

    /// The zero of the space that `self` lives in.
    fn zero(&self) -> Self;

    /// The distance from 1 to the next number in which its entries are kept: less than this, relative to what it was computed
    /// from, is a rounding error. `f64`'s unless the space says otherwise.
    fn rounding(&self) -> f64 {
        f64::EPSILON
    }

    /// All `⟨xᵢ, yⱼ⟩`, by rows; one by one unless the space does it at once.
    ///
    /// # Errors
    /// When the numbers cannot be read.
    fn inner_products(xs: &[Self], ys: &[Self]) -> Result<Vec<Vec<f64>>, Self::Error> {
        xs.iter().map(|x| ys.iter().map(|y| Self::read(&x.dot(y)?)).collect()).collect()
    }

    /// `Σⱼ wᵢⱼ·xⱼ` for each row `wᵢ` of `weights`, of which there is one entry for each vector; one by one unless the space
    /// does it at once.
    fn combinations(weights: &[Vec<f64>], xs: &[Self]) -> Vec<Self> {
        let Some(like) = xs.first() else { return Vec::new() };
        let sum = |weights: &Vec<f64>| {
            let mut sum = like.zero();
            weights.iter().zip(xs).for_each(|(&weight, x)| sum.add_scaled(weight.into(), x));
            sum
        };
        weights.iter().map(sum).collect()
    }

    /// `Σᵢ wᵢ·⟨xᵢ, r⟩·xᵢ` for one of `weights` a vector; what is in between is read unless the space does it at once.
    ///
    /// # Errors
    /// When the numbers cannot be read.
    fn along(xs: &[Self], weights: &[f64], r: &Self) -> Result<Self, Self::Error> {
        let parts = Self::inner_products(xs, std::slice::from_ref(r))?;
        let along: Vec<f64> = weights.iter().zip(&parts).map(|(weight, part)| weight * part[0]).collect();
        Ok(Self::combinations(&[along], xs).pop().unwrap_or_else(|| r.zero()))
    }
}

/// A space whose vectors can be written down as lists of numbers, in an orthonormal basis.
pub trait Coordinates: InnerProductSpace {
    /// Dimension of the space that `self` lives in.
    fn dimension(&self) -> usize;

    /// The coordinates of `self`, [`dimension`](Self::dimension) many.
    ///
    /// # Errors
    /// When the numbers cannot be read.
    fn coordinates(&self) -> Result<Vec<f64>, Self::Error>;

    /// The coordinates of several vectors, at once where that takes less than one by one.
    ///
    /// # Errors
    /// When the numbers cannot be read.
    fn all_coordinates(xs: &[Self]) -> Result<Vec<Vec<f64>>, Self::Error> {
        xs.iter().map(Self::coordinates).collect()
    }

    /// The vector with these coordinates in the space that `self` lives in; there are `dimension` of them.
    fn with_coordinates(&self, coordinates: &[f64]) -> Self;

    /// The product with `other`, coordinate by coordinate; on the host unless the space does it where the numbers are.
    ///
    /// # Errors
    /// When the numbers cannot be read.
    fn entrywise(&self, other: &Self) -> Result<Self, Self::Error> {
        let (x, y) = (self.coordinates()?, other.coordinates()?);
        Ok(self.with_coordinates(&x.iter().zip(y).map(|(x, y)| x * y).collect::<Vec<_>>()))
    }
}

/// A linear map from a space to itself, known by what it does to vectors.
pub trait LinearOperator {
    /// The vectors it acts on.
    type Vector: InnerProductSpace;
    /// Why a product could not be formed.
    type Error: From<<Self::Vector as InnerProductSpace>::Error>;

    /// The product `A·x`.
    ///
    /// # Errors
    /// When the product cannot be formed.
    fn apply(&mut self, x: &Self::Vector) -> Result<Self::Vector, Self::Error>;
}

/// The product `(A + damping·I)·x`.
pub(super) fn apply_damped<A: LinearOperator + ?Sized>(
    operator: &mut A,
    damping: f64,
    x: &A::Vector,
) -> Result<A::Vector, SolveError<A::Error>> {
    Ok(damped(operator.apply(x).map_err(SolveError::Operator)?, damping, x))
}

/// `product + damping·x`
pub(super) fn damped<V: InnerProductSpace>(mut product: V, damping: f64, x: &V) -> V {
    if damping != 0.0 {
        product.add_scaled(damping.into(), x);
    }
    product
}

/// The inner product `⟨x, y⟩`, which nobody reads yet.
pub(super) fn unread<A: LinearOperator + ?Sized>(
    x: &A::Vector,
    y: &A::Vector,
) -> Result<<A::Vector as InnerProductSpace>::Scalar, SolveError<A::Error>> {
    x.dot(y).map_err(|error| SolveError::Operator(error.into()))
}

/// A number, read and checked to be finite.
pub(super) fn read<A: LinearOperator + ?Sized>(
    scalar: &<A::Vector as InnerProductSpace>::Scalar,
    iteration: usize,
    quantity: Quantity,
) -> Result<f64, SolveError<A::Error>> {
    let value = A::Vector::read(scalar).map_err(|error| SolveError::Operator(error.into()))?;
    if value.is_finite() { Ok(value) } else { Err(SolveError::NotFinite { iteration, quantity }) }
}

/// Several numbers, read at once and checked to be finite.
pub(super) fn read_all<A: LinearOperator + ?Sized>(
    scalars: &[<A::Vector as InnerProductSpace>::Scalar],
    iteration: usize,
    quantity: Quantity,
) -> Result<Vec<f64>, SolveError<A::Error>> {
    let values = A::Vector::read_all(scalars).map_err(|error| SolveError::Operator(error.into()))?;
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err(SolveError::NotFinite { iteration, quantity }),
    }
}

/// The inner product `⟨x, y⟩`, read and checked to be finite.
pub(super) fn dot<A: LinearOperator + ?Sized>(
    x: &A::Vector,
    y: &A::Vector,
    iteration: usize,
    quantity: Quantity,
) -> Result<f64, SolveError<A::Error>> {
    read::<A>(&unread::<A>(x, y)?, iteration, quantity)
}

/// All inner products `⟨xᵢ, yⱼ⟩`, checked to be finite numbers.
pub(super) fn inner_products<A: LinearOperator + ?Sized>(
    xs: &[A::Vector],
    ys: &[A::Vector],
    iteration: usize,
) -> Result<Vec<Vec<f64>>, SolveError<A::Error>> {
    let all = A::Vector::inner_products(xs, ys).map_err(|error| SolveError::Operator(error.into()))?;
    if all.iter().flatten().all(|entry| entry.is_finite()) {
        Ok(all)
    } else {
        Err(SolveError::NotFinite { iteration, quantity: Quantity::Entry })
    }
}
