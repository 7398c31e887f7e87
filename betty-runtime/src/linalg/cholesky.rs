//! How vectors with known inner products are made orthonormal, by Cholesky's factor of the matrix of these products.
//!
//! Golub and Van Loan, *Matrix Computations*, §4.2 and, for what the factor does to vectors, §5.2: with `G = L·Lᵀ` the
//! combinations `L⁻¹·x` of vectors `x` are what Gram and Schmidt's process makes of them. Of the independence of the vectors
//! (the least part of one that is not in the span of those before it, by its square) `1/independence` is how far rounding
//! errors are magnified.

/// The vector of this number is no more than rounding errors away from a combination of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dependent(pub(super) usize);

/// Less independence than this is rounding error in single precision.
const DEPENDENT: f64 = 1e-6;

/// The rows of `L⁻¹` for `G = L·Lᵀ`, and the independence of the vectors whose inner products `G` holds.
pub(super) fn whitening(squares: &[Vec<f64>]) -> Result<(Vec<Vec<f64>>, f64), Dependent> {
    let n = squares.len();
    let mut factor: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut inverse: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut independence = 1.0_f64;
    for (i, row) in squares.iter().enumerate() {
        let mut entries: Vec<f64> = Vec::with_capacity(n);
        for (j, above) in factor.iter().enumerate() {
            let known: f64 = entries.iter().zip(above).map(|(x, y)| x * y).sum();
            entries.push((row[j] - known) / above[j]);
        }
        let left = row[i] - entries.iter().map(|entry| entry * entry).sum::<f64>();
        // Also where there is no vector, or no number.
        if left.partial_cmp(&(DEPENDENT * row[i])) != Some(std::cmp::Ordering::Greater) {
            return Err(Dependent(i));
        }
        independence = independence.min(left / row[i]);
        let pivot = left.sqrt();
        let mut solved = vec![0.0; n];
        for (entry, above) in entries.iter().zip(&inverse) {
            solved[..i].iter_mut().zip(above).for_each(|(sum, x)| *sum -= entry * x);
        }
        solved[i] = 1.0;
        solved[..=i].iter_mut().for_each(|x| *x /= pivot);
        inverse.push(solved);
        entries.push(pivot);
        factor.push(entries);
    }
    Ok((inverse, independence))
}
