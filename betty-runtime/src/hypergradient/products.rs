//! How products with the second derivatives of one level are formed: by differentiation, or from gradients.

use super::{HypergradientError, ProductError};
use crate::derivatives::{Curvature, Point, Variable};
use crate::execute::Vector;
use crate::linalg::InnerProductSpace;

/// How products with second derivatives of a level's loss `c` are formed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Products {
    /// By differentiation.
    Exact,
    /// The mixed product `(∂²c/∂λ∂θ)·x` as a central difference of gradients at `θ ± ε·x`, others by differentiation.
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

impl Products {
    /// `Σᵥ (∂²ℓ/∂w∂v)·tᵥ` for each `w` of `rows`, for `(v, tᵥ)` of `moving`.
    pub(super) fn form(
        self,
        curvature: &mut Curvature,
        point: &mut Point,
        moving: &[(Variable, &Vector)],
        rows: &[Variable],
    ) -> Result<Vec<(Variable, Vector)>, HypergradientError> {
        let products = match self {
            Products::Displaced { multiplier } => {
                let length = length(moving)?;
                if length == 0.0 {
                    return Ok(Vec::new());
                }
                let variables: Vec<Variable> = moving.iter().map(|&(variable, _)| variable).collect();
                let shortest = precision(moving).sqrt() * (1.0 + curvature.length(point, &variables)?);
                // What is not finite is left for the solver to find.
                curvature.displaced(point, moving, rows, multiplier.min(length / shortest))
            }
            Products::Exact | Products::MixedDifference { .. } => curvature.product(point, moving, rows),
        };
        products.map_err(|error| ProductError::from(error).into())
    }

    /// As [`form`](Self::form), where no row is a variable whose condition the level has, but all that moves is.
    pub(super) fn form_mixed(
        self,
        curvature: &mut Curvature,
        point: &mut Point,
        moving: &[(Variable, &Vector)],
        rows: &[Variable],
    ) -> Result<Vec<(Variable, Vector)>, HypergradientError> {
        let Products::MixedDifference { perturbation } = self else { return self.form(curvature, point, moving, rows) };
        let length = length(moving)?;
        if !length.is_finite() {
            return Err(HypergradientError::NotFinite);
        }
        if length == 0.0 {
            // Nothing comes down, so nothing goes up.
            return Ok(Vec::new());
        }
        let quotients = curvature.quotient(point, moving, rows, perturbation / length);
        quotients.map_err(|error| ProductError::from(error).into())
    }
}

fn length(moving: &[(Variable, &Vector)]) -> Result<f64, HypergradientError> {
    let mut square = 0.0;
    for (_, tangent) in moving {
        square += tangent.dot(tangent)?;
    }
    Ok(square.sqrt())
}

/// The machine precision of the coarsest of these numbers.
fn precision(moving: &[(Variable, &Vector)]) -> f64 {
    let values = moving.iter().flat_map(|(_, tangent)| &tangent.0);
    values.filter_map(|value| Some(value.dtype().finfo()?.epsilon)).fold(f64::EPSILON, f64::max)
}
