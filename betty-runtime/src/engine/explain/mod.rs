//! What training will take, counted before it starts.

mod report;

use std::collections::BTreeMap;
use std::rc::Rc;

use super::error::EngineError;
use super::ground::{Ground, StepsGround};
use super::level::Seeded;
use super::program::Multilevel;
use super::record::Record;
use super::train::Engine;
use crate::config::Start;
use crate::derivatives::Variable;
use crate::hypergradient::{Budget, Products};
pub use report::{Explanation, LevelCost, ResponseCost};

impl<P: Multilevel> Engine<P> {
    /// Counts what one iteration will take, from the shapes of the next batches: kernels, floating-point operations, bytes,
    /// memory, and reads that wait for the device. Iterative solvers count with all their iterations.
    ///
    /// Losses are traced, verified and differentiated as their first steps would; no step is taken, and no batch is used up.
    ///
    /// # Errors
    /// [`EngineError`] as for a first step.
    pub fn explain(&mut self) -> Result<Explanation, EngineError> {
        self.ask(0, Self::explained)
    }

    fn explained(&mut self) -> Result<Explanation, EngineError> {
        let count = self.levels.len();
        let mut points = Vec::with_capacity(count);
        for k in 0..count {
            let batch = self.next_batch(k)?;
            let seed = self.draw_seed(k);
            self.losses.prepare(&self.problem, &self.levels, k, &batch, seed)?;
            points.push((batch, seed));
        }
        let steps = self.steps_of_an_iteration().into_iter().enumerate();
        let mut levels =
            steps.map(|(k, steps)| self.explain_level(k, steps, &points)).collect::<Result<Vec<_>, _>>()?;
        for k in 0..count {
            if !self.levels[k].config.vectorize {
                continue;
            }
            let (cost, peak) = self.tasks_cost(k, &points)?;
            let update = &self.levels[k].update;
            (levels[k].step, levels[k].peak) = (cost + update.cost(), peak.max(update.peak()));
            levels[k].responses.clear();
            levels[k].reads = 1;
            for &lower in P::SCHEDULE.levels[k].lower {
                levels[lower].within = Some(self.levels[k].name);
                levels[lower].kept = 0;
            }
        }
        Ok(Explanation { program: P::SCHEDULE.name, levels })
    }

    fn explain_level(&mut self, k: usize, steps: u64, points: &[Seeded]) -> Result<LevelCost, EngineError> {
        let spec = &P::SCHEDULE.levels[k];
        let graph = |source| EngineError::Graph { level: spec.name.into(), source };
        let of = P::SCHEDULE.differentiates(k);
        let gradient = self.losses.get_mut(k, &points[k].0).gradient(&of).map_err(graph)?;
        let level = &self.levels[k];
        let parameters = level.parameters();
        let bytes: usize =
            parameters.0.iter().map(|value| value.shape().iter().product::<usize>() * value.dtype().size()).sum();
        let evaluations = (level.config.tasks * level.config.accumulate) as f64;
        let mut cost = LevelCost {
            level: spec.name,
            parameters: parameters.len(),
            steps,
            within: None,
            step: gradient.program().cost() * evaluations + level.update.cost(),
            responses: Vec::new(),
            peak: gradient.program().peak().max(level.update.peak()),
            kept: level
                .trajectory
                .as_ref()
                .map_or(0, |record| record.vectors(level.states_each(), self.parameters_above(k)) * bytes)
                * self.rounds_kept(k, steps),
            reads: evaluations as u64,
        };
        let grounds = &self.grounds_below(k, points);
        for stop in spec.sweep {
            let (response, reads, peak) = self.explain_response(stop.level, k, grounds)?;
            cost.responses.push(ResponseCost { cost: response.cost * evaluations, ..response });
            cost.reads += (reads * evaluations) as u64;
            cost.peak = cost.peak.max(peak);
        }
        Ok(cost)
    }

    /// How many times the steps that level `k` takes for a step above are kept.
    fn rounds_kept(&self, k: usize, steps: u64) -> usize {
        let needed = self.needed(k);
        let goes_on = matches!(self.levels[k].config.start, Start::Kept | Start::LookAhead) || needed.across_starts;
        let is_whole =
            matches!(&self.levels[k].trajectory, Some(Record::Steps(steps)) if !steps.borrow().is_truncated());
        match needed.since.filter(|_| goes_on && is_whole) {
            Some(_) => (steps as usize).div_ceil(self.levels[k].config.unroll).max(1),
            None => needed.rounds,
        }
    }

    /// On what the levels below `k` are differentiated for its hypergradient: as steps where they will be twice.
    fn grounds_below(&self, k: usize, points: &[Seeded]) -> BTreeMap<usize, Ground> {
        let twice = self.levels[k].trajectory.is_some();
        let ground = |(level, (batch, seed)): (usize, &Seeded)| {
            let alone = Ground::Loss { batch: Rc::clone(batch), seed: *seed };
            let Some(Record::Steps(steps)) = &self.levels[level].trajectory else { return (level, alone) };
            if !P::SCHEDULE.answers_to(level, k) || !(twice || P::SCHEDULE.is_nested(level, k)) {
                return (level, alone);
            }
            let batches = vec![vec![Rc::clone(batch); self.levels[level].evaluations()]; steps.borrow().length()];
            let ground = StepsGround { batches, from: self.starts_from(level), begun: None, taken: Vec::new() };
            (level, Ground::Steps(Rc::new(ground)))
        };
        points.iter().enumerate().map(ground).collect()
    }

