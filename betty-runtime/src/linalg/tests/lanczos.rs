//! The ends of a spectrum against those of the whole matrix.

use super::*;
use crate::linalg::symmetric::eigen;

/// The eigenvalues of a symmetric matrix, in order.
fn eigenvalues(a: &Matrix) -> Vec<f64> {
    let mut values = eigen(a.rows.clone()).0;
    values.sort_by(f64::total_cmp);
    values
}

/// The symmetric matrix with the lower triangle of these rows.
fn symmetric(rows: &[Vec<f64>]) -> Matrix {
    let n = rows.len();
    Matrix::new((0..n).map(|i| (0..n).map(|j| rows[i.max(j)][i.min(j)]).collect()).collect())
}

proptest! {
    #[test]
    fn as_many_products_as_unknowns_find_both_ends((rows, start) in system(), damping in 0.0..2.0) {
        let mut a = symmetric(&rows);
        let n = start.0.len();
        let all = eigenvalues(&a);
        let Spectrum { smallest, largest, products, .. } = extreme_eigenvalues(&mut a, damping, &start, n)?;
        prop_assert!(products <= n && a.products == products);
        // A start with hardly a part along an eigenvector takes that for a rounding error.
        prop_assume!(products == n);
        let scale = all[0].abs().max(all[n - 1].abs());
        prop_assert!((smallest.value - damping - all[0]).abs() <= smallest.error + 1e-13 * (scale + damping));
        prop_assert!((largest.value - damping - all[n - 1]).abs() <= largest.error + 1e-13 * (scale + damping));
    }

    #[test]
    fn estimates_stay_within_the_spectrum_and_their_errors_bound((rows, start) in system(), products in 1_usize..9) {
        let mut a = symmetric(&rows);
        let all = eigenvalues(&a);
        let found = extreme_eigenvalues(&mut a, 0.0, &start, products)?;
        let scale = all.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
        let rounding = 1e-13 * scale;
        prop_assert!(all[0] - rounding <= found.smallest.value && found.smallest.value <= found.largest.value);
        prop_assert!(found.largest.value <= all[all.len() - 1] + rounding);
        for End { value, error } in [found.smallest, found.largest] {
            let nearest = all.iter().fold(f64::INFINITY, |nearest, x| nearest.min((x - value).abs()));
            prop_assert!(nearest <= error + rounding, "{nearest:e} {error:e}");
        }
    }
}

#[test]
fn few_products_find_the_ends_of_a_large_spectrum() {
    // 400 eigenvalues from 1 to 100, and one on each side of them.
    let n = 402;
    let spectrum: Vec<f64> = (0..n)
        .map(|i| match i {
            0 => -5.0,
            _ if i == n - 1 => 300.0,
            _ => 1.0 + 99.0 * i as f64 / n as f64,
        })
        .collect();
    let start = Column((0..n).map(|i| (1.0 + i as f64).sin()).collect());
    let mut a = Spread { spectrum };
    let found = extreme_eigenvalues(&mut a, 0.0, &start, 60).expect("it is finite");
    assert_eq!(found.products, 60);
    for (End { value, error }, exact) in [(found.smallest, -5.0), (found.largest, 300.0)] {
        assert!((value - exact).abs() <= error + 1e-11 && error < 1e-5, "{value} {error:e}");
    }
    // With fewer, the bounds say that they are not there yet.
    let early = extreme_eigenvalues(&mut a, 0.0, &start, 8).expect("it is finite");
    assert!(early.smallest.value > -4.9 && early.smallest.error > 0.1, "{early:?}");
}

#[test]
fn a_space_that_is_exhausted_ends_the_search() {
    let mut a = Matrix::diagonal(&[2.0, 2.0, 5.0, -3.0]);
    let found = extreme_eigenvalues(&mut a, 0.0, &Column(vec![1.0, 1.0, 1.0, 0.0]), 10).expect("it is finite");
    assert_eq!((found.products, a.products), (2, 2));
    assert!((found.smallest.value - 2.0).abs() < 1e-14 && (found.largest.value - 5.0).abs() < 1e-14, "{found:?}");
    assert!(found.smallest.error < 1e-14 && found.largest.error < 1e-14, "{found:?}");
    let unseen = extreme_eigenvalues(&mut a, 0.0, &Column(vec![0.0; 4]), 10).expect("it is finite");
    assert_eq!(unseen.products, 0);
    assert!(unseen.largest == End { value: 0.0, error: f64::INFINITY } && unseen.smallest == unseen.largest);
    let nothing = extreme_eigenvalues(&mut Matrix::diagonal(&[0.0; 3]), 0.0, &Column(vec![1.0; 3]), 5);
    let zero = End { value: 0.0, error: 0.0 };
    assert_eq!(nothing, Ok(Spectrum { smallest: zero, largest: zero, rounding: 0.0, products: 1 }));
}

#[test]
fn what_is_not_finite_is_named() {
    let mut a = Matrix::diagonal(&[1.0, f64::NAN]);
    let refused = extreme_eigenvalues(&mut a, 0.0, &Column(vec![1.0, 1.0]), 5);
    assert_eq!(refused, Err(SolveError::NotFinite { iteration: 1, quantity: Quantity::Entry }));
}

/// A diagonal matrix that is too large to be written out.
struct Spread {
    spectrum: Vec<f64>,
}

impl LinearOperator for Spread {
    type Vector = Column;
    type Error = Gone;

    fn apply(&mut self, x: &Column) -> Result<Column, Gone> {
        Ok(Column(x.0.iter().zip(&self.spectrum).map(|(x, eigenvalue)| x * eigenvalue).collect()))
    }
}
