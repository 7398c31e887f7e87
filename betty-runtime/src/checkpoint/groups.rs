//! The groups of a level's parameters in a checkpoint: which optimizer each has.

use super::schedulers::steps_that_tell_all;
use super::state::{GroupState, LevelState};
use crate::error::CheckpointError;
use crate::program::{Level, place};

impl Level {
    /// What there is to say of the parameters that are in no group, and of each group.
    pub(super) fn save_groups(&self) -> (GroupState, Vec<GroupState>) {
        let (mut own, mut named) = (GroupState::default(), Vec::new());
        for (group, scheduler) in self.update.groups().iter().zip(&self.schedulers) {
            let state = GroupState {
                path: group.name.clone().unwrap_or_default(),
                optimizer: group.optimizer.name().into(),
                states: group.optimizer.states(),
                state_names: group.optimizer.state_names().into_iter().map(str::to_owned).collect(),
                scheduler: scheduler.is_some(),
                scheduler_steps: scheduler.as_ref().and_then(steps_that_tell_all),
            };
            match group.name {
                None => own = state,
                Some(_) => named.push(state),
            }
        }
        (own, named)
    }

    /// Refuses states of other optimizers.
    pub(super) fn check_groups(&self, state: &LevelState) -> Result<(), CheckpointError> {
        let (own, named) = self.save_groups();
        let saved_own = GroupState {
            path: String::new(),
            optimizer: state.optimizer.clone(),
            states: state.states,
            state_names: state.state_names.clone(),
            scheduler: state.scheduler,
            scheduler_steps: state.scheduler_steps,
        };
        let paths = [&named, &state.groups].into_iter().flatten().map(|group| group.path.as_str());
        let find = |groups: &[GroupState], path: &str| groups.iter().find(|group| group.path == path).cloned();
        let pairs = paths.map(|path| (Some(path), find(&state.groups, path), find(&named, path)));
        for (path, saved, running) in [(None, Some(saved_own), Some(own))].into_iter().chain(pairs) {
            let kind = |group: &Option<GroupState>| group.clone().map(|group| (group.optimizer, group.states));
            // Files written before do not say what the states are.
            let names = |group: &Option<GroupState>| group.clone().map(|group| group.state_names).unwrap_or_default();
            let is_named = !names(&saved).is_empty() && !names(&running).is_empty();
            if kind(&saved) != kind(&running) || (is_named && names(&saved) != names(&running)) {
                let level = place(self.name, path);
                return Err(CheckpointError::OtherOptimizer {
                    level,
                    saved: describe(saved),
                    running: describe(running),
                });
            }
        }
        Ok(())
    }
}

fn describe(group: Option<GroupState>) -> String {
    match group {
        Some(GroupState { optimizer, states, state_names, .. }) if !optimizer.is_empty() => {
            let names = if state_names.is_empty() { String::new() } else { format!(": {}", state_names.join(", ")) };
            format!("`{optimizer}` ({states} states for each parameter{names})")
        }
        _ => "no optimizer of its own".to_owned(),
    }
}
