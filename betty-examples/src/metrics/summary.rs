//! Mean and spread over repetitions.

use std::fmt;

/// Mean and standard deviation of a few numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many numbers.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation; 0 for a single number.
    pub deviation: f64,
}

impl Summary {
    /// `None` of no numbers.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let count = numbers.len();
        if count == 0 {
            return None;
        }
        let mean = numbers.iter().sum::<f64>() / count as f64;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        let deviation = if count == 1 { 0.0 } else { (squares / (count - 1) as f64).sqrt() };
        Some(Summary { count, mean, deviation })
    }

    /// Half the width of the 95 % confidence interval of the mean, 1.96·deviation/√count. `None` for fewer than 30 numbers, of
    /// whose mean this says too much.
    pub fn half_width(&self) -> Option<f64> {
        (self.count >= 30).then(|| 1.96 * self.deviation / (self.count as f64).sqrt())
    }
}

/// `0.941`, or `0.941 ± 0.004` of several numbers; a given precision applies to both.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = f.precision().unwrap_or(3);
        write!(f, "{:.precision$}", self.mean)?;
        if self.count > 1 {
            write!(f, " ± {:.precision$}", self.deviation)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let summary = Summary::of(&[1.0, 2.0, 3.0, 4.0]).expect("four numbers");
        assert_eq!(summary.mean, 2.5);
        assert!((summary.deviation - (5.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(format!("{summary:.2}"), "2.50 ± 1.29");
    }

    #[test]
    fn the_interval_narrows_with_the_root_of_the_count() {
        let numbers: Vec<f64> = (0..100).map(|index| f64::from(index % 2)).collect();
        let summary = Summary::of(&numbers).expect("a hundred numbers");
        // A sample of 100 fair coins has the deviation √(25/99).
        let half_width = summary.half_width().expect("many numbers");
        assert!((half_width - 0.196 * (25.0f64 / 99.0).sqrt()).abs() < 1e-12);
        assert_eq!(Summary::of(&numbers[..29]).and_then(|few| few.half_width()), None);
    }

    #[test]
    fn one_number_has_no_spread() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[0.5]).map(|summary| summary.to_string()), Some("0.500".into()));
    }
}
