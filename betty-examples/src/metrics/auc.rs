//! Area under the receiver operating characteristic.

/// The probability that a positive example scores higher than a negative one, ties counting one half.
///
/// 1: every positive above every negative; 0.5: no better than chance. `None` when one of the classes is empty or a score
/// is not a number.
///
/// # Panics
/// When there are not as many scores as classes.
pub fn roc_auc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), positive.len(), "one score an example");
    let positives = positive.iter().filter(|&&positive| positive).count();
    let negatives = positive.len() - positives;
    if positives == 0 || negatives == 0 || scores.iter().any(|score| score.is_nan()) {
        return None;
    }

    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    // Mann and Whitney: U = (sum of the positives' ranks) − P (P + 1) / 2, where ties share the mean of their ranks.
    let mut rank_sum = 0.0;
    let mut below = 0;
    for ties in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let rank = below as f64 + (ties.len() + 1) as f64 / 2.0;
        rank_sum += rank * ties.iter().filter(|&&index| positive[index]).count() as f64;
        below += ties.len();
    }
    let (positives, negatives) = (positives as f64, negatives as f64);
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn by_pairs(scores: &[f64], positive: &[bool]) -> f64 {
        let of = |class| (0..scores.len()).filter(move |&index| positive[index] == class);
        let mut wins = Vec::new();
        for p in of(true) {
            for n in of(false) {
                wins.push(if scores[p] > scores[n] {
                    1.0
                } else if scores[p] == scores[n] {
                    0.5
                } else {
                    0.0
                });
            }
        }
        wins.iter().sum::<f64>() / wins.len() as f64
    }

    #[test]
    fn it_counts_pairs() {
        let mut rng = StdRng::seed_from_u64(7);
        for levels in [2, 5, 1000] {
            let scores: Vec<f64> = (0..80).map(|_| f64::from(rng.random_range(-levels..levels)) / 3.0).collect();
            let positive: Vec<bool> = (0..80).map(|_| rng.random_bool(0.3)).collect();
            let auc = roc_auc(&scores, &positive).expect("both classes");
            assert!((auc - by_pairs(&scores, &positive)).abs() < 1e-12, "{levels} levels");
        }
    }

    #[test]
    fn extremes_are_one_zero_and_a_half() {
        let positive = [false, false, true, true];
        assert_eq!(roc_auc(&[0.1, 0.2, 0.3, 0.4], &positive), Some(1.0));
        assert_eq!(roc_auc(&[0.4, 0.3, 0.2, 0.1], &positive), Some(0.0));
        assert_eq!(roc_auc(&[-0.0, 0.0, 0.0, -0.0], &positive), Some(0.5));
    }

    #[test]
    fn it_is_undefined_without_both_classes_or_with_nan() {
        assert_eq!(roc_auc(&[], &[]), None);
        assert_eq!(roc_auc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(roc_auc(&[1.0, f64::NAN], &[true, false]), None);
    }
}
