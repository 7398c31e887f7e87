//! Some directions of the parameters above, and how everything that depends on them moves along them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::step::Evaluation;
use super::update::Before;
use crate::derivatives::{Point, Variable};
use crate::execute::{Value, Vector};
use crate::hypergradient::{Blocks, HypergradientError, ProductError};
use crate::linalg::InnerProductSpace;

/// How many directions go together at the most: enough for few and large kernels, and no more than so many times the memory
/// of one product.
pub(crate) const TOGETHER: usize = 8;

/// Some directions, with the tangents that belong to them along a leading dimension.
#[derive(Clone)]
pub(crate) struct Carried {
    pub(crate) directions: Rc<Together>,
    /// Those of the level, and of levels that are followed. Without any, a level stands still.
    pub(crate) moving: BTreeMap<usize, Moving>,
    /// Those with which levels that are followed began their rounds since the level's last step, and when; none for a level
    /// that stood still.
    pub(crate) rounds: BTreeMap<usize, Vec<(u64, Option<Moving>)>>,
    /// How the answers below moved when the level last evaluated its gradient.
    pub(crate) answers: Blocks,
}

/// Tangents of a level's parameters and of its optimizer's states.
#[derive(Clone)]
pub(crate) struct Moving {
    pub(crate) parameters: Vector,
    pub(crate) states: Vec<Value>,
}

/// Directions that have the same blocks.
pub(crate) struct Together {
    pub(crate) each: Vec<Blocks>,
    /// All of them, along a leading dimension.
    pub(crate) stacked: Blocks,
}

impl Carried {
    /// A level starts at the parameters of another, or stands still.
    pub(crate) fn start(&mut self, level: usize, from: Option<usize>) {
        self.moving.remove(&level);
        let at = from.and_then(|from| match self.directions.stacked.get(Variable::Level(from)) {
            Some(direction) => Some(direction.clone()),
            None => self.moving.get(&from).map(|moving| moving.parameters.clone()),
        });
        if let Some(parameters) = at {
            self.moving.insert(level, Moving { parameters, states: Vec::new() });
        }
    }

    /// The tangents with which a level began the round whose first step was taken at this time.
    fn begun(&self, level: usize, time: u64) -> Option<&Moving> {
        self.rounds.get(&level)?.iter().rfind(|&&(began, _)| began <= time)?.1.as_ref()
    }

    /// The tangents that a level had at this time, not before the last step of the level that is followed by none.
    fn at(&self, level: usize, time: u64) -> Option<&Moving> {
        let later = self.rounds.get(&level).and_then(|rounds| rounds.iter().find(|&&(began, _)| began >= time));
        later.map_or_else(|| self.moving.get(&level), |(_, moving)| moving.as_ref())
    }

    /// What moves along direction number `index` besides `level`.
    pub(crate) fn lane(&self, level: usize, index: usize) -> Blocks {
        let mut lane = self.directions.each[index].clone();
        for (&other, moving) in self.moving.iter().filter(|(other, _)| **other != level) {
            lane.set(Variable::Level(other), moving.parameters.lane(index));
        }
        lane
    }
}

impl Moving {
    /// Both as one block.
    fn whole(&self) -> Vector {
        Vector(self.parameters.0.iter().chain(&self.states).cloned().collect())
    }
}

