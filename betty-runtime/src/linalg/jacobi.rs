//! Eigenvalues and eigenvectors of small symmetric matrices on the host, by Jacobi's rotations.
//!
//! Golub and Van Loan, *Matrix Computations*, §8.5: each rotation makes one entry off the diagonal vanish, and sweeps over all
//! of them converge quadratically. Slower than other methods for large matrices, and the most accurate for small ones.

/// Sweeps after which a matrix is taken for diagonal; convergence takes about ten, whatever the matrix.
const SWEEPS: usize = 60;

/// The eigenvalues of a symmetric matrix, and for each an eigenvector; these are orthonormal.
///
/// Only finite entries have eigenvalues.
pub(super) fn eigen(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    // Row j holds the j-th eigenvector.
    let mut vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let total: f64 = a.iter().flatten().map(|entry| entry * entry).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
        if off <= f64::EPSILON * f64::EPSILON * total {
            break;
        }
        for q in 1..n {
            for p in 0..q {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), vectors)
}

/// Makes `a[p][q]` vanish.
fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    // The smaller of the two angles, by its tangent.
    let ratio = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let tangent = ratio.signum() / (ratio.abs() + 1.0_f64.hypot(ratio));
    let cosine = 1.0 / 1.0_f64.hypot(tangent);
    let sine = tangent * cosine;
    let turn = |x: &mut f64, y: &mut f64| (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    for row in a.iter_mut() {
        let (left, right) = row.split_at_mut(q);
        turn(&mut left[p], &mut right[0]);
    }
    for matrix in [a, vectors] {
        let (above, below) = matrix.split_at_mut(q);
        for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
            turn(x, y);
        }
    }
}
