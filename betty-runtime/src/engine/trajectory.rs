//! The steps of a level, kept so that they can be differentiated.
//!
//! A step is `(θ′, σ′) = Φ(θ, g, σ)` with the gradient `g = g(θ, λ)` and the optimizer's state `σ`. The reverse sweep
//! takes the cotangents of `θ′` and `σ′` through `Φ`, and what arrives at `g` on through the second derivative of the loss,
//! to `θ` and to every level `λ` above. Each step sees its own batch, draws and learning rate again. Numbers of `Φ` that a
//! level above learns are inputs of it, and get their cotangents in every step.
//!
//! `θ`, `g` and `σ` of every step are kept, or, with a budget, those of every so many steps; the steps between are then
//! taken again from there, and give the same bits (Griewank and Walther, *Evaluating Derivatives*, 2008, chapter 12).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::ground::StepsGround;
use super::step::Step;
use super::update::{Before, Update};
use crate::derivatives::Variable;
use crate::execute::{Value, Vector};
use crate::hypergradient::{Blocks, HypergradientError, ProductError, Trajectory};
use crate::linalg::InnerProductSpace;

/// The last steps of a level.
#[derive(Clone)]
pub(super) struct Steps {
    level: usize,
    update: Rc<Update>,
    steps: VecDeque<Step>,
    /// How many steps are differentiated.
    length: usize,
    /// How many of them are kept whole; at least 4, so that a segment can be halved.
    memory: usize,
    /// Steps since the beginning.
    recorded: usize,
    /// The level whose parameters the first step was taken from.
    from: Option<usize>,
}

impl Steps {
    pub(super) fn new(level: usize, update: Rc<Update>, length: usize, memory: Option<usize>) -> Self {
        let memory = memory.map_or(length, |memory| memory.clamp(4, length.max(4)));
        Steps { level, update, steps: VecDeque::new(), length, memory, recorded: 0, from: None }
    }

    /// Begins anew, at the parameters of a level if there is one.
    pub(super) fn restart(&mut self, from: Option<usize>) {
        self.steps.clear();
        (self.recorded, self.from) = (0, from);
    }

    /// How many steps are differentiated at the most.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// How many steps are kept whole at the most.
    pub(super) fn capacity(&self) -> usize {
        self.memory
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Keeps a step, and lets go of those that nobody looks back to.
    pub(super) fn record(&mut self, mut step: Step) {
        // Steps that depend on answers from below cannot be taken again without them.
        let can_repeat = step.evaluations.iter().all(|evaluation| evaluation.sites.len() == 1);
        let stride = stride(self.length, self.memory);
        for evaluation in &mut step.evaluations {
            evaluation.forget_own();
        }
        if can_repeat && !self.recorded.is_multiple_of(stride) {
            step.before = None;
        }
        self.recorded += 1;
        self.steps.push_back(step);
        // What is let go ends where the next kept step begins.
        while let Some(next) = self.steps.iter().skip(1).position(|step| step.before.is_some()) {
            if self.steps.len() - (next + 1) < self.length {
                break;
            }
            self.steps.drain(..=next);
        }
    }

    /// The steps that are differentiated, to be made one function. All are kept whole.
    pub(super) fn ground(&self) -> StepsGround {
        let skipped = self.steps.len().saturating_sub(self.length);
        let steps = self.steps.iter().skip(skipped);
        let batches = steps.clone().map(|step| step.evaluations.iter().map(|of| Rc::clone(&of.batch)).collect());
        let taken = steps.clone().map(|step| (step.clone(), self.update.numbers(&step.rates, step.number).collect()));
        StepsGround {
            batches: batches.collect(),
            from: self.from.filter(|_| self.is_whole(skipped)),
            taken: taken.collect(),
        }
    }

    /// Whether the steps after the first `skipped` are all since the level started.
    fn is_whole(&self, skipped: usize) -> bool {
        skipped == 0 && self.recorded == self.steps.len()
    }

    /// The reverse sweep over the last steps, from a cotangent of the parameters after them.
    pub(super) fn pull_back(&self, cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        let steps: Vec<&Step> = self.steps.iter().collect();
        let skipped = steps.len().saturating_sub(self.length);
        let mut sweep = Sweep {
            steps: self,
            into,
            parameters: cotangent.clone(),
            states: Vec::new(),
            learned: Vector::default(),
            sent: Blocks::default(),
        };
        // Segments between steps that are kept whole, the last one first.
        let mut end = steps.len();
        for start in (0..steps.len()).rev() {
            if let Some(before) = &steps[start].before {
                if end > skipped {
                    sweep.segment(
                        &steps[start..end],
                        skipped.saturating_sub(start),
                        before.clone(),
                        self.memory / 2,
                    )?;
                }
                end = start;
            }
        }
        // What is left at the first step belongs to where it began.
        let from = self.from.map(Variable::Level).filter(|from| into.contains(from));
        if let Some(from) = from.filter(|_| self.is_whole(skipped)) {
            sweep.sent.add(from, 1.0, sweep.parameters);
        }
        self.update.learned().send(&sweep.learned, into, &mut sweep.sent);
        Ok(sweep.sent)
    }
}

/// Every how many steps one is kept whole, if `memory` of `length` can be: half of the memory for kept steps, half for
/// those that are taken again.
fn stride(length: usize, memory: usize) -> usize {
    if length <= memory { 1 } else { length.div_ceil(memory / 2) }
}

/// The state of a reverse sweep.
struct Sweep<'a> {
    steps: &'a Steps,
    into: &'a [Variable],
    /// Cotangent of the parameters.
    parameters: Vector,
    /// Cotangents of the optimizer's states; empty for zeros.
    states: Vec<Value>,
    /// Cotangent of the tensors of learned numbers, from all steps so far; empty for zeros.
    learned: Vector,
    sent: Blocks,
}

