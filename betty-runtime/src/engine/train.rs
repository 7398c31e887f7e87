//! The engine: runs a program's schedule on data.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;

use super::checkpoint::Saves;
use super::clock::Clock;
use super::error::EngineError;
use super::event::{Event, Observer};
use super::learned::LearnedNumbers;
use super::level::Level;
use super::losses::Losses;
use super::program::Multilevel;
use super::run::Stop;
use super::savepoint::Drawn;
use super::start::check_together;
use super::stream::BatchStream;
use super::validation::Validation;
use crate::config::{HypergradientConfig, Hyperparameter, ProgramConfig};
use crate::graph::accumulator;
use crate::hypergradient::HypergradientMethod;
use crate::panic::Panic;
use crate::trace::AnyBatch;

/// Trains a multilevel program.
///
/// One *iteration* is one step of every uppermost level, with all the steps below it that the schedule asks for.
pub struct Engine<P: Multilevel> {
    pub(super) problem: P,
    config: P::Config,
    pub(super) streams: Vec<Box<dyn BatchStream>>,
    pub(super) levels: Vec<Level>,
    pub(super) losses: Losses,
    pub(super) methods: Vec<Option<Rc<dyn HypergradientMethod>>>,
    /// For each level and each of its lowers: the turns the lower had taken at the level's last turn.
    pub(super) seen: Vec<Vec<u64>>,
    pub(super) clock: Clock,
    pub(super) observers: Vec<Observer>,
    pub(super) validation: Option<Validation<P>>,
    pub(super) progress: bool,
    pub(super) seed: u64,
    pub(super) iterations: u64,
    pub(super) saves: Option<Saves>,
    pub(super) stop: Option<Stop>,
    /// Batches that were only looked at, the next one first.
    pub(super) returned: Vec<VecDeque<Rc<AnyBatch>>>,
    /// Batches that may have to be given back.
    pub(super) drawn: Drawn,
    /// The residual of every solve of the last hypergradient, where its method knows it.
    pub(super) residuals: BTreeMap<usize, Option<f64>>,
    /// Whether best responses are differentiated on the last batches, whatever the config says.
    pub(super) holds_batches: bool,
    /// Whether the modules hold older values than the levels.
    pub(super) stale: bool,
    /// What the first observer said that panicked, until the run reports it.
    pub(super) observer_panic: Option<Panic>,
    /// Why the program cannot run, after an edit that failed.
    pub(super) edit_failed: Option<String>,
}

impl<P: Multilevel> Engine<P> {
    /// Prepares a program: checks the configuration, the devices and what is trainable.
    ///
    /// # Errors
    /// [`EngineError`] when a number is out of range, tensors are on different devices, or a level has nothing to train.
    pub fn new(problem: P, data: P::Data, config: P::Config) -> Result<Self, EngineError> {
        let schedule = P::SCHEDULE;
        config.validate(&schedule)?;
        let mut levels = Vec::with_capacity(schedule.levels.len());
        let (modules, configs) = (problem.modules(), config.levels());
        for (index, spec) in schedule.levels.iter().enumerate() {
            let learned = LearnedNumbers::find(&schedule, index, &configs, &modules)?;
            levels.push(Level::new(index, spec.name, modules[index], configs[index], learned)?);
        }
        let device = levels[0].device();
        check_together::<P>(&levels, &device)?;
        for level in &levels {
            let dtype = accumulator(level.leaves[level.trainable[0]].dtype());
            level.update.learned().check_first_values(&levels, dtype)?;
        }
        let mut methods = Vec::with_capacity(levels.len());
        for (index, level) in config.levels().into_iter().enumerate() {
            methods.push(match &level.hypergradient {
                Some(method) if method.is_given() => Some(
                    P::custom_method(index)
                        .ok_or_else(|| EngineError::NoCustomMethod { level: schedule.levels[index].name.into() })?,
                ),
                method => method.as_ref().and_then(HypergradientConfig::build),
            });
        }
        Ok(Engine {
            problem,
            config,
            streams: P::streams(data),
            losses: Losses::new(levels.len(), device),
            seen: schedule.levels.iter().map(|spec| vec![0; spec.lower.len()]).collect(),
            clock: Clock::new(levels.len()),
            levels,
            methods,
            observers: Vec::new(),
            validation: None,
            progress: false,
            seed: 0,
            iterations: 0,
            saves: None,
            stop: None,
            returned: vec![VecDeque::new(); schedule.levels.len()],
            drawn: Drawn::default(),
            residuals: BTreeMap::new(),
            holds_batches: false,
            stale: false,
            observer_panic: None,
            edit_failed: None,
        })
    }

