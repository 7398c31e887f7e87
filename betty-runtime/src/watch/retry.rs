//! Trying again: back to the last checkpoint, with smaller steps or more damping.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Map;

use super::last::KeepLast;
use crate::json::parse;
use crate::{
    Checkpoint, ConfigError, Engine, EngineError, Event, Multilevel, ProgramConfig, Report, StreamPosition, Warning,
};

/// The damping that a system gets that had none.
const DAMPING: f64 = 1e-3;
/// What tells of the solves below a level. Where there is no damping, smaller steps may do.
const OF_SOLVES: [&str; 3] = ["runaway", "solver", "negative-curvature"];
/// What tells of steps that are too large.
const OF_STEPS: [&str; 2] = ["non-finite", "far"];

/// Runs a program to its end, and where that fails goes back to the last checkpoint and tries again with other numbers, a bounded
/// number of times: with more damping of the levels below after a solver failed, or a hypergradient ran away, and with a smaller
/// learning rate of the level, and of its groups of parameters, where there is no damping, or after a number became infinite, or a
/// level got away from its best response. So it goes by the rules `runaway`, `solver`, `negative-curvature`, `non-finite` and `far` of
/// [`Health`](super::Health), whoever warns and ends the run by them. What fails for another reason is not tried again, nor where
/// other rules ended the run, which neither would mend: a hypergradient that vanishes, an edge that carries nothing, parameters that stand
/// still. Every try is told of, as a warning `retry` when the next run starts.
///
/// ```
/// # use betty_runtime::{EngineError, Stream, multilevel};
/// use betty_runtime::watch::Retry;
/// use betty_runtime::Engine;
/// # use burn::module::Param;
/// # use burn::tensor::{Device, Tensor};
/// # type Point = Param<Tensor<1>>;
/// # fn loss(x: &Point, _batch: ()) -> Tensor<1> { x.val().square().square().sum() }
/// # multilevel! {
/// #     struct Descent;
/// #     level x: Point { batch: (), loss: loss, optimizer: sgd(lr = 1.0) }
/// # }
/// # fn main() -> Result<(), EngineError> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let file = folder.path().join("run.safetensors");
/// // `x⁴` from 2 on: steps of 1.0 lead to infinity, and so do those of 0.25, but 0.0625 is small enough.
/// let retry = Retry { tries: 2, rate: 0.25, ..Retry::new(&file) };
/// let (mut engine, _) = retry.run(DescentConfig::default(), 50, |config| {
///     let problem = Descent { x: Param::from_tensor(Tensor::from_floats([2.0], &Device::flex())) };
///     Ok(Engine::new(problem, DescentData { x: Stream::constant(()) }, config)?.save_every(10, &file))
/// })?;
/// let rate = engine.config().x.optimizer.as_ref().and_then(|optimizer| optimizer.lr().fixed());
/// assert_eq!(rate, Some(0.0625));
/// assert!(engine.problem().x.val().into_scalar::<f32>().abs() < 0.5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Where the engine saves itself: what [`Engine::save_every`](crate::Engine::save_every) is given, too.
    pub file: PathBuf,
    /// How often it is tried again at the most; 3 by default.
    pub tries: u32,
    /// What a learning rate is multiplied with; 0.5 by default. One that an [`Engine::scheduler`](crate::Engine::scheduler) decides is
    /// not in the config, and stays; give the optimizer a `schedule`, which multiplies its rate.
    pub rate: f64,
    /// What a damping is multiplied with; 10 by default. One that is zero becomes 1e-3.
    pub damping: f64,
}

/// A number of a config that is changed.
struct Change {
    /// Where it stands.
    path: String,
    from: f64,
    to: f64,
}

/// What another try runs with, and in what that differs.
struct Another<C> {
    config: C,
    changes: Vec<Change>,
}

