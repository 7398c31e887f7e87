//! The tensors of one level in a checkpoint: parameters, optimizer states, the scheduler's record.

use super::archive::{Archive, stored_type};
use super::schedulers::Schedulers;
use super::state::{LevelState, RatesState};
use crate::derivatives::Variable;
use crate::error::CheckpointError;
use crate::execute::{Value, Vector};
use crate::hypergradient::Blocks;
use crate::program::{Level, Scheduler};

/// What a level takes over from a checkpoint; made whole before anything of the level is replaced.
pub(crate) struct Restored {
    pub(crate) leaves: Vec<Value>,
    pub(crate) initial: Vec<Value>,
    pub(crate) states: Vec<Value>,
    pub(crate) schedulers: Vec<Option<Scheduler>>,
    /// Of which groups these have other numbers than those that were saved, and after how many steps they stand.
    pub(crate) rescheduled: Vec<(String, u64)>,
}

/// What a run knows of a level: see [`LevelState`].
pub(crate) struct OfRun {
    pub(crate) lower: Vec<String>,
    pub(crate) seen: Vec<u64>,
    pub(crate) turns: u64,
    pub(crate) batches: u64,
    pub(crate) last_seed: Option<u64>,
}

impl Level {
    /// Adds the level's tensors; answers its state, but for what the run knows of it.
    pub(crate) fn save_into(&self, archive: &mut Archive, of_run: OfRun) -> Result<LevelState, CheckpointError> {
        let mut insert = |tensor: String, value: &Value| {
            let data = value.to_data().map_err(|reason| CheckpointError::Device { tensor: tensor.clone(), reason })?;
            archive.insert(tensor, data)
        };
        for (index, leaf) in self.leaves.iter().enumerate() {
            insert(self.leaf_name(index), leaf)?;
        }
        for (index, leaf) in self.initial.iter().enumerate() {
            insert(self.initial_name(index), leaf)?;
        }
        for (number, state) in self.states.iter().enumerate() {
            insert(self.state_name(number), state)?;
        }
        self.save_schedulers(archive)?;
        let (own, groups) = self.save_groups();
        Ok(LevelState {
            name: self.name.into(),
            lower: of_run.lower,
            seen: of_run.seen,
            steps: self.steps,
            taken: self.taken,
            rests: if self.rests.iter().all(|&rests| rests == 0) { Vec::new() } else { self.rests.clone() },
            awaited: self.awaited,
            last_rates: self.last_rates.as_ref().map(RatesState::from),
            turns: of_run.turns,
            batches: of_run.batches,
            last_seed: of_run.last_seed,
            optimizer: own.optimizer,
            states: own.states,
            state_names: own.state_names,
            scheduler: own.scheduler,
            scheduler_steps: own.scheduler_steps,
            groups,
            initial: !self.initial.is_empty(),
            solutions: of_levels(&self.solutions),
            multipliers: of_multipliers(&self.solutions),
        })
    }

    /// Takes the level's tensors out of the archive, on the level's device, and checks that they fit.
    pub(crate) fn restored(&self, state: &LevelState, archive: &mut Archive) -> Result<Restored, CheckpointError> {
        self.check_groups(state)?;
        self.drop_copies(archive)?;
        let mut take = |tensor: String, like: &Value| self.take(archive, tensor, like);
        let leaves = self.leaves.iter().enumerate().map(|(index, leaf)| take(self.leaf_name(index), leaf));
        let leaves = leaves.collect::<Result<_, _>>()?;
        // Where only one of both runs starts again at its first parameters, the engine's are as good as any.
        let both = state.initial && !self.initial.is_empty();
        let firsts = self.initial.iter().enumerate().filter(|_| both);
        let firsts = firsts.map(|(index, leaf)| take(self.initial_name(index), leaf)).collect::<Result<_, _>>()?;
        let initial = if both { firsts } else { self.initial.clone() };
        let states = self.states.iter().enumerate().map(|(number, state)| take(self.state_name(number), state));
        let states = states.collect::<Result<_, _>>()?;
        if !both {
            (0..self.leaves.len()).for_each(|index| drop(archive.tensors.remove(&self.initial_name(index))));
        }
        let Schedulers { restored, rescheduled } = self.restored_schedulers(state, archive)?;
        Ok(Restored { leaves, initial, states, schedulers: restored, rescheduled })
    }

