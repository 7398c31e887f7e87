//! Eigenvalues and eigenvectors of small symmetric matrices on the host.
//!
//! Golub and Van Loan, *Matrix Computations*, §8.3: Householder's reflections make the matrix tridiagonal, and implicit QL
//! steps with Wilkinson's shift make that diagonal, two or three for each eigenvalue. What is found belongs to a matrix that
//! differs from the given one by rounding errors of its norm.

/// Steps after which an entry beside the diagonal is taken for zero; two or three is what it takes.
const STEPS: usize = 60;

/// The eigenvalues of a symmetric matrix, and for each an eigenvector; these are orthonormal.
///
/// Only finite entries have eigenvalues.
pub(super) fn eigen(a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let Tridiagonal { mut diagonal, mut beside, mut rows } = Tridiagonal::of(a);
    let n = diagonal.len();
    for first in 0..n {
        for _ in 0..STEPS {
            // The block from `first` on that does not fall apart.
            let negligible =
                |i: &usize| beside[*i].abs() <= f64::EPSILON * (diagonal[*i].abs() + diagonal[i + 1].abs());
            let last = (first..n - 1).find(negligible).unwrap_or(n - 1);
            if last == first {
                break;
            }
            step(&mut diagonal, &mut beside, &mut rows, first, last);
        }
    }
    (diagonal, rows)
}

/// `Q·A·Qᵀ` with nothing but a diagonal and its neighbours.
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// Entry `i` stands between the diagonal entries `i` and `i + 1`.
    beside: Vec<f64>,
    /// The rows of `Q`.
    rows: Vec<Vec<f64>>,
}

impl Tridiagonal {
    fn of(mut a: Vec<Vec<f64>>) -> Self {
        let n = a.len();
        let mut rows: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        for k in 0..n.saturating_sub(2) {
            // The reflection I − 2·v·vᵀ makes the column below the diagonal a multiple of its first unit vector.
            let mut v: Vec<f64> = a[k + 1..].iter().map(|row| row[k]).collect();
            let length = norm(&v);
            v[0] += length.copysign(v[0]);
            let scale = norm(&v);
            if scale == 0.0 {
                continue;
            }
            v.iter_mut().for_each(|entry| *entry /= scale);
            reflect(&mut rows[k + 1..], &v);
            reflect(&mut a[k + 1..], &v);
            for row in &mut a[k..] {
                let along = 2.0 * dot(&row[k + 1..], &v);
                row[k + 1..].iter_mut().zip(&v).for_each(|(entry, v)| *entry -= along * v);
            }
        }
        let diagonal = (0..n).map(|i| a[i][i]).collect();
        let beside = (1..n).map(|i| a[i][i - 1]).chain([0.0]).collect();
        Tridiagonal { diagonal, beside, rows }
    }
}

/// Applies `I − 2·v·vᵀ` from the left.
fn reflect(rows: &mut [Vec<f64>], v: &[f64]) {
    let mut along = vec![0.0; rows.first().map_or(0, Vec::len)];
    for (row, v) in rows.iter().zip(v) {
        along.iter_mut().zip(row).for_each(|(sum, entry)| *sum += 2.0 * v * entry);
    }
    for (row, v) in rows.iter_mut().zip(v) {
        row.iter_mut().zip(&along).for_each(|(entry, along)| *entry -= v * along);
    }
}

/// One implicit QL step on the block from `first` to `last`.
fn step(diagonal: &mut [f64], beside: &mut [f64], rows: &mut [Vec<f64>], first: usize, last: usize) {
    // Wilkinson's shift: the eigenvalue of the first two by two entries that is closer to the first.
    let slope = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
    let shift = diagonal[first] - beside[first] / (slope + 1.0_f64.hypot(slope).copysign(slope));
    let (mut sine, mut cosine, mut moved) = (1.0, 1.0, 0.0);
    let mut bulge = diagonal[last] - shift;
    for i in (first..last).rev() {
        let (beyond, near) = (sine * beside[i], cosine * beside[i]);
        let length = beyond.hypot(bulge);
        beside[i + 1] = length;
        if length == 0.0 {
            // The block falls apart here.
            diagonal[i + 1] -= moved;
            beside[last] = 0.0;
            return;
        }
        (sine, cosine) = (beyond / length, bulge / length);
        let above = diagonal[i + 1] - moved;
        let turned = (diagonal[i] - above) * sine + 2.0 * cosine * near;
        moved = sine * turned;
        diagonal[i + 1] = above + moved;
        bulge = cosine * turned - near;
        let (left, right) = rows.split_at_mut(i + 1);
        for (x, y) in left[i].iter_mut().zip(&mut right[0]) {
            (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
        }
    }
    diagonal[first] -= moved;
    beside[first] = bulge;
    beside[last] = 0.0;
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}
