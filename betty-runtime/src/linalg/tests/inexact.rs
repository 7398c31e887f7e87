//! Products that are no more exact than a solver asks for.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::krylov::options;
use super::*;

/// A matrix whose products are wrong by so many times what is allowed, in another direction each time.
struct Blurred {
    exact: Matrix,
    random: StdRng,
    times: f64,
    allowed: Vec<f64>,
}

impl Blurred {
    fn new(exact: Matrix, times: f64) -> Self {
        Blurred { exact, random: StdRng::seed_from_u64(3), times, allowed: Vec::new() }
    }
}

impl LinearOperator for Blurred {
    type Vector = Column;
    type Error = Infallible;

    fn apply(&mut self, x: &Column) -> Result<Column, Infallible> {
        self.exact.apply(x).map_err(|_| unreachable!("it does not fail"))
    }
}

impl InexactOperator for Blurred {
    fn apply_within(&mut self, x: &Column, accuracy: f64) -> Result<Column, Infallible> {
        self.allowed.push(accuracy);
        let mut product = self.apply(x)?;
        let error = Column(x.0.iter().map(|_| self.random.random_range(-1.0..1.0)).collect());
        let norm = |x: &Column| x.dot(x).unwrap_or_default().sqrt();
        product.add_scaled(self.times * accuracy * norm(&product) / norm(&error), &error);
        Ok(product)
    }

    fn measure(&mut self, x: &Column, _accuracy: f64) -> Result<Column, Infallible> {
        self.apply(x)
    }
}

fn solved(a: &mut Blurred, exactness: &mut Exactness, tolerance: f64) -> Solution<Column> {
    let rhs = right();
    inexact_gmres(a, |_, _| Ok(None), &rhs, exactness, &options(400, 60, tolerance))
        .expect("a system that has a solution")
}

fn right() -> Column {
    Column((0..60).map(|i| 1.0 + f64::from(i % 7)).collect())
}

/// Eigenvalues from 1 up to this.
fn spread(condition: f64) -> Matrix {
    Matrix::diagonal(&(0..60).map(|i| condition.powf(f64::from(i) / 59.0)).collect::<Vec<_>>())
}

#[test]
fn products_may_be_less_exact_as_the_residual_gets_smaller() {
    for tolerance in [1e-3, 1e-6, 1e-9] {
        let (mut a, mut exactness) = (Blurred::new(spread(3.0), 1.0), Exactness::new(f64::EPSILON));
        let outcome = solved(&mut a, &mut exactness, tolerance).outcome;
        // From twice as exact as the answer to wrong by a good part, at a condition of 3 in the norm that bounds it.
        let (first, last) = (a.allowed[0], a.allowed.iter().copied().fold(0.0, f64::max));
        assert!(outcome.converged && first == 0.5 * tolerance && last > 0.03, "{outcome:?} {:?}", a.allowed);
        let plain = gmres(&mut spread(3.0), &right(), None, &options(400, 60, tolerance)).expect("it has a solution");
        assert!(outcome.iterations <= 2 * plain.outcome.iterations, "{outcome:?} {:?}", plain.outcome);
    }
}

#[test]
fn what_is_worse_than_said_is_found_out() {
    for (condition, times) in [(1e2, 1.0), (1e2, 1e5), (1e6, 1.0), (1e6, 1e4)] {
        for tolerance in [1e-3, 1e-8] {
            let (mut a, mut exactness) = (Blurred::new(spread(condition), times), Exactness::new(f64::EPSILON));
            let first = solved(&mut a, &mut exactness, tolerance);
            let residual = a.exact.residual(0.0, &first.x, &right());
            let outcome = first.outcome;
            assert!(outcome.converged && residual <= tolerance, "{condition:e} {times:e}: {residual:e} {outcome:?}");
            // It is not found out anew.
            let again = solved(&mut a, &mut exactness, tolerance).outcome;
            assert!(
                again.converged && again.iterations <= outcome.iterations,
                "{condition:e} {times:e}: {again:?} after {outcome:?}"
            );
        }
    }
}

/// Products that get no better are of no use, and zero is what is left then.
#[test]
fn no_answer_is_worse_than_zero() {
    let (mut a, mut exactness) = (Blurred::new(spread(1e6), 1e20), Exactness::new(f64::EPSILON));
    let Solution { x, outcome } = solved(&mut a, &mut exactness, 1e-8);
    let residual = a.exact.residual(0.0, &x, &right());
    assert!(!outcome.converged && outcome.residual <= 1.0 && residual <= 1.0, "{residual:e} {outcome:?}");
}