    /// Releases before this one saved a tensor that is tied once for each place, and trained each by itself. Where they are
    /// the same, they are one.
    fn drop_copies(&self, archive: &mut Archive) -> Result<(), CheckpointError> {
        let tied = self.also.iter().enumerate().flat_map(|(index, also)| also.iter().map(move |path| (index, path)));
        for (index, path) in tied {
            let (one, other) = (self.leaf_name(index), self.name_of(path));
            let parameter = self.trainable.iter().position(|&of| of == index);
            let states = parameter.map_or(0, |parameter| self.update.groups().states(parameter).len());
            let states = (0..states).map(|state| (state_name(&one, state), state_name(&other, state)));
            let pairs = [(one.clone(), other.clone()), (initial_name(&one), initial_name(&other))];
            for (tensor, copy) in pairs.into_iter().chain(states) {
                match archive.tensors.remove(&copy) {
                    Some(saved) if archive.tensors.get(&tensor) != Some(&saved) => {
                        return Err(CheckpointError::TiedApart { level: self.name.into(), tensor, copy });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Takes a tensor that looks like `like` out of the archive.
    fn take(&self, archive: &mut Archive, tensor: String, like: &Value) -> Result<Value, CheckpointError> {
        let level = || self.name.to_owned();
        let data = archive
            .tensors
            .remove(&tensor)
            .ok_or_else(|| CheckpointError::Missing { level: level(), tensor: tensor.clone() })?;
        if data.shape()[..] != like.shape() || data.dtype() != stored_type(like.dtype()) {
            return Err(CheckpointError::OtherShape {
                level: level(),
                tensor,
                saved: format!("{:?} {:?}", data.dtype(), data.shape().to_vec()),
                running: format!("{:?} {:?}", like.dtype(), like.shape()),
            });
        }
        let data = if like.dtype().is_bool() { data } else { data.convert_dtype(like.dtype()) };
        Ok(Value::from_data(data, &like.device()))
    }

    /// Adds what the system below was solved to for one variable, which the next solve starts from.
    pub(crate) fn save_solution(
        &self,
        of: Variable,
        levels: &[Level],
        archive: &mut Archive,
    ) -> Result<(), CheckpointError> {
        for (part, value) in self.solutions.get(of).into_iter().flat_map(|solution| solution.0.iter().enumerate()) {
            let tensor = self.solution_name(of, levels, part);
            let data = value.to_data().map_err(|reason| CheckpointError::Device { tensor: tensor.clone(), reason })?;
            archive.insert(tensor, data)?;
        }
        Ok(())
    }

    /// Takes what the systems below were solved to out of the archive.
    pub(crate) fn restored_solutions(
        &self,
        state: &LevelState,
        levels: &[Level],
        archive: &mut Archive,
    ) -> Result<Blocks, CheckpointError> {
        let mut solutions = Blocks::default();
        for &stop in &state.solutions {
            let of = Variable::Level(stop);
            let parameters = levels[stop].trainable.iter().map(|&index| &levels[stop].leaves[index]).enumerate();
            let values = parameters.map(|(part, like)| self.take(archive, self.solution_name(of, levels, part), like));
            solutions.set(of, Vector(values.collect::<Result<_, _>>()?));
        }
        for &(of, index) in &state.multipliers {
            // What they look like is known with the losses; one that does not fit is no start.
            let of = Variable::Multiplier { of, index };
            let taken = (0..).map_while(|part| archive.tensors.remove(&self.solution_name(of, levels, part)));
            solutions.set(of, Vector(taken.map(|data| Value::from_data(data, &self.device())).collect()));
        }
        Ok(solutions)
    }

    fn solution_name(&self, of: Variable, levels: &[Level], part: usize) -> String {
        let stop = levels[of.owner()].name;
        match of {
            Variable::Multiplier { index, .. } => format!("solution:{}:{stop}:multiplier:{index}:{part}", self.name),
            Variable::Level(_) | Variable::Begun(_) => format!("solution:{}:{stop}:{part}", self.name),
        }
    }

    /// A tensor that is tied has the name of its first place.
    fn leaf_name(&self, index: usize) -> String {
        self.name_of(&self.paths[index])
    }

    /// `level.path.of.leaf`; a level that is one parameter has the level's name alone.
    fn name_of(&self, path: &str) -> String {
        match path {
            "" => self.name.into(),
            path => format!("{}.{path}", self.name),
        }
    }

    fn initial_name(&self, index: usize) -> String {
        initial_name(&self.leaf_name(index))
    }

    fn state_name(&self, number: usize) -> String {
        let (parameter, state) = self.update.groups().owner(number);
        state_name(&self.leaf_name(self.trainable[parameter]), state)
    }
}

fn initial_name(leaf: &str) -> String {
    format!("initial:{leaf}")
}

fn state_name(leaf: &str, state: usize) -> String {
    format!("optimizer:{leaf}:{state}")
}

/// The levels among these variables.
fn of_levels(solutions: &Blocks) -> Vec<usize> {
    let level = |of| if let Variable::Level(level) = of { Some(level) } else { None };
    solutions.variables().filter_map(level).collect()
}

/// The multipliers among these variables: whose they are, and of which condition.
fn of_multipliers(solutions: &Blocks) -> Vec<(usize, usize)> {
    let multiplier = |of| if let Variable::Multiplier { of, index } = of { Some((of, index)) } else { None };
    solutions.variables().filter_map(multiplier).collect()
}
