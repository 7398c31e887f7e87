//! The order of turns: how an iteration goes through the levels of a program, whoever takes their steps.

use std::collections::BTreeMap;

use super::Program;
use super::roots::grouped;
use crate::config::Start;
use crate::schedule::Schedule;

/// How many turns each level has taken: steps, and those it let pass while it warmed up.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    pub(crate) taken: Vec<u64>,
    /// For each level and each of its lowers: the turns the lower had taken at the level's last turn.
    pub(crate) seen: Vec<Vec<u64>>,
}

impl Turns {
    pub(crate) fn new(schedule: &Schedule) -> Self {
        let seen = schedule.levels.iter().map(|spec| vec![0; spec.lower.len()]).collect();
        Turns { taken: vec![0; schedule.levels.len()], seen }
    }
}

/// Somebody who goes through the turns of a program: the run itself, or who only counts.
pub(crate) trait Walk: Sized {
    /// What is gathered for one step.
    type Gathered: Default;
    /// Where a level stands that looks ahead.
    type Place: Clone;
    /// What there was of a level before a level above began to wait for it once more.
    type Round;
    type Error;

    fn program(&self) -> &Program;

    fn turns(&mut self) -> &mut Turns;

    /// Whether level `k` takes steps by now.
    fn is_warm(&self, k: usize) -> bool;

    /// Whether hypergradients go through the steps of a level, but all are from before a checkpoint or an edit.
    fn has_lost_steps(&self, lower: usize) -> bool;

    /// Takes a turn as a whole, or not at all.
    fn take_whole(&mut self, turn: impl FnOnce(&mut Self) -> Result<(), Self::Error>) -> Result<(), Self::Error>;

    /// Level `k` begins to wait for those below.
    fn wait(&mut self, k: usize);

    /// Level `k` goes on.
    fn go_on(&mut self, k: usize);

    /// A level above begins to wait for the next steps of level `lower`.
    fn begin_round(&mut self, lower: usize) -> Self::Round;

    /// Level `lower` could not take the first of these steps; `is_still` if no level has had a turn since then.
    fn take_round_back(&mut self, lower: usize, before: Self::Round, is_still: bool);

    /// Level `lower` starts at its first parameters.
    fn start_again(&mut self, lower: usize);

    /// Level `lower` starts at a new draw of its parameters.
    fn start_at_draw(&mut self, lower: usize);

    /// Level `lower` starts at the parameters of another.
    fn start_from_other(&mut self, lower: usize);

    /// Where level `lower` stands.
    fn stand(&mut self, lower: usize) -> Self::Place;

    /// Level `lower` begins to look ahead; answers from where.
    fn look_ahead(&mut self, lower: usize) -> Self::Place;

    /// Level `lower` goes back to where it stood.
    fn go_back(&mut self, lower: usize, place: Self::Place);

    /// Level `lower` does not look ahead any more.
    fn look_no_further(&mut self, lower: usize);

    /// Gradients of level `k` for all tasks at once, with the turns below; nothing where that cannot be.
    fn evaluate_together(&mut self, k: usize) -> Result<Option<Self::Gathered>, Self::Error>;

    /// Goes through the tasks of level `k`, which gather for one step.
    fn for_each_task(
        &mut self,
        k: usize,
        mut task: impl FnMut(&mut Self, &mut Self::Gathered) -> Result<(), Self::Error>,
    ) -> Result<Self::Gathered, Self::Error> {
        let mut gathered = Self::Gathered::default();
        for _ in 0..self.program().levels[k].config.tasks {
            task(self, &mut gathered)?;
        }
        Ok(gathered)
    }

    /// Gradients of level `k` on as many batches as are averaged at one place of the levels below.
    fn evaluate(&mut self, k: usize, gathered: &mut Self::Gathered) -> Result<(), Self::Error>;

    /// One step of level `k`.
    fn step(&mut self, k: usize, gathered: Self::Gathered) -> Result<(), Self::Error>;

