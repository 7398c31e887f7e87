//! Vectors with an entry for every entry of a module's parameters: gradients, directions, eigenvectors.

use std::fmt;
use std::rc::Rc;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::DerivativesError;
use super::gradients::Active;
use super::parameters::{Parameters, tensors, vector};
use crate::execute::{Awaited, Value, Vector, mix};
use crate::graph::Distribution;
use crate::linalg::{Coordinates, InnerProductSpace};
use crate::trace::LevelModule;

/// A vector with an entry for every entry of a module's trainable parameters, where those are and of their types.
///
/// Gradients, directions and eigenvectors are such vectors; so are the parameters themselves ([`of`](Self::of)). From one,
/// others are made ([`zeros`](Self::zeros), [`normal`](Self::normal), [`signs`](Self::signs),
/// [`with_values`](Self::with_values)), and read ([`to_vec`](Self::to_vec), [`tensor`](Self::tensor)). A parameter in several
/// places is there once. Cloning shares the memory.
///
/// ```
/// # use betty_runtime::{DerivativesError, ParameterVector};
/// # use burn::nn::LinearConfig;
/// # use burn::tensor::Device;
/// # fn main() -> Result<(), DerivativesError> {
/// let model = LinearConfig::new(3, 2).init(&Device::flex());
/// let parameters = ParameterVector::of(&model)?;
/// let mut moved = parameters.clone();
/// moved.add_scaled(0.1, &parameters.normal(7))?;
/// let moved_model = moved.put_into(model)?;
/// assert_eq!(ParameterVector::of(&moved_model)?.to_vec()?, moved.to_vec()?);
/// assert_eq!(moved.shapes().collect::<Vec<_>>(), [("weight", &[3, 2][..]), ("bias", &[2][..])]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ParameterVector {
    pub(super) parameters: Rc<Parameters>,
    pub(super) vector: Vector,
}

impl ParameterVector {
    pub(super) fn new(parameters: &Rc<Parameters>, vector: Vector) -> Self {
        ParameterVector { parameters: Rc::clone(parameters), vector }
    }

    /// The trainable parameters of a module.
    ///
    /// # Errors
    /// [`DerivativesError::NoParameters`] and [`DerivativesError::TiedApart`].
    pub fn of<M: Module + 'static>(module: &M) -> Result<Self, DerivativesError> {
        let leaves = tensors(module)?;
        let parameters = Rc::new(Parameters::among(&leaves));
        if parameters.all.is_empty() {
            return Err(DerivativesError::NoParameters);
        }
        let values: Vec<Value> = leaves.into_iter().map(|leaf| leaf.value).collect();
        let vector = vector(&parameters, &values);
        Ok(ParameterVector { parameters, vector })
    }

    /// The module with these numbers as its parameters; all else stays.
    ///
    /// # Errors
    /// [`DerivativesError::OtherParameters`] when it has others.
    pub fn put_into<M: Module + 'static>(&self, mut module: M) -> Result<M, DerivativesError> {
        let leaves = tensors(&module)?;
        let theirs = Parameters::among(&leaves);
        self.parameters.check_like(&theirs).map_err(|what| DerivativesError::OtherParameters { what })?;
        let mut values: Vec<Value> = leaves.into_iter().map(|leaf| leaf.value).collect();
        for (parameter, value) in theirs.all.iter().zip(&self.vector.0) {
            values[parameter.leaf] = value.clone();
        }
        let active = Active::of(&module);
        module.assign(values);
        Ok(match active {
            Some(active) => active.restore(module),
            None => module,
        })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Path and shape of every parameter, in order.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.parameters.all.iter().map(|parameter| (parameter.path.as_str(), parameter.shape.as_slice()))
    }

    /// All entries, parameter after parameter, each in row-major order.
    ///
    /// # Errors
    /// [`DerivativesError::Read`] when the device cannot deliver them.
    pub fn to_vec(&self) -> Result<Vec<f64>, DerivativesError> {
        Ok(self.vector.to_vec()?)
    }

    /// The entries of the parameter at a path, `encoder.weight` for instance, as a tensor of its shape and type.
    ///
    /// # Errors
    /// [`DerivativesError::UnknownParameter`] and [`DerivativesError::Rank`].
    pub fn tensor<const D: usize>(&self, path: &str) -> Result<Tensor<D>, DerivativesError> {
        let Some(number) = self.parameters.all.iter().position(|parameter| parameter.path == path) else {
            let known: Vec<String> = self.shapes().map(|(path, _)| format!("`{path}`")).collect();
            return Err(DerivativesError::UnknownParameter { path: path.into(), known: known.join(", ") });
        };
        let shape = &self.parameters.all[number].shape;
        if shape.len() != D {
            return Err(DerivativesError::Rank { path: path.into(), shape: shape.clone(), rank: D });
        }
        Ok(self.vector.0[number].clone().into_tensor())
    }

    /// Another vector of this space: all zeros.
    #[must_use]
    pub fn zeros(&self) -> Self {
        self.with(self.vector.zero())
    }

    /// Another vector of this space: independent draws from the standard normal distribution.
    #[must_use]
    pub fn normal(&self, seed: u64) -> Self {
        let draw = |(number, like): (usize, &Value)| {
            Value::draw(&like.shape(), like.dtype(), Distribution::Normal(0.0, 1.0), seed, number, &like.device())
        };
        self.with(Vector(self.vector.0.iter().enumerate().map(draw).collect()))
    }

    /// Another vector of this space: independent signs, 1 or −1 with equal probability.
    #[must_use]
    pub fn signs(&self, seed: u64) -> Self {
        let draw = |(number, like): (usize, &Value)| {
            let mut generator = StdRng::seed_from_u64(mix(seed, number as u64));
            let count = like.shape().iter().product();
            let signs = (0..count).map(|_| if generator.random::<bool>() { 1.0 } else { -1.0 });
            let data = TensorData::new(signs.collect::<Vec<f64>>(), like.shape());
            Value::from_data(data.convert_dtype(like.dtype()), &like.device())
        };
        self.with(Vector(self.vector.0.iter().enumerate().map(draw).collect()))
    }

    /// Another vector of this space: these entries, in the order of [`to_vec`](Self::to_vec).
    ///
    /// # Errors
    /// [`DerivativesError::Length`] when there are more or fewer.
    pub fn with_values(&self, values: &[f64]) -> Result<Self, DerivativesError> {
        if values.len() != self.len() {
            return Err(DerivativesError::Length { found: values.len(), expected: self.len() });
        }
        Ok(self.with(self.vector.with_coordinates(values)))
    }

    /// `factor · self`
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        self.with(self.vector.scaled(factor))
    }

    /// `self ← self + factor · other`
    ///
    /// # Errors
    /// [`DerivativesError::OtherParameters`] when they have not the same parameters; nothing is changed then.
    pub fn add_scaled(&mut self, factor: f64, other: &Self) -> Result<(), DerivativesError> {
        self.check(other)?;
        self.vector.add_scaled(factor, &other.vector);
        Ok(())
    }

    /// The inner product `Σ selfᵢ·otherᵢ`.
    ///
    /// # Errors
    /// [`DerivativesError::OtherParameters`], and [`DerivativesError::Read`] when the device cannot deliver it.
    pub fn dot(&self, other: &Self) -> Result<f64, DerivativesError> {
        self.check(other)?;
        Ok(self.vector.dot(&other.vector)?)
    }

    /// The length `√⟨self, self⟩`.
    ///
    /// # Errors
    /// [`DerivativesError::Read`] when the device cannot deliver it.
    pub fn norm(&self) -> Result<f64, DerivativesError> {
        Ok(self.vector.dot(&self.vector)?.sqrt())
    }

    pub(super) fn with(&self, vector: Vector) -> Self {
        ParameterVector { parameters: Rc::clone(&self.parameters), vector }
    }

    fn check(&self, other: &Self) -> Result<(), DerivativesError> {
        check_belongs(&self.parameters, other)
    }
}

