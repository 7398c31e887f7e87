//! What is gathered for one step before it is computed.

use crate::execute::{Value, Vector};
use crate::hypergradient::Blocks;
use crate::program::{Metrics, Numbers, Parts, Program, Seeded, Told};
use crate::steps::{Evaluation, Reads};

/// Gradients gathered for one step.
#[derive(Default)]
pub(super) struct Gathered {
    /// Sum of the losses.
    pub(super) loss: f64,
    pub(super) metrics: Metrics,
    /// Norm of the gradient, if it is one.
    pub(super) norm: f64,
    /// How the direct and the indirect gradient of the last batch stand to each other, if somebody asks.
    pub(super) parts: Option<Parts>,
    /// What is still to be read of the gradient of each batch.
    pub(super) numbers: Vec<Numbers>,
    pub(super) gradients: Vec<Vector>,
    pub(super) evaluations: Vec<Evaluation>,
    /// What the gradients depend on.
    pub(super) reads: Reads,
    /// What the level's running statistics have become.
    pub(super) statistics: Vec<(usize, Value)>,
    /// What questions and solves would go on from without it.
    pub(super) stood: Option<Stood>,
}

/// Of levels, the batches of their last steps, and the solutions of the systems below them.
pub(super) struct Stood(Vec<(usize, Vec<Seeded>, Blocks)>);

impl Stood {
    pub(super) fn new(program: &Program, levels: impl IntoIterator<Item = usize>) -> Self {
        let of_level = |k: usize| (k, program.levels[k].last.clone(), program.levels[k].solutions.clone());
        Stood(levels.into_iter().map(of_level).collect())
    }

    /// Puts them back: nobody goes on from what a step that failed was computed with.
    pub(super) fn restore(self, program: &mut Program) {
        for (k, last, solutions) in self.0 {
            let level = &mut program.levels[k];
            (level.last, level.solutions) = (last, solutions);
        }
    }
}

impl Gathered {
    pub(super) fn add(&mut self, Told { loss, metrics, norm, parts }: Told) {
        self.parts = parts;
        self.loss += loss;
        self.metrics.add(metrics);
        self.norm = norm;
    }
}
