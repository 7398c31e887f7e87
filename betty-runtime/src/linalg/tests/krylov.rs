//! GMRES and MINRES against the dense solve, on systems that conjugate gradients cannot solve.

use super::*;

pub(super) fn options(iterations: usize, restart: usize, tolerance: f64) -> GmresOptions {
    GmresOptions { iterations, restart, tolerance, damping: 0.0 }
}

fn minres_options(iterations: usize, tolerance: f64) -> MinresOptions {
    MinresOptions { iterations, tolerance, damping: 0.0 }
}

/// A matrix without symmetry whose symmetric part is positive definite: GMRES shrinks the residual at every restart.
fn rows_with_a_definite_part(mut rows: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = rows.len() as f64;
    rows.iter_mut().enumerate().for_each(|(i, row)| row[i] += n + 1.0);
    rows
}

/// The symmetric matrix `Q·diag(±1 … ±2)·Qᵀ` for the reflection `Q` at `b`, with eigenvalues of both signs.
fn indefinite(b: &Column, signs: &[bool]) -> Matrix {
    let n = b.0.len();
    let square = b.0.iter().map(|x| x * x).sum::<f64>();
    let q = |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * b.0[i] * b.0[j] / square;
    let eigenvalue = |k: usize| (1.0 + k as f64 / n as f64) * if signs[k] { 1.0 } else { -1.0 };
    let entry = |i: usize, j: usize| (0..n).map(|k| q(i, k) * eigenvalue(k) * q(j, k)).sum();
    Matrix::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect())
}

proptest! {
    #[test]
    fn gmres_solves_n_unknowns_in_n_iterations((rows, rhs) in system(), damping in 0.0..2.0) {
        let mut a = Matrix::new(rows_with_a_definite_part(rows));
        let n = rhs.0.len();
        let solved = gmres(&mut a, &rhs, None, &GmresOptions { damping, ..options(n, n, 0.0) })?;
        // One product an iteration, and one for the true residual.
        prop_assert!(a.products <= n + 1);
        let exact = dense(&mut a, &rhs, &DenseOptions { damping, ..EXACT })?;
        prop_assert!(distance(&solved.x, &exact.x) < 1e-10);
    }

    #[test]
    fn gmres_prepared_by_another_map_each_time_solves_the_same((rows, rhs) in system()) {
        let mut a = Matrix::new(rows_with_a_definite_part(rows));
        let exact = dense(&mut a, &rhs, &EXACT)?;
        let n = rhs.0.len();
        let mut time = 0;
        let prepare = |a: &mut Matrix, v: &Column| {
            time += 1;
            let entry = |(i, x): (usize, &f64)| x / (a.rows[i][i] + 0.1 * f64::from(time % 3));
            Ok(Column(v.0.iter().enumerate().map(entry).collect()))
        };
        let solved = flexible_gmres(&mut a, prepare, &rhs, None, &options(10 * n, n, 1e-13))?;
        prop_assert!(distance(&solved.x, &exact.x) < 1e-9);
        prop_assert!((a.residual(0.0, &solved.x, &rhs) - solved.outcome.residual).abs() < 1e-14);
    }

    #[test]
    fn a_preparation_by_the_inverse_leaves_one_iteration((rows, rhs) in system()) {
        let mut a = Matrix::new(rows_with_a_definite_part(rows));
        let exact = dense(&mut a, &rhs, &EXACT)?;
        let prepare = |a: &mut Matrix, v: &Column| match dense(a, v, &EXACT) {
            Ok(solved) => Ok(solved.x),
            Err(SolveError::Operator(error)) => Err(error),
            Err(_) => Err(Gone),
        };
        let solved = flexible_gmres(&mut a, prepare, &rhs, None, &options(5, 5, 1e-10))?;
        prop_assert!(solved.outcome.iterations <= 1 && distance(&solved.x, &exact.x) < 1e-9);
    }

    #[test]
    fn gmres_reports_the_true_residual((rows, rhs) in system(), iterations in 0_usize..12, restart in 1_usize..4) {
        let mut a = Matrix::new(rows_with_a_definite_part(rows));
        let Solution { x, outcome } = gmres(&mut a, &rhs, None, &options(iterations, restart, 1e-8))?;
        prop_assert!((a.residual(0.0, &x, &rhs) - outcome.residual).abs() < 1e-14);
        prop_assert_eq!(outcome.converged, outcome.residual <= 1e-8);
        prop_assert!(outcome.iterations <= iterations);
        prop_assert!(outcome.residual <= 1.0 + 1e-14);
    }

    #[test]
    fn gmres_converges_over_restarts((rows, rhs) in system(), restart in 1_usize..4) {
        let mut a = Matrix::new(rows_with_a_definite_part(rows));
        let solved = gmres(&mut a, &rhs, None, &options(2000, restart, 1e-12))?;
        prop_assert!(solved.outcome.converged);
        let exact = dense(&mut a, &rhs, &EXACT)?;
        prop_assert!(distance(&solved.x, &exact.x) < 1e-10);
    }

    #[test]
    fn minres_solves_indefinite_systems((_, rhs) in system(), signs in prop::collection::vec(any::<bool>(), 9)) {
        let mut a = indefinite(&rhs, &signs);
        let mixed = Column((0..rhs.0.len()).map(|i| 1.0 + rhs.0[i]).collect());
        prop_assume!(norm(&mixed.0) > 1e-3);
        let n = rhs.0.len();
        let solved = minres(&mut a, &mixed, None, &minres_options(n, 0.0))?;
        // The last one measures the residual.
        prop_assert!(a.products <= n + 1);
        let exact = dense(&mut a, &mixed, &EXACT)?;
        prop_assert!(distance(&solved.x, &exact.x) < 1e-10);
        prop_assert!((a.residual(0.0, &solved.x, &mixed) - solved.outcome.residual).abs() < 1e-13);
    }

    #[test]
    fn minres_has_the_smallest_residual_of_its_span((b, rhs) in system(), iterations in 1_usize..5) {
        // GMRES without restarts minimises over the same space, by other means.
        let mut a = Matrix::gram(&b, 1.0);
        let short = minres(&mut a, &rhs, None, &minres_options(iterations, 0.0))?;
        let long = gmres(&mut a, &rhs, None, &options(iterations, iterations, 0.0))?;
        prop_assert!(distance(&short.x, &long.x) < 1e-10);
        prop_assert!((short.outcome.residual - long.outcome.residual).abs() < 1e-13);
    }
}

