//! The total gradient of a level: its direct gradient, and what comes up through the best responses below.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::error::EngineError;
use super::event::Event;
use super::level::Level;
use super::losses::{BatchPoint, gather};
use super::program::Multilevel;
use super::train::Engine;
use crate::derivatives::{Input, Point, Variable};
use crate::execute::{Value, Vector};
use crate::graph::Node;
use crate::hypergradient::{Blocks, Direction, Response, SolveReport, Stop};
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
        batch: &Rc<AnyBatch>,
        seed: u64,
    ) -> Result<TotalGradient, EngineError> {
        let Derivative { loss, square_norm, own, below } = self.derivative(k, batch, seed)?;
        if P::SCHEDULE.levels[k].sweep.is_empty() {
            return Ok(TotalGradient { loss, gradient: own, norm: square_norm.sqrt() });
        }
        let mut gradient = own;
        if let Some(indirect) = self.indirect(k, &below)? {
            gradient.add_scaled(1.0, &indirect);
        }
        let square_norm = gradient.dot(&gradient)?;
        self.check_finite(k, "hypergradient", square_norm)?;
        Ok(TotalGradient { loss, gradient, norm: square_norm.sqrt() })
    }

    /// The loss of level `k` with its direct derivatives: in the level's parameters, and in those of the levels below whose
    /// best responses answer to it.
    fn derivative(&mut self, k: usize, batch: &Rc<AnyBatch>, seed: u64) -> Result<Derivative, EngineError> {
        let spec = &P::SCHEDULE.levels[k];
        let stops = spec.sweep.iter().map(|stop| stop.level).filter(|level| spec.lower.contains(level));
        let of: Vec<usize> = std::iter::once(k).chain(stops).collect();
        let loss = self.losses.prepare(&self.problem, &self.levels, k, batch, seed)?;
        let inputs = gather(loss, &self.levels, batch);
        let program = loss.gradient(&of).map_err(|source| EngineError::Graph { level: spec.name.into(), source })?;
        let found = program.run(inputs, seed)?;
        self.check_finite(k, "loss", found.loss)?;
        self.check_finite(k, "gradient", found.square_norm)?;
        let mut parts = of.into_iter().map(Variable::Level).zip(found.of);
        let own = parts.next().map(|(_, own)| own).unwrap_or_default();
        Ok(Derivative { loss: found.loss, square_norm: found.square_norm, own, below: parts.collect() })
    }

    /// What level `k` gets of `right`, the derivative of its loss in what is solved below it, through best responses.
    fn indirect(&mut self, k: usize, right: &Blocks) -> Result<Option<Vector>, EngineError> {
        let stops: Vec<usize> = P::SCHEDULE.levels[k].sweep.iter().map(|stop| stop.level).collect();
        let mut points = BTreeMap::new();
        let mut keys = BTreeMap::new();
        let mut nested = BTreeMap::new();
        for &stop in &stops {
            let (batch, seed) = self.lower_batch(stop)?;
            if P::SCHEDULE.levels[stop].sweep.is_empty() {
                self.losses.prepare(&self.problem, &self.levels, stop, &batch, seed)?;
            } else {
                nested.insert(stop, self.derivative(stop, &batch, seed)?.below);
            }
            points.insert(stop, BatchPoint { batch, seed });
            keys.insert(stop, self.losses.prepare_curvature::<P>(stop, &points)?);
        }
        let mut curvatures = self.losses.curvatures(&keys);
        let mut response = Response::default();
        let mut multipliers = Blocks::default();
        let solved = stops.iter().try_for_each(|&stop| {
            let curvature = curvatures.remove(&stop).expect("it was prepared above");
            let below: Rc<[usize]> = P::SCHEDULE.levels[stop].sweep.iter().map(|stop| stop.level).collect();
            if let Some(right) = nested.get(&stop) {
                let mut solution = response.solve(&below, Direction::Adjoint, right)?;
                for (index, &variable) in curvature.lagrangian().own()[1..].iter().enumerate() {
                    let multiplier = Variable::Multiplier { of: stop, index };
                    let zeros = || curvature.zeros(multiplier);
                    multipliers.set(multiplier, solution.take(variable).unwrap_or_else(zeros));
                }
            }
            let inputs = curvature.lagrangian().inputs();
            let inputs = inputs.map(|(input, like)| value(input, like, &self.levels, &points, &multipliers)).collect();
            let method = self.methods[stop].as_deref().expect("validation asks for a method wherever a sweep passes");
            response.add(stop, Stop { method, curvature, point: Point::new(inputs, points[&stop].seed), below });
            Ok(())
        });
        let own = Variable::Level(k);
        let sent = solved.and_then(|()| {
            let solution = response.solve(&stops, Direction::Adjoint, right)?;
            response.apply(Direction::Adjoint, &solution, &[own])
        });
        let (reports, failed) = (response.reports().clone(), response.failed());
        let name = self.levels[k].name;
        let mut sent = sent.map_err(|source| EngineError::Hypergradient {
            level: name.into(),
            through: failed.map_or(name, |failed| self.levels[failed].name).into(),
            step: self.levels[k].steps + 1,
            source: Box::new(source),
        })?;
        for (stop, SolveReport { products, residual }) in reports {
            let through = self.levels[stop].name;
            self.emit(&Event::Hypergradient { level: k, name, through, products, residual });
        }
        Ok(sent.take(own).map(|mut indirect| {
            indirect.scale(-1.0);
            indirect
        }))
    }
}

/// A loss with its direct derivatives.
struct Derivative {
    loss: f64,
    /// Sum of squares of all derivatives.
    square_norm: f64,
    /// In the level's own parameters.
    own: Vector,
    /// In the parameters of levels below.
    below: Blocks,
}

/// The current value of an input of a Lagrangian.
fn value(
    input: Input,
    like: &Node,
    levels: &[Level],
    points: &BTreeMap<usize, BatchPoint>,
    multipliers: &Blocks,
) -> Value {
    match input {
        Input::Leaf { level, index } => levels[level].leaves[index].clone(),
        Input::Batch { level, index } => points[&level].batch.values()[index].clone(),
        Input::Draw { level, draw, distribution } => {
            Value::draw(like, distribution, points[&level].seed, draw, &levels[level].device())
        }
        Input::Multiplier { of, index, part } => {
            let multiplier = multipliers.get(Variable::Multiplier { of, index });
            multiplier.expect("a stop comes after its own stops").0[part].clone()
        }
    }
}
