//! The Nyström approximation where it is exact, and how its error shrinks where it is not.

use super::super::cholesky::{Dependent, whitening};
use super::super::nystrom;
use super::super::symmetric::eigen;
use super::*;

fn options(rank: usize, damping: f64) -> NystromOptions {
    NystromOptions { rank, damping, seed: 7 }
}

/// `Σ λₖ·uₖ·uₖᵀ` for orthonormal cosines `u`.
pub(super) fn with_spectrum(eigenvalues: &[f64]) -> Matrix {
    let n = eigenvalues.len();
    let u = |k: usize, i: usize| {
        let norm = (if k == 0 { 1.0 } else { 2.0 } / n as f64).sqrt();
        norm * (std::f64::consts::PI * k as f64 * (i as f64 + 0.5) / n as f64).cos()
    };
    let entry = |i: usize, j: usize| (0..n).map(|k| u(k, i) * eigenvalues[k] * u(k, j)).sum();
    Matrix::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect())
}

pub(super) fn right_hand_side(n: usize) -> Column {
    Column((0..n).map(|i| (1.3 * i as f64).sin() + 0.2).collect())
}

/// Distance from the exact solution.
fn error(a: &mut Matrix, b: &Column, options: &NystromOptions) -> f64 {
    let exact =
        dense(a, b, &DenseOptions { damping: options.damping, ..EXACT }).expect("a damped matrix is invertible");
    let found = nystrom(a, b, options).expect("the matrix is positive definite");
    distance(&found.x, &exact.x)
}

proptest! {
    #[test]
    fn a_full_rank_is_exact((b, rhs) in system(), damping in 0.01..2.0, seed in any::<u64>()) {
        let mut a = Matrix::gram(&b, 0.0);
        let n = rhs.0.len();
        let solved = nystrom(&mut a, &rhs, &NystromOptions { rank: n, damping, seed })?;
        prop_assert_eq!(a.products, n + 1);
        prop_assert!((a.residual(damping, &solved.x, &rhs) - solved.outcome.residual).abs() < 1e-14);
        let exact = dense(&mut a, &rhs, &DenseOptions { damping, ..EXACT })?;
        prop_assert!(distance(&solved.x, &exact.x) < 1e-8);
    }

    #[test]
    fn more_rank_than_unknowns_is_the_full_rank((b, rhs) in system(), more in 1_usize..5) {
        let mut a = Matrix::gram(&b, 0.1);
        let full = nystrom(&mut a, &rhs, &options(rhs.0.len(), 0.5))?;
        prop_assert_eq!(nystrom(&mut a, &rhs, &options(rhs.0.len() + more, 0.5))?, full);
    }

    #[test]
    fn the_approximate_inverse_is_symmetric_and_positive(seed in any::<u64>(), rank in 1_usize..12) {
        let mut a = with_spectrum(&std::array::from_fn::<_, 12, _>(|k| 0.5_f64.powi(k as i32)));
        let (x, y) = (right_hand_side(12), Column((0..12).map(|i| (0.7 * i as f64).cos()).collect()));
        let options = NystromOptions { rank, damping: 1e-2, seed };
        let inverse = |a: &mut Matrix, b: &Column| nystrom(a, b, &options).map(|solved| solved.x);
        let (px, py) = (inverse(&mut a, &x)?, inverse(&mut a, &y)?);
        let (xpy, ypx, xpx) = (x.dot(&py)?, y.dot(&px)?, x.dot(&px)?);
        prop_assert!((xpy - ypx).abs() < 1e-12 * xpx.max(xpy.abs()));
        prop_assert!(xpx > 0.0);
    }

    #[test]
    fn eigenvectors_diagonalise((b, _) in system()) {
        diagonalises(&Matrix::gram(&b, 0.3));
    }

    #[test]
    fn whitened_vectors_are_orthonormal((b, _) in system()) {
        let gram = Matrix::gram(&b, 0.3).rows;
        let n = gram.len();
        let (weights, independence) = whitening(&gram).map_err(|_| TestCaseError::fail("positive definite"))?;
        prop_assert!(independence > 0.0 && independence <= 1.0);
        for i in 0..n {
            for j in 0..n {
                let part = |k: usize| gram[k].iter().zip(&weights[j]).map(|(x, y)| x * y).sum::<f64>();
                let inner: f64 = (0..n).map(|k| weights[i][k] * part(k)).sum();
                prop_assert!((inner - f64::from(u8::from(i == j))).abs() < 1e-12 / independence);
            }
        }
    }
}

