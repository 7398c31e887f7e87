//! Levels whose steps a hypergradient goes back through together, because they read each other while they were taken.

use std::cell::Ref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::Program;
use super::context::Context;
use super::sample::Sample;
use crate::config::LevelConfig;
use crate::derivatives::Variable;
use crate::error::EngineError;
use crate::execute::Vector;
use crate::hypergradient::{Blocks, HypergradientError};
use crate::schedule::Through;
use crate::steps::{KeptSteps, Member, Needed, Passage, Record};

impl Program {
    /// The stops of level `k` whose steps are gone through together, none if each goes by itself: steps that are kept, and
    /// are not part of the total gradient of a stop that is solved.
    pub(super) fn together(&self, k: usize) -> Vec<usize> {
        let sweep = self.schedule.levels[k].sweep;
        let is_solved = |level: usize| !matches!(self.levels[level].trajectory, Some(Record::Steps(_)));
        let is_nested =
            |level| sweep.iter().any(|stop| is_solved(stop.level) && self.schedule.answers_to(level, stop.level));
        let all = sweep.iter().map(|stop| stop.level);
        let together: Vec<usize> = all.filter(|&level| !is_solved(level) && !is_nested(level)).collect();
        let receives = self.sends(k, &together, false);
        let is_alone = !receives && !self.goes_far(k, &together);
        // Levels that are solved before some and after others of these would have to be part of them.
        if is_alone || (receives && self.sends(k, &together, true)) { Vec::new() } else { together }
    }

    /// Whether more than the last steps of these stops may lie between two steps of level `k`: several levels take theirs in
    /// turns, or a level waits for several rounds, or another one for several tasks, or takes more steps than `k` itself and
    /// waits for each.
    fn goes_far(&self, k: usize, together: &[usize]) -> bool {
        let waits = |above: usize, member: &usize| self.schedule.levels[above].lower.contains(member);
        let is_often = |above: usize| {
            let LevelConfig { rounds, tasks, .. } = &self.levels[above].config;
            *rounds > 1 || (above != k && (*tasks > 1 || !self.schedule.roots.contains(&above)))
        };
        let mut above = (0..self.levels.len()).filter(|&above| together.iter().any(|member| waits(above, member)));
        together.len() > 1 || above.any(is_often)
    }

    /// Whether one of these stops of level `k` sends to a stop that is not among them, or the other way round.
    fn sends(&self, k: usize, together: &[usize], outwards: bool) -> bool {
        let sweep = self.schedule.levels[k].sweep;
        let is_stop = |level: &usize| sweep.iter().any(|stop| stop.level == *level);
        let crosses = |level: &usize| is_stop(level) && together.contains(level) != outwards;
        let from = sweep.iter().filter(|stop| together.contains(&stop.level) == outwards);
        from.flat_map(|stop| stop.into).any(crosses)
    }

    /// Which steps of level `k`, besides its last ones, hypergradients go back through.
    pub(super) fn needed(&self, k: usize) -> Needed {
        let mut needed = Needed { answers: self.led_by(k).1, rounds: self.rounds_of(k), ..Needed::default() };
        for above in 0..self.levels.len() {
            // What is differentiated itself takes steps for functions.
            if self.levels[above].trajectory.is_some() || !self.schedule.answers_to(k, above) {
                continue;
            }
            let together = self.together(above);
            if together.contains(&k) {
                let began = self.clock.began(above);
                needed.since = Some(needed.since.map_or(began, |since| since.min(began)));
                let sweep = self.schedule.levels[above].sweep;
                needed.across_starts |=
                    sweep.iter().any(|stop| together.contains(&stop.level) && stop.into.contains(&k));
            }
        }
        needed
    }

    /// In how many rounds the steps of a level were taken, where they are taken for one function: all who wait for it read what was
    /// done for the one that waits for the most.
    pub(super) fn rounds_of(&self, level: usize) -> usize {
        let above = (0..self.levels.len()).filter(|&above| self.schedule.levels[above].lower.contains(&level));
        above.map(|above| self.levels[above].config.rounds).max().unwrap_or(1)
    }

