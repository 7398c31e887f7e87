//! The state of one level: its tensors and its optimizer's.

use std::rc::Rc;

use burn::module::ParamId;
use burn::tensor::{DType, Device};

use super::sample::Seeded;
use super::scheduler::Scheduler;
use super::{groups, selection};
use crate::config::{CurvatureOf, LevelConfig, Start, check_rounded};
use crate::derivatives::Loss;
use crate::error::{EngineError, ModuleError};
use crate::execute::{Program, ReadError, Value, Vector, computes_in};
use crate::graph::accumulator;
use crate::hypergradient::{Blocks, NextStep};
use crate::optimizer::Optimizer;
use crate::panic::caught;
use crate::steps::{AfterStep, Before, ComingStep, LearnedNumbers, LearningRates, Moves, Record, Restart, Update};
use crate::trace::{Apart, Leaf, LevelModule, apart, leaves};

/// One level of a program: what it is made of, and where it stands.
#[derive(Clone)]
pub(crate) struct Level {
    pub(crate) number: usize,
    pub(crate) name: &'static str,
    /// The level's numbers.
    pub(crate) config: LevelConfig,
    /// Current value of every tensor of the module.
    pub(crate) leaves: Vec<Value>,
    pub(crate) paths: Vec<String>,
    /// The other places of tensors that are tied, tensor by tensor.
    pub(crate) also: Vec<Vec<String>>,
    pub(super) ids: Vec<ParamId>,
    /// The tensors that the module holds as plain fields.
    pub(crate) constants: Vec<Value>,
    /// Which leaves are parameters.
    pub(crate) trainable: Vec<usize>,
    pub(crate) update: Rc<Update>,
    /// Optimizer states, parameter by parameter.
    pub(crate) states: Vec<Value>,
    /// What decides the learning rates of each group, if anything does.
    pub(crate) schedulers: Vec<Option<Scheduler>>,
    /// The first values of all tensors, if the level's steps begin there.
    pub(crate) initial: Vec<Value>,
    /// What draws new parameters, if the level's steps begin at such.
    pub(super) draws: Option<Rc<Program>>,
    /// Steps of the optimizer since the level last started.
    pub(crate) taken: u64,
    /// How many of these left each parameter alone.
    pub(crate) rests: Vec<u64>,
    /// Steps since a level above last began to wait for them.
    pub(crate) awaited: u64,
    /// Learning rates of the last step.
    pub(crate) last_rates: Option<LearningRates>,
    /// Metrics of the last step.
    pub(crate) metrics: Vec<(Rc<str>, f64)>,
    /// Steps taken, without those that were undone.
    pub(crate) steps: u64,
    /// When the last step was taken, if one was since the engine was made.
    pub(crate) stepped: Option<u64>,
    /// Solutions of the systems below this level, for methods that start from them.
    pub(crate) solutions: Blocks,
    /// What is kept of the last steps, if hypergradients go through them.
    pub(crate) trajectory: Option<Record>,
    /// Batches and seeds of the last step, all that it averages; of a step over several tasks, those of the last task.
    pub(crate) last: Vec<Seeded>,
}

/// Where a step leads.
pub(crate) struct Moved {
    pub(crate) parameters: Vector,
    pub(crate) states: Vec<Value>,
}

