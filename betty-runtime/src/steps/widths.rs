//! How far parameters are moved along a direction, where their numbers may stand further apart than that.
//!
//! With a width `d` for each parameter, `(C(λ + d∘ε) − C(λ − d∘ε))/2 · ε/d` estimates the gradient as it does with one width for all. In
//! 16 bits `λ ± d·ε` is rounded, so that it is the gradient of a loss with stairs. Normal `ε` level them out, but for a part of
//! `2·exp(−2π²)`, while numbers stand no further apart than `d`; where they stand five times as far apart hardly anything moves.

use crate::execute::Vector;
use crate::hypergradient::Blocks;

/// How far parameters are moved along a direction.
pub(super) struct Widths {
    /// As far as this, …
    asked: f64,
    /// … the parameters, …
    above: Blocks,
    /// … unless some of them have 16 bits: then each by its own width, in types that are wide enough to add up in.
    each: Option<Blocks>,
}

impl Widths {
    /// As far as is asked for, and in 16 bits as far as to the next number at least.
    pub(super) fn new(above: Blocks, asked: f64) -> Self {
        let of = |variable| above.get(variable).map(|block| (variable, block));
        let is_coarse = above.variables().filter_map(of).any(|(_, block)| block.is_coarse());
        let widths = || above.variables().filter_map(of).map(|(variable, block)| (variable, block.widths(asked)));
        let each = is_coarse.then(|| widths().collect());
        Widths { asked, above, each }
    }

    /// What directions look like.
    pub(super) fn like(&self) -> Blocks {
        self.each.as_ref().unwrap_or(&self.above).clone()
    }

    /// How many times what the parameters are moved by along a direction.
    pub(super) fn along(&self, direction: &Blocks) -> (f64, Blocks) {
        match &self.each {
            None => (self.asked, direction.clone()),
            Some(widths) => (1.0, self.in_own_types(direction, widths, Vector::times)),
        }
    }

    /// By what numbers are divided that a direction's two ends differ by.
    pub(super) fn apart(&self) -> f64 {
        2.0 * if self.each.is_some() { 1.0 } else { self.asked }
    }

    /// What a sum of directions is as an estimate of the gradient.
    pub(super) fn estimate(&self, sum: Blocks) -> Blocks {
        match &self.each {
            None => sum,
            Some(widths) => self.in_own_types(&sum, widths, Vector::over),
        }
    }

    fn in_own_types(&self, blocks: &Blocks, widths: &Blocks, of: fn(&Vector, &Vector) -> Vector) -> Blocks {
        let block = |variable| {
            let entries = of(blocks.get(variable)?, widths.get(variable)?);
            Some((variable, entries.in_types_of(self.above.get(variable)?)))
        };
        blocks.variables().filter_map(block).collect()
    }
}
