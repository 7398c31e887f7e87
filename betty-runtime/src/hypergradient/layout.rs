//! Blocks of several variables as one vector, so that one solver sees all of them at once.

use super::Blocks;
use crate::derivatives::Variable;
use crate::execute::Vector;

/// Which variables a vector is made of, in which order.
pub(super) struct Layout {
    /// Each with zeros that look like it.
    parts: Vec<(Variable, Vector)>,
}

impl Layout {
    pub(super) fn new(parts: impl IntoIterator<Item = (Variable, Vector)>) -> Self {
        Layout { parts: parts.into_iter().collect() }
    }

    /// The variables, in order.
    pub(super) fn variables(&self) -> impl Iterator<Item = Variable> {
        self.parts.iter().map(|&(variable, _)| variable)
    }

    /// One vector of all variables; those without a block are zero.
    pub(super) fn join(&self, blocks: &Blocks) -> Vector {
        let block = |(variable, zeros): &(Variable, Vector)| blocks.get(*variable).unwrap_or(zeros).0.clone();
        Vector(self.parts.iter().flat_map(block).collect())
    }

    /// The blocks of a vector of all variables.
    pub(super) fn split(&self, x: &Vector) -> Blocks {
        let mut rest = x.0.iter();
        let block = |(variable, zeros): &(Variable, Vector)| {
            (*variable, Vector(rest.by_ref().take(zeros.0.len()).cloned().collect()))
        };
        self.parts.iter().map(block).collect()
    }
}
