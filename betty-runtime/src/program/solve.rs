//! A turn of a level with a solver: its best response on one batch, found from where the level stands.

use super::Program;
use super::numbers::Numbers;
use crate::config::{LbfgsConfig, LevelSolverConfig};
use crate::derivatives::{GradientProgram, loss_in};
use crate::error::EngineError;
use crate::execute::{Unread, Value, Vector};
use crate::minimize::{Evaluated, Halt, LbfgsOptions, Minimum, Objective, lbfgs};

/// What a solver found.
pub(crate) struct Solved {
    pub(crate) parameters: Vector,
    /// The loss there.
    pub(crate) loss: f64,
    /// The norm of the gradient there.
    pub(crate) gradient_norm: f64,
    pub(crate) iterations: usize,
    /// Gradients that were computed, the one at the start included.
    pub(crate) evaluations: usize,
    pub(crate) converged: bool,
}

impl Program {
    /// The best response of level `k` on the batch of these numbers, whose gradient and loss at the start are known and finite.
    ///
    /// # Errors
    /// [`EngineError`] when a number cannot be read.
    pub(crate) fn solve(
        &self,
        k: usize,
        solver: LevelSolverConfig,
        numbers: &Numbers,
        first: Evaluated<Vector>,
    ) -> Result<Solved, EngineError> {
        let Numbers { program, batch, inputs, seed, .. } = numbers;
        let places = self.places(k, batch, k).collect();
        let mut loss = LevelLoss { program, inputs: inputs.clone(), places, seed: *seed };
        let LevelSolverConfig::Lbfgs(LbfgsConfig { memory, iterations, tolerance }) = solver;
        let options = LbfgsOptions { memory, iterations, tolerance };
        let found = lbfgs(&mut loss, self.levels[k].parameters(), first, &options)?;
        let Minimum { x: parameters, value: loss, gradient_norm, iterations, evaluations, halt } = found;
        let converged = halt == Halt::Converged;
        Ok(Solved { parameters, loss, gradient_norm, iterations, evaluations: evaluations + 1, converged })
    }
}

/// The loss of a level as a function of its parameters: one batch, and one draw of what is random.
struct LevelLoss<'a> {
    program: &'a GradientProgram,
    inputs: Vec<Value>,
    /// Which parameter is which input.
    places: Vec<(usize, usize)>,
    seed: u64,
}

impl Objective for LevelLoss<'_> {
    type Vector = Vector;
    type Error = EngineError;

    fn evaluate(&mut self, parameters: &Vector) -> Result<Evaluated<Vector>, EngineError> {
        for &(index, at) in &self.places {
            self.inputs[at] = parameters.0[index].clone();
        }
        let launched = self.program.launch(self.inputs.iter().cloned(), self.seed)?;
        let [status] = Unread::read([launched.status])?;
        Ok(Evaluated { value: loss_in(&status), gradient: launched.of.into_iter().next().unwrap_or_default() })
    }
}
