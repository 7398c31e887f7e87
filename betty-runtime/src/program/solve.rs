//! A turn of a level with a solver: its best response on one batch, found from where the level stands.

use std::any::Any;

use super::numbers::Numbers;
use super::{Level, Program};
use crate::config::{CustomSolverConfig, LbfgsConfig};
use crate::derivatives::{GradientProgram, loss_in};
use crate::error::{EngineError, SolverError};
use crate::execute::{Unread, Value, Vector};
use crate::linalg::InnerProductSpace;
use crate::minimize::{Evaluated, Halt, LbfgsOptions, Minimum, Objective, lbfgs};
use crate::trace::Place;

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
    /// Where the loss of level `k` leads down to on the batch of these numbers, which are known and finite at the start.
    ///
    /// # Errors
    /// [`EngineError`] when a number cannot be read.
    pub(crate) fn minimized(
        &self,
        k: usize,
        LbfgsConfig { memory, iterations, tolerance }: LbfgsConfig,
        numbers: &Numbers,
        first: Evaluated<Vector>,
    ) -> Result<Solved, EngineError> {
        let mut loss = self.level_loss(k, numbers);
        let options = LbfgsOptions { memory, iterations, tolerance };
        let found = lbfgs(&mut loss, self.levels[k].parameters(), first, &options)?;
        let Minimum { x: parameters, value: loss, gradient_norm, iterations, evaluations, halt } = found;
        let converged = halt == Halt::Converged;
        Ok(Solved { parameters, loss, gradient_norm, iterations, evaluations: evaluations + 1, converged })
    }

    /// What the user's own solver of level `k` answers on the batch of these numbers, if the loss is stationary there; `program` is
    /// the user's, with the current parameters.
    ///
    /// # Errors
    /// [`SolverError::Failed`], [`SolverError::Answer`] and [`SolverError::NotStationary`].
    pub(crate) fn answered(
        &self,
        k: usize,
        CustomSolverConfig { tolerance }: CustomSolverConfig,
        numbers: &Numbers,
        program: &dyn Any,
    ) -> Result<Solved, EngineError> {
        let level = &self.levels[k];
        let (name, step) = (|| level.name.to_owned(), level.steps + 1);
        let solver =
            self.solvers[k].as_ref().ok_or_else(|| EngineError::Solver(SolverError::NotNamed { level: name() }))?;
        let places = solver.solve(program, &numbers.batch);
        let places =
            places.map_err(|source| EngineError::Solver(SolverError::Failed { level: name(), step, source }))?;
        let parameters = level.answer(&places);
        let mut parameters =
            parameters.map_err(|reason| EngineError::Solver(SolverError::Answer { level: name(), step, reason }))?;
        // What a rank has seen is its own. At different points, gradients of shares may vanish where that of the whole does not.
        if let Some(ranks) = &self.losses.ranks {
            ranks.adopt(&mut parameters.0)?;
        }
        let Evaluated { value: loss, gradient } = self.level_loss(k, numbers).evaluate(&parameters)?;
        if self.schedule.levels[k].condition.is_some() {
            return self.fixed(k, tolerance, numbers, parameters, loss);
        }
        let gradient_norm = gradient.dot(&gradient)?.sqrt();
        if !(loss.is_finite() && gradient_norm <= tolerance) {
            return Err(SolverError::NotStationary { level: name(), step, norm: gradient_norm, tolerance }.into());
        }
        Ok(Solved { parameters, loss, gradient_norm, iterations: 1, evaluations: 2, converged: true })
    }

    /// The answer of a solver, if it is a fixed point of the level's map.
    fn fixed(
        &self,
        k: usize,
        tolerance: f64,
        numbers: &Numbers,
        parameters: Vector,
        loss: f64,
    ) -> Result<Solved, EngineError> {
        let gap = self.gap(k, &numbers.batch, numbers.seed, &parameters);
        let norm = gap.dot(&gap)?.sqrt();
        let scale = parameters.dot(&parameters)?.sqrt().max(1.0);
        if !(loss.is_finite() && norm <= tolerance * scale) {
            let (level, step) = (self.levels[k].name.to_owned(), self.levels[k].steps + 1);
            return Err(SolverError::NotFixed { level, step, norm, tolerance: tolerance * scale }.into());
        }
        Ok(Solved { parameters, loss, gradient_norm: norm, iterations: 1, evaluations: 2, converged: true })
    }

    fn level_loss<'a>(&self, k: usize, Numbers { program, batch, inputs, seed, .. }: &'a Numbers) -> LevelLoss<'a> {
        LevelLoss { program, inputs: inputs.clone(), places: self.places(k, batch, k).collect(), seed: *seed }
    }
}

impl Level {
    /// The level's parameters among what a solver answered, or what is wrong with them.
    fn answer(&self, places: &[Place]) -> Result<Vector, String> {
        let parameter = |&index: &usize| {
            let (path, named, like) = (&self.paths[index], self.path(index), &self.leaves[index]);
            let kind =
                |value: &Value| format!("{:?} of shape {:?} on {:?}", value.dtype(), value.shape(), value.device());
            let place = places.iter().find(|place| place.path == *path);
            let value = &place.ok_or_else(|| format!("no parameter `{named}`"))?.value;
            let (found, expected) = (kind(value), kind(like));
            if found == expected {
                Ok(value.clone())
            } else {
                Err(format!("`{named}` as {found} in the place of {expected}"))
            }
        };
        self.trainable.iter().map(parameter).collect::<Result<_, _>>().map(Vector)
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
