//! Which groups of a level's parameters have the same ones.

/// Whether `path` is `part` or inside of it.
#[must_use]
pub fn lies_in(path: &str, part: &str) -> bool {
    path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The place of the first path that lies in another one before or behind it, and the place of that one.
#[must_use]
pub fn overlap(paths: &[&str]) -> Option<(usize, usize)> {
    let lies = |index: usize, other: usize| other != index && lies_in(paths[index], paths[other]);
    (0..paths.len()).find_map(|index| Some((index, (0..paths.len()).find(|&other| lies(index, other))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_part_is_the_same_parameters() {
        assert_eq!(overlap(&["encoder", "head"]), None);
        assert_eq!(overlap(&["encoder.norm", "encoder.norm2"]), None);
        assert_eq!(overlap(&["head", "encoder.norm", "encoder"]), Some((1, 2)));
        assert_eq!(overlap(&["encoder", "head", "head"]), Some((1, 2)));
    }
}
