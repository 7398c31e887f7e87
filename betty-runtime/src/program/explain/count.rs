//! How many steps every level takes in one iteration, by going through the turns without taking them.

use std::convert::Infallible;

use crate::program::{Program, Turns, Walk};

/// Who only counts.
struct Count<'a> {
    program: &'a Program,
    turns: Turns,
}

/// Steps of each level in one iteration, once all levels are warm.
pub(super) fn steps_of_an_iteration(program: &Program) -> Vec<u64> {
    let mut count = Count { program, turns: Turns::new(&program.schedule) };
    // The first iteration fills up what later ones find done.
    let Ok(()) = count.iterate();
    let before = count.turns.taken.clone();
    let Ok(()) = count.iterate();
    count.turns.taken.iter().zip(before).map(|(after, before)| after - before).collect()
}

impl Walk for Count<'_> {
    type Gathered = ();
    type Place = ();
    type Round = ();
    type Error = Infallible;

    fn program(&self) -> &Program {
        self.program
    }

    fn turns(&mut self) -> &mut Turns {
        &mut self.turns
    }

    fn is_warm(&self, _k: usize) -> bool {
        true
    }

    fn has_lost_steps(&self, _lower: usize) -> bool {
        false
    }

    fn take_whole(&mut self, turn: impl FnOnce(&mut Self) -> Result<(), Infallible>) -> Result<(), Infallible> {
        turn(self)
    }

    fn wait(&mut self, _k: usize) {}

    fn go_on(&mut self, _k: usize) {}

    fn begin_round(&mut self, _lower: usize) {}

    fn take_round_back(&mut self, _lower: usize, (): (), _is_still: bool) {}

    fn start_again(&mut self, _lower: usize) {}

    fn start_at_draw(&mut self, _lower: usize) {}

    fn start_from_other(&mut self, _lower: usize) {}

    fn stand(&mut self, _lower: usize) {}

    fn look_ahead(&mut self, _lower: usize) {}

    fn go_back(&mut self, _lower: usize, (): ()) {}

    fn look_no_further(&mut self, _lower: usize) {}

    fn for_each_task(
        &mut self,
        k: usize,
        mut task: impl FnMut(&mut Self, &mut ()) -> Result<(), Infallible>,
    ) -> Result<(), Infallible> {
        (0..self.program.own_tasks(k)).try_for_each(|_| task(self, &mut ()))
    }

    fn evaluate_together(&mut self, _k: usize) -> Result<Option<()>, Infallible> {
        Ok(None)
    }

    fn evaluate(&mut self, _k: usize, (): &mut ()) -> Result<(), Infallible> {
        Ok(())
    }

    fn step(&mut self, _k: usize, (): ()) -> Result<(), Infallible> {
        Ok(())
    }
}
