//! Which level's tangents go along with the steps of all others below a level, which stops have nothing to do with them, and what would
//! be differentiated wrongly without.

use super::{News, Program};
use crate::error::{EngineError, StepsError};
use crate::schedule::Through;
use crate::steps::Record;

impl Program {
    /// The stop of level `k` whose tangents go along with the steps of other stops, if it is so.
    pub(crate) fn leader(&self, k: usize) -> Option<usize> {
        if self.levels[k].trajectory.is_some() {
            return None;
        }
        let leader = self.candidate(k)?;
        let apart = self.apart_from(k, leader);
        let led = || self.stops(k).filter(|level| !apart.contains(level));
        let all = led().all(|level| level == leader || self.is_led(level, leader, led()));
        (all && !(self.followed_for(k, leader).is_empty() && self.answers_for(k, leader).is_empty())).then_some(leader)
    }

    /// The one level with tangents below `k`, or of several the first of the one part whose steps have to be followed.
    fn candidate(&self, k: usize) -> Option<usize> {
        let mut all = self.stops(k).filter(|&level| self.carries_tangents(level));
        if let (Some(one), None) = (all.next(), all.next()) {
            return Some(one);
        }
        if !self.stops(k).any(|level| self.carries_tangents(level)) {
            return None;
        }
        let tangents = |part: &[usize]| part.iter().filter(|&&level| self.carries_tangents(level)).count();
        let is_followed = |part: &&Vec<usize>| match tangents(part) {
            0 => false,
            1 => part.iter().any(|&level| self.is_gone_through(k, level)),
            _ => true,
        };
        let parts = self.parts(k);
        let mut followed = parts.iter().filter(is_followed);
        let (part, None) = (followed.next()?, followed.next()) else { return None };
        part.iter().copied().find(|&level| self.carries_tangents(level))
    }

    /// Whether the tangents of `leader` can go along with what `level` does, one of the levels `led`.
    fn is_led(&self, level: usize, leader: usize, mut led: impl Iterator<Item = usize>) -> bool {
        let answers = |of, to| self.schedule.answers_to(of, to);
        let config = &self.levels[level].config;
        let waits = self.schedule.waits_for(level, leader);
        // What its tangents were is known at one place of each of its steps only.
        let waits_once = !waits || (config.tasks == 1 && !answers(leader, level));
        match &self.levels[level].trajectory {
            Some(Record::Steps(steps)) => {
                let rests = led.any(|stop| {
                    self.levels[stop].trajectory.is_none() && answers(level, stop) && !answers(stop, leader)
                });
                waits_once && !rests && !(waits && steps.borrow().is_truncated())
            }
            // Those that are followed go along directions of the leader.
            Some(Record::Tangents(_)) => waits_once && config.hypergradient == self.levels[leader].config.hypergradient,
            Some(Record::Replays(_)) => false,
            None => answers(level, leader),
        }
    }

    /// Stops of level `k` that neither depend on what `leader` goes along with nor the other way round, and that a cotangent passes through
    /// without regard to when what was done: levels that are solved, with the steps that those take for functions, or one that is
    /// gone through by itself.
    pub(super) fn apart_from(&self, k: usize, leader: usize) -> Vec<usize> {
        let by_itself = |level: usize| match &self.levels[level].trajectory {
            None => false,
            Some(Record::Steps(steps)) => self.is_gone_through(k, level) && steps.borrow().is_truncated(),
            Some(Record::Tangents(_) | Record::Replays(_)) => true,
        };
        let is_apart = |part: &Vec<usize>| {
            let is_plain = |level: &usize| !self.is_gone_through(k, *level) && !by_itself(*level);
            !part.contains(&leader) && (part.iter().all(is_plain) || (part.len() == 1 && by_itself(part[0])))
        };
        let parts: Vec<usize> = self.parts(k).into_iter().filter(is_apart).flatten().collect();
        self.stops(k).filter(|level| parts.contains(level)).collect()
    }

    /// The stops of level `k`, in parts that do not depend on each other.
    fn parts(&self, k: usize) -> Vec<Vec<usize>> {
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for &Through { level, into } in self.schedule.levels[k].sweep {
            let depends = |part: &mut Vec<usize>| {
                part.iter().any(|other| into.contains(other) || self.sends_to(k, *other, level))
            };
            let mut joined: Vec<usize> = parts.extract_if(.., depends).flatten().collect();
            joined.push(level);
            parts.push(joined);
        }
        parts
    }

    fn sends_to(&self, k: usize, from: usize, to: usize) -> bool {
        self.schedule.levels[k].sweep.iter().any(|stop| stop.level == from && stop.into.contains(&to))
    }

    /// Whether hypergradients of level `k` go through the steps of this stop one by one, in reverse.
    fn is_gone_through(&self, k: usize, level: usize) -> bool {
        let is_nested = |stop: usize| self.levels[stop].trajectory.is_none() && self.schedule.answers_to(level, stop);
        matches!(self.levels[level].trajectory, Some(Record::Steps(_))) && !self.stops(k).any(is_nested)
    }

    pub(super) fn carries_tangents(&self, level: usize) -> bool {
        matches!(self.levels[level].trajectory, Some(Record::Tangents(_)))
    }

    fn stops(&self, k: usize) -> impl Iterator<Item = usize> + use<'_> {
        self.schedule.levels[k].sweep.iter().map(|stop| stop.level)
    }

    /// Refuses tangents through steps between which another level moves that is not followed: every step would be taken for one that read
    /// where that ended.
    ///
    /// # Errors
    /// [`StepsError::NotFollowed`].
    pub(super) fn check_followed(&self) -> Result<(), EngineError> {
        let found = self.not_followed().into_iter().find(|unseen| self.carries_tangents(unseen.level));
        found.map_or(Ok(()), |Unseen { level, read, above }| {
            let name = |level: usize| self.levels[level].name.to_owned();
            let (level, read, above) = (name(level), name(read), name(above));
            Err(EngineError::Steps(StepsError::NotFollowed { level, read, above }))
        })
    }

    /// Has observers told of steps that are taken again without those that they read.
    pub(crate) fn tell_of_last_reads(&mut self) {
        let mut told = Vec::new();
        for Unseen { level, read, .. } in self.not_followed() {
            let method = self.levels[level].config.hypergradient.as_ref().filter(|_| !self.carries_tangents(level));
            if let Some(method) = method.filter(|_| !told.contains(&(level, read))) {
                self.losses.news.push(News::LastRead { level, method: method.name(), read });
                told.push((level, read));
            }
        }
    }

    fn not_followed(&self) -> Vec<Unseen> {
        let mut found = Vec::new();
        for above in (0..self.levels.len()).filter(|&k| self.leader(k).is_none()) {
            for &Through { level, into } in self.schedule.levels[above].sweep {
                let steps = self.levels[level].config.unroll * self.levels[above].config.rounds;
                if !self.has_directions(level) || steps == 1 {
                    continue;
                }
                let moves = |&read: &usize| {
                    !self.levels[read].config.start.begins_anew()
                        && self.schedule.waits_for(level, read)
                        && (self.is_gone_through(above, read) || self.has_directions(read))
                };
                found.extend(into.iter().copied().filter(moves).map(|read| Unseen { level, read, above }));
            }
        }
        found
    }

    fn has_directions(&self, level: usize) -> bool {
        self.levels[level].trajectory.as_ref().is_some_and(Record::has_directions)
    }
}

/// Steps of `level`, passed by hypergradients of `above`, that read `read` while that takes steps nobody goes along with.
struct Unseen {
    level: usize,
    read: usize,
    above: usize,
}
