//! Uppermost levels that have their turns together.
//!
//! A level that looks ahead goes back once those above have stepped. Where two uppermost levels wait for it, both step where it looked,
//! and it goes back once, to take its steps under the new parameters of both. If each had its turn by itself, the second would find steps
//! that were taken already, and could not look ahead.

/// Uppermost levels in the order of their turns, those together that have a level in common which looks ahead. Of each, `ahead` answers
/// whether it is warm and which of its lower levels look ahead: one that still warms up comes after the others, whose steps count for it.
pub(super) fn grouped(roots: &[usize], ahead: impl Fn(usize) -> (bool, Vec<usize>)) -> Vec<Vec<usize>> {
    let (mut warm, mut cold) = (Vec::<Group>::new(), Vec::new());
    for (place, &root) in roots.iter().enumerate() {
        let (is_warm, lowers) = ahead(root);
        let mut group = Group { roots: vec![(place, root)], lowers };
        if !is_warm {
            cold.push(group);
            continue;
        }
        let sharing: Vec<Group> = warm.extract_if(.., |other| other.shares(&group)).collect();
        for other in sharing {
            group.roots.extend(other.roots);
            group.lowers.extend(other.lowers);
        }
        warm.push(group);
    }
    let (after, alone): (Vec<Group>, Vec<Group>) =
        cold.into_iter().partition(|group| warm.iter().any(|other| other.shares(group)));
    warm.extend(alone);
    warm.iter_mut().for_each(|group| group.roots.sort_unstable());
    warm.sort_by_key(|group| group.roots.first().copied());
    let roots = |group: Group| group.roots.into_iter().map(|(_, root)| root).collect();
    warm.into_iter().chain(after).map(roots).collect()
}

/// Uppermost levels, each with its place among them, and the levels below that look ahead.
struct Group {
    roots: Vec<(usize, usize)>,
    lowers: Vec<usize>,
}

impl Group {
    fn shares(&self, other: &Group) -> bool {
        self.lowers.iter().any(|lower| other.lowers.contains(lower))
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn those_that_share_a_level_that_looks_ahead_are_together() {
        let levels = |root: usize| match root {
            0 => (true, vec![10]),
            1 => (true, vec![]),
            2 => (true, vec![11]),
            3 => (false, vec![10]),
            4 => (true, vec![10, 11]),
            5 => (false, vec![12]),
            _ => (true, vec![12, 13]),
        };
        assert_eq!(grouped(&[0, 1, 2], levels), [[0], [1], [2]]);
        // What two have in common joins all three, in their order.
        assert_eq!(grouped(&[0, 1, 2, 4], levels), [vec![0, 2, 4], vec![1]]);
        assert_eq!(grouped(&[4, 2, 0], levels), [[4, 2, 0]]);
        // One that is not warm waits for those that are.
        assert_eq!(grouped(&[3, 1, 0], levels), [[1], [0], [3]]);
        assert_eq!(grouped(&[3, 5, 1], levels), [[3], [5], [1]]);
        assert_eq!(grouped(&[5, 6], levels), [[6], [5]]);
        assert!(grouped(&[], levels).is_empty());
    }
}
