//! Compiled losses: traced at the first batch of a shape, verified once, kept for all later ones.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use burn::tensor::Device;

use super::edges::Edges;
use super::error::EngineError;
use super::ground::{Ground, Shape};
use super::kept::{Bound, Kept};
use super::level::{Level, check_device};
use super::news::News;
use super::program::Multilevel;
use super::recordings::Recordings;
use super::tasks::TasksKey;
use super::verification::{Outcome, Subject, TRIES, Verify};
use crate::derivatives::{Curvature, Lagrangian, Loss, Tasks, UnrolledSteps};
use crate::execute::Value;
use crate::schedule::Through;
use crate::trace::{AnyBatch, LossInput, Signature, Trace, TraceError, trace_for};

/// How often a trace could not be compared with Burn's autodiff, and when to try again.
#[derive(Clone, Copy, Default)]
struct Tries {
    made: u32,
    /// How often the trace was used since it was made.
    uses: u64,
}

/// The compiled losses of all levels.
pub(super) struct Losses {
    caches: Vec<Kept<Signature, Loss>>,
    /// The losses of each level that may have become others since they were recorded.
    unsure: Vec<HashSet<Signature>>,
    curvatures: Kept<CurvatureKey, Rc<RefCell<Curvature>>>,
    tasks: Kept<TasksKey, Rc<Tasks>>,
    /// What is known of all recordings of each level, those that were let go included.
    recordings: Vec<Recordings>,
    /// How many traces each level keeps.
    pub(super) bound: Bound,
    device: Device,
    /// How each new trace is compared with Burn's autodiff.
    pub(super) verify: Verify,
    /// Traces that could not be compared yet.
    unchecked: HashMap<(usize, Signature), Tries>,
    /// Whether products are computed in the types that levels ask for.
    rounds: bool,
    /// What of the program's edges the losses bear out.
    pub(super) edges: Edges,
    /// What observers are not told yet.
    pub(super) news: Vec<News>,
}

impl Losses {
    pub(super) fn new(levels: usize, device: Device) -> Self {
        Losses {
            caches: (0..levels).map(|_| Kept::new()).collect(),
            unsure: vec![HashSet::new(); levels],
            curvatures: Kept::new(),
            tasks: Kept::new(),
            recordings: vec![Recordings::default(); levels],
            bound: Bound::default(),
            device,
            verify: Verify::default(),
            unchecked: HashMap::new(),
            rounds: true,
            edges: Edges::new(levels),
            news: Vec::new(),
        }
    }

    /// Traces depend on the modules: after those were lent out, each is recorded again before its next use, and everything
    /// that was compiled of it is kept if it has stayed the same.
    pub(super) fn recheck(&mut self) {
        for (unsure, cache) in self.unsure.iter_mut().zip(&self.caches) {
            *unsure = cache.iter().map(|(signature, _)| signature.clone()).collect();
        }
    }

    /// Forgets all losses.
    pub(super) fn clear(&mut self) {
        self.caches.iter_mut().for_each(Kept::clear);
        self.curvatures.clear();
        self.tasks.clear();
        self.edges.clear();
        self.unchecked.clear();
        self.recordings.fill_with(Recordings::default);
    }

    /// Losses without rounded products, in the place of these, which are answered to come back to.
    pub(super) fn take_unrounded(&mut self) -> Self {
        let mut fresh = Losses {
            rounds: false,
            verify: Verify { on: false, ..self.verify },
            ..Losses::new(self.caches.len(), self.device.clone())
        };
        (fresh.edges, fresh.bound) = (self.edges.clone(), self.bound);
        std::mem::replace(self, fresh)
    }

    /// Compiles the loss of level `k` for batches like this one, if it is not there yet.
    pub(super) fn prepare<P: Multilevel>(
        &mut self,
        problem: &P,
        levels: &[Level],
        k: usize,
        batch: &AnyBatch,
        seed: u64,
    ) -> Result<&mut Loss, EngineError> {
        for (index, value) in batch.values().iter().enumerate() {
            check_device(levels[k].name, format!("tensor {index} of the batch"), value, &self.device)?;
        }
        let signature = batch.signature();
        if self.unsure[k].remove(signature) {
            self.check_same(problem, levels, k, batch)?;
        }
        if self.caches[k].contains(signature) {
            self.verify_again(problem, levels, k, batch, seed)?;
        } else {
            let loss = self.record(problem, levels, k, batch, seed)?;
            // Those of all steps before a step of a level above may be needed together.
            let needed = levels[k].config.unroll * levels[k].evaluations();
            let bytes = loss.bytes();
            self.caches[k].keep(signature.clone(), loss, bytes, self.bound, needed);
        }
        Ok(self.get_mut(k, batch))
    }

