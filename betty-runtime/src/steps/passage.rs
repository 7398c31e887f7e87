//! Back through the steps of one or several levels, in the order in which they were taken.
//!
//! A step is `(θ′, σ′) = Φ(θ, g, σ)` with the gradient `g = g(θ, λ)` and the optimizer's state `σ`. Going back takes the
//! cotangents of `θ′` and `σ′` through `Φ`, and what arrives at `g` on through the second derivative of the loss, to `θ` and
//! to every level `λ` that the loss read. Each step sees its own batch, draws and learning rate again. Numbers of `Φ` that
//! another level learns are inputs of it, and get their cotangents in every step.
//!
//! Where the steps of one level read parameters of another that was taking steps itself, they read what those were at the
//! time: the cotangent enters the other level's steps there, and goes on from there to the beginning. So the sum over all
//! steps is the derivative of what was run. A step that rests on steps below takes them for one function, of where they began
//! too; what arrives there enters the steps that had been taken before.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::kept::{KeptSteps, Limit};
use super::rewind::Rewind;
use super::step::Restart;
use super::update::Before;
use crate::derivatives::Variable;
use crate::execute::{Sum, Value, Vector};
use crate::hypergradient::{Blocks, HypergradientError, ProductError, Trajectory};
use crate::linalg::InnerProductSpace;

/// A level whose steps are gone through.
pub(crate) struct Member<'a> {
    pub(crate) level: usize,
    pub(crate) steps: &'a KeptSteps,
    /// The levels that its steps are differentiated in.
    pub(crate) into: Vec<Variable>,
    pub(crate) limit: Limit,
}

/// What came out of the steps of several levels.
pub(crate) struct Passed {
    /// For the levels that take none of them.
    pub(crate) sent: Blocks,
    /// How many steps of each level were gone through.
    pub(crate) steps: Vec<(usize, usize)>,
}

/// The steps of some levels on the way back.
pub(crate) struct Passage<'a> {
    members: Vec<usize>,
    descents: Vec<Descent<'a>>,
    /// To those that are no members.
    sent: BTreeMap<Variable, Sum>,
}

/// One level on the way back.
struct Descent<'a> {
    member: Member<'a>,
    rewind: Rewind<'a>,
    /// How many of its steps are still to be gone through, …
    at: usize,
    /// … after a start that comes before them.
    start: Option<Restart>,
    /// The cotangents after those; none where nothing has arrived.
    arrived: Option<Cotangents>,
    /// Cotangents that arrive further back: before all steps that were taken at this time or later.
    waiting: Vec<(u64, Cotangents)>,
    /// Through how many more steps they go, if that is limited.
    left: usize,
    /// Cotangent of the tensors of learned numbers, from all steps so far.
    learned: Sum,
    passed: usize,
}

/// Cotangents of a level's parameters, and of its optimizer's states; empty for zeros.
struct Cotangents {
    parameters: Vector,
    states: Vec<Value>,
}

/// A cotangent on its way from a step to what the step read, as it was at this time.
struct Sent {
    to: Variable,
    time: u64,
    block: Vector,
}

impl<'a> Passage<'a> {
    pub(crate) fn new(members: impl IntoIterator<Item = Member<'a>>) -> Self {
        let descents: Vec<Descent<'a>> = members.into_iter().map(Descent::new).collect();
        let members = descents.iter().map(|descent| descent.member.level).collect();
        Passage { members, descents, sent: BTreeMap::new() }
    }

    /// A cotangent of the parameters of a level as they were when only the steps before `time` had been taken.
    pub(crate) fn enter(&mut self, level: usize, time: u64, parameters: Vector) {
        self.send(Sent { to: Variable::Level(level), time, block: parameters });
    }

    fn send(&mut self, Sent { to, time, mut block }: Sent) {
        let found = self.descents.iter_mut().find(|descent| descent.member.level == to.owner());
        let Some(descent) = found else { return self.sent.entry(to).or_default().add(block) };
        let states = match to {
            Variable::Begun(_) => block.0.split_off(descent.member.steps.update.parameters()),
            _ => Vec::new(),
        };
        descent.waiting.push((time, Cotangents { parameters: block, states }));
    }

