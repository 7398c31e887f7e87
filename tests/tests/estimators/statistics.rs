//! Whether estimates are right on average, as far as their own scatter lets one tell.

/// That the mean of independent estimates is `exact`, number by number, within four of its standard errors, which are
/// measured. An unbiased mean misses that once in 15 800 numbers; as the draws are those of fixed seeds, a test that passes
/// once always does.
#[track_caller]
pub(crate) fn assert_unbiased(estimates: &[Vec<f64>], exact: &[f64]) {
    let norm = exact.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (index, exact) in exact.iter().enumerate() {
        let (mean, error) = mean_and_error(estimates.iter().map(|estimate| estimate[index]));
        assert!((mean - exact).abs() <= 4.0 * error, "number {index}: {mean} ± {error} is not {exact}");
        // The scatter is neither so large that anything would pass, nor is there none.
        assert!(error > 0.0 && error <= 0.05 * norm, "number {index}: ± {error} tells nothing about {exact}");
    }
}

/// The mean of independent numbers, and its standard error.
pub(crate) fn mean_and_error(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = numbers.clone().count() as f64;
    let mean = numbers.clone().sum::<f64>() / count;
    let variance = numbers.map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}
