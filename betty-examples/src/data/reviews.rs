//! The built-in text: sentences of film reviews with what people think of them, and a lexicon of rated words.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::GzDecoder;

/// See `data/README.md` for source, licence and format.
const SENTENCES: &[u8] = include_bytes!("../../data/reviews.tsv.gz");
const LEXICON: &[u8] = include_bytes!("../../data/lexicon.tsv.gz");

/// A sentence, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    /// The mean of what twenty people said of it, from −4 to 4 and never near 0.
    pub rating: f32,
    /// In small letters, without punctuation but `!` and `?`.
    pub words: Vec<String>,
}

/// 10,072 sentences of film reviews.
pub fn reviews() -> Vec<Review> {
    let review = |rating: &str, words: &str| Review {
        rating: number(rating),
        words: words.split(' ').map(str::to_owned).collect(),
    };
    lines(SENTENCES, review).collect()
}

/// How good or bad 2,394 words are, from −4 to 4, whatever stands around them.
pub fn lexicon() -> HashMap<String, f32> {
    lines(LEXICON, |word, rating| (word.to_owned(), number(rating))).collect()
}

/// Both columns of every line.
fn lines<T>(packed: &[u8], make: impl Fn(&str, &str) -> T) -> impl Iterator<Item = T> {
    let rows: Vec<T> =
        unpacked(packed).lines().filter_map(|line| line.split_once('\t')).map(|(a, b)| make(a, b)).collect();
    rows.into_iter()
}

fn number(text: &str) -> f32 {
    text.parse().expect("the built-in text is damaged")
}

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("the built-in text is damaged");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_the_documented_ones() {
        let (reviews, lexicon) = (reviews(), lexicon());
        assert_eq!((reviews.len(), lexicon.len()), (10_072, 2_394));
        assert_eq!(reviews.iter().filter(|review| review.rating > 0.0).count(), 4_996);
        assert!(reviews.iter().all(|review| (0.5..=4.0).contains(&review.rating.abs()) && !review.words.is_empty()));
        assert_eq!(reviews[2].words.join(" "), "effective but too tepid biopic");
        assert_eq!((reviews[2].rating, lexicon["effective"], lexicon.get("tepid")), (-0.6, 2.1, None));
    }
}