fn diagonalises(a: &Matrix) {
    let (eigenvalues, vectors) = eigen(a.rows.clone());
    assert_eq!((eigenvalues.len(), vectors.len()), (a.rows.len(), a.rows.len()));
    let size = a.rows.iter().flatten().map(|entry| entry * entry).sum::<f64>().sqrt();
    for (i, (eigenvalue, vector)) in eigenvalues.iter().zip(&vectors).enumerate() {
        for (product, entry) in a.times(vector).iter().zip(vector) {
            assert!((product - eigenvalue * entry).abs() <= 1e-13 * size, "{product} {eigenvalue} {entry}");
        }
        for (j, other) in vectors.iter().enumerate() {
            let inner: f64 = vector.iter().zip(other).map(|(x, y)| x * y).sum();
            assert!((inner - f64::from(u8::from(i == j))).abs() < 1e-13, "{inner}");
        }
    }
}

#[test]
fn every_symmetric_matrix_has_eigenvectors() {
    diagonalises(&with_spectrum(&std::array::from_fn::<_, 60, _>(|k| 0.7_f64.powi(k as i32) - 1e-3)));
    // Many eigenvalues that are equal, or zero, and matrices that are diagonal already.
    diagonalises(&with_spectrum(&std::array::from_fn::<_, 20, _>(|k| f64::from(u8::from(k < 3)))));
    diagonalises(&Matrix::diagonal(&[2.0, -1.0, 0.0, 2.0]));
    diagonalises(&Matrix::diagonal(&[0.0; 3]));
    diagonalises(&Matrix::new(vec![vec![0.0, 1.0], vec![1.0, 0.0]]));
    diagonalises(&Matrix::diagonal(&[5.0]));
    // Whole numbers: the path of three nodes has the eigenvalues 0, 1 and 3.
    let path = Matrix::new(vec![vec![1.0, -1.0, 0.0], vec![-1.0, 2.0, -1.0], vec![0.0, -1.0, 1.0]]);
    let mut found = eigen(path.rows).0;
    found.sort_by(f64::total_cmp);
    assert!(found.iter().zip([0.0, 1.0, 3.0]).all(|(found, expected)| (found - expected).abs() < 1e-14), "{found:?}");
}

#[test]
fn a_vector_that_is_a_combination_is_found() {
    let vectors = [[1.0, 2.0, 0.0], [0.0, 1.0, 1.0], [1.0, 3.0, 1.0], [0.0, 0.0, 1.0]];
    let inner = |x: &[f64; 3], y: &[f64; 3]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let gram: Vec<Vec<f64>> = vectors.iter().map(|x| vectors.iter().map(|y| inner(x, y)).collect()).collect();
    assert_eq!(whitening(&gram), Err(Dependent(2)));
    assert_eq!(whitening(&[vec![f64::NAN]]), Err(Dependent(0)));
    assert_eq!(whitening(&[vec![0.0]]), Err(Dependent(0)));
}

#[test]
fn an_operator_of_that_rank_is_inverted_exactly() {
    let mut eigenvalues = [0.0; 30];
    eigenvalues[..5].copy_from_slice(&[100.0, 10.0, 3.0, 1.0, 0.2]);
    let mut a = with_spectrum(&eigenvalues);
    for rank in [5, 8, 30] {
        for damping in [1e-4, 1e-2, 1.0] {
            let error = error(&mut a, &right_hand_side(30), &options(rank, damping));
            assert!(error < 1e-8, "rank {rank}, damping {damping}: {error:e}");
        }
    }
    assert!(error(&mut a, &right_hand_side(30), &options(4, 1e-2)) > 1e-3, "one eigenvalue is missing");
}

/// A matrix whose products are rounded to single precision, as those of most networks are.
struct Rounded(Matrix);

impl LinearOperator for Rounded {
    type Vector = Column;
    type Error = Gone;

    fn apply(&mut self, x: &Column) -> Result<Column, Gone> {
        let product = self.0.apply(x)?;
        Ok(Column(product.0.into_iter().map(|entry| f64::from(entry as f32)).collect()))
    }
}

