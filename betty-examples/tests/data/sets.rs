//! Splits, noise and batches.

use std::collections::BTreeSet;

use betty_examples::data::{Batches, Dataset, DatasetError, NoiseError, Noisy, Split, SplitError, WrongLabel, digits};
use rand::SeedableRng;
use rand::rngs::StdRng;

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

#[test]
fn a_data_set_needs_matching_numbers_and_labels_of_its_classes() {
    assert_eq!(Dataset::new(vec![], vec![], [1, 0, 5], 2), Err(DatasetError::NoPixels));
    let count = DatasetError::Count { values: 3, labels: 2, pixels: 2 };
    assert_eq!(Dataset::new(vec![0.0; 3], vec![0, 1], [1, 2, 1], 2), Err(count));
    let label = DatasetError::Label { index: 1, label: 2, classes: 2 };
    assert_eq!(Dataset::new(vec![0.0; 4], vec![0, 2], [1, 1, 2], 2), Err(label));
}

#[test]
fn a_split_uses_every_example_once() {
    let digits = digits();
    let split = Split::thirds(&digits, 200, &mut rng()).expect("possible");
    assert_eq!((split.train.len(), split.clean.len(), split.test.len()), (998, 200, 599));
    let sorted = |dataset: &Dataset| {
        let mut examples: Vec<_> = (0..dataset.len())
            .map(|index| {
                (dataset.image(index).iter().map(|pixel| pixel.to_bits()).collect::<Vec<_>>(), dataset.labels()[index])
            })
            .collect();
        examples.sort();
        examples
    };
    assert_eq!(sorted(&split.train.join(&split.clean).join(&split.test)), sorted(&digits));
    assert_eq!(Split::thirds(&digits, 200, &mut rng()), Ok(split));
}

#[test]
fn a_clean_set_must_leave_something_to_train_on() {
    let digits = digits();
    for clean in [0, 1198, 5000] {
        let error = Split::thirds(&digits, clean, &mut rng()).expect_err("impossible");
        assert_eq!(error, SplitError { clean, available: 1198 });
    }
    Split::thirds(&digits, 1197, &mut rng()).expect("leaves one");
}

#[test]
fn noise_changes_exactly_the_labels_it_names() {
    let digits = digits();
    let noisy = Noisy::corrupt(&digits, 0.4, WrongLabel::Any, &mut rng()).expect("possible");
    assert_eq!(noisy.corrupted.iter().filter(|&&corrupted| corrupted).count(), 719);
    for (index, &corrupted) in noisy.corrupted.iter().enumerate() {
        assert_eq!(noisy.examples.labels()[index] != digits.labels()[index], corrupted);
        assert_eq!(noisy.examples.image(index), digits.image(index));
    }
    assert_eq!(noisy.intact().len(), 1797 - 719);
    assert_eq!(Noisy::corrupt(&digits, 0.4, WrongLabel::Any, &mut rng()), Ok(noisy));
}

#[test]
fn wrong_labels_are_spread_over_the_other_classes() {
    let zeros = Dataset::new(vec![0.0; 9000], vec![0; 9000], [1, 1, 1], 10).expect("valid");
    let noisy = Noisy::corrupt(&zeros, 1.0, WrongLabel::Any, &mut rng()).expect("possible");
    for class in 1..10 {
        let count = noisy.examples.labels().iter().filter(|&&label| label == class).count();
        assert!((850..1150).contains(&count), "{count} of class {class}");
    }
}

#[test]
fn a_systematic_confusion_takes_the_next_class() {
    let digits = digits();
    let noisy = Noisy::corrupt(&digits, 0.4, WrongLabel::Next, &mut rng()).expect("possible");
    for (index, (&given, &right)) in noisy.examples.labels().iter().zip(digits.labels()).enumerate() {
        assert_eq!(given, if noisy.corrupted[index] { (right + 1) % 10 } else { right });
    }
}

#[test]
fn impossible_noise_is_refused() {
    let digits = digits();
    for noise in [-0.1, 1.1, f64::INFINITY] {
        assert_eq!(Noisy::corrupt(&digits, noise, WrongLabel::Any, &mut rng()), Err(NoiseError::Share(noise)));
    }
    assert!(matches!(Noisy::corrupt(&digits, f64::NAN, WrongLabel::Any, &mut rng()), Err(NoiseError::Share(_))));
    let one_class = Dataset::new(vec![0.0], vec![0], [1, 1, 1], 1).expect("valid");
    assert_eq!(Noisy::corrupt(&one_class, 0.5, WrongLabel::Any, &mut rng()), Err(NoiseError::Classes(1)));
}

#[test]
fn an_epoch_holds_each_example_at_most_once_in_equal_batches() {
    let batches = Batches::new(103, 10, 5);
    let epoch = batches.epoch(0);
    assert_eq!(epoch.len(), 10);
    assert!(epoch.iter().all(|batch| batch.len() == 10));
    assert_eq!(epoch.iter().flatten().collect::<BTreeSet<_>>().len(), 100);
    assert_eq!(batches.epoch(0), epoch);
    assert_ne!(batches.epoch(1), epoch);
    assert_ne!(Batches::new(103, 10, 6).epoch(0), epoch);
}

#[test]
fn a_batch_of_everything_stays_in_order() {
    let everything: Vec<usize> = (0..7).collect();
    assert_eq!(Batches::new(7, 100, 3).epoch(4), [everything]);
}

#[test]
fn batches_are_endless_unless_there_is_nothing() {
    assert_eq!(Batches::new(5, 2, 0).endless().take(9).count(), 9);
    assert_eq!(Batches::new(0, 2, 0).endless().count(), 0);
}
