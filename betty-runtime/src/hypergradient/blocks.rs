//! Vectors with one block for each variable, and zeros where there is none.

use std::collections::BTreeMap;

use crate::derivatives::Variable;
use crate::execute::Vector;

/// A vector over several variables; a variable without a block is zero.
#[derive(Clone, Debug, Default)]
pub struct Blocks(BTreeMap<Variable, Vector>);

impl Blocks {
    /// Whether every block is zero.
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The variables with a block, in order.
    pub fn variables(&self) -> impl Iterator<Item = Variable> {
        self.0.keys().copied()
    }

    /// The block of a variable.
    pub fn get(&self, variable: Variable) -> Option<&Vector> {
        self.0.get(&variable)
    }

    /// Takes the block of a variable out.
    pub fn take(&mut self, variable: Variable) -> Option<Vector> {
        self.0.remove(&variable)
    }

    /// Sets the block of a variable.
    pub fn set(&mut self, variable: Variable, block: Vector) {
        self.0.insert(variable, block);
    }

    /// Adds `factor · block` to the block of a variable.
    pub fn add(&mut self, variable: Variable, factor: f64, mut block: Vector) {
        match self.0.get_mut(&variable) {
            Some(sum) => sum.add_scaled(factor, &block),
            None => {
                if factor != 1.0 {
                    block.scale(factor);
                }
                self.0.insert(variable, block);
            }
        }
    }

    /// `self + factor · other`
    #[must_use]
    pub fn plus(mut self, factor: f64, other: Blocks) -> Self {
        for (variable, block) in other.0 {
            self.add(variable, factor, block);
        }
        self
    }

    /// With these blocks in the place of those there were.
    #[must_use]
    pub fn with(mut self, others: Blocks) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The blocks of these variables, under other names; the rest is left out.
    #[must_use]
    pub fn renamed(&self, names: impl IntoIterator<Item = (Variable, Variable)>) -> Self {
        let named = names.into_iter().filter_map(|(from, to)| Some((to, self.0.get(&from)?.clone())));
        Blocks(named.collect())
    }

    /// The blocks of variables that a predicate chooses.
    #[must_use]
    pub fn only(&self, chosen: impl Fn(Variable) -> bool) -> Self {
        self.renamed(self.variables().filter(|&variable| chosen(variable)).map(|variable| (variable, variable)))
    }
}

impl IntoIterator for Blocks {
    type Item = (Variable, Vector);
    type IntoIter = std::collections::btree_map::IntoIter<Variable, Vector>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(Variable, Vector)> for Blocks {
    fn from_iter<I: IntoIterator<Item = (Variable, Vector)>>(blocks: I) -> Self {
        Blocks(blocks.into_iter().collect())
    }
}
