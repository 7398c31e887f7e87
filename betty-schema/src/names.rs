//! How names are listed, and which one was meant.

/// How alike two names must be (Jaro-Winkler, 1 is equal) before one is offered for the other.
const ALIKE: f64 = 0.8;
const ONE_SLIP: f64 = 0.81;

/// The candidate that `name` was most probably meant to be; the first of equals.
pub fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let mut score = strsim::jaro_winkler(name, candidate);
        // One slip in a short word weighs too much in the score above.
        if name.len() > 1 && strsim::damerau_levenshtein(name, candidate) == 1 {
            score = score.max(ONE_SLIP);
        }
        if score > ALIKE && best.is_none_or(|(highest, _)| score > highest) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `" (did you mean `…`?)"`, or nothing.
#[must_use]
pub fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

/// `` `a`, `b` and `c` ``
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_name_is_meant() {
        assert_eq!(suggestion("iteration", ["iterations", "tolerance"]), Some("iterations"));
        assert_eq!(suggestion("elsewhere", ["net", "weights"]), None);
    }

    #[test]
    fn one_slip_in_a_short_word_is_a_slip() {
        assert_eq!(suggestion("lt", ["lr", "momentum"]), Some("lr"));
        assert_eq!(suggestion("cq", ["cg", "minres"]), Some("cg"));
        // A single letter says nothing.
        assert_eq!(suggestion("x", ["y"]), None);
    }

    #[test]
    fn names_are_listed_as_in_a_sentence() {
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(listed(["a"]), "`a`");
    }
}