    /// One iteration: a turn of every uppermost level, or what is left of one that an error ended.
    fn iterate(&mut self) -> Result<(), Self::Error> {
        let roots = self.program().schedule.roots;
        let turns = &self.turns().taken;
        // Those that have had their turn are one ahead.
        let least = roots.iter().map(|&root| turns[root]).min();
        let left: Vec<usize> = roots.iter().copied().filter(|&root| Some(turns[root]) == least).collect();
        let ahead = |root: usize| {
            let lowers = self.program().schedule.levels[root].lower.iter().copied();
            (self.is_warm(root), lowers.filter(|&lower| self.looks_ahead(lower)).collect())
        };
        grouped(&left, ahead).iter().try_for_each(|group| self.advance_all(group))
    }

    /// Whether level `lower` only looks ahead when a level above waits for it.
    fn looks_ahead(&self, lower: usize) -> bool {
        self.program().levels[lower].config.start == Start::LookAhead
    }

    /// Turns of the lower levels as the schedule asks, then one turn of level `k`: a step, unless it is still warming up.
    fn advance(&mut self, k: usize) -> Result<(), Self::Error> {
        self.advance_all(&[k])
    }

    /// A turn of each of these levels, with those below.
    ///
    /// Where lower levels look ahead, or several tasks are averaged, an error takes all of it back.
    fn advance_all(&mut self, group: &[usize]) -> Result<(), Self::Error> {
        let is_whole = |&k: &usize| {
            let Program { schedule, levels, .. } = self.program();
            let looks_ahead = |&lower: &usize| self.looks_ahead(lower);
            self.is_warm(k) && (levels[k].config.tasks > 1 || schedule.levels[k].lower.iter().any(looks_ahead))
        };
        match group.iter().any(is_whole) {
            true => self.take_whole(|walk| walk.turn(group)),
            false => self.turn(group),
        }
    }

    /// One turn of each of these levels, with those below.
    fn turn(&mut self, group: &[usize]) -> Result<(), Self::Error> {
        let mut places = BTreeMap::new();
        for &k in group {
            self.solve_and_step(k, &mut places)?;
            self.turns().taken[k] += 1;
            if self.is_warm(k) {
                self.keep_tasks(k);
            }
        }
        // Lower levels that looked ahead take their steps again, from where they stood, under the new parameters above, in the
        // order in which they took them first.
        let mut looked_ahead: Vec<(usize, usize)> = Vec::new();
        for &k in group {
            let Program { schedule, levels, .. } = self.program();
            for &lower in schedule.levels[k].lower.iter().filter(|lower| places.contains_key(lower)) {
                let rounds = levels[k].config.rounds;
                match looked_ahead.iter_mut().find(|(of, _)| *of == lower) {
                    Some((_, most)) => *most = rounds.max(*most),
                    None => looked_ahead.push((lower, rounds)),
                }
            }
        }
        for (lower, place) in places {
            self.go_back(lower, place);
            self.look_no_further(lower);
        }
        let most = looked_ahead.iter().map(|&(_, rounds)| rounds).max().unwrap_or_default();
        for round in 1..=most {
            for &(lower, _) in looked_ahead.iter().filter(|(_, rounds)| round <= *rounds) {
                for _ in 0..self.program().levels[lower].config.unroll {
                    self.advance(lower)?;
                }
            }
        }
        // Steps that were undone do not count for the next round.
        group.iter().for_each(|&k| self.mark_seen(k));
        Ok(())
    }

    /// The step of level `k`, if it is warm, with all turns below that it waits for. `places` learns where those lower
    /// levels stood that only look ahead.
    fn solve_and_step(&mut self, k: usize, places: &mut BTreeMap<usize, Self::Place>) -> Result<(), Self::Error> {
        if !self.is_warm(k) {
            self.advance_lowers(k, None)?;
            self.mark_seen(k);
            return Ok(());
        }
        if self.program().levels[k].config.vectorize
            && let Some(gathered) = self.evaluate_together(k)?
        {
            self.mark_seen(k);
            return self.step(k, gathered);
        }
        let gathered = self.for_each_task(k, |walk, gathered| {
            walk.begin_task(k);
            walk.advance_lowers(k, Some(&mut *places))?;
            walk.evaluate(k, gathered)?;
            walk.mark_seen(k);
            Ok(())
        })?;
        self.step(k, gathered)
    }

