//! How far two lists of numbers go together.

/// The correlation of pairs: 1 where one is a rising line of the other, −1 where a falling one. `None` without two different
/// numbers in each list.
///
/// # Panics
/// When the lists are not of one length.
pub fn correlation(xs: &[f64], ys: &[f64]) -> Option<f64> {
    assert_eq!(xs.len(), ys.len(), "pairs");
    let is_constant = |numbers: &[f64]| numbers.windows(2).all(|pair| pair[0] == pair[1]);
    // Equal numbers need not have that number as their mean, and rounding errors are no differences.
    if is_constant(xs) || is_constant(ys) {
        return None;
    }
    let centred = |numbers: &[f64]| {
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        numbers.iter().map(|number| number - mean).collect::<Vec<f64>>()
    };
    let dot = |xs: &[f64], ys: &[f64]| xs.iter().zip(ys).map(|(x, y)| x * y).sum::<f64>();
    let (xs, ys) = (centred(xs), centred(ys));
    let lengths = (dot(&xs, &xs) * dot(&ys, &ys)).sqrt();
    (lengths > 0.0).then(|| dot(&xs, &ys) / lengths)
}

/// Spearman's rank correlation: the correlation of ranks, where ties share the mean of theirs.
///
/// # Panics
/// As [`correlation`].
pub fn rank_correlation(xs: &[f64], ys: &[f64]) -> Option<f64> {
    correlation(&ranks(xs), &ranks(ys))
}

fn ranks(numbers: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut below = 0;
    for ties in order.chunk_by(|&a, &b| numbers[a] == numbers[b]) {
        let rank = below as f64 + (ties.len() + 1) as f64 / 2.0;
        ties.iter().for_each(|&index| ranks[index] = rank);
        below += ties.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_correlate_wholly_and_curves_by_their_ranks() {
        let xs = [0.1, 2.0, -1.0, 5.0, 3.0];
        assert_eq!(correlation(&xs, &[0.1; 5]), None);
        let ys = xs.map(|x: f64| x.powi(3));
        assert!((correlation(&xs, &xs.map(|x| 3.0 - 2.0 * x)).expect("five numbers") + 1.0).abs() < 1e-12);
        assert!((rank_correlation(&xs, &ys).expect("five numbers") - 1.0).abs() < 1e-12);
        assert!(correlation(&xs, &ys).expect("five numbers") < 0.97);
    }

    #[test]
    fn ties_share_a_rank() {
        assert_eq!(ranks(&[2.0, 1.0, 2.0, 3.0]), [2.5, 1.0, 2.5, 4.0]);
        // By hand: ranks (1, 2.5, 2.5, 4) and (1, 2, 3, 4).
        let found = rank_correlation(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]).expect("four numbers");
        assert!((found - 4.5 / (4.5_f64 * 5.0).sqrt()).abs() < 1e-12, "{found}");
    }

    #[test]
    fn numbers_that_do_not_differ_have_no_correlation() {
        assert_eq!((correlation(&[1.0, 1.0], &[1.0, 2.0]), rank_correlation(&[], &[])), (None, None));
    }
}
