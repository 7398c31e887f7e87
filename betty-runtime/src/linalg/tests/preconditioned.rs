//! Preconditioned solvers against the dense solve, and how many iterations they take.

use super::krylov::options as gmres_options;
use super::nystrom::{right_hand_side, with_spectrum};
use super::*;

fn minres_options(iterations: usize, tolerance: f64) -> MinresOptions {
    MinresOptions { iterations, tolerance, damping: 0.0 }
}

fn identity(_: &mut Matrix, r: &Column) -> Result<Column, Gone> {
    Ok(r.clone())
}

/// The inverse of a matrix.
fn inverse(of: Matrix) -> impl FnMut(&mut Matrix, &Column) -> Result<Column, Gone> {
    move |_, r| Ok(dense(&mut of.clone(), r, &EXACT).expect("invertible").x)
}

fn scaled(a: &Matrix, scales: &[f64]) -> Matrix {
    let rows = a.rows.iter().zip(scales);
    Matrix::new(rows.map(|(row, s)| row.iter().zip(scales).map(|(entry, t)| s * t * entry).collect()).collect())
}

proptest! {
    #[test]
    fn the_identity_changes_nothing((b, rhs) in system(), iterations in 0_usize..9) {
        let mut a = Matrix::gram(&b, 0.5);
        let plain = conjugate_gradient(&mut a, &rhs, None, &cg(iterations, 0.0, 0.1))?;
        let prepared = preconditioned_conjugate_gradient(&mut a, &mut identity, &rhs, None, &cg(iterations, 0.0, 0.1))?;
        prop_assert_eq!(prepared, plain);
        let plain = minres(&mut a, &rhs, None, &minres_options(iterations, 0.0))?;
        let prepared = preconditioned_minres(&mut a, &mut identity, &rhs, None, &minres_options(iterations, 0.0))?;
        prop_assert!(distance(&prepared.x, &plain.x) < 1e-12 || norm(&plain.x.0) == 0.0);
        // Here the residual is the one that is kept, there the one of the recurrence.
        prop_assert!((prepared.outcome.residual - plain.outcome.residual).abs() < 1e-13);
    }

    #[test]
    fn any_definite_preconditioner_leads_to_the_same_answer((b, rhs) in system(), (c, guess) in system(), damping in 0.0..2.0) {
        let n = rhs.0.len();
        let mut a = Matrix::gram(&b, 1.0);
        let square: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| c[i % c.len()][j % c.len()]).collect()).collect();
        let mut prepare = inverse(Matrix::gram(&square, 1.0));
        let guess = (guess.0.len() == n).then_some(guess);
        let exact = dense(&mut a, &rhs, &DenseOptions { damping, ..EXACT })?;
        let solved = preconditioned_conjugate_gradient(&mut a, &mut prepare, &rhs, guess.clone(), &cg(2 * n, 1e-14, damping))?;
        prop_assert!(distance(&solved.x, &exact.x) < 1e-10);
        let options = MinresOptions { damping, ..minres_options(2 * n, 1e-14) };
        let solved = preconditioned_minres(&mut a, &mut prepare, &rhs, guess, &options)?;
        prop_assert!(distance(&solved.x, &exact.x) < 1e-10);
        prop_assert!((a.residual(damping, &solved.x, &rhs) - solved.outcome.residual).abs() < 1e-13);
    }

    #[test]
    fn minres_takes_two_iterations_where_only_signs_are_left(
        (b, rhs) in system(), signs in prop::collection::vec(any::<bool>(), 9)
    ) {
        // Eigenvalues ±1 of P⁻¹·A, for A = L·diag(±1)·Lᵀ and P = L·Lᵀ.
        let n = rhs.0.len();
        let sign = |k: usize| if signs[k] { 1.0 } else { -1.0 };
        let l = |i: usize, k: usize| if k > i { 0.0 } else if k == i { 2.0 + b[i][i] } else { b[i][k] };
        let product = |with: &dyn Fn(usize) -> f64| {
            let entry = |i: usize, j: usize| (0..n).map(|k| l(i, k) * with(k) * l(j, k)).sum();
            Matrix::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect())
        };
        let (mut a, mut prepare) = (product(&sign), inverse(product(&|_| 1.0)));
        let exact = dense(&mut a, &rhs, &EXACT)?;
        let solved = preconditioned_minres(&mut a, &mut prepare, &rhs, None, &minres_options(10, 1e-11))?;
        prop_assert!(solved.outcome.iterations <= 2, "{:?}", solved.outcome);
        prop_assert!(distance(&solved.x, &exact.x) < 1e-9);
    }

    #[test]
    fn gmres_takes_any_preconditioner((rows, rhs) in system(), damping in 0.0..2.0) {
        let n = rhs.0.len();
        let skew = |i: usize, j: usize| rows[i][j] + if i == j { n as f64 + 1.0 } else { 0.0 };
        let mut a = Matrix::new((0..n).map(|i| (0..n).map(|j| skew(i, j)).collect()).collect());
        // Neither linear nor positive.
        let mut odd = |_: &mut Matrix, r: &Column| {
            let longest = r.0.iter().fold(0.0_f64, |longest, x| longest.max(x.abs()));
            Ok(Column(r.0.iter().map(|x| -x * (1.0 + x.abs() / longest)).collect()))
        };
        let options = GmresOptions { damping, ..gmres_options(10 * n, n, 1e-13) };
        let solved = preconditioned_gmres(&mut a, &mut odd, &rhs, None, &options)?;
        let exact = dense(&mut a, &rhs, &DenseOptions { damping, ..EXACT })?;
        prop_assert!(distance(&solved.x, &exact.x) < 1e-10);
    }

    #[test]
    fn a_diagonal_is_exact_where_products_are_enough((b, rhs) in system(), seed in any::<u64>()) {
        let mut a = Matrix::gram(&b, 0.5);
        let n = rhs.0.len();
        let mut learned = Diagonal::of(&mut a, 0.25, &rhs, &DiagonalOptions { probes: n, seed })?;
        prop_assert_eq!(a.products, n);
        let answer = learned.precondition(&mut a, &rhs)?;
        for (i, entry) in answer.0.iter().enumerate() {
            prop_assert!((entry * (a.rows[i][i] + 0.25) - rhs.0[i]).abs() < 1e-14);
        }
    }
}