impl Retry {
    /// Tries again with half the learning rate or ten times the damping, three times at the most.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Retry { file: file.into(), tries: 3, rate: 0.5, damping: 10.0 }
    }

    /// Runs the engines that `build` makes of configs until there are this many iterations in all; answers the one that came
    /// there, and its report. A checkpoint in the file is gone on with; where there is none, a run begins anew. So `build` makes the
    /// streams anew, each time with the same batches: a data loader that shuffles is built inside of it. A run that
    /// [`Health`](super::Health) ended is gone back from to the last checkpoint before that, if [`KeepLast`] keeps one: before the next
    /// try begins, that takes the place of the file, so that whoever starts the program again goes on from there, too. After the last
    /// try the file is as that has left it. Of several [ranks](crate::Engine::distributed) the first one decides, and all of them call
    /// this.
    ///
    /// # Errors
    /// What the last try failed with, or what cannot be tried again.
    pub fn run<P: Multilevel>(
        &self,
        mut config: P::Config,
        until: u64,
        mut build: impl FnMut(P::Config) -> Result<Engine<P>, EngineError>,
    ) -> Result<(Engine<P>, Report), EngineError> {
        let mut tries = 0;
        let mut told: Option<Warning> = None;
        loop {
            let heard = Rc::new(RefCell::new(Heard::default()));
            let mut engine = build(config.clone())?.listen_in(listener(told.take(), Rc::clone(&heard)));
            if let Some(checkpoint) = engine.find_checkpoint(|| Checkpoint::find(&self.file))? {
                engine.resume(&checkpoint, StreamPosition::Start)?;
            }
            let begun = engine.iterations();
            let ended = engine.run_until(until);
            let why = match &ended {
                Err(error) => Some(error.to_string()),
                // It has come to its end, whatever else was said of it then.
                Ok(report) if report.stopped_early => None,
                Ok(report) => report.reason.clone(),
            };
            // Ended by one of the warnings, and by nothing else.
            let is_cause = |warning: &Warning| why.as_ref().is_some_and(|why| why.starts_with(&warning.fact));
            let Heard { warned, saved } = heard.take();
            let cause = warned.into_iter().rev().find(is_cause).filter(|_| tries < self.tries);
            // Where another try would go on: saved as it was when it ended, a run is no place to go on from, if there is one before.
            let from = match &ended {
                Ok(_) => {
                    let is_before = |iteration: u64| iteration <= begun || saved.contains(&iteration);
                    let mut kept = Checkpoint::label(&self.file)
                        .and_then(|run| KeepLast::of_run(&self.file, &run).ok())
                        .unwrap_or_default();
                    kept.retain(|(iteration, _)| *iteration < engine.iterations() && is_before(*iteration));
                    kept.pop().map(|(_, file)| file)
                }
                // What failed is not saved.
                Err(_) => None,
            };
            let Some((warning, from)) = decided(&engine, cause, from) else {
                return ended.map(|report| (engine, report));
            };
            let Some(Another { config: changed, changes }) = self.change(&engine, &config, &warning)? else {
                return ended.map(|report| (engine, report));
            };
            self.go_back(&mut engine, from.as_deref())?;
            tries += 1;
            let changes: Vec<String> = changes
                .iter()
                .map(|Change { path, from, to }| format!("{path} is {to:e} in the place of {from:e}"))
                .collect();
            told = Some(Warning {
                rule: "retry".into(),
                level: warning.level.clone(),
                fact: format!("try {tries} of {} after this: {}", self.tries, warning.fact),
                advice: format!("{} from here on; begin with that the next time", changes.join(", ")),
            });
            config = changed;
        }
    }

    /// Puts the checkpoint to go on from in the place of the file, which the first of several ranks writes. Until another one is saved,
    /// nobody shall go on from what was rejected, whoever starts the program again.
    fn go_back<P: Multilevel>(&self, engine: &mut Engine<P>, from: Option<&Path>) -> Result<(), EngineError> {
        from.map_or(Ok(()), |from| engine.put_checkpoint(|| Checkpoint::open(from)?.save(&self.file)))
    }

    /// The config for another try after a warning, if there is something to change.
    fn change<P: Multilevel>(
        &self,
        engine: &Engine<P>,
        config: &P::Config,
        warning: &Warning,
    ) -> Result<Option<Another<P::Config>>, EngineError> {
        let mut all = parse(config.to_json()?.as_bytes()).map_err(ConfigError::from)?;
        let Some(level) = warning.level.as_deref().and_then(|name| P::SCHEDULE.level(name)) else { return Ok(None) };
        let spec = &P::SCHEDULE.levels[level];
        if !OF_SOLVES.iter().chain(&OF_STEPS).any(|rule| *rule == warning.rule) {
            return Ok(None);
        }
        let is_own = ["solver", "negative-curvature"].contains(&warning.rule.as_str());
        let below = spec.sweep.iter().map(|stop| stop.level).chain(is_own.then_some(level));
        let mut changes = Vec::new();
        if OF_SOLVES.contains(&warning.rule.as_str()) {
            for level in below {
                let name = P::SCHEDULE.levels[level].name;
                if let Some(damping) = all[name]["hypergradient"]["damping"].as_f64() {
                    let more = if damping == 0.0 { DAMPING } else { damping * self.damping };
                    all[name]["hypergradient"]["damping"] = more.into();
                    changes.push(Change { path: format!("{name}.hypergradient.damping"), from: damping, to: more });
                }
            }
        }
        if changes.is_empty() {
            let level = &mut all[spec.name];
            let groups: Vec<String> = level["groups"].as_object().into_iter().flat_map(Map::keys).cloned().collect();
            for group in std::iter::once(None).chain(groups.into_iter().map(Some)) {
                let (pointer, place, name) = group.map_or_else(
                    || (String::new(), String::new(), spec.name.to_owned()),
                    |group| (format!("/groups/{group}"), format!(".groups.{group}"), format!("{}.{group}", spec.name)),
                );
                let Some(lr) = level.pointer_mut(&format!("{pointer}/optimizer/lr")) else { continue };
                // What a scheduler says does not change with the config.
                let Some(rate) = lr.as_f64().filter(|_| !engine.is_scheduled(&name)) else { continue };
                *lr = (rate * self.rate).into();
                let path = format!("{}{place}.optimizer.lr", spec.name);
                changes.push(Change { path, from: rate, to: rate * self.rate });
            }
        }
        if changes.is_empty() {
            return Ok(None);
        }
        Ok(Some(Another { config: P::Config::from_json(&all.to_string())?, changes }))
    }
}

