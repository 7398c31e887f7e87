//! The adjoint system below a level solved part by part, and what comes up from it.
//!
//! Where cotangents go in one direction only, each part is solved for what those before it have sent: see `parts.rs`. Steps
//! that are gone through are parts by themselves.

use super::parts::Part;
use super::response::{Solve, Solver};
use super::{Blocks, Direction, HypergradientError, Response};
use crate::derivatives::Variable;

impl Response {
    /// Solves the adjoint system of `levels`, each after its own stops, for this right-hand side: how a loss changes with what
    /// is solved there. The answer has a multiplier for each condition, named by the variable that it determines; steps are
    /// gone through, which can be done once.
    ///
    /// # Errors
    /// [`HypergradientError`] when a method cannot solve its part, or a product cannot be formed.
    pub fn solve(&mut self, levels: &[usize], right: &Blocks) -> Result<Blocks, HypergradientError> {
        let mut x = Blocks::default();
        let mut right = self.all_moving(right.clone());
        let mut open = levels.to_vec();
        let parts = self.parts_to_solve(levels);
        let share = match self.solver {
            Some(Solver::Inexact(inexact)) if self.count.is_none() => {
                let systems = parts.iter().filter(|part| matches!(part, Part::System(_))).count();
                Self::share(inexact, systems, &right)?
            }
            _ => (0.0, 0.0),
        };
        for part in parts {
            let solved = match &part {
                Part::Steps(level) => {
                    self.go_back(*level, &mut right)?;
                    Blocks::default()
                }
                Part::System(part) => match self.solver {
                    Some(Solver::Joint(joint)) => self.solve_part(joint, part, &right)?,
                    Some(Solver::Inexact(inexact)) => self.solve_within(inexact, part, &right, share)?,
                    None => self.eliminate(part, Direction::Adjoint, &right, Solve::Outermost)?,
                },
            };
            open.retain(|level| !part.levels().contains(level));
            let rows: Vec<Variable> = open.iter().flat_map(|&level| self.variables(level)).collect();
            let taken_off = self.taken_off(&solved, part.levels(), &rows)?;
            right = right.plus(-1.0, self.all_moving(taken_off));
            x = x.plus(1.0, solved);
        }
        Ok(x)
    }

    /// What these levels take off the derivative of a loss in `rows`: their conditions by the multipliers `x` of a system that
    /// was [solved](Self::solve), and steps by what they sent.
    ///
    /// # Errors
    /// [`HypergradientError`] when a product cannot be formed.
    pub fn taken_off(&mut self, x: &Blocks, levels: &[usize], rows: &[Variable]) -> Result<Blocks, HypergradientError> {
        let mut sum = Blocks::default();
        let mut levels = levels.to_vec();
        levels.sort_unstable();
        for level in levels {
            if let Some(sent) = self.sent.get(&level) {
                for &row in rows {
                    sent.get(row).into_iter().for_each(|block| sum.add(row, 1.0, block.scaled(-1.0)));
                }
                continue;
            }
            let of_level = x.only(|variable| variable.owner() == level);
            for (row, product) in self.apply(Direction::Adjoint, &of_level, rows)? {
                sum.add(row, 1.0, product);
            }
        }
        Ok(sum)
    }

    /// The parts, as large as the way to solve them allows: elimination takes all levels together that no steps stand between.
    fn parts_to_solve(&self, levels: &[usize]) -> Vec<Part> {
        let parts = self.parts(levels);
        if self.solver.is_some() {
            return parts;
        }
        let mut joined: Vec<Part> = Vec::new();
        for part in parts {
            match (joined.last_mut(), part) {
                (Some(Part::System(before)), Part::System(part)) => before.extend(part),
                (_, part) => joined.push(part),
            }
        }
        for part in &mut joined {
            if let Part::System(part) = part {
                part.sort_by_key(|level| levels.iter().position(|of| of == level));
            }
        }
        joined
    }

    /// Goes through the steps of a level, with the cotangent that has arrived there.
    fn go_back(&mut self, level: usize, right: &mut Blocks) -> Result<(), HypergradientError> {
        let Some(cotangent) = right.take(Variable::Level(level)) else { return Ok(()) };
        if let Some(steps) = self.steps.remove(&level) {
            self.report(level).products = steps.trajectory.products();
            self.sent.insert(level, steps.trajectory.pull_back(&cotangent, &steps.into)?);
        }
        Ok(())
    }
}
