//! Edges of the program that the losses bear out: no hypergradient passes from a level to one that its loss never reads.

use std::collections::{BTreeMap, BTreeSet};

use betty_schema::OPTIMIZERS;

use super::news::News;
use super::{Level, Program};
use crate::config::{HypergradientConfig, Start};
use crate::derivatives::Loss;
use crate::error::EngineError;
use crate::graph::GraphError;
use crate::schedule::{LevelSpec, Schedule};
use crate::steps::{LearnedNumber, LearnedSource};

/// What the losses that were recorded so far depend on.
#[derive(Clone)]
pub(crate) struct Edges {
    levels: Vec<Known>,
    /// Edges that the user has plans for: a level, and one that it lists.
    pub(crate) later: BTreeSet<(usize, usize)>,
}

/// What the losses of one level depend on.
#[derive(Clone, Default)]
struct Known {
    /// Levels that are read.
    read: BTreeSet<usize>,
    /// Levels on whose parameters the loss depends, if they answer to this one, or its gradient, if not: in the level's own
    /// parameters, and in those below that answer to it. Of a level with a condition, those that the map has a derivative in.
    moving: BTreeSet<usize>,
    /// Levels of which it was told that nothing passes.
    told: BTreeSet<usize>,
    /// Learned numbers of which it was told that nothing moves them, by where they are written.
    unseen: BTreeSet<String>,
}

impl Edges {
    pub(crate) fn new(levels: usize) -> Self {
        Edges { levels: vec![Known::default(); levels], later: BTreeSet::new() }
    }

    /// Forgets what was recorded.
    pub(crate) fn clear(&mut self) {
        self.levels.fill_with(Known::default);
    }

    /// Takes note of a loss of level `k`, and of the map whose fixed point the level's answer is, if it is one.
    pub(crate) fn learn(
        &mut self,
        schedule: &Schedule,
        k: usize,
        loss: &mut Loss,
        map: Option<&Loss>,
    ) -> Result<(), GraphError> {
        let known = &mut self.levels[k];
        known.read.extend(loss.reads());
        if let Some(map) = map {
            // The answer solves θ = T(θ, λ), whatever the loss is: only derivatives of T pass anything on.
            known.read.extend(map.reads());
            let moved = map.reached().filter(|(_, led)| led.contains(&true));
            known.moving.extend(moved.map(|(level, _)| level));
            return Ok(());
        }
        let gradient = loss.gradient(&schedule.differentiates(k))?;
        // The cotangent of what answers is a derivative of the loss; all else reaches the level through its gradient.
        let is_enough = |other: &usize| loss.holds_constant() || schedule.answers_to(*other, k);
        known.moving.extend(loss.depends_on().into_iter().filter(is_enough));
        known.moving.extend(gradient.depends_on());
        Ok(())
    }

    /// Whether the losses of level `k` that were recorded so far read all that the level lists. Answers, once for each, the
    /// levels that they read, but from which nothing passes.
    pub(crate) fn check(&mut self, schedule: &Schedule, k: usize, levels: &[Level]) -> Result<Vec<usize>, EngineError> {
        let spec = &schedule.levels[k];
        let mut still = Vec::new();
        for (list, others) in [("upper", spec.upper), ("lower", spec.lower)] {
            for &other in others {
                if self.later.contains(&(k, other)) || depends_elsewhere(schedule, k, other, levels) {
                    continue;
                }
                if !self.levels[k].read.contains(&other) {
                    return Err(EngineError::Unread {
                        level: spec.name.into(),
                        other: levels[other].name.into(),
                        list,
                    });
                }
                if !self.levels[k].moving.contains(&other) && self.levels[k].told.insert(other) {
                    still.push(other);
                }
            }
        }
        Ok(still)
    }