/// How the gradient of a level on one batch moves along all directions, and how the answers of the levels `read` do.
pub(crate) fn gradients_along(
    level: usize,
    evaluation: &Evaluation,
    before: &Before,
    carried: &[Carried],
    read: &[usize],
) -> Result<Vec<(Vector, Blocks)>, HypergradientError> {
    let own = Variable::Level(level);
    let answers = |of: usize| evaluation.conditions.iter().any(|condition| condition.level == of);
    // What answers below has begun somewhere; everything else that moves is read as it is.
    let others = |carried: &Carried| {
        let others = carried.moving.keys().filter(|of| !answers(**of));
        let others =
            others.filter_map(|&of| Some((Variable::Level(of), carried.at(of, evaluation.time)?.parameters.clone())));
        let begun = evaluation.begun.iter();
        let begun = begun.filter_map(|&(of, time)| Some((Variable::Begun(of), carried.begun(of, time)?.whole())));
        others.chain(begun).collect::<Vec<_>>()
    };
    if evaluation.conditions.len() > 1 {
        // Answers from below are found for one direction after the other.
        let mut response = evaluation.response(&before.parameters);
        let along = |carried: &Carried| {
            let others = others(carried);
            let lanes = carried.directions.each.iter().enumerate().map(|(index, direction)| {
                let parameters = carried.moving[&level].parameters.lane(index);
                let still = parameters.zero();
                let mut moving = direction.clone();
                others.iter().for_each(|(of, tangents)| moving.set(*of, tangents.lane(index)));
                moving.set(own, parameters);
                let (gradient, answers) = response.gradient_along(level, &moving)?;
                Ok((gradient.unwrap_or(still), answers.only(|variable| read.contains(&variable.owner()))))
            });
            let (gradients, answers): (Vec<_>, Vec<_>) =
                lanes.collect::<Result<Vec<_>, HypergradientError>>()?.into_iter().unzip();
            Ok((Vector::stacked(&gradients), stacked(&answers)))
        };
        return carried.iter().map(along).collect();
    }
    // Nothing is below, so that it has one batch, the evaluation's own.
    let own_condition = evaluation.own_condition(&before.parameters);
    let Some(on) = own_condition.and_then(|condition| condition.batches.into_iter().next()) else {
        return Ok(Vec::new());
    };
    let mut point = Point::new(on.inputs, on.seed);
    let mut curvature = on.curvature.borrow_mut();
    let along = |carried: &Carried| {
        let (others, parameters) = (others(carried), &carried.moving[&level].parameters);
        let Together { each, stacked } = &*carried.directions;
        let above = stacked.variables().filter_map(|of| Some((of, stacked.get(of)?)));
        let others = others.iter().map(|(of, tangents)| (*of, tangents));
        let moving = above.chain(others).chain([(own, parameters)]).filter(|&(of, _)| curvature.depends_on(of));
        let moving: Vec<(Variable, &Vector)> = moving.collect();
        let found = curvature.products(&mut point, &moving, &[own], each.len()).map_err(ProductError::from)?;
        let found = curvature.summed(found).map_err(ProductError::from)?;
        let gradient = found.into_iter().next().map_or_else(|| parameters.zero(), |(_, gradient)| gradient);
        Ok((gradient, Blocks::default()))
    };
    carried.iter().map(along).collect()
}

/// Blocks that all of these have, along a leading dimension; zero where one has none.
fn stacked(each: &[Blocks]) -> Blocks {
    let variables: BTreeSet<Variable> = each.iter().flat_map(Blocks::variables).collect();
    let stack = |variable: Variable| {
        let like = each.iter().find_map(|blocks| blocks.get(variable))?;
        let lanes: Vec<Vector> =
            each.iter().map(|blocks| blocks.get(variable).cloned().unwrap_or_else(|| like.zero())).collect();
        Some((variable, Vector::stacked(&lanes)))
    };
    variables.into_iter().filter_map(stack).collect()
}

/// Puts neighbours with the same blocks together, in parts of nearly the same size.
pub(crate) fn together(directions: Vec<Blocks>) -> Vec<Together> {
    let same = |a: &Blocks, b: &Blocks| a.variables().eq(b.variables());
    let groups = directions.chunk_by(same).flat_map(|group| {
        let parts = group.len().div_ceil(TOGETHER);
        group.chunks(group.len().div_ceil(parts))
    });
    groups.map(|each| Together { each: each.to_vec(), stacked: stacked(each) }).collect()
}
