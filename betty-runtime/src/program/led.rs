//! Levels whose steps another one follows: where tangents go along with the steps of a level, those of the levels below go
//! with them, so that what was read of each is read along every direction.

use std::collections::BTreeSet;

use super::Program;
use crate::derivatives::Variable;
use crate::execute::Vector;
use crate::hypergradient::{Blocks, HypergradientError};
use crate::steps::{Record, Step, Tangents};

impl Program {
    /// Stops of level `k` whose steps the tangents of `leader` follow: what `k` or the steps of `leader` read of them, or
    /// where their rounds begin, depends on `k` in other ways than through the leader's next step.
    pub(super) fn followed_for(&self, k: usize, leader: usize) -> Vec<usize> {
        let spec = &self.schedule.levels[k];
        let is_solved = |level: usize| self.levels[level].trajectory.is_none();
        let nested =
            |level| spec.sweep.iter().any(|of| is_solved(of.level) && self.schedule.answers_to(level, of.level));
        let sent = spec.sweep.iter().find(|stop| stop.level == leader).map_or(&[][..], |stop| stop.into);
        let is_followed = |level: &usize| match &self.levels[*level].trajectory {
            Some(Record::Steps(steps)) if !nested(*level) => {
                let goes_on = !steps.borrow().is_truncated() && !self.levels[*level].config.start.begins_anew();
                goes_on || spec.lower.contains(level) || sent.contains(level)
            }
            Some(Record::Tangents(_)) => *level != leader,
            _ => false,
        };
        let apart = self.apart_from(k, leader);
        spec.sweep.iter().map(|stop| stop.level).filter(|level| !apart.contains(level)).filter(is_followed).collect()
    }

    /// Stops of level `k` that it reads, and that answer to `leader` without steps that are followed.
    pub(super) fn answers_for(&self, k: usize, leader: usize) -> Vec<usize> {
        let spec = &self.schedule.levels[k];
        let followed = self.followed_for(k, leader);
        let answers = |level: &&usize| self.schedule.answers_to(**level, leader) && !followed.contains(level);
        spec.lower.iter().filter(answers).copied().collect()
    }

    /// Those that the tangents of `leader` follow, and those whose answers they keep.
    pub(crate) fn led_by(&self, leader: usize) -> (BTreeSet<usize>, Vec<usize>) {
        let (mut followed, mut answers) = (BTreeSet::new(), Vec::new());
        if self.carries_tangents(leader) {
            for k in (0..self.levels.len()).filter(|&k| self.leader(k) == Some(leader)) {
                followed.extend(self.followed_for(k, leader));
                answers.extend(self.answers_for(k, leader));
            }
        }
        (followed, answers)
    }

    /// Whether all hypergradients through a level with tangents take those of others, which follow it.
    fn is_only_followed(&self, level: usize) -> bool {
        let is_led = |k: usize| {
            let leader = self.leader(k).filter(|&leader| leader != level);
            leader.is_some_and(|leader| self.followed_for(k, leader).contains(&level))
        };
        let mut above = (0..self.levels.len()).filter(|&k| self.schedule.answers_to(level, k)).peekable();
        self.carries_tangents(level) && above.peek().is_some() && above.all(is_led)
    }

    /// The levels whose tangents follow the steps of `level`.
    pub(super) fn leaders_of(&self, level: usize) -> Vec<usize> {
        let leads = |&leader: &usize| leader != level && self.led_by(leader).0.contains(&level);
        (0..self.levels.len()).filter(leads).collect()
    }

    /// Whether the tangents of `level` follow others, or keep their answers.
    pub(crate) fn leads(&self, level: usize) -> bool {
        let (followed, answers) = self.led_by(level);
        !followed.is_empty() || !answers.is_empty()
    }

    /// A level above begins to wait for the next steps of `lower`: what goes along with them begins anew.
    ///
    /// Tangents that follow others begin where a level above went on, whichever of their levels is the first that it waits for
    /// now, so that what one of them does before the turn of another one is differentiated too.
    pub(crate) fn begin_tangents(&self, lower: usize, now: u64) {
        let leads = self.leads(lower);
        if let (false, Some(steps)) = (leads, &self.levels[lower].trajectory) {
            steps.begin();
        }
        for leader in self.leaders_of(lower).into_iter().chain(leads.then_some(lower)) {
            let Some(Record::Tangents(tangents)) = &self.levels[leader].trajectory else { continue };
            let passed = |above: &usize| [leader, lower].iter().all(|&of| self.schedule.answers_to(of, *above));
            let since = tangents.borrow().since();
            if (0..self.levels.len()).filter(passed).any(|above| self.clock.turned(above) > since) {
                tangents.borrow_mut().clear_at(now);
            }
        }
    }

    /// The levels in whose parameters the steps of level `k` are followed or displaced.
    pub(crate) fn depends_on(&self, k: usize) -> Vec<usize> {
        if self.is_only_followed(k) {
            return Vec::new();
        }
        let (followed, _) = self.led_by(k);
        let of_followed = followed.iter().flat_map(|&level| self.schedule.reached_from(level));
        let all: BTreeSet<usize> = self.schedule.reached_from(k).into_iter().chain(of_followed).collect();
        all.into_iter().filter(|level| *level != k && !followed.contains(level)).collect()
    }

    pub(crate) fn parameters_of(&self, levels: Vec<usize>) -> Blocks {
        let parameters = |level| (Variable::Level(level), self.levels[level].parameters());
        levels.into_iter().map(parameters).collect()
    }

    /// Takes the tangents that follow level `k` through its next step.
    pub(crate) fn lead(&self, k: usize, step: &Step) -> Result<(), HypergradientError> {
        for leader in self.leaders_of(k) {
            if let Some(Record::Tangents(tangents)) = &self.levels[leader].trajectory {
                let above = self.parameters_of(self.depends_on(leader));
                tangents.borrow_mut().follow(k, &self.levels[k].update, step, &above)?;
            }
        }
        Ok(())
    }

    /// Tells the tangents that follow a level what it does besides its steps.
    pub(crate) fn tell_leaders(&self, level: usize, tell: impl Fn(&mut Tangents)) {
        for leader in self.leaders_of(level) {
            if let Some(Record::Tangents(tangents)) = &self.levels[leader].trajectory {
                tell(&mut tangents.borrow_mut());
            }
        }
    }

    /// The indirect gradient of level `k` from the tangents of `leader`, `right` being the derivative of its loss in what is
    /// below; and how many products they took.
    pub(crate) fn indirect_along(
        &self,
        k: usize,
        leader: usize,
        right: &Blocks,
    ) -> Result<(Option<Vector>, usize), HypergradientError> {
        let Some(Record::Tangents(tangents)) = &self.levels[leader].trajectory else { return Ok((None, 0)) };
        let own = Variable::Level(k);
        let tangents = tangents.borrow();
        let sent = tangents.pull_back(right, &[own])?.take(own);
        Ok((sent.map(|sent| sent.scaled(-1.0)), tangents.products()))
    }
}
