//! Which parameters of a level its steps move, and with them its answer.
//!
//! Those that a derivative of its Lagrangian leads to. The others have no gradient, which is not one that is zero: a step leaves
//! them alone, whatever decay would do to them, so that they are what they were, whatever anything above is.

use std::cell::RefCell;

use super::curvature::Curvature;
use super::lagrangian::{Lagrangian, Variable};
use super::loss::Loss;
use crate::graph::differentiated;

impl Lagrangian {
    /// The parameters of the level that a derivative leads to; all of them where its condition is no derivative in them.
    pub(crate) fn moved(&self) -> Vec<bool> {
        let Some(own) = self.own.first() else { return Vec::new() };
        let parameters = self.variables.get(&Variable::Level(own.owner())).map_or(&[][..], Vec::as_slice);
        if !matches!(own, Variable::Level(_)) {
            return vec![true; parameters.len()];
        }
        let led = differentiated(&self.graph, &[self.value]);
        parameters.iter().map(|node| led[node.index()]).collect()
    }
}

impl Loss {
    /// Which parameters of a level its map computes anew, and does not hand back as they are.
    pub(crate) fn computed(&self, level: usize) -> Vec<bool> {
        self.parameters(level).iter().zip(&self.trace().outputs).map(|(parameter, next)| parameter != next).collect()
    }
}

impl Curvature {
    /// With only these parameters of the level moved by its steps.
    pub(crate) fn with_moved(mut self, moved: Vec<bool>) -> Self {
        self.moved = moved;
        self
    }

    /// Which parameters of the level are moved by steps that are taken on several batches, one at least: those that any of them
    /// moves.
    pub(crate) fn moved_on<'a>(batches: impl Iterator<Item = &'a RefCell<Curvature>>) -> Vec<bool> {
        let mut moved: Vec<bool> = Vec::new();
        for curvature in batches {
            let curvature = curvature.borrow();
            moved.resize(curvature.moved.len(), false);
            moved.iter_mut().zip(&curvature.moved).for_each(|(moved, &also)| *moved |= also);
        }
        moved
    }
}