/// `κ = 10⁸` by scales alone: with the diagonal taken out, eigenvalues lie in `[½, 3/2]`.
fn badly_scaled() -> (Matrix, Column) {
    let n = 60;
    let narrow = with_spectrum(&std::array::from_fn::<_, 60, _>(|k| 0.5 + k as f64 / 59.0));
    let scales: Vec<f64> = (0..n).map(|i| 1e4_f64.powf(f64::from((i * 7 % n) as u32) / 59.0)).collect();
    (scaled(&narrow, &scales), right_hand_side(n))
}

#[test]
fn a_diagonal_undoes_scales() {
    let (mut a, b) = badly_scaled();
    let exact = dense(&mut a, &b, &EXACT).expect("invertible").x;
    let plain = conjugate_gradient(&mut a, &b, None, &cg(60, 1e-12, 0.0)).expect("definite");
    assert!(!plain.outcome.converged, "{:?}", plain.outcome);
    for probes in [60, 200, 20] {
        let mut learned = Diagonal::of(&mut a, 0.0, &b, &DiagonalOptions { probes, seed: 3 }).expect("finite");
        let mut products = (a.clone(), a.clone(), a.clone());
        let options = cg(200, 1e-14, 0.0);
        let solved =
            preconditioned_conjugate_gradient(&mut products.0, &mut learned, &b, None, &options).expect("definite");
        // At κ = 3 the error falls by 0.27 an iteration, 2·0.27ᵏ ≤ 10⁻¹⁴·√κ(A) after 32. Of an estimate from 20 products, most entries
        // are no larger than their errors.
        let most = if probes >= 60 { 32 } else { 120 };
        assert!(solved.outcome.converged && solved.outcome.iterations <= most, "{probes}: {:?}", solved.outcome);
        assert!(distance(&solved.x, &exact) < 1e-10, "{probes}: {:e}", distance(&solved.x, &exact));
        let options = minres_options(200, 1e-14);
        let solved = preconditioned_minres(&mut products.1, &mut learned, &b, None, &options).expect("definite");
        assert!(distance(&solved.x, &exact) < 1e-10 && solved.outcome.iterations <= most, "{:?}", solved.outcome);
        // Rounding ends this one.
        let options = gmres_options(60, 60, 1e-14);
        let solved = preconditioned_gmres(&mut products.2, &mut learned, &b, None, &options).expect("definite");
        assert!(distance(&solved.x, &exact) < 1e-10 && solved.outcome.iterations <= most + 8, "{:?}", solved.outcome);
    }
}

