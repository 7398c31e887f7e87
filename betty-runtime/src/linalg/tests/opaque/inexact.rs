//! The solver for products that are not exact reads all inner products of an iteration at once.

use super::far::{Far, FarMatrix, READS};
use super::*;

/// Products that are as wrong as they may be, in one direction.
fn blurred(product: &mut Column, accuracy: f64) {
    product.0[0] *= 1.0 + 0.1 * accuracy;
}

impl InexactOperator for Matrix {
    fn apply_within(&mut self, x: &Column, accuracy: f64) -> Result<Column, Gone> {
        let mut product = self.apply(x)?;
        blurred(&mut product, accuracy);
        Ok(product)
    }
}

impl InexactOperator for FarMatrix {
    fn apply_within(&mut self, x: &Far, accuracy: f64) -> Result<Far, Gone> {
        let mut product = self.apply(x)?;
        blurred(&mut product.x, accuracy);
        Ok(product)
    }
}

#[test]
fn an_iteration_reads_once() {
    for (iterations, restart, tolerance) in [(12, 50, 1e-6), (40, 6, 1e-9), (5, 3, 0.0), (40, 20, 1e-3)] {
        let options = &GmresOptions { iterations, restart, tolerance, damping: 0.5 };
        let (mut matrix, mut near) = (matrix(), Exactness::new(f64::EPSILON));
        let b = Column(right());
        let expected = inexact_gmres(&mut matrix.clone(), |_, _| Ok(None), &b, &mut near, options).expect("solved");
        for every in EVERY {
            READS.set(0);
            let (a, b) = (&mut FarMatrix { matrix: matrix.clone(), every }, Far { x: b.clone(), every });
            let mut far = Exactness::new(f64::EPSILON);
            let found = inexact_gmres(a, |_, _| Ok(None), &b, &mut far, options).expect("solved");
            assert_eq!((found.x.x, found.outcome), (expected.x.clone(), expected.outcome), "every {every}");
            assert_eq!(far, near);
            // The right-hand side, each iteration, and the residual of each cycle, which may be one iteration long.
            let most = 1 + 2 * found.outcome.iterations;
            assert!(every == 1 || READS.get() <= most, "every {every}: {} of {most}", READS.get());
        }
        matrix.fails_after = 3;
        let failed = inexact_gmres(&mut matrix, |_, _| Ok(None), &b, &mut near, options).map(|found| found.outcome);
        assert!(failed.is_err(), "{failed:?}");
    }
}

#[test]
fn what_is_no_number_is_found_out() {
    for bad in [f64::NAN, f64::INFINITY, 1e200] {
        let options = &GmresOptions { iterations: 8, restart: 8, tolerance: 0.0, damping: 0.0 };
        let (mut matrix, b) = (Matrix::diagonal(&[1.0, bad, 3.0]), Column(vec![1.0; 3]));
        let mut exactness = Exactness::new(f64::EPSILON);
        let near = inexact_gmres(&mut matrix, |_, _| Ok(None), &b, &mut exactness, options).map(|_| ());
        let (a, b) = (&mut FarMatrix { matrix, every: 8 }, Far { x: b, every: 8 });
        let mut exactness = Exactness::new(f64::EPSILON);
        let far = inexact_gmres(a, |_, _| Ok(None), &b, &mut exactness, options).map(|_| ());
        assert_eq!(format!("{far:?}"), format!("{near:?}"), "{bad}");
        assert!(matches!(far, Err(SolveError::NotFinite { .. })), "{far:?}");
    }
}
