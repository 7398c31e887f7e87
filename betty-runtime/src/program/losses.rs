//! Compiled losses: traced at the first batch of a shape, verified once, kept for all later ones.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use burn::tensor::Device;

use super::compared::Compared;
use super::edges::Edges;
use super::judged::Judged;
use super::keys::{CurvatureKey, TasksKey};
use super::level::{Level, check_computed, check_device, check_held};
use super::news::News;
use super::recordings::Recordings;
use super::subject::{Function, Subject};
use super::verification::{self, Outcome, TRIES, Verify};
use crate::derivatives::{Bound, Cache, Curvature, Loss, Tasks};
use crate::distributed::Ranks;
use crate::error::{EngineError, ShardError};
use crate::execute::Value;
use crate::trace::{AnyBatch, LossInput, Signature, Trace};

/// How often a trace could not be compared with Burn's autodiff, and when to try again.
#[derive(Clone, Copy, Default)]
struct Tries {
    made: u32,
    /// How often the trace was used since it was made.
    uses: u64,
}

/// The traces that could not be compared yet.
#[derive(Clone, Default)]
pub(crate) struct Unchecked(HashMap<(usize, Signature), Tries>);

/// The compiled losses of all levels.
pub(crate) struct Losses {
    pub(super) caches: Vec<Cache<Signature, Loss>>,
    /// The losses of each level that may have become others since they were recorded.
    unsure: Vec<HashSet<Signature>>,
    pub(super) curvatures: Cache<CurvatureKey, Rc<RefCell<Curvature>>>,
    tasks: Cache<TasksKey, Rc<Tasks>>,
    /// What is known of all recordings of each level, those that were let go included.
    recordings: Vec<Recordings>,
    /// How many traces each level keeps.
    pub(crate) bound: Bound,
    pub(super) device: Device,
    /// How each new trace is compared with Burn's autodiff.
    pub(crate) verify: Verify,
    /// Traces that could not be compared yet.
    unchecked: Unchecked,
    /// Whether products are computed in the types that levels ask for.
    rounds: bool,
    /// Those that share the examples, if there are others.
    pub(crate) ranks: Option<Rc<Ranks>>,
    /// The kinds of shared batches of each level that have been compared with what they are shares of.
    pub(super) compared: Compared,
    /// What of the program's edges the losses bear out.
    pub(crate) edges: Edges,
    /// What a hypergradient takes that is a lot.
    pub(crate) judged: Judged,
    /// What observers are not told yet.
    pub(crate) news: Vec<News>,
}

impl Losses {
    pub(crate) fn new(levels: usize, device: Device) -> Self {
        Losses {
            // Those of losses, behind them those of maps, and behind these what follows steps.
            caches: (0..3 * levels).map(|_| Cache::new()).collect(),
            unsure: vec![HashSet::new(); 3 * levels],
            curvatures: Cache::new(),
            tasks: Cache::new(),
            recordings: vec![Recordings::default(); 3 * levels],
            bound: Bound::default(),
            device,
            verify: Verify::default(),
            unchecked: Unchecked::default(),
            rounds: true,
            ranks: None,
            compared: Compared::default(),
            edges: Edges::new(levels),
            judged: Judged::default(),
            news: Vec::new(),
        }
    }

    /// Whether products are computed in the types that levels ask for.
    pub(super) fn rounds(&self) -> bool {
        self.rounds
    }

    /// Whether those that share the examples are at work each by itself.
    pub(super) fn are_apart(&self) -> bool {
        self.ranks.as_ref().is_some_and(|ranks| ranks.is_apart())
    }

    /// How many levels there are.
    pub(super) fn levels(&self) -> usize {
        self.caches.len() / 3
    }

    /// Traces depend on the modules: after those were lent out, each is recorded again before its next use, and everything
    /// that was compiled of it is kept if it has stayed the same.
    pub(crate) fn recheck(&mut self) {
        for (unsure, cache) in self.unsure.iter_mut().zip(&self.caches) {
            *unsure = cache.iter().map(|(signature, _)| signature.clone()).collect();
        }
        self.compared.doubt();
    }

