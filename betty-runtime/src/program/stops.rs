//! The levels that a hypergradient passes through, each prepared at the point where it is differentiated.

use std::rc::Rc;

use super::context::Context;
use super::direct::Mean;
use super::passings::{Passing, Passings};
use super::sample::Sample;
use super::{Level, Program};
use crate::config::SolverConfig;
use crate::derivatives::{Input, Variable};
use crate::error::EngineError;
use crate::execute::Vector;
use crate::hypergradient::{BestResponse, Blocks, Inexact, Joint};
use crate::schedule::Through;
use crate::steps::{Basis, Condition, OnBatch, Reads};

impl Program {
    /// Adds every level that the hypergradient of level `k` passes through to the context, at the current point.
    pub(super) fn prepare_stops(
        &mut self,
        k: usize,
        sample: &Sample,
        passings: Passings,
        context: &mut Context,
    ) -> Result<(), EngineError> {
        let Passings { leader, together, stops } = passings;
        (context.leader, context.together) = (leader, together);
        if let Some(joint) = self.joint(k) {
            // A level that is solved between steps of others is looked at where those stood then.
            let at_one_point = context.together.is_empty();
            context.response.solve_jointly(Joint { at_one_point, ..joint });
        }
        if let Some(inexact) = self.inexact(k) {
            context.response.solve_inexactly(inexact);
        }
        for (Through { level, into }, passing) in stops {
            if let Some(steps) = &self.levels[level].trajectory {
                context.reads.add(&steps.reads());
            }
            match passing {
                Passing::Solved => self.prepare_solved(k, Through { level, into }, sample, context)?,
                Passing::Together => {}
                Passing::Function(basis) => {
                    context.bases.set(level, Basis::Steps(basis));
                    let condition = self.condition(level, context, Blocks::default())?;
                    context.response.add(level, condition.stop());
                    context.conditions.push(condition);
                }
                Passing::Steps(steps) => {
                    let trajectory = steps.trajectory(level, context.loss.as_ref());
                    let trajectory = trajectory.ok_or_else(|| self.no_steps(k, level))?;
                    context.response.add(level, BestResponse::unrolled(trajectory, into));
                }
            }
        }
        Ok(())
    }

    /// How the systems below level `k` are solved, if by one loop each.
    pub(super) fn joint(&self, k: usize) -> Option<Joint> {
        match self.levels[k].config.solve? {
            SolverConfig::Joint(config) => Some(config.into()),
            SolverConfig::Inexact(_) => None,
        }
    }

    /// How the systems below level `k` are solved, if no more exactly than needed.
    pub(super) fn inexact(&self, k: usize) -> Option<Inexact> {
        match self.levels[k].config.solve? {
            SolverConfig::Inexact(config) => Some(config.into()),
            SolverConfig::Joint(_) => None,
        }
    }

    /// The stops that answer where level `k` is differentiated.
    pub(super) fn answering_below(&self, k: usize) -> Rc<[usize]> {
        let answering = self.schedule.levels[k].sweep.iter().filter(|_| !self.levels[k].is_partial());
        answering.map(|stop| stop.level).collect()
    }

    /// Adds a level at the current point to the context, which has its stops already.
    pub(super) fn prepare_stop(
        &mut self,
        level: usize,
        sample: &Sample,
        context: &mut Context,
    ) -> Result<(), EngineError> {
        let batches = &sample.below[&level];
        let mut solution = Blocks::default();
        let config = self.levels[level].config.hypergradient.clone();
        let by_step = config.filter(|method| self.methods[level].is_none() && method.looks_at_next_step());
        let is_leaf = self.levels[level].is_partial() || self.schedule.levels[level].sweep.is_empty();
        let mut gradient = Vector::default();
        let mut read = Vec::new();
        if is_leaf && by_step.is_none() {
            for (batch, _) in batches {
                context.reads.add(&Reads::of(self.losses.get(level, batch)));
                if self.schedule.levels[level].condition.is_some() {
                    context.reads.add(&Reads::of(self.losses.map(level, batch)));
                }
            }
        } else {
            let Mean { own, below, reads } = self.mean_derivative(level, batches)?;
            gradient = own;
            let through = self.reads_through(level, Reads::both(&reads, &context.reads));
            read = through.level(level, gradient.0.len());
            context.reads.add(&reads);
            if !self.schedule.levels[level].sweep.is_empty() {
                // Its total gradient rests on answers from below, whose multipliers are part of its point.
                let (indirect, multipliers) = self.indirect(level, context, &below)?;
                indirect.iter().for_each(|indirect| gradient.add_scaled(-1.0, indirect));
                solution = multipliers;
            }
        }
        context.bases.set_losses(level, batches);
        let mut condition = self.condition(level, context, solution)?;
        if let Some(method) = by_step {
            let moved = condition.moved();
            condition.method =
                method.build_on(self.levels[level].next_step(gradient, self.learned(level), &read, moved));
        }
        context.response.add(level, condition.stop());
        context.conditions.push(condition);
        Ok(())
    }

    /// The Lagrangian of level `k` at the current point, on all that its losses are averaged over, given the solution of the adjoint
    /// system below it.
    pub(super) fn condition(
        &mut self,
        k: usize,
        context: &mut Context,
        mut solution: Blocks,
    ) -> Result<Condition, EngineError> {
        let mut batches = Vec::new();
        let decaying = self.decaying(k, &context.bases);
        for bases in context.bases.together(&self.levels_of_condition(k)) {
            let shared = self.losses.prepare_curvature(&self.schedule, &self.levels, k, &bases, &decaying)?;
            let curvature = shared.borrow();
            // Nothing depends on the value of the multiplier of a fixed point.
            if let Some(&own @ Variable::Multiplier { .. }) = curvature.lagrangian().own().first() {
                context.multipliers.set(own, curvature.zeros(own));
            }
            for (index, &variable) in curvature.lagrangian().own()[1..].iter().enumerate() {
                let multiplier = Variable::Multiplier { of: k, index };
                let found =
                    solution.take(variable).or_else(|| (batches.is_empty()).then(|| curvature.zeros(multiplier)));
                found.into_iter().for_each(|found| context.multipliers.set(multiplier, found));
            }
            let inputs = curvature.lagrangian().inputs();
            let inputs = inputs.map(|(input, like)| context.value(input, like, &self.levels, &bases)).collect();
            batches.push(OnBatch { curvature: Rc::clone(&shared), inputs, seed: bases[&k].seed() });
        }
        Ok(Condition { level: k, batches, method: self.methods[k].clone(), below: self.answering_below(k) })
    }

    /// Where the parameters of level `k` stand among the inputs of its loss, and among those of its Lagrangian.
    pub(super) fn own_positions(
        &self,
        k: usize,
        at_loss: &[(usize, usize)],
        condition: &Condition,
    ) -> Rc<[(usize, usize)]> {
        let curvature = condition.batches[0].curvature.borrow();
        let at_condition: Vec<Input> = curvature.lagrangian().inputs().map(|(input, _)| input).collect();
        let Level { trainable, .. } = &self.levels[k];
        let leaf = |index: usize| Input::Leaf { level: k, index: trainable[index] };
        let position = |index| at_condition.iter().position(|&input| input == leaf(index));
        at_loss.iter().filter_map(|&(index, at)| Some((at, position(index)?))).collect()
    }
}
