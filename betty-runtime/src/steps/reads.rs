//! Which parameters a step moves: those that something reads which the step's gradient is formed of.
//!
//! A parameter that nothing reads has no gradient, which is not the same as a gradient of zero: a step leaves it alone, with
//! its optimizer state, whatever decay, momentum or projection would do to it.
//!
//! What follows a gradient reads parameters too: those of other levels that numbers of an optimizer are made of, and whatever a
//! function after the step sees.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::update::Update;
use crate::derivatives::{GradientProgram, Loss};
use crate::graph::{Leads, NodeId};

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

impl Update {
    /// What steps read that move these parameters of `level`, besides what their gradients are formed of. `leads` says whether
    /// only derivatives count.
    pub(crate) fn reads(&self, level: usize, moved: &[bool], leads: Leads) -> Reads {
        let mut reads = Reads::default();
        let moved: Vec<usize> = (0..self.parameters).filter(|&index| moved[index]).collect();
        self.add_sources(self.learned_from(&moved, leads), &mut reads);
        if let Some(after) = &self.after {
            reads.include(level, &after.reads(&moved, leads));
        }
        reads
    }

    /// What the point depends on where steps come to rest, besides the loss: what factors of its penalty are made of.
    pub(crate) fn reads_at_rest(&self) -> Reads {
        let mut reads = Reads::default();
        self.add_sources(self.decay.iter().flat_map(|decay| decay.sources()), &mut reads);
        reads
    }

    /// The numbers of the sources that the parameters at these places depend on after a step, or their states.
    fn learned_from(&self, moved: &[usize], leads: Leads) -> Vec<usize> {
        let count = self.learned.sources().count();
        if count == 0 {
            return Vec::new();
        }
        let with_states =
            |&index: &usize| self.groups.states(index).map(|state| self.parameters + state).chain([index]);
        let outputs: Vec<NodeId> = moved.iter().flat_map(with_states).map(|at| self.moved[at]).collect();
        let led = leads(&self.graph, &outputs);
        let sources = &self.tensors[self.tensors.len() - count..];
        (0..count).filter(|&number| led[sources[number].index()]).collect()
    }

    fn add_sources(&self, numbers: impl IntoIterator<Item = usize>, reads: &mut Reads) {
        for number in numbers {
            let Some(source) = self.learned.sources().nth(number) else { continue };
            let above = self.learned.levels().iter().find(|above| above.level == source.level);
            if let (Some(above), Some(parameter)) = (above, source.parameter) {
                reads.add_one(source.level, parameter, above.parameters.len());
            }
        }
    }
}