    /// Goes back through all steps.
    pub(crate) fn go_back(mut self) -> Result<Passed, HypergradientError> {
        // The last step of all comes first.
        while let Some(next) = self.last() {
            for sent in self.descents[next].step(&self.members)? {
                self.send(sent);
            }
        }
        let Passage { members, descents, sent } = self;
        let mut sent: Blocks = sent.into_iter().map(|(to, sum)| (to, sum.total())).collect();
        let mut steps = Vec::with_capacity(descents.len());
        for Descent { member, learned, passed, .. } in descents {
            let (_, outside) = member.sends_to(&members);
            member.steps.update.learned().send(&learned.total(), &outside, &mut sent);
            steps.push((member.level, passed));
        }
        Ok(Passed { sent, steps })
    }

    fn last(&self) -> Option<usize> {
        let ahead = self.descents.iter().enumerate();
        ahead.filter_map(|(index, descent)| Some((descent.next()?, index))).max().map(|(_, index)| index)
    }
}

impl Member<'_> {
    /// Those of its levels that are members too, and those that are not.
    fn sends_to(&self, members: &[usize]) -> (Vec<Variable>, Vec<Variable>) {
        self.into.iter().partition(|variable| members.contains(&variable.owner()))
    }
}

impl<'a> Descent<'a> {
    fn new(member: Member<'a>) -> Self {
        Descent {
            rewind: Rewind::new(member.steps),
            at: member.steps.steps.len(),
            start: None,
            arrived: None,
            waiting: Vec::new(),
            left: 0,
            learned: Sum::default(),
            passed: 0,
            member,
        }
    }

    /// When that happened, a step or a start, which the next cotangents go through.
    fn next(&self) -> Option<u64> {
        let arrives = self.waiting.iter().map(|&(time, _)| time).max();
        let newest = if self.arrived.is_some() { u64::MAX } else { arrives? };
        let (mut at, mut start) = (self.at, self.start);
        loop {
            let time = self.time(at, start)?;
            if time < newest {
                return Some(time).filter(|&time| !matches!(self.member.limit, Limit::Since(since) if time < since));
            }
            (at, start) = self.before(at, start);
        }
    }

    /// When the last of so many steps was taken, or the start after them.
    fn time(&self, at: usize, start: Option<Restart>) -> Option<u64> {
        match start {
            Some(start) => Some(start.time),
            None => self.member.steps.steps.get(at.checked_sub(1)?).map(|step| step.time),
        }
    }

    /// What comes before that.
    fn before(&self, at: usize, start: Option<Restart>) -> (usize, Option<Restart>) {
        if start.is_some() { (at, None) } else { (at - 1, self.member.steps.steps[at - 1].start) }
    }

    /// Passes over what comes after all cotangents, and takes up those that arrive. No others do that are newer.
    fn take_up(&mut self) {
        while let Some(time) = self.time(self.at, self.start) {
            let waiting = std::mem::take(&mut self.waiting).into_iter();
            let (now, later): (Vec<_>, Vec<_>) = waiting.partition(|&(of, _)| of > time);
            self.waiting = later;
            self.arrive(now.into_iter().map(|(_, cotangents)| cotangents).collect());
            if self.arrived.is_some() {
                break;
            }
            (self.at, self.start) = self.before(self.at, self.start);
        }
    }

    fn arrive(&mut self, new: Vec<Cotangents>) {
        if new.is_empty() {
            return;
        }
        if let Limit::Last(steps) = self.member.limit {
            self.left = steps;
        }
        let (mut of_parameters, mut of_states) = (Sum::default(), Sum::default());
        for Cotangents { parameters, states } in self.arrived.take().into_iter().chain(new) {
            of_parameters.add(parameters);
            of_states.add(Vector(states));
        }
        self.arrived = Some(Cotangents { parameters: of_parameters.total(), states: of_states.total().0 });
    }

