//! Whether a hypergradient takes more than people expect, told before it is computed, with what would take less.

use super::Pass;
use super::passes::Way;
use crate::config::{HypergradientConfig, JointConfig};
use crate::derivatives::Variable;
use crate::error::EngineError;
use crate::hypergradient::{Joint, Products};
use crate::program::bases::Bases;
use crate::program::passings::{Passing, Passings};
use crate::program::{News, Program, Sample};

impl Program {
    /// Counts once what a hypergradient of level `k` takes where it solves systems within systems, and has observers told if
    /// that is a lot.
    ///
    /// # Errors
    /// [`EngineError::Graph`] if a derivative cannot be built.
    pub(crate) fn judge_cost(&mut self, k: usize, sample: &Sample, passings: &Passings) -> Result<(), EngineError> {
        let is_solved = |(_, passing): &(_, Passing)| matches!(passing, Passing::Solved);
        let is_nested = |&stop: &usize| !self.answering_below(stop).is_empty();
        let stops = passings.solved();
        if !passings.stops.iter().all(is_solved)
            || !stops.iter().any(is_nested)
            || self.levels[k].config.solve.is_some()
        {
            return Ok(());
        }
        if !self.losses.judged.is_due(k) {
            return Ok(());
        }
        let mut bases = Bases::below(sample);
        bases.set_losses(k, [&sample.own]);
        let kernels = |passes: &[Pass]| passes.iter().map(|pass| pass.response.cost.kernels).sum::<f64>();
        let above = self.losses.judged.above;
        let nested = kernels(&self.explain_passes(k, &bases, Way::Said)?);
        if nested <= above {
            return Ok(());
        }
        let mut partial = 0.0;
        for &stop in &stops {
            partial += self.kernels_alone(stop, k, &bases)?;
        }
        let config = |&stop: &usize| self.levels[stop].config.hypergradient.as_ref();
        let joint = match stops.iter().filter_map(config).all(HypergradientConfig::solves_the_system) {
            true => {
                Some(kernels(&self.explain_passes(k, &bases, Way::Jointly(Joint::from(JointConfig::default())))?))
            }
            false => None,
        };
        self.losses.news.push(News::Costly { level: k, kernels: nested, joint, partial });
        Ok(())
    }

    /// About the kernels of a pass through `stop` on the way to level `k` while the levels below stand still.
    fn kernels_alone(&mut self, stop: usize, k: usize, bases: &Bases) -> Result<f64, EngineError> {
        let curvatures = self.curvatures(stop, bases)?;
        let into = self.schedule.levels[k].sweep.iter().find(|of| of.level == stop).map_or(&[][..], |of| of.into);
        let into: Vec<Variable> = into.iter().copied().map(Variable::Level).collect();
        let products = self.methods[stop].as_ref().map_or(Products::Exact, |method| method.products());
        let cost = products.cost(&mut curvatures[0].borrow_mut(), &into);
        let cost = cost.map_err(|source| EngineError::Graph { level: self.levels[stop].name.into(), source })?;
        let count = self.budget(stop, self.levels[stop].parameters().len()).unwrap_or_default() as f64;
        Ok((cost.point + cost.own * count + cost.mixed).kernels * curvatures.len() as f64)
    }
}
