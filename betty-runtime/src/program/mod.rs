//! The program at a point: its levels, their compiled losses and methods, and the total gradients that follow.
//!
//! Nothing here draws a batch or takes a step. Who wants a gradient gives the batches as a [`Sample`], has the losses
//! recorded on them with [`Program::prepare`], and asks.

mod after_step;
mod bases;
mod check;
mod clock;
mod compared;
mod context;
mod curvatures;
mod decaying;
mod direct;
mod edges;
mod edit;
mod explain;
mod fixed_point;
mod fresh;
mod gradient;
mod groups;
mod guard;
mod indirect;
mod joined;
mod judged;
mod keys;
mod last;
mod late;
mod leader;
mod learned;
mod led;
mod lent;
mod level;
mod losses;
mod metrics;
mod news;
mod numbers;
mod passings;
mod prepare;
mod rates;
mod recordings;
mod roots;
mod round;
mod sample;
mod scheduler;
mod selection;
mod shards;
mod snapshot;
mod solve;
mod start;
mod stops;
mod subject;
mod tasks;
mod together;
mod turns;
mod verification;

use std::rc::Rc;

use self::after_step::Given;
pub use self::check::{HypergradientCheck, ResponseCheck};
pub(crate) use self::clock::Clock;
pub(crate) use self::decaying::Pull;
pub use self::explain::{Explanation, LevelCost, ResponseCost};
pub(crate) use self::gradient::Found;
pub use self::gradient::TotalGradient;
pub(crate) use self::groups::place;
pub(crate) use self::joined::check_replicated;
pub(crate) use self::late::Late;
pub(crate) use self::lent::Lent;
pub(crate) use self::level::{Level, Moved};
pub(crate) use self::losses::{Losses, Unchecked};
pub(crate) use self::metrics::Metrics;
pub(crate) use self::news::News;
pub(crate) use self::numbers::{Numbers, Parts, Told};
pub(crate) use self::passings::{Passings, Use};
pub(crate) use self::round::{BeforeRound, Taken};
pub(crate) use self::sample::{Sample, Seeded};
pub(crate) use self::scheduler::Scheduler;
pub(crate) use self::snapshot::Snapshot;
pub(crate) use self::solve::Solved;
pub(crate) use self::subject::LossFunctions;
pub(crate) use self::tasks::Round;
pub(crate) use self::turns::{Turns, Walk};
use crate::config::{ConfigError, ConflictError, HypergradientConfig, LevelConfig, LevelSolverConfig};
use crate::distributed::Ranks;
use crate::error::{EngineError, SolverError};
use crate::hypergradient::{HypergradientMethod, Preconditioning};
use crate::optimizer::Optimizer;
use crate::schedule::Schedule;
use crate::solver::AnySolver;
use crate::trace::LevelModule;

/// A program at a point.
pub(crate) struct Program {
    pub(crate) schedule: Schedule,
    pub(crate) levels: Vec<Level>,
    pub(crate) losses: Losses,
    /// How the best response of each level is differentiated.
    pub(crate) methods: Vec<Option<Rc<dyn HypergradientMethod>>>,
    /// What finds the best response of a level, where that is the user's own.
    pub(crate) solvers: Vec<Option<Rc<AnySolver>>>,
    /// What makes the modules of levels whose steps begin at a new draw.
    fresh: fresh::Makes,
    pub(crate) clock: Clock,
    /// The ranks that take whole tasks of the uppermost level each, if there are others.
    pub(crate) takers: Option<Rc<Ranks>>,
    /// Whether ranks find hypergradients each on its own examples, and put them together at the end only.
    pub(crate) syncs_last: bool,
    /// Whether total gradients tell how their direct and their indirect part stand to each other.
    pub(crate) tells_parts: bool,
    /// Numbers of gradients that are read later; none if each is read at once.
    pub(crate) unread: Option<Vec<Late>>,
}

/// What the user's program names of its own, by the numbers of levels.
pub(crate) struct Own {
    /// The method of a level's best response.
    pub(crate) method: fn(usize) -> Option<Rc<dyn HypergradientMethod>>,
    /// The preconditioner of the system of a level's best response.
    pub(crate) preconditioner: fn(usize) -> Option<Rc<dyn Preconditioning>>,
    /// The optimizer of a level.
    pub(crate) optimizer: fn(usize) -> Option<Rc<dyn Optimizer>>,
    /// The optimizer of a group of its parameters.
    pub(crate) group_optimizer: fn(usize, &str) -> Option<Rc<dyn Optimizer>>,
    /// The solver of a level.
    pub(crate) solver: fn(usize) -> Option<Rc<AnySolver>>,
    /// What makes the module of a level, where its steps begin at a new draw.
    pub(crate) fresh: fresh::Makes,
}

