//! Whether a hypergradient takes more than people expect, told before it is computed, with what would take less.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Pass, Way};
use crate::config::{CurvatureOf, HypergradientConfig, JointConfig};
use crate::error::EngineError;
use crate::hypergradient::Joint;
use crate::program::passings::{Passing, Passings};
use crate::program::{News, Program, Sample};
use crate::steps::Basis;

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
        let points = sample.below.iter().map(|(&level, seeded)| (level, seeded)).chain([(k, &sample.own)]);
        let basis =
            |(level, (batch, seed)): (usize, &(_, u64))| (level, Basis::Loss { batch: Rc::clone(batch), seed: *seed });
        let bases: BTreeMap<usize, Basis> = points.map(basis).collect();
        let kernels = |passes: &[Pass]| passes.iter().map(|pass| pass.response.cost.kernels).sum::<f64>();
        let above = self.losses.judged.above;
        let mut one_by_one = |curvature: Option<CurvatureOf>| {
            let passes =
                stops.iter().map(|&stop| self.explain_response(stop, k, &bases, Way { curvature, inexact: None }));
            Ok::<_, EngineError>(kernels(&passes.collect::<Result<Vec<_>, _>>()?))
        };
        let nested = one_by_one(None)?;
        if nested <= above {
            return Ok(());
        }
        let partial = one_by_one(Some(CurvatureOf::Partial))?;
        let config = |&stop: &usize| self.levels[stop].config.hypergradient.as_ref();
        let joint = match stops.iter().filter_map(config).all(HypergradientConfig::solves_the_system) {
            true => Some(kernels(&self.explain_jointly(k, Joint::from(JointConfig::default()), &bases)?)),
            false => None,
        };
        self.losses.news.push(News::Costly { level: k, kernels: nested, joint, partial });
        Ok(())
    }
}
