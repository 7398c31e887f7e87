//! The number of a level's coming step, and its learning rates: those of its config, as schedules and Burn's schedulers change them.

use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;

use super::scheduler::Scheduler;
use super::{Level, Program};
use crate::steps::{LearningRates, scheduled_rate};

/// How many steps of a level come before one, counted from where schedules and learned numbers count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    /// From the beginning of the run, without those that were undone.
    pub(crate) steps: u64,
    /// From where the level last began anew.
    pub(crate) taken: u64,
    /// From where a level above last began to wait.
    pub(crate) awaited: u64,
}

impl Program {
    /// The number of the coming step of level `k`: since a level above began to wait, or in all where none does.
    pub(crate) fn coming_number(&self, k: usize) -> u64 {
        let level = &self.levels[k];
        if self.schedule.roots.contains(&k) { level.steps } else { level.awaited % level.config.unroll as u64 }
    }

    /// The number of the last step of level `k`; before there is one, that of the first.
    pub(crate) fn last_number(&self, k: usize) -> u64 {
        let level = &self.levels[k];
        let is_root = self.schedule.roots.contains(&k);
        let taken = if is_root { level.steps } else { level.awaited };
        let number = taken.saturating_sub(1);
        if is_root { number } else { number % level.config.unroll as u64 }
    }
}

impl Level {
    /// What comes before the coming step.
    fn before_coming(&self) -> Before {
        Before { steps: self.steps, taken: self.taken, awaited: self.awaited }
    }

    /// The learning rates of the coming step, for which Burn's schedulers are asked.
    pub(crate) fn learning_rates(&mut self) -> LearningRates {
        self.learning_rates_after(self.before_coming())
    }

    /// The learning rates of a step that comes after so many, for which Burn's schedulers are asked.
    pub(crate) fn learning_rates_after(&mut self, before: Before) -> LearningRates {
        let step = |scheduler: &mut Option<Scheduler>| scheduler.as_mut().map(Scheduler::step);
        let scheduled: Vec<Option<ModuleLearningRate>> = self.schedulers.iter_mut().map(step).collect();
        self.rates(&scheduled, before)
    }

    /// Those of the last step; before there is one, those of the config.
    pub(super) fn last_learning_rates(&self) -> LearningRates {
        self.last_rates.clone().unwrap_or_else(|| self.configured_rates())
    }

    /// Those of the config for the coming step.
    pub(crate) fn configured_rates(&self) -> LearningRates {
        self.rates(&[], self.before_coming())
    }

    pub(crate) fn set_last_rates(&mut self, rates: Option<LearningRates>) {
        self.last_rates = rates;
    }

    /// The rates of what Burn's schedulers say for each group, where there is one, and of the config where there is none.
    fn rates(&self, scheduled: &[Option<ModuleLearningRate>], before: Before) -> LearningRates {
        let configured: Vec<Option<f64>> = self
            .config
            .all_groups()
            .map(|group| match (group.optimizer, group.schedule) {
                (Some(optimizer), None) => optimizer.lr().fixed(),
                (Some(optimizer), Some(schedule)) => {
                    let t = if schedule.restarts() { before.taken } else { before.steps };
                    optimizer.lr().fixed().map(|lr| lr * schedule.factor(t))
                }
                // A solver goes all the way.
                (None, _) => Some(1.0),
            })
            .collect();
        let of_group = |group: usize| scheduled.get(group).and_then(Option::as_ref);
        let rate = |(parameter, &leaf): (usize, &usize)| {
            let group = self.update.groups().number(parameter);
            match of_group(group) {
                Some(rates) => Some(scheduled_rate(rates, self.ids[leaf], self.paths_of(leaf))),
                None => configured[group],
            }
        };
        let base = of_group(0).map_or(configured[0], |rates| Some(rates.base()));
        let each = self.trainable.iter().enumerate().filter_map(rate).collect();
        LearningRates { base, each, row: (before.awaited % self.config.unroll as u64) as usize }
    }
}
