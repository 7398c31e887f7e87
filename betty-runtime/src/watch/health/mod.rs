//! Whether a run is healthy: rules that say what is wrong, and what to do.

mod bounds;
mod movement;
mod norms;
mod pace;
mod rates;
mod solves;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use burn::tensor::DType;

use self::bounds::Bounds;
use self::movement::Movement;
use self::norms::Norms;
use self::pace::Pace;
use self::rates::Rates;
use self::solves::Solves;
use super::place::Place;
use crate::error::DataError;
use crate::execute::ReadError;
use crate::json::parse;
use crate::trace::Leaf;
use crate::{ConfigError, Current, Event, Looks, Multilevel, Observer, Warning};

/// What becomes of a run that is not healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnhealthy {
    /// It goes on, and everybody is warned.
    #[default]
    Warn,
    /// It ends after the iteration in hand, saved if it shall be, with the warning as the reason.
    Stop,
}

/// Looks after a run: warns, or ends it, when something is not as it should be. Each rule speaks once of each level.
///
/// | rule | it speaks when |
/// |---|---|
/// | `runaway` | a hypergradient is a thousand times as large as usual |
/// | `vanishing` | nothing comes up through the levels below in 20 steps in a row: less than 1e-7 of the direct gradient |
/// | `solver` | 20 solves in a row leave 0.95 of the right-hand side or more, one leaves ten times of it, or `solve` of a level ends above its tolerance |
/// | `unsolved` | 5 turns in a row of a level's solver end above its tolerance |
/// | `negative-curvature` | a solver meets a direction along which the Hessian does not curve upwards, which ends the run |
/// | `non-finite` | a number is not finite, which ends the run before anything of it is kept |
/// | `far` | a level below, differentiated at its best response, has after 200 steps twice the gradient it began with, and a loss that is larger by a twentieth; what its `weight_decay` holds of a gradient does not count |
/// | `still` | parameters of a level above, which does not begin anew, do not move over 100 iterations though their gradient is at least half of what it was in the level's first 20 steps, and nothing holds them: no bound or set of their projection, no function after the step, no weight decay; not in a run that is gone on with from after those steps |
/// | `bound` | 95 of 100 entries of a level above that are confined are at a bound of their projection, which may be that of a group |
/// | `no-rate` | the learning rate of a level has been 0 for 100 steps in a row, behind the end of its schedule |
/// | `retracing` | a loss is recorded for the fourth time |
/// | `slowing` | iterations take three times as long as they did, for ten seconds at least |
/// | `rounding` | 16 bits change a gradient by more than a fifth |
/// | `zero-edge`, `unverified`, `costly`, `one-by-one`, `last-task`, `last-read` | as the events say |
/// | `unseen-number` | a learned number of an optimizer is one which the level's method does not see |
///
/// A run that shall end does so at what other observers warn of as well, but not at what says nothing of the program: that a file could
/// not be written (`save`), a best program was put aside (`best`), a run is tried again (`retry`), goes on with other numbers of a
/// scheduler (`scheduler`) or for another goal of validation (`validation`), or steps are read one by one (`reading`).
///
/// What was at first, for `far` and `slowing`, are the first steps of this engine: in a run that is gone on with those after the
/// checkpoint, and after an [edit](crate::Engine::edit) still those before it.
///
/// The rules listen to what is told in any case. Only `vanishing` asks for [`Event::Parts`], and `still`, `bound`, and `far` of
/// levels with a `weight_decay` look at parameters every 100 iterations.
///
/// ```
/// use betty_runtime::watch::{Health, OnUnhealthy};
///
/// let strict = Health::default().on_unhealthy(OnUnhealthy::Stop).without("slowing");
/// ```
#[derive(Debug, Default)]
pub struct Health {
    on_unhealthy: OnUnhealthy,
    silent: BTreeSet<String>,
    place: Place,
    told: BTreeSet<(String, Option<String>)>,
    norms: Norms,
    solves: Solves,
    movement: Movement,
    bounds: Bounds,
    pace: Pace,
    rates: Rates,
}

/// A parameter of a level, as it was seen.
struct Seen {
    path: String,
    dtype: DType,
    values: Vec<f64>,
}

impl Seen {
    fn of(leaf: &Leaf) -> Result<Self, ReadError> {
        Ok(Seen { path: leaf.path.clone(), dtype: leaf.value.dtype(), values: leaf.value.to_vec()? })
    }
}

