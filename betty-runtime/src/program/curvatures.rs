//! The Lagrangians of levels, compiled for what each is differentiated on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Level;
use super::decaying::Decaying;
use super::keys::CurvatureKey;
use super::losses::Losses;
use crate::derivatives::{Bound, Curvature, Lagrangian, UnrolledSteps};
use crate::error::EngineError;
use crate::schedule::Schedule;
use crate::steps::Basis;
use crate::trace::AnyBatch;

impl Losses {
    /// Compiles the Lagrangian of level `k` on these bases, and those of the levels below it whose best responses answer to it, if
    /// they are not there yet. Their losses have been prepared, and `decaying` says what of them decays.
    pub(crate) fn prepare_curvature(
        &mut self,
        schedule: &Schedule,
        levels: &[Level],
        k: usize,
        bases: &BTreeMap<usize, Basis>,
        decaying: &Decaying,
    ) -> Result<Rc<RefCell<Curvature>>, EngineError> {
        let own = CurvatureKey::new(schedule, k, bases, decaying);
        if let Some(known) = self.curvatures.find(&own) {
            return Ok(Rc::clone(known));
        }
        let mut below = Vec::new();
        for stop in schedule.levels[k].sweep.iter().map(|stop| stop.level) {
            below.push((stop, self.prepare_curvature(schedule, levels, stop, bases, decaying)?));
        }
        let below: Vec<_> = below.iter().map(|(stop, curvature)| (*stop, curvature.borrow())).collect();
        let below: Vec<_> = below.iter().map(|(stop, curvature)| (*stop, curvature.lagrangian())).collect();
        let name = schedule.levels[k].name;
        let graph = |source| EngineError::Graph { level: name.into(), source };
        let lagrangian = match &bases[&k] {
            Basis::Loss { batch, .. } if schedule.levels[k].condition.is_some() => {
                Lagrangian::fixed_point(k, self.map(k, batch))
            }
            Basis::Loss { batch, .. } if levels[k].is_partial() => {
                let below: Vec<usize> = schedule.levels[k].sweep.iter().map(|stop| stop.level).collect();
                Lagrangian::partial(k, self.get(k, batch), &below)
            }
            Basis::Loss { batch, .. } => Lagrangian::new(k, self.get(k, batch), &below),
            Basis::Steps(steps) => {
                let of_step = |batches: &Vec<Rc<AnyBatch>>| batches.iter().map(|of| self.get(k, of)).collect();
                let losses = steps.batches.iter().map(of_step).collect();
                let (trainable, update) = (levels[k].trainable.as_slice(), levels[k].update.graph());
                Lagrangian::of_steps(&UnrolledSteps { level: k, trainable, losses, update, from: steps.from })
            }
        };
        let lagrangian = lagrangian.map_err(graph)?;
        let mut moved: Vec<bool> = match &bases[&k] {
            // What a map hands back as it is, it says nothing of.
            Basis::Loss { batch, .. } if schedule.levels[k].condition.is_some() => {
                let by_steps = self.get(k, batch).reached_in(k).iter().copied().chain(std::iter::repeat(false));
                let computed = self.map(k, batch).computed(k);
                computed.into_iter().zip(by_steps).map(|(is_computed, by_steps)| is_computed || by_steps).collect()
            }
            _ => lagrangian.moved(),
        };
        let lagrangian = match (&bases[&k], levels[k].update.decay(), decaying.get(&k)) {
            (Basis::Loss { batch, .. }, Some(decay), Some(decays)) => {
                moved.iter_mut().zip(decays).for_each(|(moved, decays)| *moved |= decays);
                lagrangian.with_decay(k, self.get(k, batch), &decay, decays).map_err(graph)?
            }
            _ => lagrangian,
        };
        let curvature = Curvature::new(lagrangian, &self.device).map_err(graph)?;
        let curvature = curvature.with_moved(moved).shared(self.ranks.clone());
        // A hypergradient needs those of all levels together.
        let levels = self.levels();
        let bound = Bound { most: self.bound.most.saturating_mul(levels), ..self.bound };
        let bytes = curvature.bytes();
        Ok(Rc::clone(self.curvatures.keep(own, Rc::new(RefCell::new(curvature)), bytes, bound, levels)))
    }
}
