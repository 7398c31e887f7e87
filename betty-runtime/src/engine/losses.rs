//! Compiled losses: traced at the first batch of a shape, verified once, kept for all later ones.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
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
use crate::derivatives::{Curvature, Lagrangian, Loss, Steps, Tasks};
use crate::execute::Value;
use crate::trace::{AnyBatch, Signature, Source, TraceError, Verification, tolerance, trace_for};

/// How many traces each level keeps at least; the least recently used one goes first.
const TRACES: usize = 8;

/// The compiled losses of all levels.
pub(super) struct Losses {
    caches: Vec<IndexMap<Signature, Loss>>,
    /// The losses of each level that may have become others since they were recorded.
    unsure: Vec<HashSet<Signature>>,
    curvatures: IndexMap<CurvatureKey, Rc<RefCell<Curvature>>>,
    tasks: IndexMap<TasksKey, Rc<Tasks>>,
    device: Device,
    /// Whether each new trace is compared with Burn's autodiff.
    pub(super) verify: bool,
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
            verify: true,
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
    }

    /// Losses without rounded products, in the place of these, which are answered to come back to.
    pub(super) fn take_unrounded(&mut self) -> Self {
        let mut fresh = Losses { rounds: false, verify: false, ..Losses::new(self.caches.len(), self.device.clone()) };
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
        let cache = &mut self.caches[k];
        let index = match cache.get_index_of(signature) {
            Some(index) => index,
            None => {
                let mut loss = compile(problem, levels, k, batch, &self.device)?;
                if self.verify {
                    verify(&loss, levels, k, batch, seed)?;
                }
                if let Some(precision) = levels[k].config.precision.filter(|_| self.rounds) {
                    let graph = |source| EngineError::Graph { level: levels[k].name.into(), source };
                    loss = loss.with_products_in(precision.dtype()).map_err(graph)?;
                    if self.verify {
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
                // Those of all steps before a step of a level above may be needed together.
                if cache.len() >= TRACES.max(levels[k].config.unroll * levels[k].evaluations()) {
                    cache.shift_remove_index(0);
                }
                cache.insert_full(signature.clone(), loss).0
            }
        };
        // Used last, kept longest.
        let newest = cache.len() - 1;
        cache.move_index(index, newest);
        Ok(&mut cache[newest])
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
        Source::Batch { index } => batch.values()[index].clone(),
    };
    loss.trace().inputs.iter().map(|(source, _)| value(source)).collect()
}

/// Compares our gradients with Burn's, on the first batch of a shape.
fn verify(loss: &Loss, levels: &[Level], k: usize, batch: &AnyBatch, seed: u64) -> Result<(), EngineError> {
    let name = levels[k].name;
    let program = loss.verification().map_err(|source| EngineError::Graph { level: name.into(), source })?;
    let outputs = program.run(gather(loss, levels, batch), seed);
    let trace = loss.trace();
    let (ours, burn) = outputs.split_at(trace.burn_gradients.len());
    let mut pairs = Vec::with_capacity(ours.len());
    for ((input, _), (ours, burn)) in trace.burn_gradients.iter().zip(ours.iter().zip(burn)) {
        let source = trace.inputs.iter().find(|(_, node)| node == input).map(|&(source, _)| source);
        let path = match source {
            Some(Source::Leaf { level, index }) => levels[level].path(index),
            _ => "batch".into(),
        };
        pairs.push((path, ours.to_vec()?, burn.to_vec()?));
    }
    if pairs.iter().any(|(_, _, burn)| burn.iter().any(|x| !x.is_finite())) {
        // Nothing can be compared; the step itself reports what is not finite.
        return Ok(());
    }
    let worst = Verification::compare(&pairs);
    let allowed = tolerance(trace.precision());
    tracing::debug!(level = name, difference = worst.difference, "verified a loss against Burn's autodiff");
    if worst.difference <= allowed {
        return Ok(());
    }
    Err(EngineError::Verification {
        level: name.into(),
        parameter: worst.parameter,
        difference: worst.difference,
        tolerance: allowed,
    })
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