impl Sweep<'_> {
    /// Sweeps over all but the first `skip` steps, which begin at `before`, with memory for that many steps.
    fn segment(
        &mut self,
        steps: &[&Step],
        skip: usize,
        before: Before,
        memory: usize,
    ) -> Result<(), HypergradientError> {
        let stride = if steps.len() <= memory { 1 } else { steps.len().div_ceil((memory / 2).max(2)) };
        let mut kept = vec![before];
        let last_kept = (steps.len() - 1) / stride * stride;
        let mut current = kept[0].clone();
        for (index, step) in steps[..last_kept].iter().enumerate() {
            current = step.next(&self.steps.update, current, steps[index + 1]);
            if (index + 1).is_multiple_of(stride) {
                kept.push(current.clone());
            }
        }
        drop(current);
        for (index, before) in kept.into_iter().enumerate().rev() {
            let (start, end) = (index * stride, (index * stride + stride).min(steps.len()));
            if end <= skip {
                break;
            }
            if stride == 1 {
                self.step(steps[start], before)?;
            } else {
                self.segment(&steps[start..end], skip.saturating_sub(start), before, memory - memory / 2)?;
            }
        }
        Ok(())
    }

    /// Takes the cotangents back through one step.
    fn step(&mut self, step: &Step, before: Before) -> Result<(), HypergradientError> {
        let Sweep { steps, into, .. } = *self;
        let states = if self.states.len() == before.states.len() {
            std::mem::take(&mut self.states)
        } else {
            Vector(before.states.clone()).zero().0
        };
        let parameters = std::mem::take(&mut self.parameters);
        let point = before.parameters.clone();
        let pulled = steps.update.pull_back(before, &step.rates, step.number, parameters, states);
        let Before { mut parameters, mut gradient, states, learned } = pulled.map_err(ProductError::from)?;
        if self.learned.0.is_empty() {
            self.learned = Vector(learned);
        } else {
            self.learned.add_scaled(1.0, &Vector(learned));
        }
        gradient.scale(1.0 / step.evaluations.len() as f64);
        let own = Variable::Level(steps.level);
        let rows: Vec<Variable> = std::iter::once(own).chain(into.iter().copied()).collect();
        for evaluation in &step.evaluations {
            let mut change = evaluation.response(&point).change_of_gradient(steps.level, &gradient, &rows)?;
            if let Some(part) = change.take(own) {
                parameters.add_scaled(1.0, &part);
            }
            self.sent = std::mem::take(&mut self.sent).plus(1.0, change);
        }
        (self.parameters, self.states) = (parameters, states);
        Ok(())
    }
}

impl Trajectory for Rc<RefCell<Steps>> {
    fn products(&self) -> usize {
        let steps = self.borrow();
        steps.steps.len().min(steps.length)
    }

    fn pull_back(&self, cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        self.borrow().pull_back(cotangent, into)
    }
}