    /// Takes the cotangents back through one step, or to where the level started.
    fn step(&mut self, members: &[usize]) -> Result<Vec<Sent>, HypergradientError> {
        self.take_up();
        if let Some(Restart { time, from, undone }) = self.start.take() {
            let started = self.arrived.take();
            if let Some(undone) = undone {
                self.waiting.extend(started.map(|cotangents| (undone, cotangents)));
                return Ok(Vec::new());
            }
            let to = from.map(Variable::Level);
            let to = to.filter(|to| self.member.into.contains(to));
            return Ok(started.zip(to).map(|(of, to)| Sent { to, time, block: of.parameters }).into_iter().collect());
        }
        self.at -= 1;
        let before = self.rewind.before(self.at).map_err(ProductError::from)?;
        let (Some(cotangents), Some(before)) = (self.arrived.take(), before) else {
            return Ok(Vec::new());
        };
        let Member { level, steps, into, .. } = &self.member;
        let step = &steps.steps[self.at];
        let states = match cotangents.states.len() == before.states.len() {
            true => cotangents.states,
            false => Vector(before.states.clone()).zero().0,
        };
        let point = before.parameters.clone();
        let cotangents = (cotangents.parameters, states);
        let pulled = steps.update.pull_back(before, &step.rates, &step.moves, cotangents);
        let Before { parameters, mut gradient, states, learned } = pulled.map_err(ProductError::from)?;
        let learned = Vector(learned);
        let mut sent = Vec::new();
        let (inside, _) = self.member.sends_to(members);
        let mut numbers = Blocks::default();
        steps.update.learned().send(&learned, &inside, &mut numbers);
        sent.extend(numbers.into_iter().map(|(to, block)| Sent { to, time: step.time, block }));
        self.learned.add(learned);
        gradient.scale(1.0 / step.evaluations.len() as f64);
        let mut sum = Sum::default();
        sum.add(parameters);
        let (left, start) = (self.left.saturating_sub(1), step.start);
        let goes_on = self.goes_on(left, start);
        let own = goes_on.then_some(Variable::Level(*level));
        for evaluation in &step.evaluations {
            let begun = || evaluation.begun.iter().filter(|(level, _)| members.contains(level));
            let begins = begun().map(|&(of, _)| Variable::Begun(of));
            let rows: Vec<Variable> = own.into_iter().chain(into.iter().copied()).chain(begins).collect();
            if rows.is_empty() {
                continue;
            }
            let mut change = evaluation.response(&point).change_of_gradient(*level, &gradient, &rows)?;
            if let Some(part) = own.and_then(|own| change.take(own)) {
                sum.add(part);
            }
            let time_of = |to: Variable| match to {
                Variable::Begun(of) => begun().find(|(level, _)| *level == of).map_or(0, |&(_, time)| time),
                _ => evaluation.time,
            };
            sent.extend(change.into_iter().map(|(to, block)| Sent { to, time: time_of(to), block }));
        }
        self.passed += 1;
        (self.left, self.start) = (left, start);
        if goes_on {
            self.arrived = Some(Cotangents { parameters: sum.total(), states });
        }
        Ok(sent)
    }

    /// Whether anything takes the cotangents of what the next step on the way back was taken from, if that is where the level started or
    /// nothing, and so many steps more are differentiated. Where nothing does, its Hessian product need not be formed.
    fn goes_on(&self, left: usize, start: Option<Restart>) -> bool {
        let has_earlier = self.at > 0;
        match start {
            Some(Restart { from: Some(level), undone: None, .. }) => self.member.into.contains(&Variable::Level(level)),
            Some(Restart { from: None, undone: None, .. }) => false,
            Some(Restart { undone: Some(_), .. }) => has_earlier,
            None => has_earlier && (left > 0 || matches!(self.member.limit, Limit::Since(_))),
        }
    }
}

impl Trajectory for Rc<RefCell<KeptSteps>> {
    fn products(&self) -> usize {
        let steps = self.borrow();
        steps.run(true).min(steps.length)
    }

    fn pull_back(self: Box<Self>, cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError> {
        let steps = self.borrow();
        let level = steps.level;
        let member = Member { level, steps: &steps, into: into.to_vec(), limit: steps.limit(None) };
        let mut passage = Passage::new([member]);
        passage.enter(level, u64::MAX, cotangent.clone());
        Ok(passage.go_back()?.sent)
    }
}
