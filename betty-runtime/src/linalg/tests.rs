//! The solvers against each other and against closed forms, over random systems.

use std::convert::Infallible;

pub(crate) use column::Column;
use proptest::prelude::*;

use super::*;

mod advice;
mod column;
mod guesses;
mod inexact;
mod krylov;
mod lanczos;
mod nystrom;
mod opaque;
mod preconditioned;
mod progress;
mod rounding;
mod singular;

/// A matrix by rows, which counts its products and can fail after some.
#[derive(Clone, Debug)]
struct Matrix {
    rows: Vec<Vec<f64>>,
    products: usize,
    fails_after: usize,
}

impl Matrix {
    fn new(rows: Vec<Vec<f64>>) -> Self {
        Matrix { rows, products: 0, fails_after: usize::MAX }
    }

    fn diagonal(entries: &[f64]) -> Self {
        let n = entries.len();
        Self::new((0..n).map(|i| (0..n).map(|j| if i == j { entries[i] } else { 0.0 }).collect()).collect())
    }

    /// `BᵀB + ridge·I`, positive definite with eigenvalues of at least `ridge`.
    fn gram(b: &[Vec<f64>], ridge: f64) -> Self {
        let n = b.len();
        let entry =
            |i: usize, j: usize| b.iter().map(|row| row[i] * row[j]).sum::<f64>() + if i == j { ridge } else { 0.0 };
        Self::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect())
    }

    fn times(&self, x: &[f64]) -> Vec<f64> {
        self.rows.iter().map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect()
    }

    fn trace(&self) -> f64 {
        (0..self.rows.len()).map(|i| self.rows[i][i]).sum()
    }

    /// `‖b − (A + δI)·x‖ / ‖b‖`
    fn residual(&self, damping: f64, x: &Column, b: &Column) -> f64 {
        let product = self.times(&x.0);
        let r = b.0.iter().zip(&product).zip(&x.0).map(|((b, ax), x)| b - ax - damping * x);
        norm(&r.collect::<Vec<_>>()) / norm(&b.0)
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the device is gone")]
struct Gone;

impl From<Infallible> for Gone {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl LinearOperator for Matrix {
    type Vector = Column;
    type Error = Gone;

    fn apply(&mut self, x: &Column) -> Result<Column, Gone> {
        self.products += 1;
        if self.products > self.fails_after { Err(Gone) } else { Ok(Column(self.times(&x.0))) }
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// `‖x − y‖ / ‖y‖`
fn distance(x: &Column, y: &Column) -> f64 {
    let mut difference = x.clone();
    difference.add_scaled(-1.0, y);
    norm(&difference.0) / norm(&y.0)
}

fn cg(iterations: usize, tolerance: f64, damping: f64) -> CgOptions {
    CgOptions { iterations, tolerance, damping }
}

const EXACT: DenseOptions = DenseOptions { damping: 0.0, limit: 100 };

/// A square matrix with entries in `[−1, 1]`, and a right-hand side that is not 0.
fn system() -> impl Strategy<Value = (Vec<Vec<f64>>, Column)> {
    (1_usize..9).prop_flat_map(|n| {
        let entries = || prop::collection::vec(-1.0..1.0, n);
        let b = entries().prop_filter("b must not vanish", |b| norm(b) > 1e-3).prop_map(Column);
        (prop::collection::vec(entries(), n), b)
    })
}

proptest! {
    #[test]
    fn cg_solves_n_unknowns_in_n_iterations((b, rhs) in system(), damping in 0.0..2.0) {
        let mut a = Matrix::gram(&b, 1.0);
        let n = rhs.0.len();
        let solved = conjugate_gradient(&mut a, &rhs, None, &cg(n, 0.0, damping))?;
        prop_assert!(a.products <= n);
        let exact = dense(&mut a, &rhs, &DenseOptions { damping, ..EXACT })?;
        prop_assert!(distance(&solved.x, &exact.x) < 1e-10);
    }

    #[test]
    fn cg_reports_the_true_residual((b, rhs) in system(), iterations in 0_usize..4, damping in 0.0..2.0) {
        let mut a = Matrix::gram(&b, 1.0);
        let Solution { x, outcome } = conjugate_gradient(&mut a, &rhs, None, &cg(iterations, 1e-8, damping))?;
        prop_assert!((a.residual(damping, &x, &rhs) - outcome.residual).abs() < 1e-13);
        prop_assert_eq!(outcome.converged, outcome.residual <= 1e-8);
        prop_assert_eq!(a.products, outcome.iterations);
    }

    #[test]
    fn cg_goes_on_from_a_guess((b, rhs) in system(), guess in prop::collection::vec(-1.0..1.0, 8)) {
        // Residuals are relative to the right-hand side: beside a tiny one, the rounding of a guess of size 1 counts.
        prop_assume!(rhs.0.iter().any(|x| x.abs() > 0.1));
        let mut a = Matrix::gram(&b, 1.0);
        let n = rhs.0.len();
        let guess = Column(guess[..n].to_vec());
        // A few iterations more than unknowns, against rounding.
        let solved = conjugate_gradient(&mut a, &rhs, Some(guess), &cg(n + 4, 0.0, 0.0))?;
        let again = conjugate_gradient(&mut a, &rhs, Some(solved.x.clone()), &cg(n, 1e-10, 0.0))?;
        prop_assert!(solved.outcome.residual < 1e-10);
        prop_assert_eq!(again.outcome.iterations, 0);
        prop_assert!(again.outcome.converged);
        prop_assert_eq!(again.x, solved.x);
    }

    #[test]
    fn dense_solves_what_is_not_symmetric((mut rows, rhs) in system()) {
        rows.iter_mut().enumerate().for_each(|(i, row)| row[i] += 10.0);
        rows.reverse(); // the large entries leave the diagonal, so that elimination has to exchange rows
        let mut a = Matrix::new(rows);
        let Solution { x, outcome } = dense(&mut a, &rhs, &EXACT)?;
        prop_assert!(outcome.residual < 1e-13);
        prop_assert!((a.residual(0.0, &x, &rhs) - outcome.residual).abs() < 1e-15);
    }

    #[test]
    fn neumann_is_the_truncated_series((b, rhs) in system(), terms in 0_usize..8, damping in 0.0..1.0) {
        let mut a = Matrix::gram(&b, 0.5);
        let step_size = 1.0 / (a.trace() + damping);
        let solved = neumann(&mut a, &rhs, None, &NeumannOptions { terms, step_size, damping })?;
        prop_assert_eq!(a.products, terms.saturating_sub(1));

        let mut sum = rhs.zero();
        for k in 0..terms {
            let mut power = rhs.clone();
            for _ in 0..k {
                let product = Column(a.times(&power.0));
                power.scale(1.0 - step_size * damping);
                power.add_scaled(-step_size, &product);
            }
            sum.add_scaled(step_size, &power);
        }
        for (x, y) in solved.x.0.iter().zip(&sum.0) {
            prop_assert!((x - y).abs() < 1e-13);
        }
        prop_assert!(a.residual(damping, &solved.x, &rhs) <= solved.outcome.residual + 1e-13);
    }

    #[test]
    fn neumann_converges_to_the_inverse((b, rhs) in system()) {
        let mut a = Matrix::gram(&b, 1.0);
        let step_size = 1.0 / a.trace();
        let solved = neumann(&mut a, &rhs, None, &NeumannOptions { terms: 2000, step_size, damping: 0.0 })?;
        let exact = dense(&mut a, &rhs, &EXACT)?;
        prop_assert!(distance(&solved.x, &exact.x) < 1e-10);
    }
}

#[test]
fn nothing_to_solve_needs_no_product() {
    let zero = Column(vec![0.0; 2]);
    let mut a = Matrix::diagonal(&[1.0, f64::NAN]);
    let series = NeumannOptions { terms: 5, step_size: 0.1, damping: 0.0 };
    let guess = Some(Column(vec![1.0, 1.0]));
    let expected = Solution { x: zero.clone(), outcome: Outcome { iterations: 0, residual: 0.0, converged: true } };
    assert_eq!(conjugate_gradient(&mut a, &zero, guess, &cg(5, 0.0, 0.0)), Ok(expected.clone()));
    assert_eq!(neumann(&mut a, &zero, None, &series), Ok(expected.clone()));
    assert_eq!(gmres(&mut a, &zero, None, &krylov::options(5, 5, 0.0)), Ok(expected.clone()));
    assert_eq!(
        minres(&mut a, &zero, None, &MinresOptions { iterations: 5, tolerance: 0.0, damping: 0.0 }),
        Ok(expected.clone())
    );
    assert_eq!(super::nystrom(&mut a, &zero, &NystromOptions { rank: 1, damping: 1.0, seed: 0 }), Ok(expected.clone()));
    assert_eq!(dense(&mut a, &zero, &EXACT), Ok(expected));
    assert_eq!(a.products, 0);
}

#[test]
fn running_out_of_iterations_is_an_outcome() {
    let (mut a, b) = (Matrix::diagonal(&[1.0, 10.0, 100.0]), Column(vec![1.0; 3]));
    let outcome = conjugate_gradient(&mut a, &b, None, &cg(2, 1e-10, 0.0)).map(|solution| solution.outcome);
    assert!(matches!(outcome, Ok(Outcome { iterations: 2, converged: false, residual }) if residual > 1e-3));
}

#[test]
fn cg_refuses_negative_curvature_and_damping_repairs_it() {
    let (mut a, b) = (Matrix::diagonal(&[-2.0, -2.0]), Column(vec![1.0, 1.0]));
    let refused = conjugate_gradient(&mut a, &b, None, &cg(5, 0.0, 0.0));
    let remedy = Remedy { damping: Some(4.0), step_size: None };
    let expected = SolveError::NotPositiveDefinite { iteration: 1, curvature: -2.0, smallest: -2.0, remedy };
    assert_eq!(refused, Err(expected));
    let repaired = conjugate_gradient(&mut a, &b, None, &cg(5, 0.0, 3.0)).map(|solution| solution.x);
    assert_eq!(repaired, Ok(Column(vec![1.0, 1.0])));
}

#[test]
fn cg_finds_an_indefinite_direction_after_definite_ones() {
    let (mut a, b) = (Matrix::diagonal(&[5.0, 4.0, -1.0]), Column(vec![1.0, 1.0, 1.0]));
    let refused = conjugate_gradient(&mut a, &b, None, &cg(5, 0.0, 0.0));
    let Err(SolveError::NotPositiveDefinite { iteration, curvature, .. }) = refused else { panic!("{refused:?}") };
    assert!(iteration > 1 && (-1.0..0.0).contains(&curvature), "{iteration} {curvature}");
}

#[test]
fn what_is_not_finite_is_named() {
    let (mut a, b) = (Matrix::diagonal(&[1.0, f64::NAN]), Column(vec![1.0, 1.0]));
    let series = NeumannOptions { terms: 5, step_size: 0.1, damping: 0.0 };
    let not_finite = |iteration, quantity| Err(SolveError::NotFinite { iteration, quantity });
    assert_eq!(conjugate_gradient(&mut a, &b, None, &cg(5, 0.0, 0.0)), not_finite(1, Quantity::Curvature));
    assert_eq!(conjugate_gradient(&mut a, &b, Some(b.clone()), &cg(5, 0.0, 0.0)), not_finite(0, Quantity::Residual));
    assert_eq!(neumann(&mut a, &b, None, &series), not_finite(1, Quantity::Term));
    assert_eq!(dense(&mut a, &b, &EXACT), not_finite(1, Quantity::Entry));
    let infinite = Column(vec![1.0, f64::INFINITY]);
    assert_eq!(conjugate_gradient(&mut a, &infinite, None, &cg(5, 0.0, 0.0)), not_finite(0, Quantity::RightHandSide));
}

#[test]
fn neumann_tells_a_long_step_from_a_downward_curve() {
    let b = Column(vec![1.0, 1.0]);
    let series = NeumannOptions { terms: 100, step_size: 1.0, damping: 0.0 };
    let long = neumann(&mut Matrix::diagonal(&[1.0, 4.0]), &b, None, &series);
    let Err(SolveError::Diverged { term, growth, step_size, largest, remedy }) = long else { panic!("{long:?}") };
    assert!(term == 3 && growth > 10.0 && step_size == 1.0, "{term} {growth}");
    assert!((largest - 4.0).abs() < 1e-14, "{largest}");
    assert_eq!(remedy, Remedy { damping: None, step_size: Some(0.25) });

    let downward = neumann(&mut Matrix::diagonal(&[1.0, -1.0]), &b, None, &series);
    assert!(matches!(downward, Err(SolveError::NotPositiveDefinite { curvature, .. }) if curvature == -1.0));
    let damped = neumann(&mut Matrix::diagonal(&[1.0, -1.0]), &b, None, &NeumannOptions { damping: 1.5, ..series });
    assert!(matches!(damped, Err(SolveError::Diverged { .. })), "1 + 1.5 exceeds 2/step_size: {damped:?}");
}

/// A parameter that no loss reads: nothing depends on it, and nothing is asked of it.
#[test]
fn dense_leaves_unknowns_at_zero_that_no_equation_has() {
    let mut a = Matrix::new(vec![vec![2e20, 0.0, 1e20], vec![0.0, 0.0, 0.0], vec![1e20, 0.0, 3e20]]);
    let found = dense(&mut a, &Column(vec![4e20, 0.0, 7e20]), &EXACT).map(|solution| solution.x);
    assert_eq!(found, Ok(Column(vec![1.0, 0.0, 2.0])));
    // Of which something is asked, though, it has no answer.
    assert!(matches!(dense(&mut a, &Column(vec![4e20, 1.0, 7e20]), &EXACT), Err(SolveError::Singular { .. })));
}

#[test]
fn dense_refuses_what_is_singular_or_too_large() {
    let b = Column(vec![1.0, 2.0]);
    let mut singular = Matrix::new(vec![vec![1.0, 2.0], vec![2.0, 4.0]]);
    assert_eq!(dense(&mut singular, &b, &EXACT), Err(SolveError::Singular { pivot: 1, magnitude: 0.0, size: 4.0 }));
    let damped = dense(&mut singular, &b, &DenseOptions { damping: 1.0, ..EXACT });
    assert!(damped.is_ok_and(|solution| solution.outcome.residual < 1e-14));
    let small = DenseOptions { damping: 0.0, limit: 1 };
    assert_eq!(dense(&mut singular, &b, &small), Err(SolveError::TooLarge { dimension: 2, limit: 1 }));
}

#[test]
fn a_failing_product_is_handed_on() {
    let b = Column(vec![1.0, 1.0]);
    let mut a = Matrix { fails_after: 1, ..Matrix::diagonal(&[1.0, 2.0]) };
    assert_eq!(conjugate_gradient(&mut a, &b, None, &cg(5, 0.0, 0.0)), Err(SolveError::Operator(Gone)));
}

#[test]
fn an_unfinished_solution_is_a_failure_for_those_who_ask() {
    let b = Column(vec![1.0, 1.0, 1.0]);
    let mut a = Matrix::diagonal(&[1.0, 2.0, 4.0]);
    let mut solve = |iterations| conjugate_gradient(&mut a, &b, None, &cg(iterations, 1e-8, 0.0)).expect("definite");
    let residual = solve(1).outcome.residual;
    // One step from 0 along b: r = b − α·A·b with α = ⟨b, b⟩ / ⟨b, A·b⟩ = 3/7.
    let exact = (4.0_f64.powi(2) + 1.0_f64.powi(2) + 5.0_f64.powi(2)).sqrt() / 7.0 / 3.0_f64.sqrt();
    assert!((residual - exact).abs() < 1e-14, "{residual} {exact}");
    let failure = solve(1).within::<Gone>(1e-8).expect_err("one iteration is too few");
    assert_eq!(failure, SolveError::NoConvergence { residual, tolerance: 1e-8, iterations: 1 });
    assert!(solve(1).within::<Gone>(residual).is_ok());
    assert!(solve(3).within::<Gone>(1e-8).is_ok());
}