/// Checks that a vector is one of these parameters.
pub(super) fn check_belongs(parameters: &Rc<Parameters>, vector: &ParameterVector) -> Result<(), DerivativesError> {
    if Rc::ptr_eq(parameters, &vector.parameters) {
        return Ok(());
    }
    let like = parameters.check_like(&vector.parameters);
    like.map_err(|what| DerivativesError::OtherParameters { what })?;
    if parameters.device != vector.parameters.device {
        let (found, expected) = (format!("{:?}", vector.parameters.device), format!("{:?}", parameters.device));
        return Err(DerivativesError::WrongDevice { what: "the vector".into(), found, expected });
    }
    Ok(())
}

/// Paths, shapes and the number of entries; not the entries, which are on a device.
impl fmt::Debug for ParameterVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParameterVector ")?;
        f.debug_map().entries(self.shapes()).finish()
    }
}

/// For solvers, whose vectors all belong to one space: what is combined with a vector of another becomes NaN.
impl InnerProductSpace for ParameterVector {
    type Scalar = Awaited;
    type Error = DerivativesError;

    fn dot(&self, other: &Self) -> Result<Awaited, DerivativesError> {
        self.check(other)?;
        Ok(InnerProductSpace::dot(&self.vector, &other.vector)?)
    }

    fn read(scalar: &Awaited) -> Result<f64, DerivativesError> {
        Ok(Vector::read(scalar)?)
    }

    fn read_all(scalars: &[Awaited]) -> Result<Vec<f64>, DerivativesError> {
        Ok(Vector::read_all(scalars)?)
    }

    fn check_every(&self) -> usize {
        self.vector.check_every()
    }

    fn scale(&mut self, factor: Awaited) {
        InnerProductSpace::scale(&mut self.vector, factor);
    }

    fn add_scaled(&mut self, factor: Awaited, other: &Self) {
        self.combine((1.0).into(), factor, other);
    }

    fn combine(&mut self, scale: Awaited, factor: Awaited, other: &Self) {
        match self.check(other) {
            Ok(()) => InnerProductSpace::combine(&mut self.vector, scale, factor, &other.vector),
            Err(_) => self.vector.scale(f64::NAN),
        }
    }

    fn zero(&self) -> Self {
        self.zeros()
    }

    fn rounding(&self) -> f64 {
        self.vector.rounding()
    }

    fn inner_products(xs: &[Self], ys: &[Self]) -> Result<Vec<Vec<f64>>, DerivativesError> {
        if let Some(first) = xs.first() {
            xs.iter().chain(ys).try_for_each(|vector| first.check(vector))?;
        }
        let of = |vectors: &[Self]| vectors.iter().map(|vector| vector.vector.clone()).collect::<Vec<_>>();
        Ok(Vector::inner_products(&of(xs), &of(ys))?)
    }
}

impl Coordinates for ParameterVector {
    fn dimension(&self) -> usize {
        self.len()
    }

    fn coordinates(&self) -> Result<Vec<f64>, DerivativesError> {
        self.to_vec()
    }

    fn with_coordinates(&self, coordinates: &[f64]) -> Self {
        self.with(self.vector.with_coordinates(coordinates))
    }

    fn entrywise(&self, other: &Self) -> Result<Self, DerivativesError> {
        self.check(other)?;
        Ok(self.with(self.vector.entrywise(&other.vector)?))
    }
}
