//! The condition of a level whose steps average several batches: the mean of its Lagrangians, each at the point of its batch.
//!
//! A Lagrangian is linear in the losses that it is made of. So second derivatives of the mean are means of second derivatives, and
//! nobody who solves with them knows of batches.

use std::cell::RefCell;
use std::rc::Rc;

use super::moved::Moved;
use super::{HypergradientError, ProductError};
use crate::derivatives::{Curvature, Point, Variable};
use crate::execute::{ReadError, Sum, Vector};
use crate::graph::GraphError;

/// The Lagrangian of a level on each batch of the mean; one at least.
pub(super) struct Batches(pub(super) Vec<(Rc<RefCell<Curvature>>, Point)>);

/// Variables with tangents.
pub(super) type Moving<'a> = [(Variable, &'a Vector)];

impl Batches {
    /// The variables that the conditions of the level are derivatives in.
    pub(super) fn own(&self) -> Rc<[Variable]> {
        self.0[0].0.borrow().lagrangian().own().into()
    }

    /// Which of the level's parameters a derivative of any of its conditions leads to, where it does not to all.
    pub(super) fn moved(&self) -> Option<Rc<Moved>> {
        let is_moved = Curvature::moved_on(self.0.iter().map(|(curvature, _)| &**curvature));
        let curvature = self.0[0].0.borrow();
        Moved::new(is_moved, || curvature.zeros(Variable::Level(curvature.lagrangian().own()[0].owner())))
    }

    /// Whether any of them depends on a variable.
    pub(super) fn depends_on(&self, variable: Variable) -> bool {
        self.0.iter().any(|(curvature, _)| curvature.borrow().depends_on(variable))
    }

    /// Zeros that look like a variable.
    pub(super) fn zeros(&self, variable: Variable) -> Vector {
        let knows = |curvature: &&RefCell<Curvature>| curvature.borrow().depends_on(variable);
        let mut all = self.0.iter().map(|(curvature, _)| &**curvature);
        all.find(knows).unwrap_or(&self.0[0].0).borrow().zeros(variable)
    }

    /// The norm of these variables, which all points have.
    pub(super) fn length(&mut self, variables: &[Variable]) -> Result<f64, ReadError> {
        let (curvature, point) = &mut self.0[0];
        curvature.borrow().length(point, variables)
    }

    /// The values of these variables.
    pub(super) fn values(&self, variables: &[Variable]) -> Vector {
        let (curvature, point) = &self.0[0];
        curvature.borrow().values(point, variables)
    }

    /// The mean of products, summed over ranks.
    pub(super) fn mean(
        &mut self,
        moving: &Moving<'_>,
        rows: &[Variable],
        product: impl Fn(
            &mut Curvature,
            &mut Point,
            &Moving<'_>,
            &[Variable],
        ) -> Result<Vec<(Variable, Vector)>, GraphError>,
    ) -> Result<Vec<(Variable, Vector)>, HypergradientError> {
        let count = self.0.len();
        let mut sums: Vec<(Variable, Sum)> = Vec::new();
        for (curvature, point) in &mut self.0 {
            let curvature = &mut *curvature.borrow_mut();
            let (moving, rows) = known(curvature, moving, rows);
            if moving.is_empty() || rows.is_empty() {
                continue;
            }
            for (row, part) in product(curvature, point, &moving, &rows).map_err(ProductError::from)? {
                match sums.iter_mut().find(|(of, _)| *of == row) {
                    Some((_, sum)) => sum.add(part),
                    None => {
                        let mut sum = Sum::default();
                        sum.add(part);
                        sums.push((row, sum));
                    }
                }
            }
        }
        if count > 1 {
            sums.iter_mut().for_each(|(_, sum)| sum.scale(1.0 / count as f64));
        }
        let means = sums.into_iter().map(|(row, sum)| (row, sum.total())).collect();
        Ok(self.0[0].0.borrow().summed(means).map_err(ProductError::from)?)
    }
}

/// What of a product one of the Lagrangians knows.
pub(super) fn known<'a>(
    curvature: &Curvature,
    moving: &Moving<'a>,
    rows: &[Variable],
) -> (Vec<(Variable, &'a Vector)>, Vec<Variable>) {
    let moving = moving.iter().copied().filter(|&(variable, _)| curvature.depends_on(variable)).collect();
    (moving, rows.iter().copied().filter(|&row| curvature.depends_on(row)).collect())
}
