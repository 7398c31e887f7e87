//! What the host is told of a step: numbers that are read together, and checked before anything is taken.

use std::rc::Rc;

use super::{Moved, Program, learned};
use crate::derivatives::{GradientProgram, loss_in, square_norm_in};
use crate::error::EngineError;
use crate::execute::{Origin, ReadError, Unread, Value, Vector};
use crate::trace::{AnyBatch, LossInput};

/// The numbers of one total gradient, to be read.
#[derive(Clone)]
pub(crate) struct Numbers {
    /// The loss, the sum of squares of its direct derivatives, and the metrics.
    pub(crate) status: Unread,
    /// The sum of squares of the total gradient, where it is more than the direct one.
    pub(crate) total: Option<Unread>,
    /// What the direct and the indirect gradient are, where somebody asks.
    pub(crate) parts: Option<Box<[Unread; 3]>>,
    /// What they were computed by, …
    pub(crate) program: Rc<GradientProgram>,
    /// … on which batch, …
    pub(crate) batch: Rc<AnyBatch>,
    /// … and from what.
    pub(crate) inputs: Vec<Value>,
    pub(crate) seed: u64,
}

/// The numbers of one total gradient; all are finite, but for metrics.
pub(crate) struct Told {
    pub(crate) loss: f64,
    pub(crate) metrics: Vec<(Rc<str>, f64)>,
    pub(crate) norm: f64,
    pub(crate) parts: Option<Parts>,
}

/// How the direct and the indirect gradient of a level stand to each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) direct: f64,
    pub(crate) indirect: f64,
    /// Of the angle between them, unless one of them is zero.
    pub(crate) cosine: Option<f64>,
}

impl Parts {
    /// What is to be read for them, the indirect gradient being the negative of what is taken off the direct one.
    pub(crate) fn unread(direct: &Vector, taken_off: Option<&Vector>) -> Box<[Unread; 3]> {
        let none = || Unread::Known(vec![0.0]);
        let indirect = taken_off.map_or_else(none, Unread::square_norm);
        let product = taken_off.map_or_else(none, |off| Unread::dot(direct, off));
        Box::new([Unread::square_norm(direct), indirect, product])
    }

    pub(super) fn of(direct: f64, indirect: f64, product: f64) -> Self {
        let (direct, indirect) = (direct.sqrt(), indirect.sqrt());
        // Each divided by itself, for squares of small norms are smaller than there are numbers.
        let cosine = -(product / direct) / indirect;
        Parts { direct, indirect, cosine: cosine.is_finite().then_some(cosine.clamp(-1.0, 1.0)) }
    }
}

impl Program {
    /// Refuses a number of the coming step of level `k` that is not finite.
    ///
    /// # Errors
    /// [`EngineError::NonFinite`].
    pub(crate) fn check_finite(&self, k: usize, quantity: &'static str, value: f64) -> Result<(), EngineError> {
        if value.is_finite() {
            return Ok(());
        }
        let level = &self.levels[k];
        Err(EngineError::NonFinite { level: level.name.into(), step: level.steps + 1, quantity, value, origin: None })
    }

    /// Reads and checks what is known without what comes from below, or leaves that for later.
    pub(crate) fn read_direct(&mut self, k: usize, numbers: &mut Numbers) -> Result<(), EngineError> {
        if let Some(unread) = &mut self.unread {
            unread.push(numbers.clone().into());
            return Ok(());
        }
        let [status] = Unread::read([numbers.status.clone()])?;
        self.check_numbers(k, numbers, &status, None)?;
        numbers.status = Unread::Known(status);
        Ok(())
    }

    /// Reads and checks all.
    pub(crate) fn read_numbers(&self, k: usize, numbers: Numbers) -> Result<Told, EngineError> {
        self.read_with(k, numbers, Vec::new()).map(|(told, _)| told)
    }

    /// Reads and checks all, and reads something else in the same transfer.
    pub(crate) fn read_with(
        &self,
        k: usize,
        mut numbers: Numbers,
        others: Vec<Unread>,
    ) -> Result<(Told, Vec<Vec<f64>>), EngineError> {
        let status = std::mem::replace(&mut numbers.status, Unread::Known(Vec::new()));
        let total = numbers.total.take().unwrap_or(Unread::Known(Vec::new()));
        let is_asked = numbers.parts.is_some();
        let none = || Box::new([const { Unread::Known(Vec::new()) }; 3]);
        let [direct, indirect, product] = *numbers.parts.take().unwrap_or_else(none);
        let own = [status, total, direct, indirect, product];
        let count = own.len();
        let mut read = Unread::read_all(own.into_iter().chain(others).collect())?;
        let others = read.split_off(count);
        let mut told = self.check_numbers(k, &numbers, &read[0], read[1].first().copied())?;
        told.parts = is_asked.then(|| Parts::of(read[2][0], read[3][0], read[4][0]));
        Ok((told, others))
    }