    /// Forgets what rests on steps of levels as they were: what follows a step holds tensors of the module as they are.
    pub(super) fn forget_steps(&mut self) {
        self.curvatures.clear();
        self.tasks.clear();
    }

    /// Forgets all losses.
    pub(crate) fn clear(&mut self) {
        self.caches.iter_mut().for_each(Cache::clear);
        self.curvatures.clear();
        self.tasks.clear();
        self.edges.clear();
        self.judged.clear();
        self.unchecked.0.clear();
        self.compared.clear();
        self.recordings.fill_with(Recordings::default);
    }

    /// Goes by the settings of others.
    pub(super) fn set_as(&mut self, others: &Self) {
        (self.verify, self.bound) = (others.verify, others.bound);
        self.edges.later.clone_from(&others.edges.later);
        self.judged.above = others.judged.above;
    }

    /// Losses without rounded products for the same program, none of which has been recorded yet. They are not compared with
    /// Burn's autodiff, as these were.
    pub(crate) fn unrounded(&self) -> Self {
        let mut fresh = Losses {
            rounds: false,
            verify: Verify { on: false, ..self.verify },
            ranks: self.ranks.clone(),
            ..Losses::new(self.levels(), self.device.clone())
        };
        (fresh.edges, fresh.bound, fresh.judged) = (self.edges.clone(), self.bound, Judged::NEVER);
        fresh
    }

    /// Compiles a loss, if that is not done yet.
    pub(crate) fn prepare(&mut self, subject: &Subject<'_>) -> Result<&mut Loss, EngineError> {
        let (Subject { level, batch, levels, schedule, .. }, k) = (*subject, subject.slot());
        for (index, value) in batch.values().iter().enumerate() {
            check_device(subject.name(), format!("tensor {index} of the batch"), value, &self.device)?;
        }
        let signature = batch.signature();
        if self.unsure[k].remove(signature) {
            self.check_same(subject)?;
        }
        if self.caches[k].contains(signature) {
            self.verify_again(subject)?;
        } else {
            for (index, value) in batch.values().iter().enumerate() {
                check_held(subject.name(), || format!("tensor {index} of the batch"), value)?;
            }
            let loss = self.record(subject)?;
            self.compared.change(level, signature);
            // Those of all steps before a step of a level above may be needed together, of all its rounds.
            let waits = |&above: &usize| schedule.levels[above].lower.contains(&level);
            let rounds = (0..levels.len()).filter(waits).map(|above| levels[above].config.rounds).max();
            let needed = levels[level].config.unroll * levels[level].evaluations() * rounds.unwrap_or(1);
            let bytes = loss.bytes();
            self.caches[k].keep(signature.clone(), loss, bytes, self.bound, needed);
        }
        Ok(self.get_mut(k, batch))
    }

    /// Forgets a loss, and what rests on it, if it has become another.
    fn check_same(&mut self, subject: &Subject<'_>) -> Result<(), EngineError> {
        let (batch, k) = (subject.batch, subject.slot());
        let mut recorded = self.rounded(subject.record(&self.device)?, subject)?;
        if subject.of == Function::Loss {
            recorded = self.shared(recorded, subject)?;
        }
        if self.caches[k].get(batch.signature()).is_some_and(|known| known.trace() != recorded.trace()) {
            self.caches[k].remove(batch.signature());
            self.curvatures.clear();
            self.tasks.clear();
            self.edges.clear();
            self.recordings[k] = Recordings::default();
            self.compared.change(subject.level, batch.signature());
        }
        Ok(())
    }