/// A matrix that keeps what it was multiplied with, and the products.
struct Watched {
    matrix: Matrix,
    pairs: Vec<(Vec<f64>, Vec<f64>)>,
}

impl LinearOperator for Watched {
    type Vector = Column;
    type Error = Gone;

    fn apply(&mut self, x: &Column) -> Result<Column, Gone> {
        let product = self.matrix.apply(x)?;
        self.pairs.push((x.0.clone(), product.0.clone()));
        Ok(product)
    }
}

/// `I + w·wᵀ`, whose diagonal is 2 and is estimated with errors of about 3: what is about 0 by accident counts as its error.
#[test]
fn an_entry_of_a_diagonal_is_no_smaller_than_its_error() {
    let (n, probes) = (80, 10);
    let sign = |i: usize| if i.is_multiple_of(3) { -1.0 } else { 1.0 };
    let entry = |i: usize, j: usize| sign(i) * sign(j) + if i == j { 1.0 } else { 0.0 };
    let matrix = Matrix::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect());
    let b = right_hand_side(n);
    let mut watched = Watched { matrix: matrix.clone(), pairs: Vec::new() };
    let mut learned = Diagonal::of(&mut watched, 0.5, &b, &DiagonalOptions { probes, seed: 3 }).expect("finite");
    assert_eq!(watched.pairs.len(), probes);
    let k = probes as f64;
    let estimates = (0..n).map(|i| {
        let said: Vec<f64> = watched.pairs.iter().map(|(omega, product)| omega[i] * product[i]).collect();
        let mean = said.iter().sum::<f64>() / k;
        let error = (said.iter().map(|of| (of - mean).powi(2)).sum::<f64>() / (k * (k - 1.0))).sqrt();
        ((mean + 0.5).abs(), error)
    });
    let estimates: Vec<(f64, f64)> = estimates.collect();
    assert!(estimates.iter().any(|(entry, error)| *entry < 0.1 * error), "nothing for the bound to decide");
    assert!(estimates.iter().any(|(entry, error)| entry > error), "nothing that is known");
    let answer = learned.precondition(&mut watched, &b).expect("finite");
    for ((answer, b), (entry, error)) in answer.0.iter().zip(&b.0).zip(&estimates) {
        let expected = b / entry.max(*error).max(0.5);
        assert!((answer - expected).abs() < 1e-12 * expected.abs(), "{answer} is not {expected}");
    }
    let mut unbounded = |_: &mut Matrix, r: &Column| {
        Ok(Column(r.0.iter().zip(&estimates).map(|(r, (entry, _))| r / entry.max(1e-8)).collect()))
    };
    let mut a = matrix;
    let options = cg(n, 1e-10, 0.5);
    let bounded = preconditioned_conjugate_gradient(&mut a, &mut learned, &b, None, &options).expect("definite");
    let unbounded = preconditioned_conjugate_gradient(&mut a, &mut unbounded, &b, None, &options).expect("definite");
    let (few, many) = (bounded.outcome.iterations, unbounded.outcome.iterations);
    assert!(bounded.outcome.converged && 3 * few < 2 * many, "{few} and {many} iterations");
}

/// Where the matrix curves downwards by just as much, its damped diagonal is 0, and the damping stands for it.
#[test]
fn an_entry_of_a_diagonal_is_no_smaller_than_the_damping() {
    let mut a = Matrix::diagonal(&[-2.0, 1.0, 3.0]);
    let b = Column(vec![1.0, 1.0, 1.0]);
    let mut learned = Diagonal::of(&mut a, 2.0, &b, &DiagonalOptions { probes: 3, seed: 0 }).expect("finite");
    assert_eq!(learned.precondition(&mut a, &b), Ok(Column(vec![0.5, 1.0 / 3.0, 0.2])));
    let mut broken = Matrix::diagonal(&[1.0, f64::NAN, 1.0]);
    let refused = Diagonal::of(&mut broken, 0.0, &b, &DiagonalOptions { probes: 2, seed: 0 }).map(|_| ());
    assert_eq!(refused, Err(SolveError::NotFinite { iteration: 0, quantity: Quantity::Entry }));
}

