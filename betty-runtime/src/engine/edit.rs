//! Changing a program between runs.

use super::multilevel::Multilevel;
use super::train::Engine;
use crate::config::ProgramConfig;
use crate::error::EngineError;
use crate::event::Usual;

impl<P: Multilevel> Engine<P> {
    /// Changes the program between runs: parameters, or settings of its modules such as a dropout rate.
    ///
    /// What is not changed goes on as if nothing had happened. A loss is recorded again, and compiled again if it has become
    /// another one. Optimizer states and warm starts stay as long as they fit; a level whose parameters changed their number or
    /// shape starts with a new optimizer. After a change of any tensor, steps from before are not differentiated any more. With
    /// `start: initial`, a tensor that is changed begins at its new value from then on, and all others where they did. On
    /// [several ranks](Self::distributed), all make the same edits, which is found out before the next run or question.
    ///
    /// # Errors
    /// [`EngineError`] when the changed program could not have been given to [`Engine::new`]. Until it is edited again, whatever
    /// would run it answers [`EngineError::EditFailed`]; the engine's own parameters, and with them its checkpoints, stay as they
    /// were.
    pub fn edit(&mut self, change: impl FnOnce(&mut P)) -> Result<(), EngineError> {
        self.sync();
        // In case that the change panics, and somebody catches that.
        self.edit_failed = Some("the change panicked".into());
        change(&mut self.problem);
        let reloaded = self.reload();
        self.edit_failed = reloaded.as_ref().err().map(ToString::to_string);
        reloaded
    }

    /// Whether the program can run.
    pub(crate) fn check_edited(&self) -> Result<(), EngineError> {
        match &self.edit_failed {
            None => Ok(()),
            Some(reason) => Err(EngineError::EditFailed { reason: reason.clone() }),
        }
    }

    /// Takes the modules over.
    fn reload(&mut self) -> Result<(), EngineError> {
        let configs = self.config.levels();
        if self.run.program.edit(&self.problem.modules(), &configs, &self.problem)? {
            self.run.watch.usual.fill(Usual::default());
        }
        self.run.divide();
        (self.run.compared, self.run.edited) = (None, true);
        Ok(())
    }
}