    fn record(&mut self, subject: &Subject<'_>) -> Result<Loss, EngineError> {
        let Subject { level: k, batch, levels, schedule, seed, .. } = *subject;
        let loss = subject.record(&self.device)?;
        check_computed(subject.name(), &loss, &self.device)?;
        // The same operations have been compared on a batch of another size.
        let is_known = self.recordings[subject.slot()].verified.contains(batch, loss.trace());
        let verified = !is_known && self.verify(subject, loss.trace())?;
        let graph = |source| EngineError::Graph { level: levels[k].name.into(), source };
        let mut loss = self.rounded(loss, subject)?;
        if subject.of != Function::Loss {
            return Ok(loss.known_to(self.ranks.clone()));
        }
        if let Some(precision) = levels[k].config.precision.filter(|_| self.rounds && self.verify.on) {
            let program = loss.rounding().map_err(graph)?;
            let difference = rounding(&program.run(gather(&loss, levels, batch), seed))?;
            tracing::debug!(level = levels[k].name, ?precision, difference, "rounded the products of a loss");
            self.news.push(News::Rounding { level: k, difference });
        }
        loss = self.shared(loss, subject)?;
        let maps = self.levels();
        let map = schedule.levels[k].condition.and_then(|_| self.caches[maps + k].get(batch.signature()));
        self.edges.learn(schedule, k, &mut loss, map).map_err(graph)?;
        for other in self.edges.check(schedule, k, levels)? {
            self.news.push(News::ZeroEdge { level: k, other });
        }
        let unseen = self.edges.unseen_numbers(schedule, levels, k, &mut loss, map).map_err(graph)?;
        self.news.extend(unseen);
        let news = self.recordings[k].add(k, levels[k].name, batch, verified);
        self.news.extend(news);
        Ok(loss)
    }

    /// A loss with its products in the type that the level asks for, if it asks for one.
    fn rounded(&self, loss: Loss, subject: &Subject<'_>) -> Result<Loss, EngineError> {
        let level = &subject.levels[subject.level];
        let Some(precision) = level.config.precision.filter(|_| self.rounds) else { return Ok(loss) };
        let graph = |source| EngineError::Graph { level: level.name.into(), source };
        loss.with_products_in(precision.dtype()).map_err(graph)
    }

    /// A loss as this rank's share of it, if ranks share it.
    fn shared(&self, loss: Loss, subject: &Subject<'_>) -> Result<Loss, EngineError> {
        let level = &subject.levels[subject.level];
        let (Some(ranks), Some(share)) = (&self.ranks, subject.batch.share()) else { return Ok(loss) };
        let dtype = subject.batch.values()[share].dtype();
        let loss = loss.shared(Rc::clone(ranks), share, dtype);
        let loss = loss.map_err(|source| EngineError::Graph { level: level.name.into(), source })?;
        let is_divided = subject.batch.shard().is_some_and(|shard| shard.examples.is_some());
        if is_divided && loss.moves_apart() {
            return Err(ShardError::NotShared {
                level: level.name.into(),
                reason: "its loss moves running statistics to what each rank forms of its own examples: form them of sums over all \
                         ranks, `distributed::sum`, or use a norm that goes by example, such as a group norm or layer norm"
                    .into(),
            }
            .into());
        }
        Ok(loss)
    }

    /// Compares the gradient of a trace with Burn's, or takes note that it could not be compared; answers which.
    fn verify(&mut self, subject: &Subject<'_>, trace: &Trace) -> Result<bool, EngineError> {
        if !self.verify.on {
            return Ok(false);
        }
        let (batch, level) = (subject.batch, subject.slot());
        let key = (level, batch.signature().clone());
        let reason = match verification::verify(subject, trace, self.verify, &self.device)? {
            Outcome::Unchecked(reason) => reason,
            Outcome::Equal { vanish } => {
                self.unchecked.0.remove(&key);
                // What vanishes on one example need not on more.
                if !vanish {
                    self.recordings[level].verified.insert(batch, trace);
                }
                return Ok(true);
            }
        };
        let tries = self.unchecked.0.entry(key).or_default();
        tries.made += 1;
        let made = tries.made;
        if made >= TRIES && !self.verify.unchecked_allowed {
            return Err(EngineError::Unverified { level: subject.name().into(), tries: made, source: reason });
        }
        self.news.push(News::Unverified { level: subject.level, tries: made, reason });
        Ok(false)
    }

    /// Which traces could not be compared yet.
    pub(crate) fn unchecked(&self) -> Unchecked {
        self.unchecked.clone()
    }

