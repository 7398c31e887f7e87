//! Which levels below pass anything on to a level: for its sake, nobody has to solve the others.
//!
//! A loss that reads a level behind `stop_gradient`, as the discriminator of a GAN does, has conditions that do not change with it.
//! What their system is solved to would be multiplied by nothing, and the system may have no solution: at a saddle there is no
//! best response to differentiate.

use super::best_response::Stationary;
use super::parts::closure;
use super::{HypergradientError, ProductError, Products, Response};
use crate::derivatives::{Curvature, Variable};
use crate::graph::GraphError;

impl Response {
    /// Those of `levels` from which anything comes to `row`, be it by way of others of them. What comes from the others vanishes
    /// whatever they are solved to: their conditions have no derivative there, and those of nobody who has one read their answer.
    ///
    /// # Errors
    /// [`HypergradientError`] when a derivative cannot be built.
    pub(crate) fn reaching(&mut self, levels: &[usize], row: Variable) -> Result<Vec<usize>, HypergradientError> {
        let direct = levels.iter().map(|&level| self.leads_to(level, row)).collect::<Result<Vec<bool>, _>>()?;
        if direct.iter().all(|&leads| leads) {
            return Ok(levels.to_vec());
        }
        let sends = levels.iter().map(|&from| levels.iter().map(|&to| from != to && self.sends(from, to)).collect());
        let reaches = closure(sends.collect());
        let is_needed =
            |of: usize| direct[of] || reaches[of].iter().zip(&direct).any(|(&reaches, &leads)| reaches && leads);
        Ok((0..levels.len()).filter(|&of| is_needed(of)).map(|of| levels[of]).collect())
    }

    /// Whether the conditions of a level change with a variable that is none of its own, or its steps do.
    fn leads_to(&mut self, level: usize, row: Variable) -> Result<bool, HypergradientError> {
        let Some(Stationary { own, method, batches, .. }) = self.stops.get_mut(&level) else { return Ok(true) };
        let products = method.products();
        for (curvature, _) in &batches.0 {
            let curvature = &mut *curvature.borrow_mut();
            if leads(curvature, own, row, products).map_err(ProductError::from)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The same of one Lagrangian, by the product that would be formed.
fn leads(curvature: &mut Curvature, own: &[Variable], row: Variable, products: Products) -> Result<bool, GraphError> {
    let moving: Vec<Variable> = own.iter().copied().filter(|&of| curvature.depends_on(of)).collect();
    if moving.is_empty() || !curvature.depends_on(row) {
        return Ok(false);
    }
    let rows = match products {
        Products::Exact => curvature.rows(&moving, &[row])?,
        Products::MixedDifference { .. } | Products::Displaced { .. } => curvature.displaced_rows(&moving, &[row])?,
    };
    Ok(!rows.is_empty())
}
