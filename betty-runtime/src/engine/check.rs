//! A hypergradient compared with a reference on a user's own problem and data.

use std::fmt::{self, Display, Formatter};

use super::error::EngineError;
use super::gradient::Context;
use super::program::Multilevel;
use super::schedule::Through;
use super::train::Engine;
use crate::config::{HypergradientConfig, Start};
use crate::execute::{Value, Vector};
use crate::graph::Distribution;
use crate::hypergradient::{HypergradientError, Response, reference};
use crate::linalg::{InnerProductSpace, LinearOperator, SolveError, largest_eigenvalue};

/// Products spent on an end of a spectrum.
const PRODUCTS: usize = 60;

/// How good a hypergradient is: the chosen methods against the derivative of the best responses themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct HypergradientCheck {
    /// The level.
    pub level: &'static str,
    /// Norm of the total gradient by the chosen methods.
    pub norm: f64,
    /// Norm of the total gradient by the reference.
    pub reference_norm: f64,
    /// `‖chosen − reference‖ / ‖reference‖`
    pub relative_error: f64,
    /// Cosine of the angle between both: 1 where they point the same way.
    pub cosine: f64,
    /// The levels that it passes through.
    pub responses: Vec<ResponseCheck>,
}

/// What was seen of one best response.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseCheck {
    /// The level.
    pub level: &'static str,
    /// The chosen method.
    pub method: &'static str,
    /// The reference method, without damping.
    pub reference: &'static str,
    /// Relative residual that the chosen method reports, if it knows it.
    pub residual: Option<f64>,
    /// Relative residual of the reference.
    pub reference_residual: f64,
    /// Estimate of the largest eigenvalue of the (reduced) Hessian, from below.
    pub largest: f64,
    /// Estimate of its smallest eigenvalue, from above.
    pub smallest: f64,
    /// Norm of the level's total gradient, which vanishes at a best response.
    pub gradient_norm: f64,
    /// Length of a Newton step relative to the parameters: about how far the level is from its best response.
    pub distance: f64,
}

impl ResponseCheck {
    /// Largest over smallest eigenvalue, as far as they were seen; infinite where the Hessian does not curve upwards.
    #[must_use]
    pub fn condition(&self) -> f64 {
        if self.smallest > 0.0 { self.largest / self.smallest } else { f64::INFINITY }
    }
}

impl<P: Multilevel> Engine<P> {
    /// Compares the hypergradient of a level, by the methods that are configured, with a reference at the current point: the
    /// exact derivative of the best responses, by elimination for small levels and by long runs of minimal residuals for
    /// others, without damping, and without the rounding of a level's `precision`.
    ///
    /// Two total gradients and some hundred products; nothing is changed, and the batches stay the next ones.
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
        // The eigenvalue λ of largest magnitude is one end of the spectrum; that of λI − H leads to the other.
        let one = largest_eigenvalue(&mut system, &start, PRODUCTS).map_err(solve)?;
        let mut mirrored = Mirrored { system: &mut system, at: one };
        let other = one - largest_eigenvalue(&mut mirrored, &start, PRODUCTS).map_err(solve)?;
        let (largest, smallest) = (one.max(other), one.min(other));
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
            largest,
            smallest,
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

/// `at·I − A`
struct Mirrored<'a, A> {
    system: &'a mut A,
    at: f64,
}

impl<A: LinearOperator> LinearOperator for Mirrored<'_, A> {
    type Vector = A::Vector;
    type Error = A::Error;

    fn apply(&mut self, x: &A::Vector) -> Result<A::Vector, A::Error> {
        let mut product = self.system.apply(x)?;
        product.scale(-1.0);
        product.add_scaled(self.at, x);
        Ok(product)
    }
}

impl Display for HypergradientCheck {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdict = match (self.relative_error, self.cosine) {
            (error, _) if error < 1e-2 => "agrees with the reference",
            (_, cosine) if cosine > 0.95 => "points the right way, but its length is off",
            (_, cosine) if cosine > 0.5 => "points roughly the right way",
            _ => "does not point the right way; try a more exact method",
        };
        writeln!(f, "the hypergradient of `{}` {verdict}", self.level)?;
        writeln!(
            f,
            "  relative error {:.1e}, cosine {:.4}, norm {:.3e} against {:.3e}",
            self.relative_error, self.cosine, self.norm, self.reference_norm
        )?;
        self.responses.iter().try_for_each(|response| write!(f, "{response}"))
    }
}

impl Display for ResponseCheck {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "through `{}` by {}, reference {}", self.level, self.method, self.reference)?;
        match self.residual {
            Some(residual) => write!(f, "  residual {residual:.1e}")?,
            None => write!(f, "  residual unknown")?,
        }
        writeln!(f, ", of the reference {:.1e}", self.reference_residual)?;
        write!(f, "  eigenvalues seen from {:.2e} to {:.2e}", self.smallest, self.largest)?;
        if self.smallest > 0.0 {
            writeln!(f, " (condition {:.1e})", self.condition())?;
        } else {
            writeln!(
                f,
                ": not positive definite here; damp by more than {:.1e}, or use minres or gmres",
                -self.smallest
            )?;
        }
        let advice = if self.distance < 1e-2 { "" } else { "; let it converge further, with a larger `unroll` say" };
        writeln!(
            f,
            "  gradient norm {:.1e}, about {:.1e} of its parameters away from its best response{advice}",
            self.gradient_norm, self.distance
        )
    }
}
