//! A step that a solver takes: read, solved, and taken if all that it leads to is finite.

use super::gathered::Gathered;
use super::host::Host;
use super::run::Run;
use super::untold::{Known, UnreadStep};
use crate::config::LevelSolverConfig;
use crate::error::EngineError;
use crate::event::Event;
use crate::execute::Unread;
use crate::minimize::Evaluated;
use crate::program::{Moved, Program, Solved};
use crate::steps::LearningRates;

impl Run {
    /// The step of a level whose best response a solver finds, on the batch of its gradient; told of once it is taken.
    pub(super) fn solve_and_take(
        &mut self,
        host: &mut dyn Host,
        k: usize,
        solver: LevelSolverConfig,
        mut gathered: Gathered,
    ) -> Result<(), EngineError> {
        let statistics = std::mem::take(&mut gathered.statistics);
        let (numbers, gradient) = (gathered.numbers.pop(), gathered.gradients.pop());
        let (numbers, gradient) = numbers.zip(gradient).expect("a level with a solver has one gradient for a step");
        let told = self.program.read_numbers(k, numbers.clone())?;
        let first = Evaluated { value: told.loss, gradient };
        gathered.add(told);
        let solved = match solver {
            LevelSolverConfig::Lbfgs(config) => self.program.minimized(k, config, &numbers, first)?,
            LevelSolverConfig::CustomSolver(config) => {
                let program = host.at(&self.program.levels);
                self.program.answered(k, config, &numbers, program)?
            }
        };
        let level = &self.program.levels[k];
        let (name, step) = (level.name, level.steps + 1);
        let moves = level.moves(&gathered.reads.level(k, level.trainable.len()));
        let Solved { parameters, loss, gradient_norm, iterations, evaluations, converged } = solved;
        let moved = Moved { parameters, states: Vec::new() };
        let [finiteness] = Unread::read([Program::finiteness(&moved, &statistics)])?;
        if !finiteness.iter().all(|number| number.is_finite()) {
            self.program.check_moved(k, &moved, &statistics, gathered.norm, None)?;
        }
        let solver = solver.name();
        let told = move |tell: &mut dyn FnMut(&Event<'_>)| {
            let level = k;
            tell(&Event::Solved { level, name, solver, step, iterations, evaluations, loss, gradient_norm, converged });
        };
        self.say(host, Known::Event(Box::new(told)));
        let level = &mut self.program.levels[k];
        level.arrive(moved, LearningRates::one(1.0, moves.len()), &moves);
        level.set_statistics(statistics);
        let arrived = self.arrived(k, Some(1.0), 0);
        if self.program.unread.is_none() {
            self.tell_of_step(host, arrived, gathered);
            return Ok(());
        }
        let none = || Unread::Known(Vec::new());
        let (numbers, batches) = (Vec::new(), 1);
        self.leave_unread(UnreadStep {
            arrived,
            numbers,
            known: gathered,
            batches,
            square_norm: none(),
            finiteness: none(),
            rates: Vec::new(),
        });
        Ok(())
    }
}
