//! The equations of the system below a level: how conditions change, level by level.

use std::rc::Rc;

use super::best_response::Stationary;
use super::{Blocks, Direction, HypergradientError, ProductError, Response};
use crate::derivatives::Variable;
use crate::execute::Vector;

impl Response {
    /// The system times `x`: the equations named by `rows`, without those that vanish whatever `x` is.
    ///
    /// # Errors
    /// [`HypergradientError`] when a product cannot be formed.
    pub fn apply(&mut self, direction: Direction, x: &Blocks, rows: &[Variable]) -> Result<Blocks, HypergradientError> {
        let owners = |variables: &mut dyn Iterator<Item = Variable>| {
            let mut owners: Vec<usize> = variables.map(Variable::owner).collect();
            owners.sort_unstable();
            owners.dedup();
            owners
        };
        let owners = match direction {
            Direction::Adjoint => owners(&mut x.variables()),
            Direction::Tangent => owners(&mut rows.iter().copied()),
        };
        let mut sum = Blocks::default();
        for level in owners {
            // The conditions of a level are derivatives of its Lagrangian in its own variables; condition by condition they
            // are named by what they determine.
            let own = Rc::clone(&self.stops[&level].own);
            let named: Vec<(Variable, Variable)> = self.variables(level).zip(own.iter().copied()).collect();
            let products = match direction {
                Direction::Adjoint => {
                    let moving = named.iter().filter_map(|&(name, own)| Some((own, x.get(name)?))).collect();
                    self.product(level, moving, rows)?
                }
                Direction::Tangent => {
                    let asked = named.iter().filter(|(name, _)| rows.contains(name));
                    let asked: Vec<Variable> = asked.map(|&(_, own)| own).collect();
                    let moving = x.variables().filter_map(|variable| Some((variable, x.get(variable)?))).collect();
                    let name = |of: Variable| named.iter().find(|&&(_, own)| own == of).map(|&(name, _)| name);
                    let products = self.product(level, moving, &asked)?.into_iter();
                    products.filter_map(|(own, product)| Some((name(own)?, product))).collect()
                }
            };
            for (variable, product) in products {
                sum.add(variable, 1.0, product);
            }
        }
        Ok(sum)
    }

    /// How the conditions of one level change: second derivatives of its Lagrangian, or what stands in their place.
    pub(super) fn product(
        &mut self,
        level: usize,
        mut moving: Vec<(Variable, &Vector)>,
        rows: &[Variable],
    ) -> Result<Vec<(Variable, Vector)>, HypergradientError> {
        let Some(Stationary { own, method, batches, .. }) = self.stops.get_mut(&level) else {
            return Ok(Vec::new());
        };
        moving.retain(|&(variable, _)| batches.depends_on(variable));
        let rows: Vec<Variable> = rows.iter().copied().filter(|&row| batches.depends_on(row)).collect();
        if moving.is_empty() || rows.is_empty() {
            return Ok(Vec::new());
        }
        let products = method.products();
        let is_mixed = rows.iter().all(|row| !own.contains(row)) && moving.iter().all(|(of, _)| own.contains(of));
        let found = if let Some(count) = &mut self.count {
            count.product((level, products, is_mixed), batches, &moving, &rows).map_err(ProductError::from)?
        } else if is_mixed {
            products.form_mixed(batches, &moving, &rows)?
        } else {
            products.form(batches, &moving, &rows)?
        };
        // What does not move has another condition.
        let found = found.into_iter().filter_map(|(row, product)| Some((row, self.moving(row, product)?)));
        Ok(found.collect())
    }
}