impl Health {
    /// Decides what becomes of a run that is not healthy.
    #[must_use]
    pub fn on_unhealthy(mut self, then: OnUnhealthy) -> Self {
        self.on_unhealthy = then;
        self
    }

    /// Leaves out a rule.
    #[must_use]
    pub fn without(mut self, rule: impl Into<String>) -> Self {
        self.silent.insert(rule.into());
        self
    }

    /// What the rules say to an event.
    fn judge<P: Multilevel>(&mut self, event: &Event<'_>, program: &Current<'_, P>) -> Result<Vec<Warning>, DataError> {
        let mut found = Vec::new();
        if let Event::Started { .. } = event {
            let config = parse(program.facts().config.as_bytes()).map_err(ConfigError::from)?;
            self.norms.begin(&config, &P::SCHEDULE);
            self.bounds.begin(&config, &P::SCHEDULE);
            self.movement.begin(&config, &P::SCHEDULE);
            self.pace.begin();
        }
        self.look_at_decays(event, program, &mut found)?;
        found.extend(self.norms.hear(event));
        found.extend(self.solves.hear(event));
        found.extend(self.pace.hear(event));
        found.extend(self.rates.hear(event));
        self.movement.note(event);
        if let Event::Iteration { iteration } = *event
            && iteration.is_multiple_of(movement::EVERY)
        {
            let modules = Multilevel::modules(&**program);
            for (level, spec) in P::SCHEDULE.levels.iter().enumerate().filter(|(_, spec)| !spec.sweep.is_empty()) {
                let leaves = modules[level].leaves();
                let leaves = leaves.iter().filter(|leaf| leaf.trainable).map(Seen::of);
                let leaves = leaves.collect::<Result<Vec<_>, ReadError>>()?;
                found.extend(self.bounds.look(spec.name, &leaves));
                found.extend(self.movement.look(spec.name, &leaves, program.pull(level)?));
            }
        }
        Ok(found)
    }

    /// Levels that are differentiated at a best response which their weight decay has a part in.
    fn look_at_decays<P: Multilevel>(
        &mut self,
        event: &Event<'_>,
        program: &Current<'_, P>,
        found: &mut Vec<Warning>,
    ) -> Result<(), ReadError> {
        let is_begun = matches!(event, Event::Started { .. });
        if !is_begun && !matches!(*event, Event::Iteration { iteration } if iteration.is_multiple_of(movement::EVERY)) {
            return Ok(());
        }
        for (level, spec) in P::SCHEDULE.levels.iter().enumerate() {
            let Some(pull) = self.norms.is_answering(spec.name).then(|| program.pull(level)).transpose()?.flatten()
            else {
                continue;
            };
            match is_begun {
                true => self.norms.begin_at(spec.name, pull),
                false => found.extend(self.norms.look(spec.name, pull)),
            }
        }
        Ok(())
    }
}

impl<P: Multilevel> Observer<P> for Health {
    fn hear(&mut self, event: &Event<'_>, program: &Current<'_, P>) -> Result<ControlFlow<String>, DataError> {
        self.place.hear(event);
        if let Event::Resumed { .. } = event {
            self.movement.note(event);
        }
        if !self.place.is_running {
            return Ok(ControlFlow::Continue(()));
        }
        for warning in self.judge(event, program)? {
            let is_news = self.told.insert((warning.rule.clone(), warning.level.clone()));
            if is_news && !self.silent.contains(&warning.rule) {
                program.warn(warning);
            }
        }
        // One's own warnings come back as events, and so do those of others.
        match event.warning() {
            Some(warning) if self.on_unhealthy == OnUnhealthy::Stop && warning.is_of_program() => {
                let is_silent = self.silent.contains(&warning.rule);
                let reason = format!("{}; {}", warning.fact, warning.advice);
                Ok(if is_silent { ControlFlow::Continue(()) } else { ControlFlow::Break(reason) })
            }
            _ => Ok(ControlFlow::Continue(())),
        }
    }

    fn looks(&self) -> Looks {
        Looks::Every(movement::EVERY)
    }

    fn asks_for_parts(&self) -> bool {
        !self.silent.contains("vanishing")
    }
}

/// A warning of a rule about a level.
fn warning(rule: &str, level: &str, fact: String, advice: String) -> Option<Warning> {
    Some(Warning { rule: rule.into(), level: Some(level.into()), fact, advice })
}
