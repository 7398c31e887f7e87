//! Questions about the current point, whose answers change nothing.

use super::error::EngineError;
use super::gradient::TotalGradient;
use super::program::Multilevel;
use super::train::Engine;

impl<P: Multilevel> Engine<P> {
    /// The total gradient (direct and indirect) of a level at the current point, on its next batch, without a step: what the
    /// level's next step would follow if it were taken now.
    ///
    /// Nothing is changed: batches that were looked at, of this level and of those below, are the next ones again, and warm
    /// starts are those of the last step.
    ///
    /// # Errors
    /// [`EngineError`] as for a step.
    pub fn gradient(&mut self, level: &str) -> Result<TotalGradient, EngineError> {
        let k = self.level(level)?;
        let found = self.ask(k, |engine| {
            let batch = engine.next_batch(k)?;
            let seed = engine.draw_seed(k);
            Ok(engine.total_gradient(k, &batch, seed, false)?.0)
        });
        self.check_observers()?;
        found
    }

    /// Answers a question about level `k`. Whatever the answer, the run is then where it was.
    pub(super) fn ask<T>(
        &mut self,
        k: usize,
        question: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.check_edited()?;
        let savepoint = self.save();
        let answer = self.guarded(k, question);
        self.go_back(savepoint, true);
        answer
    }
}
