//! The two interfaces every solver is written against.

/// A real vector space with an inner product, owned by value.
pub trait InnerProductSpace: Clone {
    /// Why a number could not be read off a vector (a device failed, say).
    type Error;

    /// The inner product `⟨self, other⟩`.
    ///
    /// # Errors
    /// When the number cannot be read.
    fn dot(&self, other: &Self) -> Result<f64, Self::Error>;

    /// `self ← factor · self`
    fn scale(&mut self, factor: f64);

    /// `self ← self + factor · other`
    fn add_scaled(&mut self, factor: f64, other: &Self);

    /// The zero of the space that `self` lives in.
    fn zero(&self) -> Self;
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
