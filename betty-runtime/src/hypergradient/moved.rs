//! Which tensors of a level its answer moves in: the system of the level is solved in those alone.
//!
//! A parameter that no derivative of the level's condition leads to, on any batch of it, is left alone by every step: a head that the
//! batches do not read, or what is read through `stop_gradient`. So where the answer has it does not depend on anything, though a loss
//! above may read it and send a cotangent there. Its condition is `θ = const` and its part of the solution is zero; the Hessian has
//! neither a row nor a column for it, and a system that had a right-hand side there would have no solution.
//!
//! Blocks of levels are whole vectors, with zeros where nothing moves; what methods see are the other tensors, as if the
//! level had no more.

use std::rc::Rc;

use super::{Blocks, Response};
use crate::derivatives::Variable;
use crate::execute::Vector;

/// Which tensors of a level its answer moves in, where these are not all.
pub(super) struct Moved {
    is_moved: Vec<bool>,
    zeros: Vector,
}

impl Moved {
    /// With zeros that look like all parameters of the level; none if all of them move.
    pub(super) fn new(is_moved: Vec<bool>, zeros: impl FnOnce() -> Vector) -> Option<Rc<Self>> {
        is_moved.contains(&false).then(|| Rc::new(Moved { is_moved, zeros: zeros() }))
    }

    fn is_nothing(&self) -> bool {
        !self.is_moved.contains(&true)
    }

    /// The tensors that move.
    pub(super) fn part(&self, whole: &Vector) -> Vector {
        whole.part(&self.is_moved)
    }

    /// These tensors, and zeros for the others.
    pub(super) fn whole(&self, part: Vector) -> Vector {
        self.zeros.with_part(&self.is_moved, part)
    }
}

impl Response {
    /// What the method of a level sees of a vector over all of its parameters.
    pub fn part_of(&self, level: usize, whole: &Vector) -> Vector {
        self.moved(level).map_or_else(|| whole.clone(), |moved| moved.part(whole))
    }

    /// A vector over all parameters of a level of what its method sees. Those that are counted with have no tensors.
    pub(super) fn whole_of(&self, level: usize, part: Vector) -> Vector {
        match self.moved(level).filter(|_| self.count.is_none()) {
            Some(moved) => moved.whole(part),
            None => part,
        }
    }

    /// How many numbers the method of a level solves for.
    pub(crate) fn unknowns_of(&self, level: usize) -> usize {
        self.part_of(level, &self.zeros(Variable::Level(level))).len()
    }

    /// The block of a variable with zeros where nothing moves; none if nothing of it does.
    pub(super) fn moving(&self, variable: Variable, block: Vector) -> Option<Vector> {
        let Some(moved) = self.held_by(variable) else { return Some(block) };
        if moved.is_nothing() {
            return None;
        }
        Some(if self.count.is_some() { block } else { moved.whole(moved.part(&block)) })
    }

    /// As [`moving`](Self::moving), block by block.
    pub(super) fn all_moving(&self, blocks: Blocks) -> Blocks {
        let block = |(variable, block)| Some((variable, self.moving(variable, block)?));
        blocks.into_iter().filter_map(block).collect()
    }

    fn moved(&self, level: usize) -> Option<&Moved> {
        self.stops.get(&level)?.moved.as_deref()
    }

    /// What holds a variable: parameters of a level and their multipliers have the same tensors that move.
    fn held_by(&self, variable: Variable) -> Option<&Moved> {
        match variable {
            Variable::Level(level) => self.moved(level),
            Variable::Multiplier { of, index } => match self.stops.get(&of)?.own.get(index + 1) {
                Some(&variable) => self.held_by(variable),
                // That of a fixed point multiplies its own condition.
                None => self.moved(of),
            },
            Variable::Begun(_) => None,
        }
    }
}
