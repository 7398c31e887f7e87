//! Products that are no more exact than a solver asks for.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::krylov::options;
use super::*;

/// A matrix whose products are wrong by as much of their length as is allowed, in another direction each time.
struct Blurred {
    exact: Matrix,
    random: StdRng,
    allowed: Vec<f64>,
}

impl LinearOperator for Blurred {
    type Vector = Column;
    type Error = Infallible;

    fn apply(&mut self, x: &Column) -> Result<Column, Infallible> {
        self.exact.apply(x).map_err(|_| unreachable!("it does not fail"))
    }

    fn apply_within(&mut self, x: &Column, accuracy: f64) -> Result<Column, Infallible> {
        self.allowed.push(accuracy);
        let mut product = self.apply(x)?;
        let error = Column(x.0.iter().map(|_| self.random.random_range(-1.0..1.0)).collect());
        let norm = |x: &Column| x.dot(x).unwrap_or_default().sqrt();
        product.add_scaled(accuracy * norm(&product) / norm(&error), &error);
        Ok(product)
    }
}

#[test]
fn products_may_be_less_exact_as_the_residual_gets_smaller() {
    let entries: Vec<f64> = (0..60).map(|i| 1.0 + f64::from(i)).collect();
    let rhs = Column((0..60).map(|i| 1.0 + f64::from(i % 7)).collect());
    for tolerance in [1e-3, 1e-6, 1e-9] {
        let (exact, random) = (Matrix::diagonal(&entries), StdRng::seed_from_u64(3));
        let mut a = Blurred { exact, random, allowed: Vec::new() };
        let solved = gmres(&mut a, &rhs, None, &options(200, 60, tolerance)).expect("a system that has a solution");
        let residual = a.exact.residual(0.0, &solved.x, &rhs);
        assert!(solved.outcome.converged && residual <= tolerance, "{residual:e} {:?}", solved.outcome);
        // From as exact as the answer to hardly exact at all, in no more than twice the iterations that exact products take.
        let (first, last) = (a.allowed[0], a.allowed.iter().copied().fold(0.0, f64::max));
        assert!((first - tolerance).abs() < 1e-15 && last > 0.3, "{:?}", a.allowed);
        let mut exact = Matrix::diagonal(&entries);
        let plain = gmres(&mut exact, &rhs, None, &options(200, 60, tolerance)).expect("a system that has a solution");
        assert!(a.allowed.len() <= 2 * plain.outcome.iterations, "{} {:?}", a.allowed.len(), plain.outcome);
    }
}
