//! The direct derivatives of a level's loss: in its own parameters, and in those of the levels below whose answers it reads.

use std::rc::Rc;

use super::Program;
use super::losses::gather;
use super::numbers::Numbers;
use super::sample::Seeded;
use crate::derivatives::{Launched, Variable};
use crate::error::EngineError;
use crate::execute::{Value, Vector};
use crate::hypergradient::Blocks;
use crate::steps::{self, Reads};
use crate::trace::{AnyBatch, LossInput, TraceError};

/// A loss with its direct derivatives.
pub(super) struct Derivative {
    /// In the level's own parameters.
    pub(super) own: Vector,
    /// In the parameters of levels below.
    pub(super) below: Blocks,
    /// The level's running statistics after the forward pass.
    pub(super) statistics: Vec<(usize, Value)>,
    /// What the loss depends on.
    pub(super) reads: Reads,
    pub(super) numbers: Numbers,
}

/// The mean of the direct derivatives on several batches.
pub(super) struct Mean {
    pub(super) own: Vector,
    pub(super) below: Blocks,
    pub(super) reads: Reads,
}

impl Program {
    /// The mean of [`derivative`](Self::derivative) over all batches that a step averages.
    pub(super) fn mean_derivative(&mut self, k: usize, batches: &[Seeded]) -> Result<Mean, EngineError> {
        let share = 1.0 / batches.len() as f64;
        let mut mean = Mean { own: Vector::default(), below: Blocks::default(), reads: Reads::default() };
        let mut own = Vec::with_capacity(batches.len());
        for (batch, seed) in batches {
            let Derivative { own: of_batch, below, reads, .. } = self.derivative(k, batch, *seed)?;
            own.push(of_batch);
            mean.below = mean.below.plus(share, below);
            mean.reads.add(&reads);
        }
        mean.own = steps::mean(own.into_iter(), batches.len());
        Ok(mean)
    }

    /// As [`launch`](Self::launch), with numbers that have been checked.
    pub(super) fn derivative(&mut self, k: usize, batch: &Rc<AnyBatch>, seed: u64) -> Result<Derivative, EngineError> {
        let mut derivative = self.launch(k, batch, seed)?;
        self.read_direct(k, &mut derivative.numbers)?;
        Ok(derivative)
    }

    /// The loss of level `k` with its direct derivatives: in the level's parameters, and in those of the levels below whose
    /// best responses answer to it.
    pub(super) fn launch(&mut self, k: usize, batch: &Rc<AnyBatch>, seed: u64) -> Result<Derivative, EngineError> {
        let spec = &self.schedule.levels[k];
        let of = self.schedule.differentiates(k);
        let loss = self.losses.get_mut(k, batch);
        let inputs = gather(loss, &self.levels, batch);
        let program = loss.gradient(&of).map_err(|source| EngineError::Graph { level: spec.name.into(), source })?;
        let Launched { status, of: found, advances } = program.launch(inputs.iter().cloned(), seed)?;
        let mut parts = of.into_iter().map(Variable::Level).zip(found);
        let own = parts.next().map(|(_, own)| own).unwrap_or_default();
        let below = parts.collect();
        let statistics = own_statistics(k, advances);
        let reads = Reads::of(self.losses.get(k, batch));
        let numbers = Numbers { status, total: None, parts: None, program, batch: Rc::clone(batch), inputs, seed };
        Ok(Derivative { own, below, statistics, reads, numbers })
    }

    /// Checks that what becomes of the running statistics of level `k` is known; what other losses make of them counts for nothing.
    ///
    /// # Errors
    /// [`TraceError::UpdatesState`], if one of them is a state of Burn's that the loss updates.
    pub(super) fn check_updates(&self, k: usize, batch: &AnyBatch) -> Result<(), EngineError> {
        let own = |input: &LossInput| match *input {
            LossInput::Leaf { level, index } if level == k => Some(&self.levels[k].paths[index]),
            _ => None,
        };
        match self.losses.get(k, batch).trace().updates.iter().find_map(own) {
            Some(path) => {
                Err(TraceError::UpdatesState { level: self.levels[k].name.into(), path: path.to_string() }.into())
            }
            None => Ok(()),
        }
    }
}

/// A forward pass moves the running statistics of its own level only.
fn own_statistics(k: usize, advances: Vec<(LossInput, Value)>) -> Vec<(usize, Value)> {
    let own = advances.into_iter().filter_map(|(source, value)| match source {
        LossInput::Leaf { level, index } if level == k => Some((index, value)),
        _ => None,
    });
    own.collect()
}