#[test]
fn a_low_rank_takes_large_eigenvalues_out() {
    // Ten eigenvalues up to 10⁶ above fifty between 1 and 2.
    let spectrum: [f64; 60] =
        std::array::from_fn(|k| if k < 10 { 1e6 / (1.0 + k as f64).powi(2) } else { 1.0 + (k - 10) as f64 / 50.0 });
    let (mut a, b) = (with_spectrum(&spectrum), right_hand_side(60));
    let exact = dense(&mut a, &b, &EXACT).expect("invertible").x;
    let plain = conjugate_gradient(&mut a, &b, None, &cg(200, 1e-12, 0.0)).expect("definite").outcome.iterations;
    let options = NystromOptions { rank: 20, damping: 0.0, seed: 1 };
    a.products = 0;
    let mut learned = LowRank::of(&mut a, &b, &options).expect("symmetric");
    assert_eq!(a.products, 20);
    // What is left has a condition of at most 28 at twice the rank that counts (theorem 5.1): 18 a digit at the very worst.
    let solved =
        preconditioned_conjugate_gradient(&mut a, &mut learned, &b, None, &cg(60, 1e-12, 0.0)).expect("definite");
    assert!(solved.outcome.converged && 2 * solved.outcome.iterations <= plain, "{:?} {plain}", solved.outcome);
    assert!(distance(&solved.x, &exact) < 1e-10, "{:e}", distance(&solved.x, &exact));
}

#[test]
fn a_low_rank_takes_eigenvalues_of_both_signs_out() {
    let sign = |k: usize| if k.is_multiple_of(3) { -1.0 } else { 1.0 };
    let spectrum: [f64; 100] =
        std::array::from_fn(|k| sign(k) * if k < 8 { 1e5 / (1.0 + k as f64) } else { 1.0 + k as f64 / 100.0 });
    let (mut a, b) = (with_spectrum(&spectrum), right_hand_side(100));
    let exact = dense(&mut a, &b, &EXACT).expect("invertible").x;
    let plain = minres(&mut a, &b, None, &minres_options(400, 1e-12)).expect("invertible").outcome.iterations;
    let options = NystromOptions { rank: 16, damping: 0.0, seed: 1 };
    a.products = 0;
    let mut learned = LowRank::of(&mut a, &b, &options).expect("symmetric");
    assert_eq!(a.products, 32);
    let solved =
        preconditioned_minres(&mut a, &mut learned, &b, None, &minres_options(400, 1e-12)).expect("invertible");
    // With eigenvalues ±[1, 3] left, two iterations halve the residual.
    assert!(
        3 * solved.outcome.iterations <= 2 * plain && solved.outcome.iterations <= 90,
        "{:?} {plain}",
        solved.outcome
    );
    assert!(distance(&solved.x, &exact) < 1e-10, "{:e}", distance(&solved.x, &exact));
}

#[test]
fn a_low_rank_is_the_inverse_where_it_covers_the_spectrum() {
    for spectrum in [[1e8, 1e4, 3.0, 1.0, 1e-4, 1e-6], [1e4, -1e3, 30.0, -1.0, 0.1, 1e-2]] {
        let (mut a, b) = (with_spectrum(&spectrum), right_hand_side(6));
        let damping = 1e-3;
        let options = NystromOptions { rank: 9, damping, seed: 2 };
        let mut learned = LowRank::of(&mut a, &b, &options).expect("symmetric");
        let options = MinresOptions { damping, ..minres_options(6, 1e-9) };
        let solved = preconditioned_minres(&mut a, &mut learned, &b, None, &options).expect("invertible");
        assert!(solved.outcome.iterations <= 3, "{:?}", solved.outcome);
    }
}

#[test]
fn a_preconditioner_stays_positive_however_far_eigenvalues_reach() {
    let spectrum: [f64; 30] = std::array::from_fn(|k| 10.0_f64.powi(12 - k as i32));
    let (mut a, b) = (with_spectrum(&spectrum), right_hand_side(30));
    for rank in [1, 10, 30] {
        let options = NystromOptions { rank, damping: 0.0, seed: 5 };
        let mut learned = LowRank::of(&mut a, &b, &options).expect("symmetric");
        for k in 0..30 {
            let unit = Column((0..30).map(|i| f64::from(u8::from(i == k))).collect());
            let answer = learned.precondition(&mut a, &unit).expect("finite");
            assert!(answer.dot(&unit).is_ok_and(|positive| positive > 0.0), "rank {rank}");
        }
    }
    // Nothing is known of nothing.
    let mut zero = Matrix::diagonal(&[0.0; 4]);
    let (like, options) = (right_hand_side(4), NystromOptions { rank: 2, damping: 0.0, seed: 5 });
    let mut learned = LowRank::of(&mut zero, &like, &options).expect("symmetric");
    assert_eq!(learned.precondition(&mut zero, &like), Ok(like.clone()));
    let mut learned = Diagonal::of(&mut zero, 0.0, &like, &DiagonalOptions { probes: 2, seed: 0 }).expect("finite");
    assert_eq!(learned.precondition(&mut zero, &like), Ok(like));
}

