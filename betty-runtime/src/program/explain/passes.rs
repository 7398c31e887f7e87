//! What a hypergradient takes on its way through the levels below: its solves, gone through without numbers.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Pass, ResponseCost};
use crate::config::HypergradientConfig;
use crate::derivatives::{Point, Variable};
use crate::error::EngineError;
use crate::execute::{Cost, Vector};
use crate::hypergradient::{
    BestResponse, Blocks, CountedSteps, HypergradientError, HypergradientMethod, Joint, Products, Response,
};
use crate::program::Program;
use crate::program::bases::Bases;
use crate::schedule::Through;
use crate::steps::{Basis, Parts, Record};

/// How systems are solved, for what is explained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    /// As the levels say.
    Said,
    /// By one loop for each part.
    Jointly(Joint),
}

impl Program {
    /// The passes through the stops of level `k`, each with what the multipliers of its level take.
    pub(super) fn explain_passes(&mut self, k: usize, bases: &Bases, way: Way) -> Result<Vec<Pass>, EngineError> {
        let stops: Vec<usize> = self.schedule.levels[k].sweep.iter().map(|stop| stop.level).collect();
        let mut response = Response::default();
        response.count();
        match (way, self.joint(k), self.inexact(k)) {
            (Way::Jointly(joint), ..) | (Way::Said, Some(joint), _) => response.solve_jointly(joint),
            (Way::Said, None, Some(inexact)) => response.solve_inexactly(inexact),
            (Way::Said, None, None) => {}
        }
        let mut passes: BTreeMap<usize, Pass> = BTreeMap::new();
        for &Through { level: stop, into } in self.schedule.levels[k].sweep {
            let is_function = bases.first(stop).is_some_and(|basis| basis.steps().is_some());
            if let Some(record) = self.levels[stop].trajectory.clone().filter(|_| !is_function) {
                passes.insert(stop, self.explain_steps(stop, k, into, &record, bases)?);
                response.add(stop, BestResponse::unrolled(Box::new(CountedSteps), into));
                continue;
            }
            let pass = self.explain_stop(stop, bases, &mut response)?;
            passes.insert(stop, pass);
        }
        let failed = self.failure(k);
        let before: BTreeMap<usize, usize> =
            response.reports().iter().map(|(&of, report)| (of, report.products)).collect();
        let x = response.solve(&stops, &self.sent_down(k)).map_err(&failed)?;
        response.taken_off(&x, &stops, &[Variable::Level(k)]).map_err(&failed)?;
        let formed = |of: usize| response.reports()[&of].products - before.get(&of).copied().unwrap_or(0);
        for (&stop, pass) in passes.iter_mut().filter(|(_, pass)| pass.response.products.is_none()) {
            if self.joint(k).is_some() {
                pass.response.products = Some(formed(stop));
            } else if let Some(budget) = self.budget(stop, response.unknowns_of(stop)) {
                pass.response.products = Some(budget);
            }
        }
        let (taken, evaluated) = response.counted();
        for (stop, tally) in taken {
            if let Some(pass) = passes.get_mut(&stop) {
                pass.response.cost += tally.cost;
                pass.reads += tally.reads;
                pass.peak = pass.peak.max(tally.peak);
            }
        }
        for stop in evaluated {
            let curvatures = self.curvatures(stop, bases)?;
            if let Some(pass) = passes.get_mut(&stop) {
                curvatures.iter().for_each(|curvature| pass.response.cost += curvature.borrow().point_cost());
                // What is kept at one of the points is held with a product there already.
                pass.peak += curvatures.iter().skip(1).map(|curvature| curvature.borrow().kept_bytes()).sum::<usize>();
            }
        }
        Ok(stops.iter().filter_map(|stop| passes.remove(stop)).collect())
    }

