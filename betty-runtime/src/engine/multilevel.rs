//! What `multilevel!` writes: a program of levels as one type.

use std::rc::Rc;

use burn::tensor::Device;

use crate::config::ProgramConfig;
use crate::data::BatchStream;
use crate::hypergradient::{HypergradientMethod, Preconditioning};
use crate::optimizer::Optimizer;
use crate::program::{LossFunctions, Own};
use crate::schedule::Schedule;
use crate::solver::AnySolver;
use crate::trace::{Drawn, LevelModule, Measured, Tracer};

/// A multilevel program: a struct with one module a level, and what the engine must know to train it.
///
/// `multilevel!` implements this; everything in it can be written by hand just as well.
pub trait Multilevel: Sized + 'static {
    /// Levels, dependencies, and the order in which everything happens; levels are numbered in declaration order.
    const SCHEDULE: Schedule;

    /// A stream of batches for each level.
    type Data;

    /// The program's numbers.
    type Config: ProgramConfig;

    /// The levels' modules, in declaration order.
    fn modules(&self) -> Vec<&dyn LevelModule>;

    /// The levels' modules, in declaration order.
    fn modules_mut(&mut self) -> Vec<&mut dyn LevelModule>;

    /// The levels' streams, in declaration order.
    fn streams(data: Self::Data) -> Vec<Box<dyn BatchStream>>;

    /// The user's own method for the best response of level number `level`, if the program names one.
    fn custom_method(_level: usize) -> Option<Rc<dyn HypergradientMethod>> {
        None
    }

    /// The user's own preconditioner for the best response of level number `level`, if the program names one.
    fn custom_preconditioner(_level: usize) -> Option<Rc<dyn Preconditioning>> {
        None
    }

    /// The user's own optimizer of level number `level`, if the program names one.
    fn custom_optimizer(_level: usize) -> Option<Rc<dyn Optimizer>> {
        None
    }

    /// The user's own optimizer of a group of parameters of level number `level`, if the program names one.
    fn custom_group_optimizer(_level: usize, _group: &str) -> Option<Rc<dyn Optimizer>> {
        None
    }

    /// The user's own solver of level number `level`, if the program names one.
    fn custom_solver(_level: usize) -> Option<Rc<AnySolver>> {
        None
    }

    /// The module of level number `level`, made anew on a device, if the program names a function that its steps
    /// [begin](crate::Start::Fresh) at draws of.
    fn fresh(_level: usize, _device: &Device) -> Option<Drawn> {
        None
    }

    /// Calls the loss function of level number `level` on what the tracer stands in for its arguments.
    fn loss(&self, level: usize, tracer: &mut Tracer<'_>) -> Measured;

    /// Calls the map whose fixed point the answer of level number `level` is in the same way, if it is one: what it returns
    /// [goes into](crate::trace::NextParameters) the recording.
    fn condition(&self, _level: usize, _tracer: &mut Tracer<'_>) -> Option<Measured> {
        None
    }

    /// Calls the function that follows each step of level number `level` in the same way, if one does: on the level's own module and
    /// those of the levels above that it lists. The module that it returns goes into the recording by
    /// [`next_module`](crate::trace::next_module).
    fn after_step(&self, _level: usize, _tracer: &mut Tracer<'_>) -> Option<Measured> {
        None
    }
}

/// What a program names of its own.
pub(crate) fn own<P: Multilevel>() -> Own {
    Own {
        method: P::custom_method,
        preconditioner: P::custom_preconditioner,
        optimizer: P::custom_optimizer,
        group_optimizer: P::custom_group_optimizer,
        solver: P::custom_solver,
        fresh: P::fresh,
    }
}

impl<P: Multilevel> LossFunctions for P {
    fn loss(&self, level: usize, tracer: &mut Tracer<'_>) -> Measured {
        Multilevel::loss(self, level, tracer)
    }

    fn condition(&self, level: usize, tracer: &mut Tracer<'_>) -> Option<Measured> {
        Multilevel::condition(self, level, tracer)
    }

    fn after_step(&self, level: usize, tracer: &mut Tracer<'_>) -> Option<Measured> {
        Multilevel::after_step(self, level, tracer)
    }
}
