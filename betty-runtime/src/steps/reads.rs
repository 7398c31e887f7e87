//! Which parameters a step moves: those that something reads which the step's gradient is formed of.
//!
//! A parameter that nothing reads has no gradient, which is not the same as a gradient of zero: a step leaves it alone, with
//! its optimizer state, whatever decay, momentum or projection would do to it.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::derivatives::{GradientProgram, Loss};

/// For each parameter of a level the number of a step among those that moved the parameter, from 1; none if the step leaves it
/// alone. As in Burn, what an optimizer makes of the number of a step, the correction of Adam's moments say, is the parameter's own.
pub(crate) type Moves = Rc<[Option<u64>]>;

/// For levels whose modules something is given: which of their parameters it depends on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads(BTreeMap<usize, Vec<bool>>);

impl Reads {
    /// What the derivatives of a loss lead to.
    pub(crate) fn of(loss: &Loss) -> Self {
        let mut reads = Reads::default();
        loss.reached().for_each(|(level, read)| reads.include(level, read));
        reads
    }

    /// What the gradients of a program depend on, be it without a derivative.
    pub(crate) fn moving(program: &GradientProgram) -> Self {
        let mut reads = Reads::default();
        program.moved_by().for_each(|(level, read)| reads.include(level, read));
        reads
    }

    /// What one of two depends on.
    pub(crate) fn both(one: &Reads, other: &Reads) -> Self {
        let mut both = one.clone();
        both.add(other);
        both
    }

    /// What the other depends on, too.
    pub(crate) fn add(&mut self, other: &Reads) {
        other.0.iter().for_each(|(&level, read)| self.include(level, read));
    }

    /// One parameter more, of a level with `count` of them.
    pub(crate) fn add_one(&mut self, level: usize, parameter: usize, count: usize) {
        let read: Vec<bool> = (0..count).map(|index| index == parameter).collect();
        self.include(level, &read);
    }

    /// The parameters of `from` are read where those of `level` are, whose steps begin there.
    pub(crate) fn begin_at(&mut self, level: usize, from: usize) {
        if let Some(read) = self.0.get(&level).cloned() {
            self.include(from, &read);
        }
    }

    /// Which of the `count` parameters of a level are read.
    pub(crate) fn level(&self, level: usize, count: usize) -> Vec<bool> {
        self.0.get(&level).cloned().unwrap_or_else(|| vec![false; count])
    }

    /// These parameters of a level, too.
    pub(crate) fn include(&mut self, level: usize, read: &[bool]) {
        let known = self.0.entry(level).or_insert_with(|| vec![false; read.len()]);
        known.iter_mut().zip(read).for_each(|(known, read)| *known |= read);
    }
}