    /// Numbers of the optimizer of level `k` that others learn, but of which neither its method nor what its answer depends on, this
    /// loss or this map, sees anything. Answers each once.
    pub(crate) fn unseen_numbers(
        &mut self,
        schedule: &Schedule,
        levels: &[Level],
        k: usize,
        loss: &mut Loss,
        map: Option<&Loss>,
    ) -> Result<Vec<News>, GraphError> {
        let mut unseen = Vec::new();
        let level = &levels[k];
        let learned = level.update.learned();
        let Some(method) = level.config.hypergradient.as_ref() else { return Ok(unseen) };
        if learned.numbers.is_empty() || method.row().is_none_or(|row| row.way.goes_through_steps()) {
            return Ok(unseen);
        }
        let gradient;
        let moving: BTreeMap<usize, &[bool]> = match map {
            Some(map) => map.reached().collect(),
            None => {
                gradient = loss.gradient(&schedule.differentiates(k))?;
                gradient.moved_by().collect()
            }
        };
        let is_read = |source: &LearnedSource| {
            let of_level = moving.get(&source.level);
            source.parameter.is_none_or(|parameter| of_level.is_some_and(|of| of.get(parameter) == Some(&true)))
        };
        for number in &learned.numbers {
            let at_rest = decides_rest(number) && schedule.levels[k].condition.is_none();
            let is_seen = at_rest || number.parts.iter().any(|part| is_read(learned.made_of(*part)));
            if !is_seen && self.levels[k].unseen.insert(number.place.clone()) {
                let (option, number) = (number.option, number.written.to_string());
                unseen.push(News::Unseen { level: k, option, number, method: method.name() });
            }
        }
        Ok(unseen)
    }
}

/// Whether the number decides where the steps come to rest, so that a best response depends on it.
fn decides_rest(number: &LearnedNumber) -> bool {
    let row = OPTIMIZERS.find(number.optimizer).and_then(|row| row.find(number.option));
    row.is_some_and(|option| option.at_rest) && !number.written.by_step
}

/// Whether level `k` depends on one that it lists without its loss: by its steps, or by what is below. Whether that is true of
/// a level below is for the losses of that one to say.
fn depends_elsewhere(schedule: &Schedule, k: usize, other: usize, levels: &[Level]) -> bool {
    let of = |stop: usize| &schedule.levels[stop];
    let by_steps = !schedule.answers_to(other, k) && levels[k].steps_depend_on(schedule, levels, other);
    by_steps || of(k).sweep.iter().any(|stop| stop.level != other && lists(of(stop.level), other))
}

/// Whether an edge leads from a level to another.
fn lists(spec: &LevelSpec, other: usize) -> bool {
    let lists = [spec.upper, spec.lower, spec.hyperparameters];
    lists.into_iter().any(|list| list.contains(&other)) || spec.start == Some(other)
}

impl Level {
    /// Whether a hypergradient through the level reaches another one without its loss: through its steps where they begin, in numbers
    /// of the optimizer, or in what follows each step; through its solution in the penalty that decay is.
    fn steps_depend_on(&self, schedule: &Schedule, levels: &[Level], other: usize) -> bool {
        if self.trajectory.is_none() {
            let decay = self.update.decay().filter(|_| schedule.levels[self.number].condition.is_none());
            return decay.is_some_and(|decay| decay.above.iter().any(|above| above.level == other));
        }
        let begin = self.config.start == Start::From && schedule.levels[self.number].start == Some(other);
        let waiting = levels.iter().filter(|above| schedule.levels[above.number].lower.contains(&self.number));
        let rounds = waiting.map(|above| above.config.rounds).min().unwrap_or(1);
        let taken = self.config.unroll.saturating_mul(rounds);
        let is_cut = match &self.config.hypergradient {
            Some(HypergradientConfig::Unrolled(of)) => of.truncate.is_some_and(|steps| steps < taken),
            _ => false,
        };
        let mut read = self.update.learned().levels().iter();
        (begin && !is_cut) || read.any(|above| above.level == other)
    }
}

impl Program {
    /// Lets the loss of a level not depend on another that the level lists.
    ///
    /// # Errors
    /// [`EngineError::UnknownLevel`] and [`EngineError::NoEdge`].
    pub(crate) fn allow_unread(&mut self, level: &str, other: &str) -> Result<(), EngineError> {
        let (k, of) = (self.level(level)?, self.level(other)?);
        let spec = &self.schedule.levels[k];
        if !spec.upper.contains(&of) && !spec.lower.contains(&of) {
            return Err(EngineError::NoEdge { level: level.into(), other: other.into() });
        }
        self.losses.edges.later.insert((k, of));
        Ok(())
    }
}
