//! A hypergradient compared with a reference on a user's own problem and data.

mod report;

pub use report::{HypergradientCheck, ResponseCheck};

use super::error::EngineError;
use super::gradient::Context;
use super::program::Multilevel;
use super::train::Engine;
use crate::config::{HypergradientConfig, Start};
use crate::execute::{Value, Vector};
use crate::graph::Distribution;
use crate::hypergradient::{HypergradientError, Response, reference};
use crate::linalg::{InnerProductSpace, SolveError, extreme_eigenvalues};
use crate::schedule::Through;

/// The most products spent on a spectrum; a vector is kept of each.
const PRODUCTS: usize = 60;

impl<P: Multilevel> Engine<P> {
    /// Compares the hypergradient of a level, by the methods that are configured, with a reference at the current point: the
    /// exact derivative of the best responses, by elimination for small levels and by long runs of minimal residuals for
    /// others, without damping, and without the rounding of a level's `precision`. Where the reference does not converge, as
    /// its residual tells, nothing is judged: see [`HypergradientCheck::is_judged`].
    ///
    /// Two total gradients, up to some thousand products, and the memory of 60 vectors of the size of a level's parameters;
    /// nothing is changed, and the batches stay the next ones.
    ///
    /// # Errors
    /// [`EngineError`] as for a step; [`EngineError::NoHypergradient`] for a level whose gradient is only direct, and
    /// [`EngineError::NoReference`] for one that passes through numbers of an optimizer, or through where steps begin: no best
    /// response depends on those.
    pub fn verify_hypergradient(&mut self, level: &str) -> Result<HypergradientCheck, EngineError> {
        let k = self.level(level)?;
        let spec = &P::SCHEDULE.levels[k];
        if spec.sweep.is_empty() {
            return Err(EngineError::NoHypergradient { level: spec.name.into() });
        }
        self.check_reference(k)?;
        let observers = std::mem::take(&mut self.observers);
        let found = self.ask(k, |engine| engine.compare(k));
        self.observers = observers;
        found
    }

    /// Refuses a hypergradient that passes through what best responses do not depend on.
    fn check_reference(&self, k: usize) -> Result<(), EngineError> {
        for &Through { level, into } in P::SCHEDULE.levels[k].sweep {
            let lower = &self.levels[level];
            if lower.trajectory.is_none() {
                continue;
            }
            let names = P::SCHEDULE.levels;
            let mut learned = lower.config.optimizer.learned();
            let learned = learned.find(|(_, learned)| into.iter().any(|&above| names[above].name == learned.level));
            let starts =
                lower.config.start == Start::From && names[level].start.is_some_and(|from| into.contains(&from));
            let what = match learned {
                Some((option, _)) => format!("`{option}`"),
                None if starts => "the start".to_owned(),
                None => continue,
            };
            let (level, through) = (self.levels[k].name.into(), lower.name.into());
            return Err(EngineError::NoReference { level, through, what });
        }
        Ok(())
    }

    fn compare(&mut self, k: usize) -> Result<HypergradientCheck, EngineError> {
        let stops: Vec<usize> = P::SCHEDULE.levels[k].sweep.iter().map(|stop| stop.level).collect();
        let batch = self.next_batch(k)?;
        let seed = self.draw_seed(k);
        // Both sides see the same batches below.
        for &stop in &stops {
            if self.levels[stop].last.is_none() {
                let batch = self.next_batch(stop)?;
                self.levels[stop].last = Some((batch, self.draw_seed(stop)));
            }
        }
        self.holds_batches = true;
        let chosen = self.guarded(k, |engine| engine.total_gradient(k, &batch, seed, false));
        let residuals = std::mem::take(&mut self.residuals);
        let methods = self.methods.clone();
        let mut trajectories = Vec::new();
        for &stop in &stops {
            trajectories.push((stop, self.levels[stop].trajectory.take()));
            let size = self.levels[stop].parameters().len();
            self.methods[stop] = Some(reference(size));
        }
        // What rounded products lose is part of the error.
        let rounds = self.levels.iter().any(|level| level.config.precision.is_some());
        let rounded = rounds.then(|| self.losses.take_unrounded());
        let reference = self.guarded(k, |engine| engine.total_gradient(k, &batch, seed, false));
        let reference_residuals = std::mem::take(&mut self.residuals);
        let look = |engine: &mut Self| stops.iter().map(|&stop| engine.look_at(stop)).collect::<Result<Vec<_>, _>>();
        let responses = self.guarded(k, look);
        self.methods = methods;
        if let Some(rounded) = rounded {
            self.losses = rounded;
        }
        self.holds_batches = false;
        for (stop, trajectory) in trajectories {
            self.levels[stop].trajectory = trajectory;
        }
        let (chosen, reference, mut responses) = (chosen?.0.gradient, reference?.0.gradient, responses?);
        for (&stop, response) in stops.iter().zip(&mut responses) {
            response.residual = residuals.get(&stop).copied().flatten();
            response.reference_residual = reference_residuals.get(&stop).copied().flatten().unwrap_or(f64::NAN);
        }
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

    /// The best response of one level, with the reference methods in place.
    fn look_at(&mut self, stop: usize) -> Result<ResponseCheck, EngineError> {
        let failed = |name: &'static str| {
            move |source: HypergradientError| EngineError::Hypergradient {
                level: name.into(),
                through: name.into(),
                step: 0,
                source: Box::new(source),
            }
        };
        let name = self.levels[stop].name;
        let (batch, seed) = self.lower_batch(stop)?;
        let gradient = self.total_gradient(stop, &batch, seed, false)?.0;
        let parameters = self.levels[stop].parameters();
        let method = self.methods[stop].clone();
        let context = &mut Context::default();
        self.prepare_stops(stop, true, context)?;
        self.prepare_stop(stop, context)?;
        let response: &mut Response = &mut context.response;
        let mut system = response.reduced(stop);
        let start = noise(&parameters);
        let solve = |error| failed(name)(HypergradientError::from(error));
        let spectrum = extreme_eigenvalues(&mut system, 0.0, &start, PRODUCTS).map_err(solve)?;
        let newton = method.as_ref().map(|method| method.solve(&mut system, &gradient.gradient, None));
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
            gradient_norm: gradient.norm,
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
