//! The total gradient of a level: its direct gradient, and one sweep of cotangents up through the levels below.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::EngineError;
use super::event::Event;
use super::program::Multilevel;
use super::schedule::Through;
use super::train::Engine;
use crate::execute::Vector;
use crate::hypergradient::LowerProblem;
use crate::linalg::InnerProductSpace;
use crate::trace::AnyBatch;

/// The total gradient of a level at its current point.
#[derive(Clone, Debug)]
pub struct TotalGradient {
    /// The level's loss.
    pub loss: f64,
    /// The gradient, one tensor for each trainable parameter, in the module's order.
    pub gradient: Vector,
    /// Its norm.
    pub norm: f64,
}

impl<P: Multilevel> Engine<P> {
    /// Direct plus indirect gradient of level `k` on `batch`.
    pub(super) fn total_gradient(
        &mut self,
        k: usize,
        batch: &Arc<AnyBatch>,
        seed: u64,
    ) -> Result<TotalGradient, EngineError> {
        let spec = &P::SCHEDULE.levels[k];
        // The loss sends a cotangent to each level it reads whose best response is passed through.
        let passed = spec.sweep.iter().map(|through| through.level).filter(|level| spec.lower.contains(level));
        let levels: Vec<usize> = std::iter::once(k).chain(passed).collect();
        let (loss, inputs) = self.losses.at(&self.problem, &self.levels, k, batch, seed)?;
        let program =
            loss.gradient(&levels).map_err(|source| EngineError::Graph { level: spec.name.into(), source })?;
        let found = program.run(inputs, seed)?;
        self.check_finite(k, "loss", found.loss)?;
        self.check_finite(k, "gradient", found.square_norm)?;
        let mut cotangents: BTreeMap<usize, Vector> = levels.into_iter().zip(found.of).collect();
        for through in spec.sweep {
            if let Some(cotangent) = cotangents.remove(&through.level) {
                self.pass_through(k, through, &cotangent, &mut cotangents)?;
            }
        }
        let gradient = cotangents.remove(&k).unwrap_or_default();
        let square_norm = if spec.sweep.is_empty() { found.square_norm } else { gradient.dot(&gradient)? };
        self.check_finite(k, "hypergradient", square_norm)?;
        Ok(TotalGradient { loss: found.loss, gradient, norm: square_norm.sqrt() })
    }

    /// Turns the cotangent of one level into contributions to the levels above it.
    fn pass_through(
        &mut self,
        k: usize,
        through: &Through,
        cotangent: &Vector,
        cotangents: &mut BTreeMap<usize, Vector>,
    ) -> Result<(), EngineError> {
        let Through { level, into } = *through;
        let (batch, seed) = self.lower_batch(level)?;
        let parameters = self.levels[level].parameters();
        let (loss, inputs) = self.losses.at(&self.problem, &self.levels, level, &batch, seed)?;
        let mut lower = LowerProblem::new(loss, level, into, inputs, parameters, seed);
        let (name, lower_name) = (self.levels[k].name, self.levels[level].name);
        let method = self.methods[level].as_ref().expect("validation asks for a method wherever a sweep passes");
        let indirect = method.indirect(&mut lower, cotangent).map_err(|source| EngineError::Hypergradient {
            level: name.into(),
            through: lower_name.into(),
            step: self.levels[k].steps + 1,
            source,
        })?;
        self.emit(&Event::Hypergradient {
            level: k,
            name,
            through: lower_name,
            products: indirect.solve.products,
            residual: indirect.solve.residual,
        });
        for (&to, gradient) in into.iter().zip(indirect.gradients) {
            match cotangents.get_mut(&to) {
                Some(sum) => sum.add_scaled(1.0, &gradient),
                None => {
                    cotangents.insert(to, gradient);
                }
            }
        }
        Ok(())
    }
}