    /// A task is the level's own: turns that levels below have taken for others do not count for it. Nor do those that were taken in
    /// the task before for levels that wait themselves, where each task begins anew.
    fn begin_task(&mut self, k: usize) {
        let Program { schedule, levels, .. } = self.program();
        let schedule = *schedule;
        if levels[k].config.tasks == 1 {
            return;
        }
        let begins_anew: Vec<bool> = levels.iter().map(|level| level.config.start.begins_anew()).collect();
        let Turns { taken, seen } = self.turns();
        for (waiting, spec) in schedule.levels.iter().enumerate() {
            let is_below = schedule.waits_for(k, waiting);
            for (seen, &lower) in seen[waiting].iter_mut().zip(spec.lower) {
                if waiting == k || (is_below && begins_anew[lower]) {
                    *seen = taken[lower];
                }
            }
        }
    }

    /// Nor do the tasks that level `k` has had for others, where each of them began anew: the last one is no more theirs than those
    /// before. A level that waits for `k` itself goes on from where that leaves what is below.
    fn keep_tasks(&mut self, k: usize) {
        let Program { schedule, levels, .. } = self.program();
        let schedule = *schedule;
        if levels[k].config.tasks == 1 {
            return;
        }
        let may_begin_elsewhere = |&lower: &usize| levels[lower].config.start != Start::Kept;
        let lowers: Vec<usize> = schedule.levels[k].lower.iter().copied().filter(may_begin_elsewhere).collect();
        for (above, spec) in schedule.levels.iter().enumerate() {
            if above == k || schedule.waits_for(above, k) {
                continue;
            }
            let Turns { taken, seen } = self.turns();
            for (seen, lower) in seen[above].iter_mut().zip(spec.lower).filter(|(_, lower)| lowers.contains(lower)) {
                *seen = taken[*lower];
            }
        }
    }

    /// Turns of the lower levels of `k`, round for round, until each has taken as many as it shall. With `places`, those that
    /// look ahead begin where they stood when this was first called, and are found there.
    fn advance_lowers(
        &mut self,
        k: usize,
        mut places: Option<&mut BTreeMap<usize, Self::Place>>,
    ) -> Result<(), Self::Error> {
        self.wait(k);
        let rounds = 1..=self.program().levels[k].config.rounds as u64;
        let lowers = self.program().schedule.levels[k].lower.iter().copied().enumerate();
        for (round, (i, lower)) in rounds.flat_map(|round| lowers.clone().map(move |lower| (round, lower))) {
            if places.is_some() && self.has_lost_steps(lower) {
                self.turns().seen[k][i] = self.turns().taken[lower];
            }
            let is_first = self.turns().taken[lower] == self.turns().seen[k][i];
            let mut before = None;
            if is_first {
                let start = self.program().levels[lower].config.start;
                let place = start.begins_anew().then(|| self.stand(lower));
                let taken = self.turns().taken.clone();
                before = Some((place, self.begin_round(lower), taken));
                match (start, &mut places) {
                    (Start::Kept, _) | (Start::LookAhead, None) => {}
                    (Start::Initial, _) => self.start_again(lower),
                    (Start::Fresh, _) => self.start_at_draw(lower),
                    (Start::From, _) => self.start_from_other(lower),
                    (Start::LookAhead, Some(places)) => match places.get(&lower) {
                        Some(place) => self.go_back(lower, place.clone()),
                        None => drop(places.insert(lower, self.look_ahead(lower))),
                    },
                }
            }
            let turns = round * self.program().levels[lower].config.unroll as u64;
            while self.turns().taken[lower] - self.turns().seen[k][i] < turns {
                let advanced = self.advance(lower);
                let before = before.take().filter(|_| self.turns().taken[lower] == self.turns().seen[k][i]);
                if let (Err(_), Some((place, round, taken))) = (&advanced, before) {
                    // Its data have come to their end, say: what was trained before is not lost for nothing.
                    place.into_iter().for_each(|place| self.go_back(lower, place));
                    let is_still = self.turns().taken == taken;
                    self.take_round_back(lower, round, is_still);
                }
                advanced?;
            }
        }
        Ok(())
    }

    /// Level `k` has had its turn, and has seen those below.
    fn mark_seen(&mut self, k: usize) {
        self.go_on(k);
        for (i, &lower) in self.program().schedule.levels[k].lower.iter().enumerate() {
            self.turns().seen[k][i] = self.turns().taken[lower];
        }
    }
}