    /// Decides every random draw inside the losses (dropout masks, noise); 0 by default. On the CPU, equal seeds and equal
    /// data give equal bits.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Shows a progress bar with losses, rate and remaining time on standard error, if that is a terminal.
    #[must_use]
    pub fn progress(mut self, show: bool) -> Self {
        self.progress = show;
        self
    }

    /// Compares the gradient of every new trace with Burn's autodiff: at the parameters as they are and at two points near
    /// them, in f64 on the CPU. On by default.
    ///
    /// Each point takes about two gradients' time in double precision, once for a trace. What would take more than
    /// [`verification_memory`](Self::verification_memory), or more than 5·10¹⁰ floating-point operations, is compared on the
    /// first examples of the batch.
    #[must_use]
    pub fn verification(mut self, verify: bool) -> Self {
        self.losses.verify.on = verify;
        self
    }

    /// The most bytes that a comparison with Burn's autodiff may hold, beside the batch and the parameters themselves; 1 GiB by
    /// default.
    #[must_use]
    pub fn verification_memory(mut self, bytes: usize) -> Self {
        self.losses.verify.memory = bytes;
        self
    }

    /// Whether a gradient is used for good that could not be compared with Burn's autodiff, because it is not finite anywhere
    /// near the parameters or takes too much memory. Without it, a run ends after five tries; a gradient that was compared and
    /// differs is never used. Off by default.
    #[must_use]
    pub fn allow_unverified(mut self, allow: bool) -> Self {
        self.losses.verify.unchecked_allowed = allow;
        self
    }

    /// Calls `observer` at every [`Event`].
    #[must_use]
    pub fn observe(mut self, observer: impl FnMut(&Event<'_>) + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Calls a validation function during the run, and stops early if asked to.
    #[must_use]
    pub fn validate(mut self, validation: Validation<P>) -> Self {
        self.validation = Some(validation);
        self
    }

    /// Lets a Burn scheduler decide the learning rate of each step of a level, in the place of the configured one. Groups of
    /// parameters may have rates of their own.
    ///
    /// # Errors
    /// [`EngineError::UnknownLevel`] when there is no level of this name, and [`EngineError::LearnedRate`] when another level
    /// learns its learning rate.
    pub fn scheduler(mut self, level: &str, scheduler: impl Into<ModuleLrScheduler>) -> Result<Self, EngineError> {
        let level = self.level(level)?;
        if let Hyperparameter::Learned(learned) = self.levels[level].config.optimizer.lr() {
            let (level, number) = (self.levels[level].name.into(), learned.to_string());
            return Err(EngineError::LearnedRate { level, number });
        }
        self.levels[level].scheduler = Some(scheduler.into());
        Ok(self)
    }

    pub(super) fn check_finite(&self, k: usize, quantity: &'static str, value: f64) -> Result<(), EngineError> {
        if value.is_finite() {
            return Ok(());
        }
        let level = &self.levels[k];
        Err(EngineError::NonFinite { level: level.name.into(), step: level.steps + 1, quantity, value, origin: None })
    }

    pub(super) fn level(&self, name: &str) -> Result<usize, EngineError> {
        self.levels.iter().position(|level| level.name == name).ok_or_else(|| EngineError::UnknownLevel {
            name: name.into(),
            levels: self.levels.iter().map(|level| format!("`{}`", level.name)).collect::<Vec<_>>().join(", "),
        })
    }

    /// Writes the current parameters into the modules.
    pub(super) fn sync(&mut self) {
        if std::mem::take(&mut self.stale) {
            for (module, level) in self.problem.modules_mut().into_iter().zip(&self.levels) {
                module.assign(level.leaves.clone());
            }
        }
    }

    /// The program with its current parameters.
    pub fn problem(&mut self) -> &P {
        self.sync();
        &self.problem
    }

    /// Gives the trained program back.
    pub fn into_problem(mut self) -> P {
        self.sync();
        self.problem
    }

    /// The configuration the engine runs with.
    pub fn config(&self) -> &P::Config {
        &self.config
    }

    /// Iterations since the engine was made, those before a checkpoint included.
    pub fn iterations(&self) -> u64 {
        self.iterations
    }
}