impl Level {
    pub(crate) fn new(
        number: usize,
        name: &'static str,
        module: &dyn LevelModule,
        config: &LevelConfig,
        (learned, after): (LearnedNumbers, Option<AfterStep>),
        optimizers: Vec<Rc<dyn Optimizer>>,
    ) -> Result<Self, EngineError> {
        let mut leaves = whole_leaves(name, module)?;
        for leaf in leaves.iter().filter(|leaf| !leaf.also.is_empty()) {
            tracing::info!(level = name, places = ?leaf.paths().collect::<Vec<_>>(), "one tensor in several places");
        }
        let trainable = selection::parameters(name, &leaves, config)?;
        let parameters: Vec<&Leaf> = trainable.iter().map(|&i| &leaves[i]).collect();
        let types = |of: fn(DType) -> DType| {
            let mut types: Vec<DType> = parameters.iter().map(|leaf| of(leaf.value.dtype())).collect();
            types.dedup();
            types
        };
        check_rounded(name, config, &types(|dtype| dtype), &types(accumulator))?;
        for leaf in &leaves {
            check_type(name, || format!("parameter `{}`", leaf.path), leaf.value.dtype(), &leaf.value.device())?;
        }
        if let Some(precision) = config.precision {
            check_precision(name, precision.dtype(), &parameters[0].value.device())?;
        }
        let members = groups::members(name, &leaves, &parameters, config)?;
        // The optimizer may be the user's own.
        let planned = caught(|| {
            let groups = groups::of(config, optimizers, members, parameters.len());
            Update::new(&parameters, groups, learned, after)
        });
        let planned = planned.map_err(|panic| EngineError::Panicked {
            level: name.into(),
            step: 1,
            reason: panic.to_string(),
        })?;
        let update = planned.map_err(|source| EngineError::Optimizer { level: name.into(), source })?;
        let update = Rc::new(update);
        let recorded = config.hypergradient.as_ref().and_then(|method| method.mode(config.unroll));
        let trajectory = recorded.map(|recording| Record::new(number, &update, recording));
        let states = update.initial_states(parameters.iter().map(|leaf| &leaf.value));
        let initial = match config.start {
            // What is not drawn begins there.
            Start::Initial | Start::Fresh => leaves.iter().map(|leaf| leaf.value.clone()).collect(),
            _ => Vec::new(),
        };
        let constants = module.constants(&parameters[0].value.device())?;
        let ids = leaves.iter().map(|leaf| leaf.id).collect();
        let also = leaves.iter_mut().map(|leaf| std::mem::take(&mut leaf.also)).collect();
        let (paths, leaves) = leaves.into_iter().map(|leaf| (leaf.path, leaf.value)).unzip();
        Ok(Level {
            number,
            name,
            config: config.clone(),
            leaves,
            paths,
            also,
            ids,
            constants,
            rests: vec![0; trainable.len()],
            trainable,
            update,
            states,
            schedulers: vec![None; config.all_groups().count()],
            last_rates: None,
            metrics: Vec::new(),
            initial,
            draws: None,
            taken: 0,
            awaited: 0,
            steps: 0,
            stepped: None,
            solutions: Blocks::default(),
            trajectory,
            last: Vec::new(),
        })
    }

    /// The level with a changed module. Optimizer states stay if they still fit, and so do the first values of tensors that
    /// were not changed.
    pub(crate) fn reloaded(
        &self,
        module: &dyn LevelModule,
        config: &LevelConfig,
        of_steps: (LearnedNumbers, Option<AfterStep>),
    ) -> Result<Self, EngineError> {
        let mut fresh = Level::new(self.number, self.name, module, config, of_steps, self.optimizers())?;
        let shapes = |states: &[Value]| states.iter().map(|state| (state.shape(), state.dtype())).collect::<Vec<_>>();
        if self.trainable == fresh.trainable && shapes(&self.states) == shapes(&fresh.states) {
            fresh.states.clone_from(&self.states);
            fresh.rests.clone_from(&self.rests);
            fresh.last_rates.clone_from(&self.last_rates);
            (fresh.taken, fresh.awaited) = (self.taken, self.awaited);
        }
        for ((initial, first), stands) in fresh.initial.iter_mut().zip(&self.initial).zip(&self.leaves) {
            if is_same(initial, stands)? {
                initial.clone_from(first);
            }
        }
        // What cannot be together stays apart.
        fresh.config.vectorize = self.config.vectorize;
        fresh.schedulers.clone_from(&self.schedulers);
        (fresh.steps, fresh.last) = (self.steps, self.last.clone());
        fresh.metrics.clone_from(&self.metrics);
        Ok(fresh)
    }

    /// Whether Burn knows the tensors of both by the same names.
    pub(crate) fn has_ids_of(&self, other: &Level) -> bool {
        self.ids == other.ids
    }

    /// Whether the levels below stand still where this one is differentiated.
    pub(crate) fn is_partial(&self) -> bool {
        self.config.curvature == CurvatureOf::Partial
    }

    /// Where the parameters are.
    pub(crate) fn device(&self) -> Device {
        self.leaves[self.trainable[0]].device()
    }

    /// Checks that every tensor of the module is on `device`.
    pub(crate) fn check_device(&self, device: &Device) -> Result<(), EngineError> {
        for (leaf, path) in self.leaves.iter().zip(&self.paths) {
            check_device(self.name, format!("parameter `{path}`"), leaf, device)?;
        }
        Ok(())
    }

