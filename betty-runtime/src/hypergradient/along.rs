//! How the total gradient of a level changes, along a direction and transposed, with everything that answers to the level
//! answering.

use std::rc::Rc;

use super::response::Solve;
use super::{Blocks, Direction, HypergradientError, Response};
use crate::derivatives::Variable;
use crate::execute::Vector;

impl Response {
    /// `(dg/dw)ᵀ·u` for each `w` of `into`, `g` being the total gradient of `level` with the answers of its stops moving
    /// along; what vanishes is left out.
    ///
    /// # Errors
    /// [`HypergradientError`] when a method cannot solve its pivot, or a product cannot be formed.
    pub fn change_of_gradient(
        &mut self,
        level: usize,
        u: &Vector,
        into: &[Variable],
    ) -> Result<Blocks, HypergradientError> {
        let below = Rc::clone(&self.stops[&level].below);
        let mut x = self.respond(level, &below, Direction::Adjoint, Some(u), &Blocks::default(), Solve::Nested)?;
        x.set(Variable::Level(level), u.clone());
        self.apply(Direction::Adjoint, &x, into)
    }

    /// `Σ_w (dg/dw)·t_w` for the variables `w` that move along `t_w`, the level itself and others that it reads; `g` is the
    /// total gradient of `level` with the answers of its stops moving along. None if that vanishes whatever they are. With
    /// it, how those answers move.
    ///
    /// The transpose of [`change_of_gradient`](Self::change_of_gradient).
    ///
    /// # Errors
    /// [`HypergradientError`] when a method cannot solve its pivot, or a product cannot be formed.
    pub fn gradient_along(
        &mut self,
        level: usize,
        moving: &Blocks,
    ) -> Result<(Option<Vector>, Blocks), HypergradientError> {
        let own = Variable::Level(level);
        let below = Rc::clone(&self.stops[&level].below);
        let mut all = moving.clone();
        if !below.is_empty() {
            // What moves above moves the conditions below, …
            let above = moving.only(|variable| variable != own);
            let multipliers = self.variables(level).skip(1);
            let rows: Vec<Variable> = below.iter().flat_map(|&stop| self.variables(stop)).chain(multipliers).collect();
            let right = Blocks::default().plus(-1.0, self.apply(Direction::Tangent, &above, &rows)?);
            // … and so does what the level itself does; their answers make up for both.
            all =
                all.plus(1.0, self.respond(level, &below, Direction::Tangent, moving.get(own), &right, Solve::Nested)?);
        }
        let gradient = self.apply(Direction::Tangent, &all, &[own])?.take(own);
        Ok((gradient, all.only(|variable| below.iter().any(|&stop| variable == Variable::Level(stop)))))
    }
}
