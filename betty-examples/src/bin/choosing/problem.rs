//! The common problem at the size of the guide: penalties of the parameters of a classifier of digits, which stand still.

use betty_examples::data::digits;
use betty_examples::penalized::{Classifier, Examples, Penalized, PenalizedData};
use betty_runtime::Stream;
use burn::tensor::Device;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Examples of each level.
const EXAMPLES: usize = 400;
/// Logarithms of the penalties.
const LOG_PENALTIES: std::ops::Range<f64> = -4.0..-2.0;
/// Only the hypergradient is measured, and the classifier starts at the same place each time.
pub(crate) const STANDING_STILL: &str = r#""penalties": { "warmup": 1000000 }"#;
/// See [`STANDING_STILL`].
pub(crate) const START: &str = r#""start": "initial""#;

/// Both levels; with hidden units a perceptron, without logistic regression.
pub(crate) fn problem(hidden: Option<usize>, device: &Device) -> Penalized {
    let mut rng = StdRng::seed_from_u64(0);
    let digits = digits();
    let classifier = Classifier::new(digits.pixels(), hidden, digits.classes(), &mut rng, device);
    let penalties = classifier.filled(|count| (0..count).map(|_| rng.random_range(LOG_PENALTIES)).collect());
    Penalized { penalties, classifier }
}

/// All training examples below, as many others above, always.
pub(crate) fn data(device: &Device) -> PenalizedData {
    let digits = digits();
    let part = |range: std::ops::Range<usize>| Examples::of(&digits.subset(&range.collect::<Vec<_>>()), device);
    PenalizedData {
        penalties: Stream::constant(part(EXAMPLES..2 * EXAMPLES)),
        classifier: Stream::constant(part(0..EXAMPLES)),
    }
}