    /// `level.path.of.leaf`, for messages; a level that is one parameter has the level's name alone.
    pub(crate) fn path(&self, index: usize) -> String {
        match self.paths.get(index).map_or("?", String::as_str) {
            "" => self.name.into(),
            path => format!("{}.{path}", self.name),
        }
    }

    /// A tensor that the module holds as a plain field, for messages: fields have no paths.
    pub(crate) fn constant(&self, index: usize) -> String {
        format!("{}, plain tensor {index}", self.name)
    }

    /// The paths of all places of a tensor, the first one first.
    pub(crate) fn paths_of(&self, index: usize) -> impl Iterator<Item = &str> {
        std::iter::once(self.paths[index].as_str()).chain(self.also[index].iter().map(String::as_str))
    }

    /// How many gradients are averaged for a step.
    pub(crate) fn evaluations(&self) -> usize {
        self.config.tasks * self.config.accumulate
    }

    /// What the coming step moves, if that is what is read.
    pub(crate) fn moves(&self, read: &[bool]) -> Moves {
        let number = |rests: u64| self.taken.saturating_sub(rests).saturating_add(1);
        read.iter().zip(&self.rests).map(|(read, &rests)| read.then(|| number(rests))).collect()
    }

    /// Starts again with a new optimizer at this time: at the first parameters, or at those of another level.
    pub(crate) fn restart(&mut self, from: Option<&Level>, time: u64) {
        self.leaves = from.map_or(&self.initial, |from| &from.leaves).clone();
        self.states = self.update.initial_states(self.trainable.iter().map(|&i| &self.leaves[i]));
        self.taken = 0;
        self.rests.fill(0);
        if let Some(steps) = &self.trajectory {
            steps.restart(Restart { time, from: from.map(|from| from.number), undone: None });
        }
    }

    /// A level above begins to wait for the next steps.
    pub(crate) fn begin_round(&mut self) {
        self.awaited = 0;
    }

    /// The step that the level would take along `gradient`, at the learning rates of its last step, for a method that sees the
    /// parameters that are `moved`.
    pub(crate) fn next_step(
        &self,
        gradient: Vector,
        learned: Vec<Value>,
        read: &[bool],
        moved: Vec<bool>,
    ) -> Rc<dyn NextStep> {
        let (before, moves) = (self.before(gradient, learned), self.moves(read));
        Rc::new(ComingStep { update: Rc::clone(&self.update), before, rates: self.last_learning_rates(), moves, moved })
    }

    /// What the coming step is taken from.
    pub(crate) fn before(&self, gradient: Vector, learned: Vec<Value>) -> Before {
        let parameters = self.parameters();
        Before { parameters, gradient, states: self.states.clone(), learned }
    }

    pub(crate) fn parameters(&self) -> Vector {
        Vector(self.trainable.iter().map(|&i| self.leaves[i].clone()).collect())
    }

    pub(crate) fn set_parameters(&mut self, parameters: Vector) {
        for (&i, parameter) in self.trainable.iter().zip(parameters.0) {
            self.leaves[i] = parameter;
        }
    }

    /// Replaces running statistics; answers those that were there.
    pub(crate) fn set_statistics(&mut self, statistics: Vec<(usize, Value)>) -> Vec<(usize, Value)> {
        let set = |(index, value): (usize, Value)| (index, std::mem::replace(&mut self.leaves[index], value));
        statistics.into_iter().map(set).collect()
    }

    /// Where one optimizer step along `gradient` leads, with these tensors for learned numbers.
    pub(crate) fn moved(&self, gradient: Vector, learned: Vec<Value>, rates: &LearningRates, moves: &Moves) -> Moved {
        let (parameters, states) = self.update.run(self.before(gradient, learned), rates, moves);
        Moved { parameters, states }
    }

    /// Takes a step.
    pub(crate) fn arrive(&mut self, Moved { parameters, states }: Moved, rates: LearningRates, moves: &Moves) {
        self.rests.iter_mut().zip(moves.iter()).for_each(|(rests, moves)| *rests += u64::from(moves.is_none()));
        self.set_parameters(parameters);
        self.states = states;
        self.last_rates = Some(rates);
        self.count_step();
    }

    /// One step more.
    pub(crate) fn count_step(&mut self) {
        self.steps += 1;
        self.taken += 1;
        self.awaited += 1;
    }
}