    /// Forgets tries since then that failed: they were made where parameters were not finite.
    pub(crate) fn forget_tries(&mut self, before: &Unchecked) {
        for (key, tries) in &mut self.unchecked.0 {
            *tries = before.0.get(key).copied().unwrap_or_default();
        }
        self.news.retain(|news| !matches!(news, News::Unverified { .. }));
    }

    /// Compares again what could not be compared before, after 1, 2, 4, … more uses.
    fn verify_again(&mut self, subject: &Subject<'_>) -> Result<(), EngineError> {
        if self.unchecked.0.is_empty() || !self.verify.on {
            return Ok(());
        }
        let (batch, level) = (subject.batch, subject.slot());
        let key = (level, batch.signature().clone());
        let Some(tries) = self.unchecked.0.get_mut(&key) else { return Ok(()) };
        tries.uses += 1;
        let is_last = tries.made >= TRIES;
        if is_last && self.verify.unchecked_allowed || !is_last && !tries.uses.is_power_of_two() {
            return Ok(());
        }
        let trace = self.get(level, batch).trace().clone();
        self.verify(subject, &trace).map(drop)
    }

    /// The loss of level `k` for batches like this one, which has been prepared.
    pub(crate) fn get(&self, k: usize, batch: &AnyBatch) -> &Loss {
        self.caches[k].get(batch.signature()).expect("the loss has been prepared for this batch")
    }

    /// As [`get`](Self::get), to compile more of it.
    pub(crate) fn get_mut(&mut self, k: usize, batch: &AnyBatch) -> &mut Loss {
        self.caches[k].find(batch.signature()).expect("the loss has been prepared for this batch")
    }

    /// The most bytes that one program of level `k` holds at once, of those that were planned.
    pub(crate) fn peak(&self, k: usize) -> usize {
        let losses = self.caches[k].iter().map(|(_, loss)| loss.peak());
        let curvatures = self.curvatures.iter().filter(|(key, _)| key.level == k);
        losses.chain(curvatures.map(|(_, of)| of.borrow().peak())).max().unwrap_or(0)
    }

    /// The program for tasks like these, if it has been made.
    pub(super) fn tasks(&mut self, key: &TasksKey) -> Option<Rc<Tasks>> {
        self.tasks.find(key).map(|tasks| Rc::clone(tasks))
    }

    /// Keeps a program for tasks.
    pub(super) fn keep_tasks(&mut self, key: TasksKey, tasks: Tasks) -> Rc<Tasks> {
        let bytes = tasks.bytes();
        Rc::clone(self.tasks.keep(key, Rc::new(tasks), bytes, self.bound, 1))
    }
}

/// All inputs of a loss, in the trace's order.
pub(crate) fn gather(loss: &Loss, levels: &[Level], batch: &AnyBatch) -> Vec<Value> {
    let value = |source: &LossInput| match *source {
        LossInput::Leaf { level, index } => levels[level].leaves[index].clone(),
        LossInput::Constant { level, index } => levels[level].constants[index].clone(),
        LossInput::Batch { index } => of_batch(batch, index, loss.is_apart()),
    };
    loss.trace().inputs.iter().map(|(source, _)| value(source)).collect()
}

/// A value of a batch; of one that ranks share, and look at each by itself, the share is the whole.
pub(super) fn of_batch(batch: &AnyBatch, index: usize, is_apart: bool) -> Value {
    let value = &batch.values()[index];
    match is_apart && batch.share() == Some(index) {
        true => Value::scalar(1.0, value.dtype(), &value.device()),
        false => value.clone(),
    }
}

/// How far apart the two halves of these gradients are, relative to the second.
fn rounding(gradients: &[Value]) -> Result<f64, EngineError> {
    let (mut gap, mut whole) = (0.0, 0.0);
    let (rounded, exact) = gradients.split_at(gradients.len() / 2);
    for (rounded, exact) in rounded.iter().zip(exact) {
        for (x, y) in rounded.to_vec()?.into_iter().zip(exact.to_vec()?) {
            gap += (x - y).powi(2);
            whole += y.powi(2);
        }
    }
    Ok(if gap == 0.0 { 0.0 } else { (gap / whole).sqrt() })
}
