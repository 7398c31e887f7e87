//! The quasi-Newton method of limited memory.
//!
//! Liu and Nocedal, *On the limited memory BFGS method for large scale optimization* (1989). It converges superlinearly where
//! memory covers what the Hessian is made of, and needs nothing but gradients: a few vectors more than gradient descent.

use super::direction::Memory;
use super::line_search::{Line, Place, ROUNDING, TRIALS};
use super::{Evaluated, Objective, dot};
use crate::linalg::InnerProductSpace;

/// After so many steps without one that is lower by more than rounding, or has a smaller gradient, there are no more to find.
const PATIENCE: usize = 20;

/// How much to remember, and when to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LbfgsOptions {
    /// How many of the last steps tell of the Hessian, two vectors each; at least 1.
    pub memory: usize,
    /// The most steps, each of one evaluation where the first length will do, and of a few more otherwise.
    pub iterations: usize,
    /// A norm of the gradient that is small enough. With 0 it goes on until rounding hides what is lower.
    pub tolerance: f64,
}

impl LbfgsOptions {
    /// The most evaluations, the one at the start included: a line is searched for every step, and once more where what is
    /// remembered led nowhere.
    #[must_use]
    pub fn most_evaluations(&self) -> usize {
        1 + 2 * TRIALS * (self.iterations + 1)
    }
}

/// Where a minimizer came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum<V> {
    /// The point.
    pub x: V,
    /// The value there.
    pub value: f64,
    /// The norm of the gradient there.
    pub gradient_norm: f64,
    /// Steps.
    pub iterations: usize,
    /// Evaluations, without the one at the start.
    pub evaluations: usize,
    /// Why it is the last one.
    pub halt: Halt,
}

/// Why a minimizer stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The gradient is small enough.
    Converged,
    /// All iterations were made.
    Exhausted,
    /// No lower point could be found: rounding hides what there is, or the function has no value next to the point.
    Stalled,
}

/// Goes down from `x`, where the function is `first`, until its gradient is small.
///
/// Every step leads lower, or no higher than rounding hides: a millionth of the value. Where `first` is not finite, the answer is
/// the start.
///
/// # Errors
/// Those of the objective. Running out of iterations or of precision is an outcome, not an error.
///
/// ```
/// use betty_runtime::linalg::InnerProductSpace;
/// use betty_runtime::minimize::{Evaluated, Halt, LbfgsOptions, Objective, lbfgs};
/// use std::convert::Infallible;
/// # #[derive(Clone, Debug)]
/// # struct Point([f64; 2]);
/// # impl InnerProductSpace for Point {
/// #     type Scalar = f64;
/// #     type Error = Infallible;
/// #     fn dot(&self, other: &Self) -> Result<f64, Infallible> { Ok(self.0[0] * other.0[0] + self.0[1] * other.0[1]) }
/// #     fn read(scalar: &f64) -> Result<f64, Infallible> { Ok(*scalar) }
/// #     fn scale(&mut self, factor: f64) { self.0 = self.0.map(|x| factor * x) }
/// #     fn add_scaled(&mut self, factor: f64, other: &Self) { for i in 0..2 { self.0[i] += factor * other.0[i] } }
/// #     fn zero(&self) -> Self { Point([0.0; 2]) }
/// # }
///
/// /// Rosenbrock's valley, `(1 − x)² + 100·(y − x²)²`.
/// struct Valley;
///
/// impl Objective for Valley {
///     type Vector = Point; // two numbers, an `InnerProductSpace`
///     type Error = Infallible;
///
///     fn evaluate(&mut self, &Point([x, y]): &Point) -> Result<Evaluated<Point>, Infallible> {
///         let (along, across) = (1.0 - x, y - x * x);
///         let gradient = Point([-2.0 * along - 400.0 * x * across, 200.0 * across]);
///         Ok(Evaluated { value: along * along + 100.0 * across * across, gradient })
///     }
/// }
///
/// let start = Point([-1.2, 1.0]);
/// let first = Valley.evaluate(&start)?;
/// let found = lbfgs(&mut Valley, start, first, &LbfgsOptions { memory: 10, iterations: 100, tolerance: 1e-10 })?;
/// assert_eq!(found.halt, Halt::Converged);
/// assert!(found.x.0.iter().all(|x| (x - 1.0).abs() < 1e-9));
/// # Ok::<(), Infallible>(())
/// ```
pub fn lbfgs<O: Objective + ?Sized>(
    objective: &mut O,
    mut x: O::Vector,
    first: Evaluated<O::Vector>,
    options: &LbfgsOptions,
) -> Result<Minimum<O::Vector>, O::Error> {
    let Evaluated { mut value, mut gradient } = first;
    let mut memory = Memory::new(options.memory.max(1));
    let (mut iterations, mut evaluations) = (0, 0);
    let mut norm = dot(&gradient, &gradient)?.sqrt();
    let mut best = Best { x: x.clone(), value, norm, lowest: value, iteration: 0 };
    let halt = loop {
        if norm <= options.tolerance {
            break Halt::Converged;
        }
        if iterations == options.iterations {
            break Halt::Exhausted;
        }
        best.compare(&x, value, norm, iterations);
        if !(value.is_finite() && norm.is_finite()) || iterations - best.iteration == PATIENCE {
            break Halt::Stalled;
        }
        let mut direction = memory.direction(&gradient)?;
        let mut slope = dot(&gradient, &direction)?;
        if slope >= 0.0 || !slope.is_finite() {
            memory.clear();
            direction = memory.direction(&gradient)?;
            slope = -norm * norm;
        }
        // A first step is about as long as 1: nothing is known of the function's scale.
        let length = if memory.is_empty() { norm.recip().min(1.0) } else { 1.0 };
        let evaluations = &mut evaluations;
        let mut line = Line { objective: &mut *objective, x: &x, value, direction: &direction, slope, evaluations };
        let Some(Place { x: next, at, length, .. }) = line.search(length)? else {
            if memory.is_empty() {
                break Halt::Stalled;
            }
            // What the last steps tell of may be rounding errors.
            memory.clear();
            continue;
        };
        direction.scale(length.into());
        let mut change = at.gradient.clone();
        change.add_scaled((-1.0).into(), &gradient);
        memory.note(direction, change)?;
        (x, value, gradient) = (next, at.value, at.gradient);
        norm = dot(&gradient, &gradient)?.sqrt();
        iterations += 1;
    };
    if halt == Halt::Stalled {
        (x, value, norm) = (best.x, best.value, best.norm);
    }
    Ok(Minimum { x, value, gradient_norm: norm, iterations, evaluations, halt })
}

/// The point with the smallest gradient since values have not become lower by more than rounding.
struct Best<V> {
    x: V,
    value: f64,
    norm: f64,
    /// What a value has to be lower than.
    lowest: f64,
    /// The last iteration with news.
    iteration: usize,
}

impl<V: Clone> Best<V> {
    fn compare(&mut self, x: &V, value: f64, norm: f64, iteration: usize) {
        let is_lower = value < self.lowest - ROUNDING * self.lowest.abs();
        if is_lower {
            self.lowest = value;
        }
        if is_lower || norm < self.norm {
            (self.x, self.value, self.norm, self.iteration) = (x.clone(), value, norm, iteration);
        }
    }
}
