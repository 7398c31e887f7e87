//! Compiled losses: traced at the first batch of a shape, verified once, kept for all later ones.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use burn::tensor::Device;
use indexmap::IndexMap;

use super::edges::Edges;
use super::error::EngineError;
use super::ground::{Ground, Shape};
use super::level::{Level, check_device};
use super::program::Multilevel;
use super::schedule::Through;
use super::tasks::TasksKey;
use super::verification::{Outcome, Subject, TRIES, Unverified, Verify};
use crate::derivatives::{Curvature, Lagrangian, Loss, Steps, Tasks};
use crate::execute::Value;
use crate::trace::{AnyBatch, Signature, Source, Trace, TraceError, trace_for};

/// How many traces each level keeps at least; the least recently used one goes first.
const TRACES: usize = 8;

/// How often a trace could not be compared with Burn's autodiff, and when to try again.
#[derive(Clone, Copy, Default)]
struct Tries {
    made: u32,
    /// How often the trace was used since it was made.
    uses: u64,
}

/// A try that could not compare.
pub(super) struct Untold {
    pub(super) level: usize,
    pub(super) tries: u32,
    pub(super) reason: Unverified,
}

/// The compiled losses of all levels.
pub(super) struct Losses {
    caches: Vec<IndexMap<Signature, Loss>>,
    /// The losses of each level that may have become others since they were recorded.
    unsure: Vec<HashSet<Signature>>,
    curvatures: IndexMap<CurvatureKey, Rc<RefCell<Curvature>>>,
    tasks: IndexMap<TasksKey, Rc<Tasks>>,
    device: Device,
    /// How each new trace is compared with Burn's autodiff.
    pub(super) verify: Verify,
    /// Traces that could not be compared yet.
    unchecked: HashMap<(usize, Signature), Tries>,
    /// What became of tries that could not compare; not reported yet.
    pub(super) unverified: Vec<Untold>,
    /// Whether products are computed in the types that levels ask for.
    rounds: bool,
    /// What of the program's edges the losses bear out.
    pub(super) edges: Edges,
    /// Edges along which every hypergradient is zero, though the loss reads what they lead to; not reported yet.
    pub(super) still: Vec<(usize, usize)>,
    /// Levels whose products are computed in a type of their own, with how far that moves the gradient; not reported yet.
    pub(super) roundings: Vec<(usize, f64)>,
}

impl Losses {
    pub(super) fn new(levels: usize, device: Device) -> Self {
        let caches = (0..levels).map(|_| IndexMap::new()).collect();
        Losses {
            caches,
            unsure: vec![HashSet::new(); levels],
            curvatures: IndexMap::new(),
            tasks: IndexMap::new(),
            device,
            verify: Verify::default(),
            unchecked: HashMap::new(),
            unverified: Vec::new(),
            rounds: true,
            edges: Edges::new(levels),
            still: Vec::new(),
            roundings: Vec::new(),
        }
    }

    /// Traces depend on the modules: after those were lent out, each is recorded again before its next use, and everything
    /// that was compiled of it is kept if it has stayed the same.
    pub(super) fn recheck(&mut self) {
        for (unsure, cache) in self.unsure.iter_mut().zip(&self.caches) {
            *unsure = cache.keys().cloned().collect();
        }
    }

    /// Forgets all losses.
    pub(super) fn clear(&mut self) {
        self.caches.iter_mut().for_each(IndexMap::clear);
        self.curvatures.clear();
        self.tasks.clear();
        self.edges.clear();
        self.unchecked.clear();
    }