    fn check_numbers(
        &self,
        k: usize,
        numbers: &Numbers,
        status: &[f64],
        total: Option<f64>,
    ) -> Result<Told, EngineError> {
        let (loss, mut direct) = (loss_in(status), square_norm_in(status));
        // Of entries beyond 1.8e19, in single precision; what clips them is still to come.
        if loss.is_finite() && !direct.is_finite() {
            direct = numbers.program.square_norm(&numbers.inputs, numbers.seed)?;
        }
        for (quantity, value) in [("loss", loss), ("gradient", direct)] {
            self.check_finite(k, quantity, value).map_err(|error| match error {
                EngineError::NonFinite { level, step, quantity, value, .. } => {
                    let origin = self.origin(k, numbers);
                    EngineError::NonFinite { level, step, quantity, value, origin }
                }
                other => other,
            })?;
        }
        if let Some(total) = total {
            self.check_finite(k, "hypergradient", total)?;
        }
        let norm = total.unwrap_or(direct).sqrt();
        Ok(Told { loss, metrics: numbers.program.metrics(status), norm, parts: None })
    }

    /// What made a loss or gradient that is not finite, and what to do, for messages.
    fn origin(&self, k: usize, Numbers { program, batch, inputs, seed, .. }: &Numbers) -> Option<String> {
        Some(match program.origin(inputs, *seed).ok()?? {
            Origin::Input(index) => match self.losses.get(k, batch).trace().inputs.get(index)?.0 {
                LossInput::Leaf { level, index } => not_finite_parameter(&self.levels[level].path(index)),
                LossInput::Constant { level, index } => not_finite_parameter(&self.levels[level].constant(index)),
                LossInput::Batch { index } => format!("tensor {index} of its batch has such an entry; clean the data"),
            },
            made @ Origin::Operation { .. } => advised(&made),
        })
    }

    /// Where a step of level `k` leads, as one number with which to tell whether it is finite.
    pub(crate) fn finiteness(moved: &Moved, statistics: &[(usize, Value)]) -> Unread {
        let moved = moved.parameters.0.iter().chain(&moved.states);
        Unread::finiteness(moved.chain(statistics.iter().map(|(_, value)| value)))
    }

    /// Refuses a step that leads where an entry is not finite that was so far; `norm` is that of its gradient, and `rate` its
    /// learning rate, if there is one.
    pub(crate) fn check_moved(
        &self,
        k: usize,
        moved: &Moved,
        statistics: &[(usize, Value)],
        norm: f64,
        rate: Option<f64>,
    ) -> Result<(), EngineError> {
        let level = &self.levels[k];
        let parameters = level.trainable.iter().zip(&moved.parameters.0);
        let quoted = |index: usize| format!("`{}`", level.path(index));
        let parameters = parameters.map(|(&index, after)| (quoted(index), &level.leaves[index], after));
        let states = level.states.iter().zip(&moved.states).enumerate().map(|(number, (before, after))| {
            let groups = level.update.groups();
            let (parameter, state) = groups.owner(number);
            let (path, optimizer) = (quoted(level.trainable[parameter]), groups.of(parameter).optimizer.name());
            (format!("state {state} of `{optimizer}` for {path}"), before, after)
        });
        let statistics = statistics.iter().map(|(index, after)| (quoted(*index), &level.leaves[*index], after));
        for (what, before, after) in parameters.chain(states).chain(statistics) {
            if let Some(value) = broken(before, after)? {
                learned::check_values(level, &self.levels)?;
                let (level, step) = (level.name.into(), level.steps + 1);
                return Err(EngineError::NonFiniteStep { level, step, what, value, norm, rate });
            }
        }
        Ok(())
    }
}

/// What made a number that is not finite, with what to do.
pub(crate) fn advised(made: &Origin) -> String {
    format!(
        "{made}. Keep what goes in away from there, with `clamp` for instance; if it grew in training, lower the learning rate, \
         or clip gradients with `clip: norm(…)`"
    )
}

/// A parameter that is not finite by itself, with what to do.
pub(crate) fn not_finite_parameter(path: &str) -> String {
    format!("`{path}` has such an entry; set it anew with `Engine::edit`")
}

/// The first entry that is not finite, but was before.
fn broken(before: &Value, after: &Value) -> Result<Option<f64>, ReadError> {
    if !after.dtype().is_float() {
        return Ok(None);
    }
    let pairs = before.to_vec()?.into_iter().zip(after.to_vec()?);
    Ok(pairs.into_iter().find(|(before, after)| before.is_finite() && !after.is_finite()).map(|(_, after)| after))
}