impl Program {
    /// A program of these modules, whose numbers have been held against the schedule; `own` gives the methods, optimizers and solvers
    /// of the user's own.
    ///
    /// # Errors
    /// [`EngineError`] when tensors are on different devices, or a level has nothing to train.
    pub(crate) fn new(
        schedule: Schedule,
        modules: &[&dyn LevelModule],
        configs: &[&LevelConfig],
        own: Own,
        functions: &dyn LossFunctions,
    ) -> Result<Self, EngineError> {
        let given = Given { functions, schedule: &schedule, modules, configs };
        let mut levels = Vec::with_capacity(schedule.levels.len());
        for (index, spec) in schedule.levels.iter().enumerate() {
            let mut learned = learned::find(&schedule, index, configs, modules)?;
            let after = after_step::find(given, index, &mut learned)?;
            let optimizers = groups::optimizers(index, spec.name, configs[index], &own)?;
            let level = Level::new(index, spec.name, modules[index], configs[index], (learned, after), optimizers)?;
            levels.push(level.with_draws(own.fresh)?);
        }
        let device = levels[0].device();
        start::check_together(&schedule, &levels, &device)?;
        learned::check_first_values(&levels, |_, _| Ok(true))?;
        let mut methods = Vec::with_capacity(levels.len());
        for (index, level) in configs.iter().enumerate() {
            methods.push(match &level.hypergradient {
                Some(method) if method.is_given() => Some((own.method)(index).ok_or_else(|| {
                    ConfigError::from(ConflictError::NoCustomMethod { level: schedule.levels[index].name.into() })
                })?),
                Some(method) if let Some(preconditioner) = &level.preconditioner => {
                    let preconditioner = preconditioner.build().or_else(|| (own.preconditioner)(index));
                    let level = || schedule.levels[index].name.into();
                    method.build_preconditioned(
                        preconditioner.ok_or_else(|| SolverError::NoPreconditioner { level: level() })?,
                    )
                }
                method => method.as_ref().and_then(HypergradientConfig::build),
            });
        }
        for (spec, method) in schedule.levels.iter().zip(&methods) {
            if let Some(method) = method.as_ref().filter(|method| spec.condition.is_some() && method.needs_symmetry()) {
                let reason = format!(
                    "`{}` needs a symmetric matrix, and I − ∂T/∂θ is none; choose a method that takes any, such as `gmres`",
                    method.name()
                );
                return Err(SolverError::NoFixedPoint { level: spec.name.into(), reason }.into());
            }
        }
        let mut solvers = Vec::with_capacity(levels.len());
        for (index, level) in configs.iter().enumerate() {
            let name = || schedule.levels[index].name.to_owned();
            solvers.push(match level.solver {
                Some(LevelSolverConfig::CustomSolver(_)) => Some(
                    (own.solver)(index).ok_or_else(|| EngineError::Solver(SolverError::NotNamed { level: name() }))?,
                ),
                Some(LevelSolverConfig::Lbfgs(_)) | None => None,
            });
        }
        let (losses, clock) = (Losses::new(levels.len(), device), Clock::new(levels.len()));
        let program = Program {
            schedule,
            levels,
            losses,
            methods,
            solvers,
            fresh: own.fresh,
            clock,
            takers: None,
            syncs_last: false,
            tells_parts: false,
            unread: None,
        };
        program.check_directions()?;
        program.check_followed()?;
        Ok(program)
    }

    /// The number of the level of that name.
    ///
    /// # Errors
    /// [`EngineError::UnknownLevel`] if there is none.
    pub(crate) fn level(&self, name: &str) -> Result<usize, EngineError> {
        self.levels.iter().position(|level| level.name == name).ok_or_else(|| EngineError::UnknownLevel {
            name: name.into(),
            levels: self.levels.iter().map(|level| format!("`{}`", level.name)).collect::<Vec<_>>().join(", "),
        })
    }
}