    /// Forgets the loss of level `k` for batches like this one, and what rests on it, if it has become another.
    fn check_same<P: Multilevel>(
        &mut self,
        problem: &P,
        levels: &[Level],
        k: usize,
        batch: &AnyBatch,
    ) -> Result<(), EngineError> {
        let recorded = compile(problem, levels, k, batch, &self.device)?;
        let recorded = self.in_precision(recorded, &levels[k])?;
        if self.caches[k].get(batch.signature()).is_some_and(|known| known.trace() != recorded.trace()) {
            self.caches[k].remove(batch.signature());
            self.curvatures.clear();
            self.tasks.clear();
            self.edges.clear();
            self.recordings[k] = Recordings::default();
        }
        Ok(())
    }

    /// Compiles the loss of level `k` for batches like this one.
    fn record<P: Multilevel>(
        &mut self,
        problem: &P,
        levels: &[Level],
        k: usize,
        batch: &AnyBatch,
        seed: u64,
    ) -> Result<Loss, EngineError> {
        let loss = compile(problem, levels, k, batch, &self.device)?;
        // The same operations have been compared on a batch of another size.
        let is_known = self.recordings[k].is_verified(batch, loss.trace());
        let verified = !is_known && self.verify(problem, levels, k, batch, seed, loss.trace())?;
        let graph = |source| EngineError::Graph { level: levels[k].name.into(), source };
        let mut loss = self.in_precision(loss, &levels[k])?;
        if let Some(precision) = levels[k].config.precision.filter(|_| self.rounds && self.verify.on) {
            let program = loss.rounding().map_err(graph)?;
            let difference = rounding(&program.run(gather(&loss, levels, batch), seed))?;
            tracing::debug!(level = levels[k].name, ?precision, difference, "rounded the products of a loss");
            self.news.push(News::Rounding { level: k, difference });
        }
        self.edges.learn::<P>(k, &mut loss).map_err(graph)?;
        for other in self.edges.check::<P>(k, levels)? {
            self.news.push(News::ZeroEdge { level: k, other });
        }
        let news = self.recordings[k].add(k, levels[k].name, batch, verified);
        self.news.extend(news);
        Ok(loss)
    }

    /// A loss with its products in the type that the level asks for, if it asks for one.
    fn in_precision(&self, loss: Loss, level: &Level) -> Result<Loss, EngineError> {
        let Some(precision) = level.config.precision.filter(|_| self.rounds) else { return Ok(loss) };
        let graph = |source| EngineError::Graph { level: level.name.into(), source };
        loss.with_products_in(precision.dtype()).map_err(graph)
    }

    /// Compares the gradient of a trace with Burn's, or takes note that it could not be compared; answers which.
    fn verify<P: Multilevel>(
        &mut self,
        problem: &P,
        levels: &[Level],
        level: usize,
        batch: &AnyBatch,
        seed: u64,
        trace: &Trace,
    ) -> Result<bool, EngineError> {
        if !self.verify.on {
            return Ok(false);
        }
        let subject = Subject { problem, levels, level, batch, device: &self.device, seed };
        let key = (level, batch.signature().clone());
        let Outcome::Unchecked(reason) = subject.verify(trace, self.verify)? else {
            self.unchecked.remove(&key);
            self.recordings[level].set_verified(batch, trace);
            return Ok(true);
        };
        let tries = self.unchecked.entry(key).or_default();
        tries.made += 1;
        let made = tries.made;
        if made >= TRIES && !self.verify.unchecked_allowed {
            let level = levels[level].name.into();
            return Err(EngineError::Unverified { level, tries: made, source: reason });
        }
        self.news.push(News::Unverified { level, tries: made, reason });
        Ok(false)
    }

    /// Compares again what could not be compared before, after 1, 2, 4, … more uses.
    fn verify_again<P: Multilevel>(
        &mut self,
        problem: &P,
        levels: &[Level],
        level: usize,
        batch: &AnyBatch,
        seed: u64,
    ) -> Result<(), EngineError> {
        if self.unchecked.is_empty() || !self.verify.on {
            return Ok(());
        }
        let key = (level, batch.signature().clone());
        let Some(tries) = self.unchecked.get_mut(&key) else { return Ok(()) };
        tries.uses += 1;
        let is_last = tries.made >= TRIES;
        if is_last && self.verify.unchecked_allowed || !is_last && !tries.uses.is_power_of_two() {
            return Ok(());
        }
        let trace = self.get(level, batch).trace().clone();
        self.verify(problem, levels, level, batch, seed, &trace).map(drop)
    }

    /// The loss of level `k` for batches like this one, which has been prepared.
    pub(super) fn get(&self, k: usize, batch: &AnyBatch) -> &Loss {
        self.caches[k].get(batch.signature()).expect("the loss has been prepared for this batch")
    }

