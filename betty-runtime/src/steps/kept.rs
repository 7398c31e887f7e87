//! The steps of a level, kept so that they can be differentiated.
//!
//! A step is `(θ′, σ′) = Φ(θ, g, σ)` with the gradient `g = g(θ, λ)` and the optimizer's state `σ`; see
//! [`passage`](super::passage) for how a cotangent goes back through steps. `θ`, `g` and `σ` of every step are kept, or, with
//! a budget, those of every so many steps; see [`rewind`](super::rewind).

use std::collections::VecDeque;
use std::rc::Rc;

use super::basis::StepsBasis;
use super::reads::Reads;
use super::step::{Restart, Step, moved_by};
use super::update::Update;
use crate::graph::differentiated;

/// The last steps of a level.
#[derive(Clone)]
pub(crate) struct KeptSteps {
    pub(crate) level: usize,
    pub(crate) update: Rc<Update>,
    pub(crate) steps: VecDeque<Step>,
    /// How many steps are differentiated.
    pub(super) length: usize,
    /// Whether the derivative ends there, even if a level above has waited for more of them.
    is_truncated: bool,
    /// How many of them are kept whole; at least 4, so that a segment can be halved.
    pub(crate) memory: usize,
    /// Steps since the level last started.
    taken: usize,
    /// How the level started after the last step, if it did.
    start: Option<Restart>,
}

/// Up to where a cotangent goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// Through so many steps.
    Last(usize),
    /// Through all steps since a time.
    Since(u64),
}

/// What hypergradients need of a level besides its last steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needed {
    /// All steps since a time, …
    pub(crate) since: Option<u64>,
    /// … also if the level has started again in between.
    pub(crate) across_starts: bool,
    /// The rounds that a level above waits for.
    pub(crate) rounds: usize,
    /// Levels below whose answers are read above.
    pub(crate) answers: Vec<usize>,
}

impl KeptSteps {
    /// Keeps the last `length` steps, or with `truncate` so many, with memory for so many whole ones.
    pub(crate) fn new(
        level: usize,
        update: Rc<Update>,
        unroll: usize,
        truncate: Option<usize>,
        memory: Option<usize>,
    ) -> Self {
        let length = truncate.unwrap_or(unroll);
        let memory = memory.map_or(length, |memory| memory.clamp(4, length.max(4)));
        let (is_truncated, start) = (truncate.is_some(), Some(Restart::default()));
        KeptSteps { level, update, steps: VecDeque::new(), length, is_truncated, memory, taken: 0, start }
    }

    /// The level starts again.
    pub(crate) fn restart(&mut self, start: Restart) {
        self.start = Some(start);
    }

    /// Lets go of all steps.
    pub(crate) fn forget(&mut self) {
        self.steps.clear();
        self.start = Some(Restart::default());
    }

    /// How many steps are differentiated at the most, for a level above that waited for so many.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// How many steps are kept whole at the most.
    pub(crate) fn capacity(&self) -> usize {
        self.memory
    }

    /// Whether the derivative ends after so many steps.
    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// What the steps depend on that are kept.
    pub(crate) fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        self.steps.iter().flat_map(|step| &step.evaluations).for_each(|evaluation| reads.add(&evaluation.reads));
        reads.add(&self.update.reads(self.level, &moved_by(&self.steps, &self.update), differentiated));
        reads
    }

    /// Whether the last derivative of the steps since the level last started leads to where they began.
    pub(crate) fn reaches_start(&self) -> bool {
        !self.is_truncated || self.taken <= self.length
    }

    /// Whether no step was taken since the level last started.
    pub(crate) fn is_empty(&self) -> bool {
        self.start.is_some() || self.steps.is_empty()
    }

    /// Up to where a cotangent goes back: through the last steps, or with `since` through all since then.
    pub(crate) fn limit(&self, since: Option<u64>) -> Limit {
        match since.filter(|_| !self.is_truncated) {
            Some(time) => Limit::Since(time),
            None => Limit::Last(self.length),
        }
    }

    /// Keeps a step, and lets go of those that nobody looks back to.
    pub(crate) fn record(&mut self, mut step: Step, needed: &Needed) {
        // Steps that depend on answers from below cannot be taken again without them.
        let can_repeat = step.evaluations.iter().all(|evaluation| evaluation.conditions.len() == 1);
        for evaluation in &mut step.evaluations {
            evaluation.forget_own();
        }
        step.start = self.start.take();
        if step.start.is_some() {
            self.taken = 0;
        }
        if can_repeat && !self.taken.is_multiple_of(stride(self.length, self.memory)) {
            step.before = None;
        }
        self.taken += 1;
        self.steps.push_back(step);
        self.let_go(needed);
    }

    fn let_go(&mut self, needed: &Needed) {
        let run = self.run(false);
        let since = needed.since.map_or(0, |time| self.steps.iter().rev().take_while(|step| step.time >= time).count());
        let since = if needed.across_starts { since } else { since.min(run) };
        let count = since.max(run.min(self.looked_back(needed.rounds)));
        // What is let go ends where the next kept step begins.
        while let Some(next) = self.steps.iter().skip(1).position(|step| step.before.is_some()) {
            if self.steps.len() - (next + 1) < count {
                break;
            }
            self.steps.drain(..=next);
        }
    }

    /// How many steps there are since the level last started, or with `undoing`, last started or undid some.
    pub(super) fn run(&self, undoing: bool) -> usize {
        let begins = |step: &Step| step.start.is_some_and(|start| undoing || start.undone.is_none());
        self.steps.len() - self.steps.iter().rposition(begins).unwrap_or(0)
    }

    /// How many steps of so many rounds are differentiated.
    pub(super) fn looked_back(&self, rounds: usize) -> usize {
        if self.is_truncated { self.length } else { self.length * rounds }
    }

    /// The steps of the last rounds, to be made one function. All are kept whole.
    pub(crate) fn basis(&self, rounds: usize) -> StepsBasis {
        let first = self.steps.len() - self.run(true).min(self.looked_back(rounds));
        let steps = self.steps.iter().skip(first);
        let batches = steps.clone().map(|step| step.evaluations.iter().map(|of| Rc::clone(&of.batch)).collect());
        let numbers = |step: &Step| self.update.numbers(&step.rates, &step.moves).collect();
        let taken = steps.clone().map(|step| (step.clone(), numbers(step)));
        let (from, begun) = match self.steps.get(first) {
            Some(Step { start: Some(Restart { from, undone: None, .. }), .. }) => (*from, None),
            Some(Step { time, .. }) => (None, Some(*time).filter(|_| !self.is_truncated)),
            None => (None, None),
        };
        StepsBasis { batches: batches.collect(), from, begun, taken: taken.collect() }
    }
}

/// Every how many steps one is kept whole, if `memory` of `length` can be: half of the memory for kept steps, half for
/// those that are taken again.
fn stride(length: usize, memory: usize) -> usize {
    if length <= memory { 1 } else { length.div_ceil(memory / 2) }
}