/// The tensors of a level's module.
///
/// # Errors
/// [`ModuleError::TiedApart`] where places that are one parameter hold different tensors.
pub(super) fn whole_leaves(level: &str, module: &dyn LevelModule) -> Result<Vec<Leaf>, EngineError> {
    let places = module.places();
    match apart(&places)? {
        Some(Apart { one, other, differ }) => {
            Err(ModuleError::TiedApart { level: level.into(), one, other, differ }.into())
        }
        None => Ok(leaves(places)),
    }
}

/// Whether both hold the same numbers.
fn is_same(x: &Value, y: &Value) -> Result<bool, ReadError> {
    Ok(x.shape() == y.shape() && x.dtype() == y.dtype() && x.to_data()? == y.to_data()?)
}

fn check_precision(level: &str, dtype: DType, device: &Device) -> Result<(), EngineError> {
    if computes_in(device, dtype) {
        return Ok(());
    }
    let (precision, device) = (format!("{dtype:?}").to_lowercase(), format!("{device:?}"));
    Err(EngineError::UnsupportedPrecision { level: level.into(), precision, device })
}

/// Checks that a device computes in the type of a tensor.
fn check_type(level: &str, what: impl FnOnce() -> String, dtype: DType, device: &Device) -> Result<(), EngineError> {
    if !dtype.is_float() || computes_in(device, dtype) {
        return Ok(());
    }
    Err(unsupported(level, what(), dtype, device))
}

/// Checks that the device of a tensor can make its numbers those of another type: a loss may cast what it does not compute in.
pub(super) fn check_held(level: &str, what: impl FnOnce() -> String, value: &Value) -> Result<(), EngineError> {
    if value.is_held() {
        return Ok(());
    }
    Err(unsupported(level, what(), value.dtype(), &value.device()))
}

/// Checks that the device of a recorded loss computes in all types in which the loss does.
pub(super) fn check_computed(level: &str, loss: &Loss, device: &Device) -> Result<(), EngineError> {
    match loss.not_computed() {
        Some(dtype) => Err(unsupported(level, "a tensor inside the loss".into(), dtype, device)),
        None => Ok(()),
    }
}

fn unsupported(level: &str, what: String, dtype: DType, device: &Device) -> EngineError {
    let (dtype, device) = (format!("{dtype:?}").to_lowercase(), format!("{device:?}"));
    EngineError::UnsupportedType { level: level.into(), what, dtype, device }
}

pub(crate) fn check_device(level: &str, what: String, value: &Value, expected: &Device) -> Result<(), EngineError> {
    let found = value.device();
    if found == *expected {
        return Ok(());
    }
    Err(EngineError::WrongDevice {
        level: level.into(),
        what,
        found: format!("{found:?}"),
        expected: format!("{expected:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_a_device_does_not_compute_in_is_named_with_the_device() {
        let device = Device::flex();
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            assert!(check_precision("model", dtype, &device).is_ok());
        }
        // No CPU computes in this one.
        let error = check_precision("model", DType::Flex32, &device).expect_err("a type of GPUs");
        let text = error.to_string();
        assert!(matches!(error, EngineError::UnsupportedPrecision { .. }));
        assert!(text.contains("`model`") && text.contains("flex32") && text.contains("Flex"), "{text}");
    }

    #[test]
    fn a_parameter_in_a_type_without_numbers_is_named() {
        let device = Device::flex();
        let checked = |dtype| check_type("model", || "parameter `x`".into(), dtype, &device);
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I64] {
            assert!(checked(dtype).is_ok());
        }
        let error = checked(DType::Flex32).expect_err("a type of GPUs");
        let text = error.to_string();
        assert!(matches!(error, EngineError::UnsupportedType { .. }));
        assert!(text.contains("parameter `x` of level `model` is flex32") && text.contains("make it f32"), "{text}");
    }

    #[test]
    fn what_is_on_a_device_at_all_is_held_there() {
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
            assert!(check_held("model", || "it".into(), &Value::scalar(1.0, dtype, &Device::flex())).is_ok());
        }
    }

    #[test]
    fn a_tensor_elsewhere_is_named_with_both_places() {
        let here = Device::flex();
        let value = Value::scalar(1.0, DType::F32, &here);
        assert!(check_device("model", "parameter `x`".into(), &value, &here).is_ok());
        // A recording is the one other device that every machine has.
        let error =
            check_device("model", "parameter `x`".into(), &value, &Device::capture()).expect_err("another device");
        let text = error.to_string();
        assert!(matches!(error, EngineError::WrongDevice { .. }));
        assert!(text.contains("parameter `x` of level `model`") && text.contains("to_device"), "{text}");
    }
}