    /// One pass through the best response of `stop` on the way to `k`; with reads of the device, and bytes held at once.
    fn explain_response(
        &mut self,
        stop: usize,
        k: usize,
        grounds: &BTreeMap<usize, Ground>,
    ) -> Result<(ResponseCost, f64, usize), EngineError> {
        let spec = &P::SCHEDULE.levels[stop];
        let below: Vec<usize> = spec.sweep.iter().map(|stop| stop.level).collect();
        let curvature = self.losses.prepare_curvature::<P>(stop, &self.levels, grounds)?;
        let graph = |source| EngineError::Graph { level: spec.name.into(), source };
        let own = curvature.borrow().lagrangian().own().to_vec();
        let into = P::SCHEDULE.levels[k].sweep.iter().find(|of| of.level == stop).map_or(&[][..], |of| of.into);
        let mut into: Vec<Variable> = into.iter().copied().map(Variable::Level).collect();
        into.retain(|&of| curvature.borrow().depends_on(of));
        let products = self.methods[stop].as_ref().map_or(Products::Exact, |method| method.products());
        let (point, product, mixed, mut peak) = match products {
            Products::Displaced { .. } => {
                let (unmoved, product, peak) = curvature.borrow_mut().displaced_cost(&own, &own).map_err(graph)?;
                let (mixed_unmoved, mixed, other) =
                    curvature.borrow_mut().displaced_cost(&own, &into).map_err(graph)?;
                (unmoved + mixed_unmoved, product, mixed, peak.max(other))
            }
            _ => {
                let (product, peak) = curvature.borrow_mut().cost(&own, &own).map_err(graph)?;
                let (mixed, other) = curvature.borrow_mut().cost(&own, &into).map_err(graph)?;
                let point = curvature.borrow().point_cost();
                (point, product, mixed, peak.max(other))
            }
        };
        let size = self.levels[stop].parameters().len();
        let name = self.levels[stop].config.hypergradient.as_ref().map_or("", |method| method.name());
        if let Some(steps) = grounds[&stop].steps() {
            let cost = point + mixed;
            let products = Some(steps.batches.len());
            return Ok((ResponseCost { through: spec.name, method: name, products, cost }, 0.0, peak));
        }
        if let Some(record) = &self.levels[stop].trajectory {
            let level = &self.levels[stop];
            let each = level.evaluations() as f64;
            let passes = record.passes(level.config.unroll, self.parameters_above(stop));
            let mut cost = (product + mixed) * passes.products * each + level.update.cost() * passes.updates;
            cost.kernels /= passes.together;
            cost += point * passes.points * each;
            if let (true, Ground::Loss { batch, .. }, Ground::Loss { batch: above, .. }) =
                (record.needs_loss(), &grounds[&stop], &grounds[&k])
            {
                let gradient = self.losses.get_mut(stop, batch).gradient(&[stop]).map_err(graph)?;
                let loss = self.losses.get_mut(k, above).gradient(&[]).map_err(graph)?;
                cost += gradient.program().cost() * passes.gradients * each + loss.program().cost() * passes.losses;
            }
            let products = Some(passes.products as usize);
            return Ok((ResponseCost { through: spec.name, method: name, products, cost }, passes.reads(), peak));
        }
        let budget = self.methods[stop].as_ref().and_then(|method| method.budget(size));
        let Budget { products, mut reads } = budget.unwrap_or_default();
        // The product of a nested stop solves what is below it twice.
        let mut each = product;
        for level in below {
            let (inner, inner_reads, inner_peak) = self.explain_response(level, stop, grounds)?;
            each += inner.cost * 2.0;
            reads += products as f64 * 2.0 * inner_reads;
            peak = peak.max(inner_peak);
        }
        let cost = point + each * products as f64 + mixed;
        Ok((
            ResponseCost { through: spec.name, method: name, products: budget.map(|of| of.products), cost },
            reads,
            peak,
        ))
    }

    /// How many numbers the steps of level `k` are differentiated in.
    fn parameters_above(&self, k: usize) -> usize {
        P::SCHEDULE.reached_from(k).into_iter().map(|above| self.levels[above].parameters().len()).sum()
    }

    /// How many steps every level takes in one iteration, by going through the schedule without taking them.
    fn steps_of_an_iteration(&self) -> Vec<u64> {
        let mut turns = vec![0_u64; self.levels.len()];
        let mut seen: Vec<Vec<u64>> = P::SCHEDULE.levels.iter().map(|level| vec![0; level.lower.len()]).collect();
        // The first iteration fills up what later ones find done.
        P::SCHEDULE.roots.iter().for_each(|&root| self.pretend(root, &mut turns, &mut seen));
        let before = turns.clone();
        P::SCHEDULE.roots.iter().for_each(|&root| self.pretend(root, &mut turns, &mut seen));
        turns.iter().zip(before).map(|(after, before)| after - before).collect()
    }

    fn pretend(&self, k: usize, turns: &mut [u64], seen: &mut [Vec<u64>]) {
        let (lowers, rounds) = (P::SCHEDULE.levels[k].lower, self.levels[k].config.rounds);
        for _ in 0..self.levels[k].config.tasks {
            for round in 1..=rounds as u64 {
                for (i, &lower) in lowers.iter().enumerate() {
                    while turns[lower] - seen[k][i] < round * self.levels[lower].config.unroll as u64 {
                        self.pretend(lower, turns, seen);
                    }
                }
            }
            lowers.iter().enumerate().for_each(|(i, &lower)| seen[k][i] = turns[lower]);
        }
        turns[k] += 1;
        for (i, &lower) in lowers.iter().enumerate() {
            if self.levels[lower].config.start == Start::LookAhead {
                (0..rounds * self.levels[lower].config.unroll).for_each(|_| self.pretend(lower, turns, seen));
                seen[k][i] = turns[lower];
            }
        }
    }
}
