//! What decides which compiled program there is: levels, and what each is differentiated on.

use std::collections::BTreeMap;

use super::decaying::Decaying;
use crate::schedule::Schedule;
use crate::steps::{Basis, Shape};

/// What a Lagrangian depends on: the level, and on what it and its stops are differentiated, and which of their parameters decay.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CurvatureKey {
    pub(super) level: usize,
    shapes: Vec<Shape>,
    decaying: Vec<Vec<bool>>,
}

impl CurvatureKey {
    pub(super) fn new(schedule: &Schedule, level: usize, bases: &BTreeMap<usize, Basis>, decaying: &Decaying) -> Self {
        let stops = schedule.levels[level].sweep.iter().map(|stop| stop.level);
        let all: Vec<usize> = std::iter::once(level).chain(stops).collect();
        let shapes = all.iter().map(|of| bases[of].shape()).collect();
        CurvatureKey { level, shapes, decaying: all.iter().filter_map(|of| decaying.get(of).cloned()).collect() }
    }
}

/// What decides which program there is: the level, the number of tasks, and what it and the levels below see in a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TasksKey {
    pub(super) level: usize,
    pub(super) count: usize,
    pub(super) shapes: Vec<Shape>,
    pub(super) numbers_differ: Vec<bool>,
}
