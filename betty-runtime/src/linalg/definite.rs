//! What to say of an operator that is not positive definite, or of steps that are too long for it: numbers that work.
//!
//! A direction that curves downwards bounds the smallest eigenvalue from one side only, and so do steps that diverge the
//! largest. A short run of Lanczos's process tells where both are.

use super::remedy::{ROOM, Remedy};
use super::spectrum::{Spectrum, extreme_eigenvalues};
use super::{InnerProductSpace, LinearOperator, SolveError};

/// Fewest and most products of such a run.
const PRODUCTS: (usize, usize) = (20, 60);

/// A system that a solver could not solve.
pub(super) struct Suspect<'a, V> {
    pub(super) damping: f64,
    /// What the solver's directions are made of: as many iterations as products see no more of the operator than a run from
    /// here, so that under the damping that it leads to they do not fail again.
    pub(super) start: &'a V,
    /// Iterations that the solver may take.
    pub(super) iterations: usize,
}

impl<V: InnerProductSpace> Suspect<'_, V> {
    /// The failure where the damped operator has the curvature `curvature ≤ 0` along a direction met in an iteration.
    pub(super) fn not_positive_definite<A: LinearOperator<Vector = V> + ?Sized>(
        &self,
        operator: &mut A,
        iteration: usize,
        curvature: f64,
    ) -> SolveError<A::Error> {
        self.failure(operator, (iteration, 0.0), curvature, None)
    }

    /// The failure where steps of length `step_size` make the residual longer, so that after `term` of them it is `growth`
    /// times as long as the right-hand side; `curvature` is that along one of them.
    pub(super) fn diverged<A: LinearOperator<Vector = V> + ?Sized>(
        &self,
        operator: &mut A,
        (term, growth): (usize, f64),
        curvature: f64,
        step_size: f64,
    ) -> SolveError<A::Error> {
        self.failure(operator, (term, growth), curvature, Some(step_size))
    }

    fn failure<A: LinearOperator<Vector = V> + ?Sized>(
        &self,
        operator: &mut A,
        (iteration, growth): (usize, f64),
        curvature: f64,
        step_size: Option<f64>,
    ) -> SolveError<A::Error> {
        let (fewest, most) = PRODUCTS;
        let products = self.iterations.clamp(fewest, most);
        let mut spectrum = match extreme_eigenvalues(operator, self.damping, self.start, products) {
            Ok(spectrum) => spectrum,
            Err(error) => return error,
        };
        let Spectrum { smallest, largest, .. } = &mut spectrum;
        (smallest.value, largest.value) = (smallest.value.min(curvature), largest.value.max(curvature));
        let (smallest, largest) = (smallest.value, largest.value);
        let is_definite = curvature > 0.0 && smallest > -ROOM * largest;
        let more = if is_definite { 0.0 } else { spectrum.damping() };
        // What lifts the smallest eigenvalue lifts the largest, too.
        let longest = spectrum.shifted(more).step_size();
        let mut remedy = Remedy {
            damping: (!is_definite).then_some(self.damping + more),
            step_size: step_size.filter(|&step_size| step_size > longest).map(|_| longest),
        };
        if is_definite && remedy.step_size.is_none() {
            // Residuals that grow all the same are those of an operator that is not symmetric.
            remedy.step_size = step_size.map(|step_size| 0.5 * step_size);
        }
        match step_size.filter(|_| curvature > 0.0) {
            Some(step_size) => SolveError::Diverged { term: iteration, growth, step_size, largest, remedy },
            // Adding 0 leaves no negative zero.
            None => SolveError::NotPositiveDefinite {
                iteration,
                curvature: curvature + 0.0,
                smallest: smallest + 0.0,
                remedy,
            },
        }
    }
}
