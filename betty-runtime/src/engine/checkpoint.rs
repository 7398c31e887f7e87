//! Saving a run and going on with it later, bit for bit.

use std::collections::VecDeque;
use std::rc::Rc;

use super::data::seed_of;
use super::host::Standing;
use super::multilevel::Multilevel;
use super::run::Run;
use super::train::Engine;
use super::watched::Watched;
use crate::checkpoint::{Archive, Checkpoint, OfRun, RunState, outline_of};
use crate::error::{CheckpointError, EngineError};
use crate::event::{Event, Facts, Warning};
use crate::program::{Level, Program, Seeded};

/// Where the streams of an engine stand that resumes a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPosition {
    /// At their start: as many batches as the saved run had taken are taken and dropped. Streams that give the same
    /// batches again continue the run bit for bit; a data loader that shuffles has to be built anew for that.
    Start,
    /// Where the caller has put them; [`Checkpoint::batches`] says how many batches each level had taken. A best response
    /// that would be differentiated on a batch from before the checkpoint is differentiated on the next batch instead.
    Placed,
}

impl<P: Multilevel> Engine<P> {
    /// Where the run stands now, after the last completed step.
    ///
    /// # Errors
    /// [`CheckpointError`] when a tensor cannot be copied from its device, or is quantized.
    pub fn checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        self.run.checkpoint()
    }

    /// Goes on from a checkpoint. On the CPU, with the same numbers and the same data, the run continues bit for bit.
    ///
    /// The engine brings the program, its config and its data, and has its schedulers already (its validation may come later); the
    /// checkpoint gives tensors, counters and the seed. Numbers may differ from those of the saved run (another learning
    /// rate, say) as long as the optimizers are the same, and so may those of schedulers: one that is given stands where it comes to after
    /// as many steps as the saved one had taken. If that is not where the saved one stood, an [`Event::Warning`] of the rule `scheduler`
    /// says so. One of your own whose state does not follow from the number of its steps goes on from its record. A [validation](Self::validate) for another goal begins anew, which a warning `validation` says. Steps from before the checkpoint are not differentiated any more,
    /// which matters only to levels whose steps hypergradients go through. Such a level takes new steps where the saved run would
    /// have gone through older ones: if several levels share it in different rhythms, and, once, if the checkpoint was taken
    /// after an error in the middle of its steps, of which it then takes all anew.
    ///
    /// ```no_run
    /// # use betty_runtime::{Engine, EngineError, Multilevel, StreamPosition};
    /// # fn example<P: Multilevel>(data: P::Data, problem: P, config: P::Config) -> Result<(), EngineError> {
    /// let mut engine = Engine::new(problem, data, config)?.save_every(100, "run.safetensors");
    /// engine.resume_if_present("run.safetensors", StreamPosition::Start)?;
    /// engine.run_until(1000)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`EngineError::Checkpoint`] when the checkpoint belongs to another program or to other modules, and the errors of the
    /// data while batches are skipped. The engine is then as it was, except for batches that were already skipped.
    pub fn resume(&mut self, checkpoint: &Checkpoint, streams: StreamPosition) -> Result<(), EngineError> {
        let warnings = self.on_all_ranks("resume", |engine| engine.run.resume(checkpoint, streams))?;
        match (&self.validation, checkpoint.state.validation) {
            (Some(validation), Some(state)) => validation.borrow_mut().restore(state),
            (Some(_), None) => {}
            // For validation that is given later, or by whoever goes on from the next checkpoint.
            (None, state) => self.run.validation = state.map(|state| Box::new(move || state) as Box<_>),
        }
        self.emit(&Event::Resumed { iteration: self.run.iterations });
        warnings.iter().for_each(|warning| self.emit(&Event::Warning(warning)));
        self.run.check_observers_of_all()
    }
}

impl Standing for Run {
    fn levels(&self) -> &[Level] {
        &self.program.levels
    }

    fn facts(&self) -> Facts<'_> {
        Facts { schedule: self.program.schedule, config: &self.config, seed: self.data.seed }
    }

    fn is_first(&self) -> bool {
        Run::is_first(self)
    }

    fn save(&self) -> Result<Checkpoint, CheckpointError> {
        match self.within_iteration {
            true => Err(CheckpointError::WithinIteration),
            false => self.checkpoint(),
        }
    }
}