/// What was heard of one try.
#[derive(Default)]
struct Heard {
    warned: Vec<Warning>,
    /// The iterations after which it was saved.
    saved: Vec<u64>,
}

/// Tells of the try when a run starts, and notes what happens.
fn listener<P: Multilevel>(
    mut tell: Option<Warning>,
    heard: Rc<RefCell<Heard>>,
) -> impl FnMut(&Event<'_>, &crate::Current<'_, P>) {
    move |event, program| {
        let mut heard = heard.borrow_mut();
        match event {
            Event::Started { .. } => tell.take().into_iter().for_each(|warning| program.warn(warning)),
            Event::Saving { iteration, .. } => heard.saved.push(*iteration),
            _ => {}
        }
        heard.warned.extend(event.warning().filter(Warning::is_of_program));
    }
}

/// Whether there is another try, and from where it goes on: what the first of several ranks says, which alone hears of everything.
fn decided<P: Multilevel>(
    engine: &Engine<P>,
    cause: Option<Warning>,
    from: Option<PathBuf>,
) -> Option<(Warning, Option<PathBuf>)> {
    let cause = cause.map(|Warning { rule, level, fact, advice }| (rule, level, fact, advice));
    let mine = serde_json::to_vec(&cause.map(|cause| (cause, from))).ok()?;
    // Ranks that have lost each other cannot go on together.
    let said = engine.of_first("try again", mine).ok()?;
    let (cause, from): (_, Option<PathBuf>) = serde_json::from_slice::<Option<_>>(&said).ok()??;
    let (rule, level, fact, advice) = cause;
    Some((Warning { rule, level, fact, advice }, from))
}
