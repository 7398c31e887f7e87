//! Which levels determine each other: the parts of the system below a level that are solved one after the other.
//!
//! In the adjoint system a level *sends* to every level whose variables its conditions depend on, and to every level that its
//! steps depend on. Levels that send to each other, directly or in a circle, are one part. Parts are in an order in which
//! nobody sends to one that came before, so that the system is block triangular in them.

use super::Response;
use crate::derivatives::Variable;

/// What is solved, or gone through, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Levels whose conditions determine each other, in the order of the sweep.
    System(Vec<usize>),
    /// The steps of one level.
    Steps(usize),
}

impl Part {
    /// Its levels.
    pub(super) fn levels(&self) -> &[usize] {
        match self {
            Part::System(levels) => levels,
            Part::Steps(level) => std::slice::from_ref(level),
        }
    }
}

impl Response {
    /// The parts of these levels, each after all that send to it.
    pub(super) fn parts(&self, levels: &[usize]) -> Vec<Part> {
        let sends: Vec<Vec<bool>> =
            levels.iter().map(|&from| levels.iter().map(|&to| from != to && self.sends(from, to)).collect()).collect();
        let reaches = closure(sends);
        let mut open: Vec<usize> = (0..levels.len()).collect();
        let mut parts = Vec::new();
        // Next comes whoever is sent to only by those that it sends to itself, with those.
        let is_next = |of: usize, open: &[usize]| open.iter().all(|&from| !reaches[from][of] || reaches[of][from]);
        while let Some(&first) = open.iter().find(|&&of| is_next(of, &open)) {
            let level = levels[first];
            let is_alone = self.steps.contains_key(&level);
            let is_part = |of: usize| of == first || (!is_alone && reaches[first][of] && reaches[of][first]);
            let (part, rest): (Vec<usize>, Vec<usize>) = open.iter().partition(|&&of| is_part(of));
            open = rest;
            parts.push(match is_alone {
                true => Part::Steps(level),
                false => Part::System(part.into_iter().map(|index| levels[index]).collect()),
            });
        }
        parts
    }

    /// Whether the conditions or steps of `from` depend on a variable of `to`.
    pub(super) fn sends(&self, from: usize, to: usize) -> bool {
        match (self.steps.get(&from), self.stops.get(&from)) {
            (Some(steps), _) => steps.into.contains(&Variable::Level(to)),
            (None, Some(stop)) => self.variables(to).any(|variable| stop.batches.depends_on(variable)),
            (None, None) => false,
        }
    }
}

/// Who reaches whom in any number of steps.
pub(super) fn closure(mut reaches: Vec<Vec<bool>>) -> Vec<Vec<bool>> {
    for by in 0..reaches.len() {
        let onward = reaches[by].clone();
        for from in reaches.iter_mut().filter(|from| from[by]) {
            from.iter_mut().zip(&onward).for_each(|(reached, &further)| *reached |= further);
        }
    }
    reaches
}