    /// As [`get`](Self::get), to compile more of it.
    pub(super) fn get_mut(&mut self, k: usize, batch: &AnyBatch) -> &mut Loss {
        self.caches[k].find(batch.signature()).expect("the loss has been prepared for this batch")
    }

    /// The most bytes that one program of level `k` holds at once, of those that were planned.
    pub(super) fn peak(&self, k: usize) -> usize {
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

    /// Compiles the Lagrangian of level `k` on these grounds, if it is not there yet. Its losses, and the Lagrangians of the
    /// levels below it whose best responses answer to it, have been prepared.
    pub(super) fn prepare_curvature<P: Multilevel>(
        &mut self,
        k: usize,
        levels: &[Level],
        grounds: &BTreeMap<usize, Ground>,
    ) -> Result<Rc<RefCell<Curvature>>, EngineError> {
        let stops = P::SCHEDULE.levels[k].sweep.iter().map(|stop| stop.level);
        let key = |of: usize| CurvatureKey::new::<P>(of, grounds);
        let own = key(k);
        if let Some(known) = self.curvatures.find(&own) {
            return Ok(Rc::clone(known));
        }
        let known = |stop| Rc::clone(self.curvatures.get(&key(stop)).expect("those below have been prepared"));
        let below: Vec<_> = stops.map(|stop| (stop, known(stop))).collect();
        let below: Vec<_> = below.iter().map(|(stop, curvature)| (*stop, curvature.borrow())).collect();
        let below: Vec<_> = below.iter().map(|(stop, curvature)| (*stop, curvature.lagrangian())).collect();
        let name = P::SCHEDULE.levels[k].name;
        let graph = |source| EngineError::Graph { level: name.into(), source };
        let lagrangian = match &grounds[&k] {
            Ground::Loss { batch, .. } => Lagrangian::new(k, self.get(k, batch), &below),
            Ground::Steps(steps) => {
                let of_step = |batches: &Vec<Rc<AnyBatch>>| batches.iter().map(|of| self.get(k, of)).collect();
                let losses = steps.batches.iter().map(of_step).collect();
                let (trainable, update) = (levels[k].trainable.as_slice(), levels[k].update.graph());
                Lagrangian::of_steps(&UnrolledSteps { level: k, trainable, losses, update, from: steps.from })
            }
        };
        let lagrangian = lagrangian.map_err(graph)?;
        let curvature = Curvature::new(lagrangian, &self.device).map_err(graph)?;
        // A hypergradient needs those of all levels together.
        let levels = self.caches.len();
        let bound = Bound { most: self.bound.most.saturating_mul(levels), ..self.bound };
        let bytes = curvature.bytes();
        Ok(Rc::clone(self.curvatures.keep(own, Rc::new(RefCell::new(curvature)), bytes, bound, levels)))
    }
}

/// What a Lagrangian depends on: the level, and on what it and its stops are differentiated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CurvatureKey {
    level: usize,
    shapes: Vec<Shape>,
}

impl CurvatureKey {
    fn new<P: Multilevel>(level: usize, grounds: &BTreeMap<usize, Ground>) -> Self {
        let stops = P::SCHEDULE.levels[level].sweep.iter().map(|stop| stop.level);
        let all = std::iter::once(level).chain(stops);
        CurvatureKey { level, shapes: all.map(|of| grounds[&of].shape()).collect() }
    }
}

fn compile<P: Multilevel>(
    problem: &P,
    levels: &[Level],
    k: usize,
    batch: &AnyBatch,
    device: &Device,
) -> Result<Loss, EngineError> {
    let trace = trace_for(device, levels[k].name, batch, |tracer| problem.loss(k, tracer))?;
    let sweep = P::SCHEDULE.levels[k].sweep;
    if sweep.is_empty() && !trace.depends_on(k, &levels[k].trainable) {
        return Err(TraceError::Disconnected { level: levels[k].name.into() }.into());
    }
    let needs_only_values =
        |stop: &Through| levels[stop.level].trajectory.as_ref().is_some_and(|record| record.needs_loss());
    if !trace.differentiable && !sweep.iter().any(needs_only_values) {
        return Err(TraceError::NoDerivative { level: levels[k].name.into() }.into());
    }
    tracing::debug!(level = levels[k].name, nodes = trace.graph.len(), "traced a loss");
    Ok(Loss::new(trace, |level| levels[level].trainable.clone(), device))
}

/// All inputs of a loss, in the trace's order.
pub(super) fn gather(loss: &Loss, levels: &[Level], batch: &AnyBatch) -> Vec<Value> {
    let value = |source: &LossInput| match *source {
        LossInput::Leaf { level, index } => levels[level].leaves[index].clone(),
        LossInput::Constant { level, index } => levels[level].constants[index].clone(),
        LossInput::Batch { index } => batch.values()[index].clone(),
    };
    loss.trace().inputs.iter().map(|(source, _)| value(source)).collect()
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
