//! What a hypergradient takes whose systems are solved by one loop each.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Pass, ResponseCost, Way};
use crate::derivatives::{Point, Variable};
use crate::error::EngineError;
use crate::execute::Cost;
use crate::hypergradient::{BestResponse, Joint, PartCost, Response};
use crate::program::Program;
use crate::steps::Basis;

impl Program {
    /// The passes through the stops of level `k`. What a part takes is told at its last level, and what the multipliers of a
    /// level take at that level.
    pub(super) fn explain_jointly(
        &mut self,
        k: usize,
        joint: Joint,
        bases: &BTreeMap<usize, Basis>,
    ) -> Result<Vec<Pass>, EngineError> {
        let stops: Vec<usize> = self.schedule.levels[k].sweep.iter().map(|stop| stop.level).collect();
        let mut response = Response::default();
        let mut passes: BTreeMap<usize, Pass> = BTreeMap::new();
        let mut curvatures = Vec::new();
        for &stop in &stops {
            let is_function = bases[&stop].steps().is_some();
            if self.levels[stop].trajectory.is_some() && !is_function {
                passes.insert(stop, self.explain_response(stop, k, bases, Way::PLAIN)?);
                continue;
            }
            let curvature = self.losses.prepare_curvature(&self.schedule, &self.levels, stop, bases)?;
            let point = Point::new(Vec::new(), 0);
            let below = self.answering_below(stop);
            let (of, level) = (Rc::clone(&curvature), &self.levels[stop]);
            response.add(
                stop,
                match self.methods[stop].as_ref().filter(|_| !is_function) {
                    Some(method) => BestResponse::stationary(Rc::clone(method), of, point, Rc::clone(&below)),
                    None => BestResponse::evaluated(of, point, Rc::clone(&below)),
                },
            );
            let method =
                if is_function { level.config.hypergradient.as_ref().map_or("", |of| of.name()) } else { "joint" };
            let through = ResponseCost { through: level.name, method, products: Some(0), cost: Cost::default() };
            let mut pass = Pass { response: through, reads: 0.0, peak: 0 };
            if let (false, false, Basis::Loss { batch, .. }) = (below.is_empty(), is_function, &bases[&stop]) {
                // Its multipliers are part of its point, and rest on the derivative of its loss.
                let (graph, of) = (self.graph_error(stop), self.schedule.differentiates(stop));
                let gradient = self.losses.get_mut(stop, batch).gradient(&of).map_err(&graph)?;
                pass.response.cost += gradient.cost();
                pass.reads += 1.0;
                let parts = response.cost_of_parts(joint, &below, Variable::Level(stop)).map_err(&graph)?;
                parts.into_iter().for_each(|part| pass.add(&part));
            }
            passes.insert(stop, pass);
            curvatures.push((stop, curvature));
        }
        let parts = response.cost_of_parts(joint, &stops, Variable::Level(k)).map_err(self.graph_error(k))?;
        for part in parts {
            if let Some(pass) = part.levels.last().and_then(|level| passes.get_mut(level)) {
                pass.add(&part);
                pass.response.products = Some(part.products);
            }
        }
        for (stop, curvature) in curvatures {
            if let Some(pass) = passes.get_mut(&stop) {
                pass.response.cost += curvature.borrow().point_cost();
            }
        }
        Ok(stops.iter().filter_map(|stop| passes.remove(stop)).collect())
    }

    /// What becomes of an error in a graph of level `k`.
    fn graph_error(&self, k: usize) -> impl Fn(crate::graph::GraphError) -> EngineError + use<> {
        let level = self.levels[k].name;
        move |source| EngineError::Graph { level: level.into(), source }
    }
}

impl Pass {
    fn add(&mut self, part: &PartCost) {
        self.response.cost += part.cost;
        self.reads += part.reads;
        self.peak = self.peak.max(part.peak);
    }
}
