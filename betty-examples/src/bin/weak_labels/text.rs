//! Sentences as numbers of words, what people say of them, and what a lexicon says.

use std::collections::HashMap;

use betty_examples::data::{Review, SplitError, lexicon, reviews};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Bad and good.
pub(crate) const CLASSES: usize = 2;
/// Labels: the classes as people name them, and then what the lexicon may say, with the class that it stands for.
pub(crate) const LABELS: [(&str, Option<usize>); 12] = [
    ("people: bad", Some(0)),
    ("people: good", Some(1)),
    ("very bad", Some(0)),
    ("… but", Some(0)),
    ("bad", Some(0)),
    ("… but", Some(0)),
    ("neither", None),
    ("… but", None),
    ("good", Some(1)),
    ("… but", Some(1)),
    ("very good", Some(1)),
    ("… but", Some(1)),
];
/// Words of a sentence, the later ones of which are left out.
const LENGTH: usize = 24;
/// How often a word has to be there to have a number of its own.
const OFTEN: usize = 3;
/// Numbers that stand for no word: of an empty place, and of a rare word.
const EMPTY: i32 = 0;
const RARE: i32 = 1;
/// Words that turn what stands beside them.
const TURNING: [&str; 9] = ["but", "not", "no", "never", "too", "without", "nothing", "despite", "if"];
/// Sentences of the test.
const TEST: usize = 2000;

/// Some sentences, each with what people say of it and with the label that it is given.
#[derive(Clone, Debug)]
pub(crate) struct Sentences {
    words: Vec<[i32; LENGTH]>,
    classes: Vec<usize>,
    labels: Vec<usize>,
}

/// All sentences, and how many words have a number.
pub(crate) struct Text {
    /// Those that the lexicon labels.
    pub(crate) train: Sentences,
    /// Those that people have judged.
    pub(crate) clean: Sentences,
    /// Those of the test, labelled by the lexicon.
    pub(crate) test: Sentences,
    /// Numbers of words.
    pub(crate) words: usize,
}

impl Text {
    /// With so many judged sentences.
    pub(crate) fn split(clean: usize, rng: &mut StdRng) -> Result<Self, SplitError> {
        let (mut all, lexicon) = (reviews(), lexicon());
        all.shuffle(rng);
        let test = all.split_off(all.len() - TEST);
        if clean == 0 || clean >= all.len() {
            return Err(SplitError { clean, available: all.len() });
        }
        let numbers = numbered(&all);
        let sentences = |reviews: &[Review]| Sentences {
            words: reviews.iter().map(|review| placed(review, &numbers)).collect(),
            classes: reviews.iter().map(|review| usize::from(review.rating > 0.0)).collect(),
            labels: reviews.iter().map(|review| weak_label(&review.words, &lexicon)).collect(),
        };
        let (clean, train) = all.split_at(clean);
        let words = numbers.len() + 2;
        Ok(Text { train: sentences(train), clean: sentences(clean).judged(), test: sentences(&test), words })
    }
}

impl Sentences {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    /// The same sentences, labelled by people.
    pub(crate) fn judged(&self) -> Self {
        Sentences { labels: self.classes.clone(), ..self.clone() }
    }

    /// These sentences, and then those of `other`.
    pub(crate) fn join(&self, other: &Self) -> Self {
        Sentences {
            words: [self.words.as_slice(), &other.words].concat(),
            classes: [self.classes.as_slice(), &other.classes].concat(),
            labels: [self.labels.as_slice(), &other.labels].concat(),
        }
    }

    /// The numbers of all words of some sentences, and their labels.
    pub(crate) fn batch(&self, chosen: &[usize]) -> (Vec<i32>, Vec<i32>) {
        let words = chosen.iter().flat_map(|&index| self.words[index]).collect();
        (words, chosen.iter().map(|&index| self.labels[index] as i32).collect())
    }

    /// The share that the labels are right about; one that says nothing is half right.
    pub(crate) fn right(&self) -> f64 {
        let right = |(label, class): (&usize, &usize)| match LABELS[*label].1 {
            Some(said) => f64::from(u8::from(said == *class)),
            None => 0.5,
        };
        self.labels.iter().zip(&self.classes).map(right).sum::<f64>() / self.len().max(1) as f64
    }
}

/// A number for each word that is there often; frequent words first, and the alphabet among equals.
fn numbered(reviews: &[Review]) -> HashMap<&str, i32> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    reviews.iter().flat_map(|review| &review.words).for_each(|word| *counts.entry(word).or_default() += 1);
    let mut words: Vec<(&str, usize)> = counts.into_iter().filter(|(_, count)| *count >= OFTEN).collect();
    words.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    words.into_iter().zip(RARE + 1..).map(|((word, _), number)| (word, number)).collect()
}

fn placed(review: &Review, numbers: &HashMap<&str, i32>) -> [i32; LENGTH] {
    let mut places = [EMPTY; LENGTH];
    for (place, word) in places.iter_mut().zip(&review.words) {
        *place = numbers.get(word.as_str()).copied().unwrap_or(RARE);
    }
    places
}

/// The label of the sum of all ratings, and of whether a word turns it.
fn weak_label(words: &[String], lexicon: &HashMap<String, f32>) -> usize {
    let sum: f32 = words.iter().filter_map(|word| lexicon.get(word)).sum();
    let turned = words.iter().any(|word| TURNING.contains(&word.as_str()) || word.ends_with("n't"));
    let strength = [sum > -3.0, sum >= 0.0, sum > 0.0, sum >= 3.0].into_iter().filter(|reached| *reached).count();
    CLASSES + 2 * strength + usize::from(turned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lexicon_adds_up_words() {
        let lexicon = HashMap::from([("good".to_owned(), 1.9), ("great".to_owned(), 3.1), ("dull".to_owned(), -1.7)]);
        let label = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            LABELS[weak_label(&words, &lexicon)]
        };
        assert_eq!(label("a great film"), ("very good", Some(1)));
        assert_eq!(label("good !"), ("good", Some(1)));
        assert_eq!(label("isn't good"), ("… but", Some(1)));
        assert_eq!(label("a film"), ("neither", None));
        assert_eq!(label("dull dull"), ("very bad", Some(0)));
        assert_eq!(label("dull but good"), ("… but", Some(1)));
    }
}