#[test]
fn an_exhausted_space_ends_the_search_early() {
    // Two distinct eigenvalues: two iterations are enough for five unknowns.
    let b = Column(vec![1.0, -2.0, 0.5, 3.0, 1.0]);
    for mut a in [Matrix::diagonal(&[2.0, 2.0, 5.0, 5.0, 2.0]), Matrix::diagonal(&[2.0, 2.0, -5.0, -5.0, 2.0])] {
        let exact = dense(&mut a, &b, &EXACT).expect("the matrix is invertible");
        let solved = gmres(&mut a, &b, None, &options(5, 5, 1e-14)).expect("the matrix is invertible");
        assert!(distance(&solved.x, &exact.x) < 1e-14 && solved.outcome.iterations == 2, "{solved:?}");
        let solved = minres(&mut a, &b, None, &minres_options(5, 0.0)).expect("the matrix is invertible");
        assert!(distance(&solved.x, &exact.x) < 1e-14 && solved.outcome.iterations == 2, "{solved:?}");
    }
}

#[test]
fn a_rotation_defeats_short_bases_only() {
    // A cyclic shift makes no progress before its last vector.
    let n = 5;
    let shift = |i: usize, j: usize| f64::from(u8::from((i + 1) % n == j));
    let mut a = Matrix::new((0..n).map(|i| (0..n).map(|j| shift(i, j)).collect()).collect());
    let b = Column(vec![1.0, 0.0, 0.0, 0.0, 0.0]);
    let short = gmres(&mut a, &b, None, &options(20, 4, 1e-10)).expect("nothing breaks down");
    assert_eq!(short.outcome, Outcome { iterations: 20, residual: 1.0, converged: false });
    let whole = gmres(&mut a, &b, None, &options(20, 5, 1e-10)).expect("nothing breaks down");
    assert_eq!(whole.x, Column(vec![0.0, 1.0, 0.0, 0.0, 0.0]));
    assert_eq!(whole.outcome.iterations, 5);
}

