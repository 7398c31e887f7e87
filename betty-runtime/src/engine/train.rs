//! The engine: runs a program's schedule on data.

use std::cell::RefCell;
use std::rc::Rc;

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;

use super::advance::Advance;
use super::held::Held;
use super::host::Host;
use super::multilevel::{Multilevel, own};
use super::saves::Saves;
use super::validation::{Validation, listener};
use crate::config::{Hyperparameter, LevelConfig, OptimizerConfig, ProgramConfig};
use crate::error::{EngineError, LearnedError};
use crate::event::Event;
use crate::program::Scheduler;

/// Trains a multilevel program.
///
/// One *iteration* is one step of every uppermost level, with all the steps below it that the schedule asks for.
///
/// ```
/// use betty_runtime::{Engine, Goal, Validation, multilevel};
/// use burn::module::Param;
/// use burn::tensor::{Device, Tensor};
///
/// type Point = Param<Tensor<1>>;
///
/// /// The answer of `x` to `y` is `y` itself …
/// fn below(x: &Point, y: &Point, _batch: ()) -> Tensor<1> {
///     (x.val() - y.val()).square().sum()
/// }
///
/// /// … so that this has its minimum at 1.
/// fn above(y: &Point, x: &Point, _batch: ()) -> Tensor<1> {
///     (x.val() * y.val() - 1.0).square().sum()
/// }
///
/// multilevel! {
///     struct Pair;
///
///     level y: Point { lower: [x], batch: (), loss: above, optimizer: sgd(lr = 0.1) }
///     level x: Point { upper: [y], batch: (), loss: below, optimizer: sgd(lr = 0.1), unroll: 10, hypergradient: cg(iterations = 2) }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let point = |at: f32| Param::from_tensor(Tensor::<1>::from_floats([at], &Device::flex()));
/// let far = |now: &Pair| Ok((now.y.val().into_scalar::<f64>() - 1.0).abs());
/// let data = PairData { y: ().into(), x: ().into() };
/// let mut engine = Engine::new(Pair { y: point(0.5), x: point(0.0) }, data, PairConfig::default())?
///     .seed(0)
///     .validate(Validation::every(10, Goal::Min, far).patience(3));
/// let report = engine.run(60)?;
/// assert!(report.best.is_some_and(|(_, far)| far < 1e-3));
/// println!("{}", engine.verify_hypergradient("y")?);
/// # Ok(())
/// # }
/// ```
pub struct Engine<P: Multilevel> {
    pub(super) problem: P,
    pub(super) config: P::Config,
    pub(super) run: Held,
    pub(super) validation: Option<Rc<RefCell<Validation<P>>>>,
    /// How many iterations pass until their steps are read; none if each step is.
    pub(super) read_every: Option<u64>,
    pub(super) progress: bool,
    pub(super) saves: Option<Saves>,
    /// Says whether a run shall end.
    pub(super) stop: Option<Box<dyn FnMut() -> bool>>,
    /// Why the program cannot run, after an edit that failed.
    pub(super) edit_failed: Option<String>,
}

impl<P: Multilevel> Engine<P> {
    /// Prepares a program: checks the configuration, the devices and what is trainable.
    ///
    /// # Errors
    /// [`EngineError`] when a number is out of range, tensors are on different devices, or a level has nothing to train.
    pub fn new(problem: P, data: P::Data, config: P::Config) -> Result<Self, EngineError> {
        config.validate(&P::SCHEDULE)?;
        let levels = config.levels();
        let numbers = (config.to_json()?, &levels[..]);
        Ok(Engine {
            run: Held::new(P::SCHEDULE, &problem.modules(), numbers, (own::<P>(), &problem), P::streams(data))?,
            problem,
            config,
            validation: None,
            read_every: None,
            progress: false,
            saves: None,
            stop: None,
            edit_failed: None,
        })
    }

