//! Which groups of a level's parameters have the same ones.

/// Whether `path` is `part` or inside of it.
#[must_use]
pub fn lies_in(path: &str, part: &str) -> bool {
    path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The first path that lies in another one before or behind it, and that one.
#[must_use]
pub fn overlap<'a>(paths: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let others =
        |index: usize| paths.iter().enumerate().filter(move |&(other, _)| other != index).map(|(_, part)| *part);
    let found = |(index, path): (usize, &&'a str)| Some((*path, others(index).find(|part| lies_in(path, part))?));
    paths.iter().enumerate().find_map(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_part_is_the_same_parameters() {
        assert_eq!(overlap(&["encoder", "head"]), None);
        assert_eq!(overlap(&["encoder.norm", "encoder.norm2"]), None);
        assert_eq!(overlap(&["head", "encoder.norm", "encoder"]), Some(("encoder.norm", "encoder")));
        assert_eq!(overlap(&["head", "head"]), Some(("head", "head")));
    }
}