    /// Losses without rounded products, in the place of these, which are answered to come back to.
    pub(super) fn take_unrounded(&mut self) -> Self {
        let mut fresh = Losses {
            rounds: false,
            verify: Verify { on: false, ..self.verify },
            ..Losses::new(self.caches.len(), self.device.clone())
        };
        fresh.edges = self.edges.clone();
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
            let mut recorded = compile(problem, levels, k, batch, &self.device)?;
            if let Some(precision) = levels[k].config.precision.filter(|_| self.rounds) {
                let graph = |source| EngineError::Graph { level: levels[k].name.into(), source };
                recorded = recorded.with_products_in(precision.dtype()).map_err(graph)?;
            }
            let cache = &mut self.caches[k];
            if cache.get(signature).is_some_and(|known| known.trace() != recorded.trace()) {
                cache.shift_remove(signature);
                self.curvatures.clear();
                self.tasks.clear();
                self.edges.clear();
            }
        }
        let index = match self.caches[k].get_index_of(signature) {
            Some(index) => {
                self.verify_again(problem, levels, k, batch, seed)?;
                index
            }
            None => {
                let mut loss = compile(problem, levels, k, batch, &self.device)?;
                self.verify(problem, levels, k, batch, seed, loss.trace())?;
                if let Some(precision) = levels[k].config.precision.filter(|_| self.rounds) {
                    let graph = |source| EngineError::Graph { level: levels[k].name.into(), source };
                    loss = loss.with_products_in(precision.dtype()).map_err(graph)?;
                    if self.verify.on {
                        let program = loss.rounding().map_err(graph)?;
                        let difference = rounding(&program.run(gather(&loss, levels, batch), seed))?;
                        tracing::debug!(
                            level = levels[k].name,
                            ?precision,
                            difference,
                            "rounded the products of a loss"
                        );
                        self.roundings.push((k, difference));
                    }
                }
                let graph = |source| EngineError::Graph { level: levels[k].name.into(), source };
                self.edges.learn::<P>(k, &mut loss).map_err(graph)?;
                self.still.extend(self.edges.check::<P>(k, levels)?.into_iter().map(|other| (k, other)));
                let cache = &mut self.caches[k];
                // Those of all steps before a step of a level above may be needed together.
                if cache.len() >= TRACES.max(levels[k].config.unroll * levels[k].evaluations()) {
                    cache.shift_remove_index(0);
                }
                cache.insert_full(signature.clone(), loss).0
            }
        };
        let cache = &mut self.caches[k];
        // Used last, kept longest.
        let newest = cache.len() - 1;
        cache.move_index(index, newest);
        Ok(&mut cache[newest])
    }

    /// Compares the gradient of a trace with Burn's, or takes note that it could not be compared.
    fn verify<P: Multilevel>(
        &mut self,
        problem: &P,
        levels: &[Level],
        level: usize,
        batch: &AnyBatch,
        seed: u64,
        trace: &Trace,
    ) -> Result<(), EngineError> {
        if !self.verify.on {
            return Ok(());
        }
        let subject = Subject { problem, levels, level, batch, device: &self.device, seed };
        let key = (level, batch.signature().clone());
        let Outcome::Unchecked(reason) = subject.verify(trace, self.verify)? else {
            self.unchecked.remove(&key);
            return Ok(());
        };
        let tries = self.unchecked.entry(key).or_default();
        tries.made += 1;
        let made = tries.made;
        if made >= TRIES && !self.verify.unchecked_allowed {
            let level = levels[level].name.into();
            return Err(EngineError::Unverified { level, tries: made, source: reason });
        }
        self.unverified.push(Untold { level, tries: made, reason });
        Ok(())
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
        let trace = self.caches[level][&key.1].trace().clone();
        self.verify(problem, levels, level, batch, seed, &trace)
    }

    /// The loss of level `k` for batches like this one, which has been prepared.
    pub(super) fn get(&self, k: usize, batch: &AnyBatch) -> &Loss {
        &self.caches[k][batch.signature()]
    }

    /// As [`get`](Self::get), to compile more of it.
    pub(super) fn get_mut(&mut self, k: usize, batch: &AnyBatch) -> &mut Loss {
        &mut self.caches[k][batch.signature()]
    }

    /// The most bytes that one program of level `k` holds at once, of those that were planned.
    pub(super) fn peak(&self, k: usize) -> usize {
        let losses = self.caches[k].values().map(Loss::peak);
        let curvatures = self.curvatures.iter().filter(|(key, _)| key.level == k);
        losses.chain(curvatures.map(|(_, of)| of.borrow().peak())).max().unwrap_or(0)
    }

    /// The program for tasks like these, if it has been made.
    pub(super) fn tasks(&mut self, key: &TasksKey) -> Option<Rc<Tasks>> {
        let index = self.tasks.get_index_of(key)?;
        let newest = self.tasks.len() - 1;
        self.tasks.move_index(index, newest);
        Some(Rc::clone(&self.tasks[newest]))
    }

    /// Keeps a program for tasks.
    pub(super) fn keep_tasks(&mut self, key: TasksKey, tasks: Tasks) -> Rc<Tasks> {
        if self.tasks.len() == TRACES {
            self.tasks.shift_remove_index(0);
        }
        let tasks = Rc::new(tasks);
        self.tasks.insert(key, Rc::clone(&tasks));
        tasks
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
        let index = match self.curvatures.get_index_of(&own) {
            Some(index) => index,
            None => {
                let below: Vec<_> = stops.map(|stop| (stop, self.curvatures[&key(stop)].clone())).collect();
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
                        Lagrangian::of_steps(&Steps { level: k, trainable, losses, update, from: steps.from })
                    }
                };
                let lagrangian = lagrangian.map_err(graph)?;
                let curvature = Curvature::new(lagrangian, &self.device).map_err(graph)?;
                if self.curvatures.len() == TRACES * self.caches.len() {
                    self.curvatures.shift_remove_index(0);
                }
                self.curvatures.insert_full(own, Rc::new(RefCell::new(curvature))).0
            }
        };
        let newest = self.curvatures.len() - 1;
        self.curvatures.move_index(index, newest);
        Ok(Rc::clone(&self.curvatures[newest]))
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
    let value = |source: &Source| match *source {
        Source::Leaf { level, index } => levels[level].leaves[index].clone(),
        Source::Constant { level, index } => levels[level].constants[index].clone(),
        Source::Batch { index } => batch.values()[index].clone(),
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
