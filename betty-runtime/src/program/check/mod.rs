//! A hypergradient compared with a reference on a user's own problem and data.

mod report;

use std::collections::BTreeMap;

pub use report::{HypergradientCheck, ResponseCheck};

use super::bases::Bases;
use super::context::Context;
use super::passings::Use;
use super::{LossFunctions, Program, Sample};
use crate::config::{CurvatureOf, HypergradientConfig, Learned, OptimizerConfig, Start};
use crate::error::EngineError;
use crate::execute::{Value, Vector};
use crate::graph::Distribution;
use crate::hypergradient::{Direction, HypergradientError, reference, reference_without_symmetry};
use crate::linalg::{End, SolveError, Spectrum, extreme_eigenvalues};
use crate::schedule::Through;
use crate::steps::mean;

/// An end of no spectrum: of a matrix without symmetry it would be one of the symmetric part.
const UNKNOWN: End = End { value: f64::NAN, error: f64::NAN };
/// The most products spent on a spectrum; a vector is kept of each.
const PRODUCTS: usize = 60;

impl Program {
    /// Refuses a hypergradient of level `k` that is only direct, or that passes through what the exact derivative of a best response
    /// knows nothing of.
    ///
    /// # Errors
    /// [`EngineError::NoHypergradient`] and [`EngineError::NoReference`].
    pub(crate) fn check_reference(&self, k: usize) -> Result<(), EngineError> {
        let spec = &self.schedule.levels[k];
        if spec.sweep.is_empty() {
            return Err(EngineError::NoHypergradient { level: spec.name.into() });
        }
        for &Through { level, into } in spec.sweep {
            let lower = &self.levels[level];
            if lower.trajectory.is_none() {
                continue;
            }
            let names = self.schedule.levels;
            let optimizers = lower.config.all_groups().filter_map(|group| group.optimizer);
            let unseen = |optimizer: &'_ OptimizerConfig| {
                let is_into = |learned: &Learned| into.iter().any(|&above| names[above].name == learned.level);
                let mut learned = optimizer.learned();
                learned
                    .find(|&(option, learned)| is_into(learned) && !optimizer.decides_rest(option, learned))
                    .map(|(option, _)| option)
            };
            let learned = optimizers.filter_map(unseen).next();
            let starts =
                lower.config.start == Start::From && names[level].start.is_some_and(|from| into.contains(&from));
            let what = match learned {
                Some(option) => format!("`{option}`"),
                None if starts => "the start".to_owned(),
                None if lower.update.after_step().is_some() => "what follows each step".to_owned(),
                None if lower.config.all_groups().any(|group| group.project.is_some()) => {
                    "the set in `project`".to_owned()
                }
                None => continue,
            };
            return Err(EngineError::NoReference { level: spec.name.into(), through: lower.name.into(), what });
        }
        Ok(())
    }

    /// Compares the total gradient of level `k` with that of a program at the same point whose best responses are
    /// differentiated exactly; `sample` has a batch for every stop.
    ///
    /// # Errors
    /// As for a step.
    pub(crate) fn compare(
        &mut self,
        functions: &dyn LossFunctions,
        k: usize,
        sample: &Sample,
    ) -> Result<HypergradientCheck, EngineError> {
        let passings = self.passings(k, Use::Value)?;
        self.prepare(functions, k, sample, &passings)?;
        let chosen = self.find_gradient(k, sample, passings)?;
        let residuals: BTreeMap<usize, Option<f64>> =
            chosen.reports.iter().map(|&(stop, report)| (stop, report.residual)).collect();
        self.read_numbers(k, chosen.numbers)?;
        let chosen = chosen.gradient;
        let mut exact = self.with_references(k);
        let passings = exact.passings(k, Use::Value)?;
        exact.prepare(functions, k, sample, &passings)?;
        let reference = exact.find_gradient(k, sample, passings)?;
        exact.read_numbers(k, reference.numbers)?;
        let mut responses = Vec::new();
        for stop in self.schedule.levels[k].sweep.iter().map(|stop| stop.level) {
            let report = reference.reports.iter().find(|(of, _)| *of == stop);
            responses.push(ResponseCheck {
                residual: residuals.get(&stop).copied().flatten(),
                reference_residual: report.and_then(|(_, report)| report.residual).unwrap_or(f64::NAN),
                ..exact.look_at(functions, stop, sample)?
            });
        }
        let reference = reference.gradient;
        let (norm, reference_norm) = (chosen.dot(&chosen)?.sqrt(), reference.dot(&reference)?.sqrt());
        let product = chosen.dot(&reference)?;
        let mut gap = chosen;
        gap.add_scaled(-1.0, &reference);
        Ok(HypergradientCheck {
            level: self.levels[k].name,
            norm,
            reference_norm,
            relative_error: gap.dot(&gap)?.sqrt() / reference_norm,
            cosine: product / (norm * reference_norm),
            responses,
        })
    }

    /// A program at the same point in which the reference differentiates every best response below level `k`. What rounded
    /// products lose is part of the error, so its products are exact.
    fn with_references(&self, k: usize) -> Program {
        let (mut levels, mut methods) = (self.levels.clone(), self.methods.clone());
        for stop in self.schedule.levels[k].sweep {
            levels[stop.level].trajectory = None;
            levels[stop.level].config.curvature = CurvatureOf::Total;
            let unknowns = levels[stop.level].parameters().len();
            methods[stop.level] = Some(match self.schedule.levels[stop.level].condition {
                None => reference(unknowns),
                Some(_) => reference_without_symmetry(unknowns),
            });
        }
        // Nor does it share the way to solve them.
        levels.iter_mut().for_each(|level| level.config.solve = None);
        let (losses, clock) = (self.losses.unrounded(), self.clock.clone());
        Program {
            schedule: self.schedule,
            levels,
            losses,
            methods,
            solvers: self.solvers.clone(),
            fresh: self.fresh,
            takers: self.takers.clone(),
            syncs_last: false,
            clock,
            tells_parts: false,
            unread: None,
        }
    }

    /// The best response of one level, by its reference method.
    fn look_at(
        &mut self,
        functions: &dyn LossFunctions,
        stop: usize,
        sample: &Sample,
    ) -> Result<ResponseCheck, EngineError> {
        let name = self.levels[stop].name;
        let failed = |source: HypergradientError| EngineError::Hypergradient {
            level: name.into(),
            through: name.into(),
            step: 0,
            source: Box::new(source),
        };
        let batches = &sample.below[&stop];
        let mut gradients = Vec::with_capacity(batches.len());
        for own in batches {
            let own = Sample { own: own.clone(), below: sample.below.clone() };
            let passings = self.passings(stop, Use::Value)?;
            self.prepare(functions, stop, &own, &passings)?;
            gradients.push(self.total_gradient(stop, &own, passings)?.gradient);
        }
        let gradient = mean(gradients.into_iter(), batches.len());
        let parameters = self.levels[stop].parameters();
        let (rest, norm) = match self.schedule.levels[stop].condition {
            None => match self.levels[stop].update.decay_gradient(&parameters, self.learned(stop)) {
                None => {
                    let norm = gradient.dot(&gradient)?.sqrt();
                    (gradient, norm)
                }
                Some(mut rest) => {
                    let moved = self.moved_on(stop, &Bases::below(sample));
                    for (rest, _) in rest.0.iter_mut().zip(moved).filter(|(_, is_moved)| !is_moved) {
                        *rest = Value::zeros(&rest.shape(), rest.dtype(), &rest.device());
                    }
                    rest.add_scaled(1.0, &gradient);
                    let norm = rest.dot(&rest)?.sqrt();
                    (rest, norm)
                }
            },
            Some(_) => {
                let gaps = batches.iter().map(|(batch, seed)| self.gap(stop, batch, *seed, &parameters));
                let gap = mean(gaps, batches.len());
                let norm = gap.dot(&gap)?.sqrt();
                (gap, norm)
            }
        };
        let method = self.methods[stop].clone();
        let context = &mut Context::default();
        let passings = self.passings(stop, Use::Derivative)?;
        self.prepare_stops(stop, sample, passings, context)?;
        self.prepare_stop(stop, sample, context)?;
        let is_fixed = self.schedule.levels[stop].condition.is_some();
        // A Newton step solves with the matrix itself, a hypergradient with its transpose.
        let direction = if is_fixed { Direction::Tangent } else { Direction::Adjoint };
        // What no step moves is no part of the system.
        let (start, rest) =
            (context.response.part_of(stop, &noise(&parameters)), context.response.part_of(stop, &rest));
        let mut system = context.response.reduced(stop, direction);
        let solve = |error| failed(HypergradientError::from(error));
        let spectrum = if is_fixed {
            Spectrum { smallest: UNKNOWN, largest: UNKNOWN, rounding: f64::NAN, products: 0 }
        } else {
            extreme_eigenvalues(&mut system, 0.0, &start, PRODUCTS).map_err(solve)?
        };
        let newton = method.as_ref().map(|method| method.solve(&mut system, &rest, None));
        // Where there is no Newton step, the level is no way from a best response.
        let newton = match newton {
            Some(Ok(solved)) => solved.x.dot(&solved.x)?.sqrt(),
            Some(Err(HypergradientError::Solve(SolveError::Operator(_)))) | None => f64::NAN,
            Some(Err(_)) => f64::INFINITY,
        };
        let configured = self.levels[stop].config.hypergradient.as_ref();
        Ok(ResponseCheck {
            level: name,
            method: configured.map_or("", HypergradientConfig::name),
            reference: method.map_or("", |method| method.name()),
            residual: None,
            reference_residual: f64::NAN,
            spectrum,
            gradient_norm: norm,
            distance: newton / parameters.dot(&parameters)?.sqrt(),
        })
    }
}

/// A vector without a preferred direction.
fn noise(like: &Vector) -> Vector {
    let draws = like.0.iter().enumerate().map(|(number, value)| {
        let distribution = Distribution::Normal(0.0, 1.0);
        Value::draw(&value.shape(), value.dtype(), distribution, 0, number, &value.device())
    });
    Vector(draws.collect())
}
