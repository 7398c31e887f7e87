//! What one loop over everything below a level takes, at most.

use super::best_response::Stationary;
use super::parts::Part;
use super::{Direction, Joint, Response};
use crate::derivatives::Variable;
use crate::execute::Cost;
use crate::graph::GraphError;

/// What one part of a system takes.
pub(crate) struct PartCost {
    /// Its levels.
    pub(crate) levels: Vec<usize>,
    /// Products with it.
    pub(crate) products: usize,
    /// All of them, and what is sent on.
    pub(crate) cost: Cost,
    /// Numbers that are read from the device.
    pub(crate) reads: f64,
    /// Bytes held at once.
    pub(crate) peak: usize,
}

impl Response {
    /// What it takes to solve the system of `levels` by one loop for each part and to send on to `above`, apart from what is
    /// evaluated once at a point. Steps are left out.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub(crate) fn cost_of_parts(
        &mut self,
        joint: Joint,
        levels: &[usize],
        above: Variable,
    ) -> Result<Vec<PartCost>, GraphError> {
        let mut open = levels.to_vec();
        let mut costs = Vec::new();
        for part in self.parts(levels) {
            open.retain(|level| !part.levels().contains(level));
            let Part::System(levels) = part else { continue };
            let unknowns: Vec<Variable> = levels.iter().flat_map(|&level| self.variables(level)).collect();
            let behind: Vec<Variable> = open.iter().flat_map(|&level| self.variables(level)).collect();
            let Joint { iterations, restart, .. } = joint;
            let mut each = Tally::default();
            let uppermost = self.uppermost(&levels).filter(|_| joint.at_one_point);
            match uppermost {
                Some(level) => self.count(level, Some(&unknowns), &unknowns, &mut each)?,
                None => levels.iter().try_for_each(|&level| self.count(level, None, &unknowns, &mut each))?,
            }
            let mut prepared = Tally::default();
            if joint.prepared {
                self.count_preparation(&levels, Direction::Adjoint, &mut prepared)?;
            }
            let (products, reads) = match uppermost {
                Some(_) if !joint.prepared => (iterations, 2.0 * iterations as f64 + 2.0),
                _ => (iterations + iterations.div_ceil(restart), (iterations * (restart.min(iterations) + 2)) as f64),
            };
            // What the last solution leaves is one product.
            let products = products + usize::from(joint.warm_start);
            let mut sent = Tally::default();
            for &level in &levels {
                self.count(level, None, &behind, &mut sent)?;
                self.count(level, None, &[above], &mut sent)?;
            }
            let cost = each.cost * products as f64 + prepared.cost * iterations as f64 + sent.cost;
            let reads = reads + prepared.reads * iterations as f64;
            let peak = each.peak.max(sent.peak).max(prepared.peak);
            costs.push(PartCost { levels, products, cost, reads, peak });
        }
        Ok(costs)
    }

    /// Adds what prepares one iteration: the walk of [`eliminate`](Self::eliminate), with the budgets of the methods.
    fn count_preparation(&self, levels: &[usize], direction: Direction, tally: &mut Tally) -> Result<(), GraphError> {
        let Some((&level, lower)) = levels.split_last() else { return Ok(()) };
        let Some(Stationary { own, below, method, .. }) = self.stops.get(&level) else { return Ok(()) };
        let variable = Variable::Level(level);
        let solved: Vec<Variable> = lower.iter().flat_map(|&level| self.variables(level)).collect();
        let multipliers: Vec<Variable> = self.variables(level).skip(1).collect();
        let all: Vec<Variable> = solved.iter().chain(&multipliers).copied().collect();
        if !below.is_empty() {
            self.count_preparation(below, direction.other(), tally)?;
        }
        if !lower.is_empty() {
            self.count_preparation(lower, direction, tally)?;
        }
        match direction {
            Direction::Adjoint => {
                // What the multipliers do to the levels below, …
                self.count(level, Some(&own[1..]), &solved, tally)?;
                self.count(level, Some(&own[1..]), &[variable], tally)?;
                // … and what both do to the level.
                lower.iter().try_for_each(|&level| self.count(level, None, &[variable], tally))?;
            }
            Direction::Tangent => {
                self.count(level, Some(&solved), &own[1..], tally)?;
                self.count(level, Some(&all), &own[..1], tally)?;
            }
        }
        let budget = method.budget(self.zeros(variable).len()).unwrap_or_default();
        let mut product = Tally::default();
        let (moving, rows) = match direction {
            Direction::Adjoint => (own[0], variable),
            Direction::Tangent => (variable, own[0]),
        };
        self.count(level, Some(&[moving]), &[rows], &mut product)?;
        tally.cost += product.cost * budget.products as f64;
        tally.peak = tally.peak.max(product.peak);
        tally.reads += budget.reads;
        Ok(())
    }

    /// Adds one product with the conditions of a level, along its own variables unless others are said.
    fn count(
        &self,
        level: usize,
        moving: Option<&[Variable]>,
        rows: &[Variable],
        tally: &mut Tally,
    ) -> Result<(), GraphError> {
        let Some(Stationary { own, curvature, .. }) = self.stops.get(&level) else { return Ok(()) };
        let curvature = &mut *curvature.borrow_mut();
        let known = |of: &[Variable]| -> Vec<Variable> {
            of.iter().copied().filter(|&variable| curvature.depends_on(variable)).collect()
        };
        let (moving, rows) = (known(moving.unwrap_or(own)), known(rows));
        if !moving.is_empty() && !rows.is_empty() {
            let (cost, peak) = curvature.cost(&moving, &rows)?;
            tally.cost += cost;
            tally.peak = tally.peak.max(peak);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Tally {
    cost: Cost,
    peak: usize,
    reads: f64,
}
