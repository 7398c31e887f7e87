//! Parameters of a level that are stepped in one way, and where their states are among those of all.

use std::ops::Range;
use std::rc::Rc;

use crate::config::{Clip, ProjectionConfig};
use crate::optimizer::Optimizer;

/// How some of a level's parameters take their steps.
#[derive(Clone)]
pub(crate) struct Group {
    /// Its name; none for the parameters that are in no group.
    pub(crate) name: Option<String>,
    pub(crate) optimizer: Rc<dyn Optimizer>,
    pub(crate) clip: Option<Clip>,
    pub(crate) project: Option<ProjectionConfig>,
    /// Their places among the parameters of the level, in order.
    pub(crate) members: Vec<usize>,
}

/// All parameters of a level, each in one group.
#[derive(Clone)]
pub(crate) struct Groups {
    each: Vec<Group>,
    /// The group of each parameter, and its place there.
    places: Vec<(usize, usize)>,
    /// Where the states of each parameter begin, and where those of the last one end.
    states: Vec<usize>,
}

impl Group {
    /// Whether its parameters are projected together, so that the step is told which of them it moves.
    pub(super) fn is_joint(&self) -> bool {
        matches!(self.project, Some(ProjectionConfig::NormBall(_)))
    }

    /// The members' part of something that every parameter of the level has.
    pub(super) fn of<T: Copy>(&self, all: &[T]) -> Vec<T> {
        self.members.iter().map(|&member| all[member]).collect()
    }

    /// Puts the members' part of something into the whole.
    pub(super) fn put<T>(&self, part: Vec<T>, all: &mut [T]) {
        self.members.iter().zip(part).for_each(|(&member, of_member)| all[member] = of_member);
    }
}

impl Groups {
    /// The groups of so many parameters.
    pub(crate) fn new(each: Vec<Group>, parameters: usize) -> Self {
        let mut places = vec![(0, 0); parameters];
        for (number, group) in each.iter().enumerate() {
            group.members.iter().enumerate().for_each(|(place, &member)| places[member] = (number, place));
        }
        let mut states = vec![0];
        for (parameter, &(group, _)) in places.iter().enumerate() {
            states.push(states[parameter] + each[group].optimizer.states());
        }
        Groups { each, places, states }
    }

    /// Every group.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.each.iter()
    }

    /// The group of a parameter.
    pub(crate) fn of(&self, parameter: usize) -> &Group {
        &self.each[self.number(parameter)]
    }

    /// The number of the group of a parameter.
    pub(crate) fn number(&self, parameter: usize) -> usize {
        self.places[parameter].0
    }

    /// The place of a parameter in its group.
    pub(super) fn place(&self, parameter: usize) -> usize {
        self.places[parameter].1
    }

    /// Which states belong to a parameter.
    pub(crate) fn states(&self, parameter: usize) -> Range<usize> {
        self.states[parameter]..self.states[parameter + 1]
    }

    /// The parameter that a state belongs to, and which of its states that is.
    pub(crate) fn owner(&self, state: usize) -> (usize, usize) {
        let parameter = self.states.partition_point(|&first| first <= state) - 1;
        (parameter, state - self.states[parameter])
    }
}
