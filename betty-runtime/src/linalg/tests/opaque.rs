//! Conjugate gradients where numbers are kept elsewhere, and reading one is counted.

use std::cell::Cell;
use std::ops::{Add, Mul, Neg};

use super::*;

thread_local! {
    static READS: Cell<usize> = const { Cell::new(0) };
}

/// A number that nobody knows who does not read it.
#[derive(Clone)]
struct Sealed(f64);

impl From<f64> for Sealed {
    fn from(value: f64) -> Self {
        Sealed(value)
    }
}

impl Neg for Sealed {
    type Output = Sealed;

    fn neg(self) -> Sealed {
        Sealed(-self.0)
    }
}

impl Add for Sealed {
    type Output = Sealed;

    fn add(self, other: Sealed) -> Sealed {
        Sealed(self.0 + other.0)
    }
}

impl Mul for Sealed {
    type Output = Sealed;

    fn mul(self, other: Sealed) -> Sealed {
        Sealed(self.0 * other.0)
    }
}

impl Scalar for Sealed {
    const READ_EVERY: usize = 4;

    fn over(&self, other: &Self) -> Self {
        Sealed(self.0.over(&other.0))
    }

    fn smaller(&self, other: &Self) -> Self {
        Sealed(self.0.smaller(&other.0))
    }
}

/// Coordinate vectors whose inner products are sealed.
#[derive(Clone)]
struct Far(Column);

impl InnerProductSpace for Far {
    type Scalar = Sealed;
    type Error = Infallible;

    fn dot(&self, other: &Self) -> Result<Sealed, Infallible> {
        self.0.dot(&other.0).map(Sealed)
    }

    fn read(scalar: &Sealed) -> Result<f64, Infallible> {
        READS.set(READS.get() + 1);
        Ok(scalar.0)
    }

    fn scale(&mut self, factor: Sealed) {
        self.0.scale(factor.0);
    }

    fn add_scaled(&mut self, factor: Sealed, other: &Self) {
        self.0.add_scaled(factor.0, &other.0);
    }

    fn zero(&self) -> Self {
        Far(self.0.zero())
    }
}

struct FarMatrix(Matrix);

impl LinearOperator for FarMatrix {
    type Vector = Far;
    type Error = Gone;

    fn apply(&mut self, x: &Far) -> Result<Far, Gone> {
        self.0.apply(&x.0).map(Far)
    }
}

/// Definite, with as many different eigenvalues as unknowns.
fn matrix() -> Matrix {
    Matrix::diagonal(&(1..=20).map(f64::from).collect::<Vec<_>>())
}

fn right() -> Column {
    Column((0..20).map(|k| f64::from(k % 7) - 2.5).collect())
}

#[test]
fn what_is_not_read_is_computed_all_the_same() {
    let near = conjugate_gradient(&mut matrix(), &right(), None, &cg(10, 0.0, 0.5)).expect("definite");
    READS.set(0);
    let far = conjugate_gradient(&mut FarMatrix(matrix()), &Far(right()), None, &cg(10, 0.0, 0.5)).expect("definite");
    assert_eq!(far.x.0, near.x);
    assert_eq!(far.outcome, near.outcome);
    // The right-hand side; the residual before iteration 1 and after 4, 8 and 10; the curvature in 4, 8 and 10.
    assert_eq!(READS.get(), 8);
}

#[test]
fn iterations_after_convergence_change_nothing_that_counts() {
    let (options, exact) = (cg(40, 1e-9, 0.0), dense(&mut matrix(), &right(), &EXACT).expect("definite").x);
    let far = conjugate_gradient(&mut FarMatrix(matrix()), &Far(right()), None, &options).expect("definite");
    assert!(far.outcome.converged && far.outcome.iterations.is_multiple_of(4), "{:?}", far.outcome);
    assert!(distance(&far.x.0, &exact) < 1e-9);
    // One iteration is enough here, and nothing is left for the three after it.
    let mut identity = FarMatrix(Matrix::diagonal(&[1.0; 20]));
    let far = conjugate_gradient(&mut identity, &Far(right()), None, &options).expect("definite");
    assert_eq!((far.x.0, far.outcome.iterations), (right(), 4));
}

#[test]
fn a_downward_curve_between_two_questions_is_not_overlooked() {
    // The first direction curves downwards, the second upwards.
    let mut indefinite = FarMatrix(Matrix::diagonal(&[-3.0, 1.0]));
    let b = Far(Column(vec![1.0, 1.0]));
    let refused = conjugate_gradient(&mut indefinite, &b, None, &cg(8, 0.0, 0.0)).map(|solution| solution.x.0);
    assert!(matches!(refused, Err(SolveError::NotPositiveDefinite { .. })), "{refused:?}");
}

#[test]
fn a_preconditioner_that_turns_away_between_two_questions_is_not_overlooked() {
    let mut times = 0;
    let mut turning = |_: &mut FarMatrix, r: &Far| {
        times += 1;
        let mut answer = r.clone();
        answer.scale(Sealed(if times == 4 { -1.0 } else { 1.0 }));
        Ok(answer)
    };
    let far = Far(right());
    let refused =
        preconditioned_conjugate_gradient(&mut FarMatrix(matrix()), &mut turning, &far, None, &cg(10, 0.0, 0.5));
    let refused = refused.map(|solution| solution.x.0);
    assert!(
        matches!(refused, Err(SolveError::PreconditionerNotPositiveDefinite { iteration: 4, curvature }) if curvature < 0.0),
        "{refused:?}"
    );
}

#[test]
fn a_preconditioned_iteration_reads_no_more_often() {
    let mut halves = |_: &mut FarMatrix, r: &Far| {
        let mut half = r.clone();
        half.scale(Sealed(0.5));
        Ok(half)
    };
    READS.set(0);
    let (a, far) = (&mut FarMatrix(matrix()), Far(right()));
    let solved = preconditioned_conjugate_gradient(a, &mut halves, &far, None, &cg(10, 0.0, 0.5)).expect("definite");
    let near = conjugate_gradient(&mut matrix(), &right(), None, &cg(10, 0.0, 0.5)).expect("definite");
    assert!(distance(&solved.x.0, &near.x) < 1e-14);
    // As without; how positive the preconditioner is before iteration 1 and after 4 and 8; and seven that it is checked by.
    assert_eq!(READS.get(), 8 + 3 + 7);
}