    /// Decides every random draw inside the losses (dropout masks, noise); 0 by default. On the CPU, equal seeds and equal
    /// data give equal bits.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.run.data.seed = seed;
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
        self.run.program.losses.verify.on = verify;
        self
    }

    /// The most bytes that a comparison with Burn's autodiff may hold, the batch and the parameters in double precision included;
    /// by default 80 for each number of the modules that the loss is given, and 1 GiB at least.
    #[must_use]
    pub fn verification_memory(mut self, bytes: usize) -> Self {
        self.run.program.losses.verify.memory = crate::derivatives::Memory(Some(bytes));
        self
    }

    /// Whether a gradient is used for good that could not be compared with Burn's autodiff, because it is not finite anywhere
    /// near the parameters or takes too much memory. Without it, a run ends after five tries; a gradient that was compared and
    /// differs is never used. Off by default.
    #[must_use]
    pub fn allow_unverified(mut self, allow: bool) -> Self {
        self.run.program.losses.verify.unchecked_allowed = allow;
        self
    }

    /// How many kernels of one hypergradient are a lot: above that, [`Event::Costly`](crate::Event::Costly) tells before the
    /// level's first step what it takes and what would take less. 100,000 by default, about a second of small ones; with
    /// infinity nothing is counted.
    #[must_use]
    pub fn costly_above(mut self, kernels: f64) -> Self {
        self.run.program.losses.judged.above = kernels;
        self
    }

    /// Calls a validation function during the run, and stops early if asked to. After [`resume`](Self::resume) it goes on from what
    /// the checkpoint knows of validation, as one that was given before does.
    #[must_use]
    pub fn validate(mut self, mut validation: Validation<P>) -> Self {
        validation.ranks = self.run.ranks();
        if let (None, Some(resumed)) = (&self.validation, &self.run.validation) {
            validation.restore(resumed());
        }
        let validation = Rc::new(RefCell::new(validation));
        let seen = Rc::clone(&validation);
        self.run.validation = Some(Box::new(move || seen.borrow().state()));
        self.run.watch.validation = Some(listener(Rc::clone(&validation)));
        self.validation = Some(validation);
        self
    }

    /// Lets a Burn scheduler decide the learning rate of each step of a level, in the place of the configured one. Groups of the
    /// scheduler may have rates of their own. A group of parameters with an optimizer of its own keeps the rate of that, or
    /// follows a scheduler that it is given by its path, as in `"net.log_lr"`. It is given as it is before its first step, also to an
    /// engine that then [resumes](Self::resume) a run, and clones of it are asked as well, when the run is saved and resumed: one of your own
    /// that follows something else than its steps only reads that.
    ///
    /// # Errors
    /// [`EngineError::UnknownLevel`] when there is no level or group of this name, [`LearnedError::Scheduled`] when another level
    /// learns its learning rate, and [`EngineError::NoRate`] when a solver takes its steps, groups have all of its parameters, or its config has a `schedule`.
    pub fn scheduler(mut self, level: &str, scheduler: impl Into<ModuleLrScheduler>) -> Result<Self, EngineError> {
        let (k, group) = self.run.program.level_and_group(level)?;
        let of_level = &mut self.run.program.levels[k];
        let found = of_level.config.all_groups().enumerate().find(|(_, of)| of.name == group);
        let rate = found.and_then(|(number, of)| Some((number, of.optimizer.map(OptimizerConfig::lr)?)));
        let number = match rate {
            Some((number, _)) if of_level.config.all_groups().nth(number).is_some_and(|of| of.schedule.is_some()) => {
                let reason = "its config has a `schedule`, which would never be followed; keep one of them".to_owned();
                return Err(EngineError::NoRate { level: level.into(), reason });
            }
            Some((number, Hyperparameter::Fixed(_))) => number,
            Some((_, Hyperparameter::Learned(learned))) => {
                let (level, number) = (level.into(), learned.to_string());
                return Err(LearnedError::Scheduled { level, number }.into());
            }
            None => return Err(no_rate(level, &of_level.config)),
        };
        of_level.schedulers[number] = Some(Scheduler::new(scheduler.into()));
        Ok(self)
    }

    /// Whether a [scheduler](Self::scheduler) decides the rate of this level, or of this group of its parameters.
    pub(crate) fn is_scheduled(&self, level: &str) -> bool {
        let Ok((k, group)) = self.run.program.level_and_group(level) else { return false };
        let of_level = &self.run.program.levels[k];
        of_level
            .config
            .all_groups()
            .zip(&of_level.schedulers)
            .any(|(of, decides)| of.name == group && decides.is_some())
    }

    /// Says that the loss of `level` need not depend on `other`, which the level lists: an edge for later, or for some batches
    /// only, or one that is read behind [`stop_gradient`](crate::stop_gradient) and passes nothing. Where the loss does not depend on
    /// it, the hypergradient along this edge is zero; without this, that is [`EngineError::Unread`], and what is only read without a
    /// derivative is told ([`Event::ZeroEdge`](crate::Event::ZeroEdge)).
    ///
    /// # Errors
    /// [`EngineError::UnknownLevel`] when there is no level of one of these names, and [`EngineError::NoEdge`] when `level`
    /// does not list `other`.
    pub fn unread(mut self, level: &str, other: &str) -> Result<Self, EngineError> {
        self.run.program.allow_unread(level, other)?;
        Ok(self)
    }

    /// The most recordings of its loss that each level keeps, one for each kind of batch: the least recently used goes first,
    /// and has to be made again when it is needed. By default as many as fit into [`trace_memory`](Self::trace_memory). Those
    /// that are needed for one hypergradient are kept in any case.
    #[must_use]
    pub fn traces(mut self, most: usize) -> Self {
        self.run.program.losses.bound.most = most;
        self
    }

    /// About how many bytes the recordings of each level's loss may take together, with what is planned from them; by default
    /// 128 MiB. Those that are needed for one hypergradient are kept in any case.
    #[must_use]
    pub fn trace_memory(mut self, bytes: usize) -> Self {
        self.run.program.losses.bound.bytes = bytes;
        self
    }

    /// The run, about to go on.
    pub(super) fn advance(&mut self) -> Advance<'_> {
        Advance { host: &mut self.problem, run: &mut self.run, passes: false }
    }

    /// Tells everybody what happened.
    pub(super) fn emit(&mut self, event: &Event<'_>) {
        self.run.emit(&mut self.problem, event);
    }

    /// Writes the current parameters into the modules.
    pub(super) fn sync(&mut self) {
        if std::mem::take(&mut self.run.stale) {
            self.problem.at(&self.run.program.levels);
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
        self.run.iterations
    }
}

/// A level whose own parameters take no steps.
fn no_rate(level: &str, config: &LevelConfig) -> EngineError {
    let reason = match config.groups.keys().next() {
        Some(path) if config.solver.is_none() => {
            format!("all of its parameters are in groups; name one of them: `scheduler(\"{level}.{path}\", …)`")
        }
        _ => "its solver has no learning rate; give the level an optimizer".to_owned(),
    };
    EngineError::NoRate { level: level.into(), reason }
}