#[test]
fn rounding_errors_end_the_search_when_no_tolerance_does() {
    let n = 8;
    let entry = |i: usize, j: usize| 1.0 / (1.0 + (i as f64 - 2.0 * j as f64).abs()) + if i == j { 1.0 } else { 0.0 };
    let mut a = Matrix::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect());
    let b = Column((0..n).map(|i| (i as f64).cos()).collect());
    let solved = gmres(&mut a, &b, None, &options(10_000, n, 0.0)).expect("the matrix is invertible");
    assert!(solved.outcome.residual < 1e-14 && solved.outcome.iterations < 100, "{:?}", solved.outcome);
}

#[test]
fn what_has_no_inverse_is_refused_unless_damped() {
    let b = Column(vec![1.0, 1.0]);
    let mut a = Matrix::diagonal(&[1.0, 0.0]);
    let refused = gmres(&mut a, &b, None, &options(5, 5, 0.0));
    assert!(matches!(refused, Err(SolveError::Singular { pivot: 1, .. })), "{refused:?}");
    let refused = minres(&mut a, &b, None, &minres_options(5, 0.0));
    assert!(matches!(refused, Err(SolveError::Singular { pivot: 1, .. })), "{refused:?}");
    // So it is where it begins with the smallest residual that there is.
    let refused = minres(&mut a, &b, Some(Column(vec![1.0, 0.0])), &minres_options(5, 0.0));
    assert!(matches!(refused, Err(SolveError::Singular { pivot: 0, .. })), "{refused:?}");
    let damped = gmres(&mut a, &b, None, &GmresOptions { damping: 1.0, ..options(5, 5, 0.0) });
    assert!(damped.is_ok_and(|solved| distance(&solved.x, &Column(vec![0.5, 1.0])) < 1e-15));
    let damped = minres(&mut a, &b, None, &MinresOptions { damping: 1.0, ..minres_options(5, 0.0) });
    assert!(damped.is_ok_and(|solved| distance(&solved.x, &Column(vec![0.5, 1.0])) < 1e-14));
    // In the range of a singular operator there is something to find.
    let inside = Column(vec![3.0, 0.0]);
    assert!(gmres(&mut a, &inside, None, &options(5, 5, 0.0)).is_ok_and(|solved| solved.x == inside));
    assert!(minres(&mut a, &inside, None, &minres_options(5, 0.0)).is_ok_and(|solved| solved.x == inside));
}

#[test]
fn what_is_not_finite_or_fails_is_named() {
    let b = Column(vec![1.0, 1.0]);
    let mut a = Matrix::diagonal(&[1.0, f64::NAN]);
    let refused = gmres(&mut a, &b, None, &options(5, 5, 0.0));
    assert_eq!(refused, Err(SolveError::NotFinite { iteration: 1, quantity: Quantity::Entry }));
    let refused = minres(&mut a, &b, None, &minres_options(5, 0.0));
    assert_eq!(refused, Err(SolveError::NotFinite { iteration: 1, quantity: Quantity::Curvature }));
    let refused = gmres(&mut a, &b, Some(b.clone()), &options(5, 5, 0.0));
    assert_eq!(refused, Err(SolveError::NotFinite { iteration: 0, quantity: Quantity::Residual }));
    let refused = minres(&mut a, &b, Some(b.clone()), &minres_options(5, 0.0));
    assert_eq!(refused, Err(SolveError::NotFinite { iteration: 0, quantity: Quantity::Residual }));

    let mut a = Matrix { fails_after: 1, ..Matrix::diagonal(&[1.0, 2.0]) };
    assert_eq!(gmres(&mut a, &b, None, &options(5, 5, 0.0)), Err(SolveError::Operator(Gone)));
    let mut a = Matrix { fails_after: 1, ..Matrix::diagonal(&[1.0, 2.0]) };
    assert_eq!(minres(&mut a, &b, None, &minres_options(5, 0.0)), Err(SolveError::Operator(Gone)));
}
