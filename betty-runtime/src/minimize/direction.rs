//! The direction of a quasi-Newton step: a gradient, times the inverse of a Hessian that the last steps tell of.
//!
//! With `s` a step and `y` what it changed of the gradient, the BFGS update makes an inverse Hessian map `y` to `s`. Its product
//! with a vector needs nothing but the pairs (Nocedal and Wright, *Numerical Optimization*, algorithm 7.4):
//!
//! ```text
//! from the last pair to the first    α = ⟨s, q⟩/⟨s, y⟩    q ← q − α·y
//!                                    q ← ⟨s, y⟩/⟨y, y⟩·q  with the last pair
//! from the first pair to the last    q ← q + (α − ⟨y, q⟩/⟨s, y⟩)·s
//! ```

use std::collections::VecDeque;

use super::dot;
use crate::linalg::InnerProductSpace;

/// Where `⟨s, y⟩` is no larger than this part of `‖s‖·‖y‖`, a step tells of rounding errors, not of curvature.
const FLAT: f64 = 1e-12;

/// A step, what it changed of the gradient, and their inner product.
struct Pair<V> {
    step: V,
    change: V,
    curvature: f64,
}

/// The last steps of a minimizer.
pub(super) struct Memory<V> {
    pairs: VecDeque<Pair<V>>,
    most: usize,
    /// `⟨s, y⟩/⟨y, y⟩` of the last pair: about the inverse of an eigenvalue of the Hessian.
    scale: f64,
}

impl<V: InnerProductSpace> Memory<V> {
    pub(super) fn new(most: usize) -> Self {
        Memory { pairs: VecDeque::new(), most, scale: 1.0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Takes note of a step, unless the function curves the wrong way along it.
    pub(super) fn note(&mut self, step: V, change: V) -> Result<(), V::Error> {
        let (curvature, square) = (dot(&step, &change)?, dot(&change, &change)?);
        if curvature <= FLAT * (dot(&step, &step)? * square).sqrt() {
            return Ok(());
        }
        if self.pairs.len() == self.most {
            self.pairs.pop_front();
        }
        self.scale = curvature / square;
        self.pairs.push_back(Pair { step, change, curvature });
        Ok(())
    }

    /// Where to go from a point with this gradient: down along it while nothing is known.
    pub(super) fn direction(&self, gradient: &V) -> Result<V, V::Error> {
        let mut q = gradient.clone();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for Pair { step, change, curvature } in self.pairs.iter().rev() {
            let share = dot(step, &q)? / curvature;
            q.add_scaled((-share).into(), change);
            shares.push(share);
        }
        q.scale((if self.is_empty() { -1.0 } else { -self.scale }).into());
        // The sign of q is turned already.
        for (Pair { step, change, curvature }, share) in self.pairs.iter().zip(shares.into_iter().rev()) {
            let back = dot(change, &q)? / curvature;
            q.add_scaled((-share - back).into(), step);
        }
        Ok(q)
    }
}