#[test]
fn rounding_errors_of_the_products_are_not_inverted() {
    let mut eigenvalues = [0.0; 30];
    eigenvalues[..5].copy_from_slice(&[100.0, 10.0, 3.0, 1.0, 0.2]);
    let mut a = with_spectrum(&eigenvalues);
    let b = right_hand_side(30);
    let damping = 1e-2;
    let exact = dense(&mut a, &b, &DenseOptions { damping, ..EXACT }).expect("a damped matrix is invertible");
    for rank in [5, 12, 30] {
        let found = nystrom(&mut Rounded(a.clone()), &b, &options(rank, damping));
        let found = found.expect("rounding errors are smaller than the damping");
        // The rounding unit times λ_max/ρ is 6e-4.
        assert!(distance(&found.x, &exact.x) < 6e-4, "rank {rank}: {:e}", distance(&found.x, &exact.x));
    }
}

#[test]
fn the_error_shrinks_with_the_spectrum() {
    let mut a = with_spectrum(&std::array::from_fn::<_, 40, _>(|k| 0.5_f64.powi(k as i32)));
    let b = right_hand_side(40);
    let mut mean = |rank: usize| {
        let seeds = 0..10;
        seeds.map(|seed| error(&mut a, &b, &NystromOptions { rank, damping: 1e-3, seed })).sum::<f64>() / 10.0
    };
    let errors: Vec<f64> = [2, 5, 10, 15, 20, 25].into_iter().map(&mut mean).collect();
    assert!(errors.is_sorted_by(|larger, smaller| smaller < larger), "{errors:?}");
    // Once the eigenvalues left out are small against the damping, they are the relative error.
    assert!(errors[4] < 1e-2 && errors[5] < 1e-3, "{errors:?}");
}

#[test]
fn equal_seeds_give_equal_answers() {
    let mut a = with_spectrum(&[4.0, 3.0, 2.0, 1.0, 0.5, 0.25]);
    let b = right_hand_side(6);
    let mut solve = |seed| nystrom(&mut a, &b, &NystromOptions { rank: 2, damping: 0.1, seed });
    let first = solve(1);
    assert_eq!(first, solve(1));
    assert_ne!(first, solve(2));
}

#[test]
fn damping_must_outweigh_negative_curvature() {
    let (mut a, b) = (Matrix::diagonal(&[3.0, 1.0, -0.5]), Column(vec![1.0, 2.0, 3.0]));
    let refused = nystrom(&mut a, &b, &options(3, 0.1));
    let Err(SolveError::NotPositiveDefinite { iteration: 3, curvature, .. }) = refused else { panic!("{refused:?}") };
    assert!((curvature + 0.4).abs() < 1e-14, "{curvature}");
    for damping in [0.51, 0.6, 2.0] {
        let error = error(&mut a, &b, &options(3, damping));
        assert!(error < 1e-8, "{damping}: {error:e}");
    }
}

#[test]
fn nothing_known_leaves_the_damping() {
    let solved = nystrom(&mut Matrix::diagonal(&[0.0; 4]), &right_hand_side(4), &options(2, 0.5));
    let doubled = Column(right_hand_side(4).0.iter().map(|x| 2.0 * x).collect());
    assert_eq!(solved.map(|solved| solved.x), Ok(doubled));
}

#[test]
fn what_it_cannot_do_is_named() {
    let b = Column(vec![1.0, 1.0]);
    let mut a = Matrix::diagonal(&[1.0, 2.0]);
    for damping in [0.0, -1.0] {
        assert_eq!(nystrom(&mut a, &b, &options(1, damping)), Err(SolveError::Undamped { damping }));
    }
    assert!(matches!(nystrom(&mut a, &b, &options(1, f64::NAN)), Err(SolveError::Undamped { .. })));
    assert_eq!(a.products, 0);

    let mut skewed = Matrix::new(vec![vec![1.0, 0.5], vec![0.0, 1.0]]);
    let refused = nystrom(&mut skewed, &b, &options(2, 1.0));
    assert!(matches!(refused, Err(SolveError::NotSymmetric { asymmetry }) if asymmetry > 0.1), "{refused:?}");

    let refused = nystrom(&mut Matrix::diagonal(&[1.0, f64::NAN]), &b, &options(2, 1.0));
    assert_eq!(refused, Err(SolveError::NotFinite { iteration: 2, quantity: Quantity::Entry }));
    let mut a = Matrix { fails_after: 1, ..Matrix::diagonal(&[1.0, 2.0]) };
    assert_eq!(nystrom(&mut a, &b, &options(2, 1.0)), Err(SolveError::Operator(Gone)));
}
