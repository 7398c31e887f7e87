//! A turn of a level with a solver: its best response on one batch, found from where the level stands.

use std::any::Any;

use super::numbers::Numbers;
use super::{Level, Program};
use crate::config::{CustomSolverConfig, LbfgsConfig, Precision};
use crate::derivatives::{GradientProgram, VerificationError, loss_in, on_host};
use crate::error::{EngineError, SolverError};
use crate::execute::{Unread, Value, Vector};
use crate::minimize::{Evaluated, Halt, LbfgsOptions, Minimum, Objective, lbfgs};
use crate::trace::{LossInput, Place};

/// A loss that fell below zero by so many times what it was, and falls on as steeply as it began, has no lower bound.
const UNBOUNDED: f64 = 1e15;

/// Rounding leaves no more of a gradient than this times the precision of its numbers times the size of its terms: it adds up over
/// the sums on the way.
const ROUNDING: f64 = 64.0;

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
    /// [`SolverError::Unbounded`] for a loss that falls without end, no less steeply than it began: to where all iterations are made,
    /// or to −∞; [`EngineError`] when a number cannot be read.
    pub(crate) fn minimized(
        &self,
        k: usize,
        LbfgsConfig { memory, iterations, tolerance }: LbfgsConfig,
        numbers: &Numbers,
        first: Evaluated<Vector>,
    ) -> Result<Solved, EngineError> {
        let (start, gradient) = (first.value, first.gradient.clone());
        let mut of = self.level_loss(k, numbers);
        let options = LbfgsOptions { memory, iterations, tolerance };
        let found = lbfgs(&mut of, self.levels[k].parameters(), first, &options)?;
        let Minimum { x: parameters, value: loss, gradient_norm, iterations, evaluations, halt } = found;
        let converged = match halt {
            Halt::Converged => true,
            Halt::Exhausted => false,
            Halt::Stalled if of.is_endless => false,
            // With a tolerance of 0 all that precision allows is asked for, …
            Halt::Stalled if tolerance == 0.0 => true,
            // … and where that is more than the tolerance, there is no less to be had.
            Halt::Stalled => gradient_norm <= self.rounding(k, numbers, &parameters)?,
        };
        // Where precision ran out, there may be a minimum, however deep it is.
        let falls_on = halt == Halt::Exhausted || of.is_endless;
        let is_deep = falls_on && loss < -UNBOUNDED * start.abs().max(1.0);
        if !converged && is_deep && gradient_norm >= gradient.dot(&gradient)?.sqrt() {
            let (level, step) = (self.levels[k].name.to_owned(), self.levels[k].steps + 1);
            return Err(SolverError::Unbounded { level, step, start, loss }.into());
        }
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
        // What is small enough in any case needs no measure.
        let rounding = if gradient_norm <= tolerance { 0.0 } else { self.rounding(k, numbers, &parameters)? };
        let tolerance = tolerance.max(rounding);
        if !(loss.is_finite() && gradient_norm <= tolerance) {
            return Err(SolverError::NotStationary { level: name(), step, norm: gradient_norm, tolerance }.into());
        }
        Ok(Solved { parameters, loss, gradient_norm, iterations: 1, evaluations: 2, converged: true })
    }

    /// The norm that rounding may leave of a gradient of level `k` at these parameters, if nothing else is left of it. 0 where that
    /// cannot be measured.
    fn rounding(&self, k: usize, numbers: &Numbers, parameters: &Vector) -> Result<f64, EngineError> {
        Ok(ROUNDING * self.precision(k) * self.size(k, numbers, parameters)?)
    }

    /// By how much of itself a number of level `k` is rounded at the most: one of its parameters, or of its products.
    fn precision(&self, k: usize) -> f64 {
        let level = &self.levels[k];
        let products = level.config.precision.filter(|_| self.losses.rounds()).map(Precision::dtype);
        let dtypes = level.parameters().0.iter().map(Value::dtype).chain(products).collect::<Vec<_>>();
        dtypes.iter().filter_map(|dtype| dtype.finfo()).map(|of| of.epsilon).fold(0.0, f64::max)
    }

    /// The size of the terms that the gradient of level `k` is a sum of at these parameters, in double precision: however little is
    /// left of them there, numbers of the level's type cancel no further than by its precision. 0 where that cannot be measured, or
    /// ranks would measure it each for itself.
    fn size(&self, k: usize, numbers: &Numbers, parameters: &Vector) -> Result<f64, EngineError> {
        let Numbers { batch, seed, .. } = numbers;
        let loss = self.losses.get(k, batch);
        let is_own = |input| matches!(input, LossInput::Leaf { level, index } if level == k && self.levels[k].trainable.contains(&index));
        let failed = |error| match error {
            VerificationError::Graph(source) => EngineError::Graph { level: self.levels[k].name.into(), source },
            VerificationError::Read(source) => source.into(),
        };
        let graph = |source| failed(VerificationError::Graph(source));
        let measure = loss.measure(is_own).map_err(graph)?;
        let memory = self.losses.verify.memory.bytes(loss.trace());
        if self.losses.ranks.is_some() || !measure.fits(memory).map_err(graph)? {
            return Ok(0.0);
        }
        let inputs = self.inputs_at(k, loss, batch, parameters);
        let inputs = inputs.iter().map(|value| on_host(value, None)).collect::<Result<Vec<_>, _>>()?;
        Ok(measure.size(&inputs, *seed).map_err(failed)?.unwrap_or(0.0))
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
        let places = self.places(k, batch, k).collect();
        LevelLoss { program, inputs: inputs.clone(), places, seed: *seed, is_endless: false }
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
    /// Whether it was −∞ anywhere.
    is_endless: bool,
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
        let value = loss_in(&status);
        self.is_endless |= value == f64::NEG_INFINITY;
        Ok(Evaluated { value, gradient: launched.of.into_iter().next().unwrap_or_default() })
    }
}