    /// Prepares a stop of level `k` that is solved, at the point that it was solved with: where steps that are gone through
    /// together stood when it took its own last one.
    pub(super) fn prepare_solved(
        &mut self,
        k: usize,
        Through { level, into }: Through,
        sample: &Sample,
        context: &mut Context,
    ) -> Result<(), EngineError> {
        let time = self.levels[level].stepped.filter(|&time| time >= self.clock.began(k));
        let mut then = Vec::new();
        for &member in context.together.iter().filter(|member| into.contains(member)) {
            let (Some(Record::Steps(steps)), Some(time)) = (&self.levels[member].trajectory, time) else { continue };
            then.extend(steps.borrow().parameters_at(time)?.map(|parameters| (member, parameters)));
        }
        let mut stood = Vec::new();
        for (member, then) in then {
            stood.push((member, self.levels[member].parameters()));
            self.levels[member].set_parameters(then);
        }
        // What stands elsewhere for the time being comes back, whatever happens.
        let prepared = catch_unwind(AssertUnwindSafe(|| self.prepare_stop(level, sample, context)));
        for (member, parameters) in stood {
            self.levels[member].set_parameters(parameters);
        }
        prepared.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The indirect gradient of level `k`, `right` being the derivative of its loss in what is below, if it does not come out
    /// of the system of its stops alone.
    pub(super) fn indirect_through_steps(
        &self,
        k: usize,
        context: &mut Context,
        right: &Blocks,
    ) -> Option<Result<Option<Vector>, HypergradientError>> {
        let sweep = self.schedule.levels[k].sweep;
        let is_stop = |level: &usize| sweep.iter().any(|stop| stop.level == *level);
        if let Some(leader) = context.leader.filter(is_stop) {
            return Some(self.indirect_led(k, leader, context, right));
        }
        context.together.iter().any(is_stop).then(|| self.indirect_together(k, context, right))
    }

    /// Along the tangents of `leader`, and through the stops that stand apart from it.
    fn indirect_led(
        &self,
        k: usize,
        leader: usize,
        context: &mut Context,
        right: &Blocks,
    ) -> Result<Option<Vector>, HypergradientError> {
        let (along, products) = self.indirect_along(k, leader, right)?;
        let (response, own, apart) = (&mut context.response, Variable::Level(k), self.apart_from(k, leader));
        for stop in self.schedule.levels[k].sweep.iter().filter(|stop| !apart.contains(&stop.level)) {
            response.went_through(stop.level, if stop.level == leader { products } else { 0 });
        }
        let apart = response.reaching(&apart, own)?;
        let x = response.solve(&apart, &right.only(|variable| apart.contains(&variable.owner())))?;
        let mut indirect = response.taken_off(&x, &apart, &[own])?;
        along.into_iter().for_each(|along| indirect.add(own, 1.0, along));
        Ok(indirect.take(own))
    }

    /// Through the stops that are solved, and through the steps that are gone through together, in the order in which one sends
    /// to the other.
    fn indirect_together(
        &self,
        k: usize,
        context: &mut Context,
        right: &Blocks,
    ) -> Result<Option<Vector>, HypergradientError> {
        let Context { together, response, .. } = context;
        let sweep = self.schedule.levels[k].sweep;
        let solved: Vec<usize> =
            sweep.iter().map(|stop| stop.level).filter(|level| !together.contains(level)).collect();
        let own = Variable::Level(k);
        let members: Vec<Variable> = together.iter().map(|&member| Variable::Level(member)).collect();
        let borrowed: Vec<(Through, Ref<'_, KeptSteps>)> = sweep
            .iter()
            .filter_map(|&stop| match &self.levels[stop.level].trajectory {
                Some(Record::Steps(steps)) if together.contains(&stop.level) => Some((stop, steps.borrow())),
                _ => None,
            })
            .collect();
        let goes_far = self.goes_far(k, together);
        let mut passage = Passage::new(borrowed.iter().map(|(stop, steps)| Member {
            level: stop.level,
            steps,
            into: stop.into.iter().map(|&into| Variable::Level(into)).collect(),
            limit: steps.limit(goes_far.then(|| self.clock.began(k))),
        }));
        for &member in together.iter() {
            if let Some(cotangent) = right.get(Variable::Level(member)) {
                passage.enter(member, u64::MAX, cotangent.clone());
            }
        }
        let mut indirect = Blocks::default();
        let mut right = right.only(|variable| !members.contains(&variable));
        let come_first = self.sends(k, together, true);
        if come_first {
            let passed = passage.go_back()?;
            passed.steps.iter().for_each(|&(level, steps)| response.went_through(level, steps));
            right = right.plus(1.0, passed.sent);
            passage = Passage::new([]);
        }
        if let Some(sent) = right.take(own) {
            indirect.add(own, -1.0, sent);
        }
        let x = response.solve(&solved, &right)?;
        indirect = indirect.plus(1.0, response.taken_off(&x, &solved, &[own])?);
        if !come_first {
            for &level in &solved {
                let time = self.levels[level].stepped.filter(|&time| time >= self.clock.began(k)).unwrap_or(u64::MAX);
                for (member, block) in response.taken_off(&x, &[level], &members)? {
                    passage.enter(member.owner(), time, block.scaled(-1.0));
                }
            }
            let passed = passage.go_back()?;
            passed.steps.iter().for_each(|&(level, steps)| response.went_through(level, steps));
            indirect = indirect.plus(-1.0, passed.sent.only(|variable| variable == own));
        }
        Ok(indirect.take(own))
    }
}