    /// Adds a stop that is solved to the response; answers what it takes to come to its point: for a level with levels below,
    /// its loss and the solve for its multipliers.
    fn explain_stop(&mut self, stop: usize, bases: &Bases, response: &mut Response) -> Result<Pass, EngineError> {
        let curvatures = self.curvatures(stop, bases)?;
        let is_partial = self.levels[stop].is_partial();
        let steps = bases.first(stop).and_then(Basis::steps);
        let is_function = steps.is_some();
        let config = self.levels[stop].config.hypergradient.clone();
        let next = config.filter(|method| self.methods[stop].is_none() && method.looks_at_next_step() && !is_function);
        let sweep: Vec<usize> = self.schedule.levels[stop].sweep.iter().map(|stop| stop.level).collect();
        let mut pass = self.pass(stop, steps.map(|steps| steps.batches.len()));
        if !is_function && (next.is_some() || !(is_partial || sweep.is_empty())) {
            let of = self.schedule.differentiates(stop);
            let name = self.levels[stop].name;
            for basis in bases.of(stop) {
                let Basis::Loss { batch, .. } = basis else { continue };
                let gradient = self.losses.get_mut(stop, batch).gradient(&of);
                let gradient = gradient.map_err(|source| EngineError::Graph { level: name.into(), source })?;
                pass.response.cost += gradient.cost();
                pass.reads += 1.0;
            }
            if !sweep.is_empty() {
                let failed = self.failure(stop);
                let x = response.solve(&sweep, &self.sent_down(stop)).map_err(&failed)?;
                response.taken_off(&x, &sweep, &[Variable::Level(stop)]).map_err(&failed)?;
                for tally in response.counted().0.into_values() {
                    pass.response.cost += tally.cost;
                    pass.reads += tally.reads;
                    pass.peak = pass.peak.max(tally.peak);
                }
            }
        }
        let method = match next {
            Some(config) => self.next_method(stop, &config),
            None => self.methods[stop].clone().filter(|_| !is_function),
        };
        let below = self.answering_below(stop);
        let at = |curvature| (curvature, Point::new(Vec::new(), 0));
        response.add(stop, BestResponse::averaged(method, curvatures.into_iter().map(at).collect(), below));
        Ok(pass)
    }

    /// The method of a level that looks at its next step, which nobody asks for that step.
    fn next_method(&self, stop: usize, config: &HypergradientConfig) -> Option<Rc<dyn HypergradientMethod>> {
        config.build_on(self.levels[stop].next_step(Vector::default(), self.learned(stop), &[], Vec::new()))
    }

    /// One pass through the steps of `stop` on the way to `k`.
    fn explain_steps(
        &mut self,
        stop: usize,
        k: usize,
        into: &[usize],
        record: &Record,
        bases: &Bases,
    ) -> Result<Pass, EngineError> {
        let graph = |source| EngineError::Graph { level: self.schedule.levels[stop].name.into(), source };
        let curvatures = self.curvatures(stop, bases)?;
        let into: Vec<Variable> = into.iter().copied().map(Variable::Level).collect();
        let product = Products::Exact.cost(&mut curvatures[0].borrow_mut(), &into).map_err(graph)?;
        let product = product.times(curvatures.len());
        let level = &self.levels[stop];
        let goes_on = self.starts_from(stop).is_some();
        let mut parts = Parts { product, goes_on, update: level.update.cost(), ..Parts::default() };
        if let (true, Some(Basis::Loss { batch, .. }), Some(Basis::Loss { batch: above, .. })) =
            (record.needs_loss(), bases.first(stop), bases.first(k))
        {
            let gradient = self.losses.get_mut(stop, batch).gradient(&[stop]).map_err(graph)?;
            let loss = self.losses.get_mut(k, above).gradient(&[]).map_err(graph)?;
            (parts.gradient, parts.loss) = (gradient.cost(), loss.cost());
        }
        let waits = self.schedule.levels[k].lower.contains(&stop);
        let rounds = if waits { self.levels[k].config.rounds } else { 1 };
        let (steps, each) = ((rounds, level.config.unroll), level.evaluations());
        let (products, cost, reads) = record.cost(steps, each, self.parameters_above(stop), &parts);
        let mut pass = self.pass(stop, Some(products));
        (pass.response.cost, pass.reads, pass.peak) = (cost, reads, parts.product.peak);
        Ok(pass)
    }

    fn pass(&self, stop: usize, products: Option<usize>) -> Pass {
        let level = &self.levels[stop];
        let method = level.config.hypergradient.as_ref().map_or("", HypergradientConfig::name);
        Pass {
            response: ResponseCost { through: level.name, method, products, cost: Cost::default() },
            reads: 0.0,
            peak: 0,
        }
    }

    /// How many products the method of a level forms for so many unknowns, if it says so.
    pub(super) fn budget(&self, stop: usize, unknowns: usize) -> Option<usize> {
        let method = self.methods[stop].as_ref()?;
        Some(method.budget(unknowns)?.products + method.preparation(unknowns).products)
    }

    /// Where the derivative of the loss of level `k` in what is below is not zero.
    fn sent_down(&self, k: usize) -> Blocks {
        let below = self.schedule.differentiates(k).into_iter().filter(|&of| of != k);
        below.map(|of| (Variable::Level(of), Vector::default())).collect()
    }

    /// What becomes of an error on the way through what is below level `k`.
    fn failure(&self, k: usize) -> impl Fn(HypergradientError) -> EngineError + use<> {
        let (level, step) = (self.levels[k].name, self.levels[k].steps + 1);
        move |source| EngineError::Hypergradient {
            level: level.into(),
            through: level.into(),
            step,
            source: Box::new(source),
        }
    }
}
