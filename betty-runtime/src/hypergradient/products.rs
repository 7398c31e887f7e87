//! How products with the second derivatives of one level are formed: by differentiation, or from gradients.

use super::HypergradientError;
use super::batches::{Batches, Moving};
use crate::derivatives::{Curvature, Variable};
use crate::execute::{Cost, Unread, Vector};
use crate::graph::GraphError;

/// How products with second derivatives of a level's loss `c` are formed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Products {
    /// By differentiation.
    Exact,
    /// The mixed product `(∂²c/∂λ∂θ)·x` as a central difference of gradients at `θ ± ε·x`, others by differentiation. In 16 bits
    /// `θ` moves by `√u·(1 + ‖θ‖)` or more, with the machine precision `u`, or most of its entries would not move at all.
    MixedDifference {
        /// `‖ε·x‖`, more than 0.
        perturbation: f64,
    },
    /// All from gradients at one displaced point: `(∂²c/∂w∂θ)·x ≈ m·(∂c/∂w(θ) − ∂c/∂w(θ − x/m))`. They are not quite
    /// linear in `x`. Where `x` is so short that rounding would be all that is left, `m` is lowered until
    /// `‖x/m‖ = √u·(1 + ‖θ‖)` for the machine precision `u` (Knoll and Keyes, *Jacobian-free Newton–Krylov methods*, 2004).
    Displaced {
        /// `m`, more than 0.
        multiplier: f64,
    },
}

/// What products at one point take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProductCost {
    /// What is evaluated once.
    pub point: Cost,
    /// A product with the second derivative in the level's own variables.
    pub own: Cost,
    /// The one that leads to levels above.
    pub mixed: Cost,
    /// Bytes held at once.
    pub peak: usize,
}

impl ProductCost {
    /// The same on so many batches.
    pub(crate) fn times(self, batches: usize) -> Self {
        let times = batches as f64;
        ProductCost { point: self.point * times, own: self.own * times, mixed: self.mixed * times, ..self }
    }
}

impl Products {
    /// What products with the second derivatives of a level take whose best response is differentiated in `into`.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub(crate) fn cost(self, curvature: &mut Curvature, into: &[Variable]) -> Result<ProductCost, GraphError> {
        let (own, rows) = (curvature.lagrangian().own().to_vec(), curvature.lagrangian().rows());
        let into: Vec<Variable> = into.iter().copied().filter(|&of| curvature.depends_on(of)).collect();
        Ok(match self {
            Products::Displaced { .. } => {
                let (unmoved, product, peak) = curvature.displaced_cost(&own, &own)?;
                let (mixed_unmoved, mixed, other) = curvature.displaced_cost(&own, &into)?;
                ProductCost { point: unmoved + mixed_unmoved, own: product, mixed, peak: peak.max(other) }
            }
            _ => {
                let (product, peak) = curvature.cost(&own, &rows)?;
                let (mixed, other) = curvature.cost(&own, &into)?;
                ProductCost { point: curvature.point_cost(), own: product, mixed, peak: peak.max(other) }
            }
        })
    }

    /// `Σᵥ (∂²ℓ/∂w∂v)·tᵥ` for each `w` of `rows`, for `(v, tᵥ)` of `moving`.
    pub(super) fn form(
        self,
        batches: &mut Batches,
        moving: &Moving<'_>,
        rows: &[Variable],
    ) -> Result<Vec<(Variable, Vector)>, HypergradientError> {
        match self {
            Products::Displaced { multiplier } => {
                let length = length(moving)?;
                if length == 0.0 {
                    return Ok(Vec::new());
                }
                let variables: Vec<Variable> = moving.iter().map(|&(variable, _)| variable).collect();
                let shortest = shortest(precision(moving), batches.length(&variables)?);
                // What is not finite is left for the solver to find.
                let multiplier = multiplier.min(length / shortest);
                batches.mean(moving, rows, |curvature, point, moving, rows| {
                    curvature.displaced(point, moving, rows, multiplier)
                })
            }
            Products::Exact | Products::MixedDifference { .. } => batches.mean(moving, rows, Curvature::product),
        }
    }

    /// As [`form`](Self::form), where no row is a variable whose condition the level has, but all that moves is.
    pub(super) fn form_mixed(
        self,
        batches: &mut Batches,
        moving: &Moving<'_>,
        rows: &[Variable],
    ) -> Result<Vec<(Variable, Vector)>, HypergradientError> {
        let Products::MixedDifference { perturbation } = self else { return self.form(batches, moving, rows) };
        let precision = precision(moving);
        let (length, moved) = if precision > f64::from(f32::EPSILON) {
            // Both lengths are read at once.
            let variables: Vec<Variable> = moving.iter().map(|&(variable, _)| variable).collect();
            let tangents = Vector(moving.iter().flat_map(|(_, tangent)| tangent.0.iter().cloned()).collect());
            let squares = [tangents, batches.values(&variables)].map(|vector| Unread::square_norm(&vector));
            let [length, at] =
                Unread::read(squares)?.map(|square| square.first().map_or(f64::NAN, |square| square.sqrt()));
            (length, perturbation.max(shortest(precision, at)))
        } else {
            (length(moving)?, perturbation)
        };
        if !length.is_finite() {
            return Err(HypergradientError::NotFinite);
        }
        if length == 0.0 {
            // Nothing comes down, so nothing goes up.
            return Ok(Vec::new());
        }
        batches.mean(moving, rows, |curvature, point, moving, rows| {
            curvature.quotient(point, moving, rows, moved / length)
        })
    }
}

fn length(moving: &[(Variable, &Vector)]) -> Result<f64, HypergradientError> {
    let mut square = 0.0;
    for (_, tangent) in moving {
        square += tangent.dot(tangent)?;
    }
    Ok(square.sqrt())
}

/// How far a point of this length has to be moved for the difference not to be rounding errors.
fn shortest(precision: f64, length: f64) -> f64 {
    precision.sqrt() * (1.0 + length)
}

/// The machine precision of the coarsest of these numbers.
fn precision(moving: &[(Variable, &Vector)]) -> f64 {
    let values = moving.iter().flat_map(|(_, tangent)| &tangent.0);
    values.filter_map(|value| Some(value.dtype().finfo()?.epsilon)).fold(f64::EPSILON, f64::max)
}
