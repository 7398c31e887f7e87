//! How far to go in a direction: a line search for the strong conditions of Wolfe.
//!
//! With `φ(t) = f(x + t·d)` a step is long enough where `|φ′(t)| ≤ c₂·|φ′(0)|`, and low enough where `φ(t) ≤ φ(0) + c₁·t·φ′(0)`. Close
//! to a minimum differences of values are rounding errors, so that where `|φ(t) − φ(0)| ≤ ε·|φ(0)|` the slope alone decides (Hager and Zhang, *A new conjugate gradient method with guaranteed descent and
//! an efficient line search*, 2005).
//!
//! Between a length that is low enough with a slope that still falls, and one that is too high or rises, there is one that meets
//! both. Every trial takes the place of one of the two.

use super::{Evaluated, Objective, dot};
use crate::linalg::InnerProductSpace;

/// c₁
const DECREASE: f64 = 1e-4;
/// c₂
const CURVATURE: f64 = 0.9;
/// ε
pub(super) const ROUNDING: f64 = 1e-6;
/// So many trials are made at most, each of one evaluation.
pub(super) const TRIALS: usize = 50;
/// While nothing rises, the next trial is at most so many times as long.
const GROWTH: f64 = 10.0;
/// A trial stays away from both ends by this part of what lies between them.
const MARGIN: f64 = 0.1;

/// A place on the line.
pub(super) struct Place<V> {
    pub(super) x: V,
    pub(super) at: Evaluated<V>,
    pub(super) length: f64,
    slope: f64,
}

/// A length that was tried, as far as the next one depends on it.
#[derive(Clone, Copy)]
struct Tried {
    length: f64,
    value: f64,
    slope: f64,
}

/// A function along a line.
pub(super) struct Line<'a, O: Objective + ?Sized> {
    pub(super) objective: &'a mut O,
    pub(super) x: &'a O::Vector,
    /// The value at the start.
    pub(super) value: f64,
    pub(super) direction: &'a O::Vector,
    /// The slope at the start, which falls.
    pub(super) slope: f64,
    /// Evaluations so far.
    pub(super) evaluations: &'a mut usize,
}

impl<O: Objective + ?Sized> Line<'_, O> {
    /// A place that is low and long enough, searched from this length on; where rounding lets none be found, the lowest that
    /// was, if any is lower than the start.
    pub(super) fn search(&mut self, first: f64) -> Result<Option<Place<O::Vector>>, O::Error> {
        let mut low = Tried { length: 0.0, value: self.value, slope: self.slope };
        let mut high: Option<Tried> = None;
        let mut best: Option<Place<O::Vector>> = None;
        let (mut length, mut halve) = (first, false);
        for _ in 0..TRIALS {
            let place = self.place(length)?;
            let (value, slope) = (place.at.value, place.slope);
            let tried = Tried { length, value, slope };
            let is_finite = value.is_finite() && slope.is_finite();
            let (change, rounding) = (value - self.value, ROUNDING * self.value.abs());
            let is_low = is_finite && (change <= DECREASE * length * self.slope || change.abs() <= rounding);
            if is_low && slope.abs() <= CURVATURE * -self.slope {
                return Ok(Some(place));
            }
            let width = high.map(|high| high.length - low.length);
            if is_low && slope < 0.0 {
                low = tried;
            } else {
                high = Some(tried);
            }
            if is_finite && value < best.as_ref().map_or(self.value, |best| best.at.value) {
                best = Some(place);
            }
            length = match high {
                None => longer(low, self.slope),
                Some(high) => {
                    let left = high.length - low.length;
                    if left <= f64::EPSILON * high.length {
                        break;
                    }
                    halve = !halve && width.is_some_and(|width| left > 0.5 * width);
                    if halve { low.length + 0.5 * left } else { between(low, high) }
                }
            };
        }
        Ok(best)
    }

    fn place(&mut self, length: f64) -> Result<Place<O::Vector>, O::Error> {
        let mut x = self.x.clone();
        x.add_scaled(length.into(), self.direction);
        *self.evaluations += 1;
        let at = self.objective.evaluate(&x)?;
        let slope = dot(&at.gradient, self.direction)?;
        Ok(Place { x, at, length, slope })
    }
}

/// Where the slope would vanish if it went on to change as it has from the start, or further where it falls ever more.
fn longer(low: Tried, first_slope: f64) -> f64 {
    let root = low.length * first_slope / (first_slope - low.slope);
    let (least, most) = (2.0 * low.length, GROWTH * low.length);
    if root.is_finite() && root > 0.0 { root.clamp(least, most) } else { most }
}

/// Where the slope vanishes between two lengths: on the line through both slopes, or on the parabola through the values where the
/// other slope falls as well.
fn between(low: Tried, high: Tried) -> f64 {
    let width = high.length - low.length;
    let part = if high.slope > 0.0 {
        low.slope / (low.slope - high.slope)
    } else {
        -low.slope * width / (2.0 * (high.value - low.value - low.slope * width))
    };
    // Where the function has no value, it may be far away.
    let part = if part.is_finite() { part.clamp(MARGIN, 1.0 - MARGIN) } else { MARGIN };
    low.length + part * width
}