impl Run {
    /// Where the run stands.
    pub(super) fn checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        let Program { schedule, levels, .. } = &self.program;
        let mut archive = Archive::default();
        let mut states = Vec::with_capacity(levels.len());
        for (k, level) in levels.iter().enumerate() {
            let lower = schedule.levels[k].lower.iter().map(|&lower| schedule.levels[lower].name.to_owned()).collect();
            let (seen, turns) = (self.turns.seen[k].clone(), self.turns.taken[k]);
            // Every rank finds its own last batches again by what the first one draws on them, whichever has made the checkpoint.
            let last_seed = level.last.last().map(|(batch, seed)| self.data.seed_of_first(k, batch, *seed));
            let of_run = OfRun { lower, seen, turns, batches: self.data.taken[k], last_seed };
            states.push(level.save_into(&mut archive, of_run)?);
            for variable in level.solutions.variables() {
                level.save_solution(variable, levels, &mut archive)?;
            }
        }
        let state = RunState {
            program: schedule.name.into(),
            seed: self.data.seed,
            iterations: self.iterations,
            validation: self.validation.as_ref().map(|state| state()),
            levels: states,
        };
        archive.state = serde_json::to_string(&state)
            .map_err(|reason| CheckpointError::NotACheckpoint { reason: format!("state: {reason}") })?;
        Ok(Checkpoint { state, archive, file: None })
    }

    /// Goes on from a checkpoint, or fails and stays as it is but for batches that were skipped. Answers what there is to tell of it.
    fn resume(&mut self, checkpoint: &Checkpoint, streams: StreamPosition) -> Result<Vec<Warning>, EngineError> {
        let schedule = self.program.schedule;
        let state = &checkpoint.state;
        let refused = |reason| EngineError::from(checkpoint.named(reason));
        if state.program != schedule.name {
            let (saved, running) = (state.program.clone(), schedule.name.to_owned());
            return Err(refused(CheckpointError::OtherProgram { saved, running }));
        }
        let (saved, running) = (state.outline(), outline_of(&schedule));
        if saved != running || state.levels.iter().any(|level| level.seen.len() != level.lower.len()) {
            return Err(refused(CheckpointError::OtherLevels { saved, running }));
        }
        let mut archive = checkpoint.archive.clone();
        let mut restored = Vec::with_capacity(self.program.levels.len());
        let mut solutions = Vec::with_capacity(self.program.levels.len());
        for (level, state) in self.program.levels.iter().zip(&state.levels) {
            restored.push(level.restored(state, &mut archive).map_err(refused)?);
            let of_level = level.restored_solutions(state, &self.program.levels, &mut archive);
            solutions.push(of_level.map_err(refused)?);
        }
        if let Some((tensor, _)) = archive.tensors.pop_first() {
            return Err(refused(CheckpointError::Unused { tensor }));
        }
        let last = match streams {
            StreamPosition::Start => self.skip_batches(checkpoint)?,
            StreamPosition::Placed => vec![Vec::new(); self.program.levels.len()],
        };

        // Nothing fails from here on.
        let rescheduled = restored.iter().flat_map(|level| &level.rescheduled);
        let warnings = rescheduled.map(|(place, steps)| of_other_numbers(place, *steps)).collect();
        for ((level, state), (restored, last)) in
            self.program.levels.iter_mut().zip(&state.levels).zip(restored.into_iter().zip(last))
        {
            (level.leaves, level.initial, level.states) = (restored.leaves, restored.initial, restored.states);
            (level.schedulers, level.last) = (restored.schedulers, last);
            (level.steps, level.taken, level.awaited) = (state.steps, state.taken, state.awaited);
            let rates = level.configured_rates().each.len();
            level.last_rates = state.last_rates.as_ref().and_then(|saved| saved.rates(rates));
            let rests = state.rests.iter().copied().chain(std::iter::repeat(0));
            level.rests.iter_mut().zip(rests).for_each(|(level, saved)| *level = saved);
            if let Some(steps) = &level.trajectory {
                steps.forget();
            }
        }
        for (level, of_level) in self.program.levels.iter_mut().zip(solutions) {
            level.solutions = of_level;
        }
        for k in 0..self.program.levels.len() {
            let number = self.program.last_number(k);
            let last = &mut self.program.levels[k].last;
            last.iter_mut().for_each(|(batch, _)| *batch = Rc::clone(batch).at_step(number));
        }
        self.turns.seen = state.levels.iter().map(|level| level.seen.clone()).collect();
        self.turns.taken = state.levels.iter().map(|level| level.turns).collect();
        self.data.taken = state.levels.iter().map(|level| level.batches).collect();
        (self.data.seed, self.iterations, self.compared) = (state.seed, state.iterations, None);
        self.watched = Watched::default();
        self.stale = true;
        Ok(warnings)
    }

    /// Takes the batches that the saved run had taken; answers batches and seeds of each level's last step, which it drew one after
    /// the other.
    fn skip_batches(&mut self, checkpoint: &Checkpoint) -> Result<Vec<Vec<Seeded>>, EngineError> {
        let state = &checkpoint.state;
        for (level, state) in self.program.levels.iter().zip(&state.levels) {
            let (taken, saved) = (self.data.taken[level.number], state.batches);
            if taken > saved {
                let reason = CheckpointError::StreamIsAhead { level: level.name.into(), taken, saved };
                return Err(checkpoint.named(reason).into());
            }
        }
        let mut last = vec![Vec::new(); self.program.levels.len()];
        for (k, (last, level)) in last.iter_mut().zip(&state.levels).enumerate() {
            let (mut recent, count) = (VecDeque::new(), self.program.levels[k].config.accumulate);
            while self.data.taken[k] < level.batches {
                let batch = self.data.skip(&self.program.levels[k])?;
                let taken = self.data.taken[k];
                recent.truncate(count.saturating_sub(1));
                if let Some(batch) = batch {
                    let seed = self.data.seed_for(state.seed, k, &batch, taken);
                    recent.push_front((batch, seed));
                }
                if level.last_seed == Some(seed_of(state.seed, k, taken)) {
                    *last = recent.iter().rev().cloned().collect();
                }
            }
        }
        Ok(last)
    }
}

/// That a scheduler goes on with other numbers than those of the run that was saved.
fn of_other_numbers(place: &str, steps: u64) -> Warning {
    Warning {
        rule: "scheduler".into(),
        level: place.split('.').next().map(str::to_owned),
        fact: format!("the scheduler of level `{place}` has other numbers than the one that the run was saved with"),
        advice: format!(
            "it stands where these come to after its {steps} steps so far; if that is not meant, resume with the scheduler that the run \
             was begun with"
        ),
    }
}