type Own = fn(&mut Matrix, &Column) -> Result<Column, Gone>;

#[test]
fn what_is_no_preconditioner_is_named() {
    let mut a = Matrix::diagonal(&[1.0, 2.0, 5.0, 7.0]);
    let b = Column(vec![1.0, 2.0, -1.0, 0.5]);
    let refused = |prepare: Own| {
        let by_cg = preconditioned_conjugate_gradient(&mut a.clone(), &mut { prepare }, &b, None, &cg(9, 1e-12, 0.0));
        let by_minres = preconditioned_minres(&mut a.clone(), &mut { prepare }, &b, None, &minres_options(9, 1e-12));
        [by_cg, by_minres].map(|refused| refused.expect_err("no preconditioner"))
    };
    for error in refused(|_, r| Ok(Column(r.0.iter().map(|x| -x).collect()))) {
        let SolveError::PreconditionerNotPositiveDefinite { iteration: 0, curvature } = error else {
            panic!("{error}")
        };
        assert!((curvature + 1.0).abs() < 1e-15);
        assert!(error.to_string().contains("or use gmres"), "{error}");
    }
    // Half of the space is lost.
    for error in refused(|_, r| Ok(Column(vec![0.0, 0.0, r.0[2], r.0[3]]))) {
        assert!(!matches!(error, SolveError::NotPositiveDefinite { .. }), "{error}");
    }
    for error in refused(|_, r| Ok(Column(vec![r.0[0] + 4.0 * r.0[1], r.0[1] + 4.0 * r.0[2], r.0[2], r.0[3]]))) {
        assert!(
            matches!(
                error,
                SolveError::PreconditionerNotSymmetric { .. } | SolveError::PreconditionerNotPositiveDefinite { .. }
            ),
            "{error}"
        );
    }
    for error in refused(|_, r| Ok(Column(vec![r.0[0], 2.0 * r.0[1] + 0.5 * r.0[2], r.0[2] - 0.5 * r.0[1], r.0[3]]))) {
        assert!(matches!(error, SolveError::PreconditionerNotSymmetric { asymmetry } if asymmetry > 0.02), "{error}");
    }
    for error in refused(|_, r| Ok(Column(r.0.iter().map(|x| x.signum()).collect()))) {
        assert!(
            matches!(error, SolveError::PreconditionerNotLinear { .. } | SolveError::PreconditionerNotSymmetric { .. }),
            "{error}"
        );
    }
    for error in refused(|_, r| {
        let length = norm(&r.0).sqrt();
        Ok(Column(r.0.iter().map(|x| x / length).collect()))
    }) {
        assert!(
            matches!(error, SolveError::PreconditionerNotLinear { nonlinearity } if nonlinearity > 0.02),
            "{error}"
        );
    }
    for error in refused(|_, r| Ok(Column(r.0.iter().map(|_| f64::NAN).collect()))) {
        assert_eq!(error, SolveError::NotFinite { iteration: 0, quantity: Quantity::Preconditioned });
    }
    for error in refused(|_, _| Err(Gone)) {
        assert_eq!(error, SolveError::Operator(Gone));
    }
    let mut infinite: Own = |_, r| Ok(Column(r.0.iter().map(|_| f64::INFINITY).collect()));
    let refused = preconditioned_gmres(&mut a, &mut infinite, &b, None, &gmres_options(9, 9, 1e-12));
    assert_eq!(refused, Err(SolveError::NotFinite { iteration: 1, quantity: Quantity::Preconditioned }));
    let mut skewed = Matrix::new(vec![vec![1.0, 0.5], vec![0.0, 1.0]]);
    let options = NystromOptions { rank: 2, damping: 0.0, seed: 0 };
    let refused = LowRank::of(&mut skewed, &Column(vec![1.0, 1.0]), &options).map(|_| ());
    assert!(matches!(refused, Err(SolveError::SketchNotSymmetric { .. })), "{refused:?}");
}
