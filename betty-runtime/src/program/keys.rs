//! What decides which compiled program there is: levels, and what each is differentiated on.

use std::collections::BTreeMap;

use crate::schedule::Schedule;
use crate::steps::{Basis, Shape};

/// What a Lagrangian depends on: the level, and on what it and its stops are differentiated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CurvatureKey {
    pub(super) level: usize,
    shapes: Vec<Shape>,
}

impl CurvatureKey {
    pub(super) fn new(schedule: &Schedule, level: usize, bases: &BTreeMap<usize, Basis>) -> Self {
        let stops = schedule.levels[level].sweep.iter().map(|stop| stop.level);
        let all = std::iter::once(level).chain(stops);
        CurvatureKey { level, shapes: all.map(|of| bases[&of].shape()).collect() }
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
