//! What a run tells its observers, and what they answer.

mod facts;
mod log;
mod news;
mod report;
mod score;
mod told;
mod usual;
mod verdict;
mod warning;

use std::path::Path;
use std::rc::Rc;

pub use facts::Facts;
pub(crate) use log::log;
pub(crate) use news::tell;
pub use report::{LevelReport, Report};
pub use score::{Goal, Score};
pub(crate) use told::{about, of_error};
pub(crate) use usual::Usual;
pub use verdict::Verdict;
pub use warning::Warning;

use crate::program::{Explanation, HypergradientCheck};

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A run begins, or goes on: told before its first iteration, unless there is nothing left to do.
    Started {
        /// Iterations so far, those before a checkpoint included.
        iteration: u64,
        /// The iteration after which it ends, if nothing ends it before.
        until: u64,
    },
    /// The engine stands where a checkpoint stood: what was told after that iteration is undone.
    Resumed {
        /// The iteration, counted from 1; 0 for none.
        iteration: u64,
    },
    /// A run that was told of as started is over.
    Ended {
        /// Iterations so far.
        iteration: u64,
        /// Why: `None` after its last iteration, or what validation, an observer or an error said.
        reason: Option<&'a str>,
    },
    /// A level took a step.
    Step {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// The level's step, counted from 1.
        step: u64,
        /// The loss at the parameters before the step.
        loss: f64,
        /// What the loss function reports beside the loss, as [`Measured`](crate::Measured) with metrics: names, and means
        /// over the batches of the step.
        metrics: &'a [(Rc<str>, f64)],
        /// Norm of the gradient, all terms included, before clipping.
        gradient_norm: f64,
        /// The step's learning rate, 1 where a solver goes all the way. Where groups of parameters have rates of their own, that
        /// of those in no group, or of the first group where all are in one; of rates that another level learns, their mean
        /// over all parameters of that level that they are made of, or over the step's row of them.
        learning_rate: f64,
        /// Whether the level only looks ahead: the step is undone after the step of the level above, and counts for nothing.
        /// The step that is taken in its place has the same number and a scheduler's same learning rate.
        looks_ahead: bool,
    },
    /// A level's solver has found its best response, or what comes next to it. Told before the level's [`Step`](Self::Step) there.
    Solved {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// The solver's name.
        solver: &'a str,
        /// The level's step, counted from 1.
        step: u64,
        /// Steps of the solver; 1 of one of the user's own.
        iterations: usize,
        /// Gradients that it looked at.
        evaluations: usize,
        /// The loss at the answer.
        loss: f64,
        /// The norm of the loss's gradient at the answer, which would vanish at a best response; where that is a fixed point,
        /// `‖θ − T(θ)‖`.
        gradient_norm: f64,
        /// Whether that is as small as the solver's tolerance; where that is 0, whether precision allows no less.
        converged: bool,
    },
    /// A hypergradient passed through a lower level.
    Hypergradient {
        /// Number of the upper level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// Name of the lower level.
        through: &'a str,
        /// Hessian-vector products formed.
        products: usize,
        /// Relative residual of the linear system, where the method knows it.
        residual: Option<f64>,
    },
    /// `solve: joint` or `solve: inexact` ended above its tolerance. Told of once in all runs for a level and each level that is passed,
    /// and beside that for every gradient that somebody [asks](crate::Engine::gradient) for; not where solves go on from the solution of
    /// the step before.
    Unfinished {
        /// Number of the upper level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// Name of the lower level.
        through: &'a str,
        /// Iterations that were allowed.
        iterations: usize,
        /// Whether they were used up. If not, the residual got no smaller.
        is_used_up: bool,
        /// Relative residual that is left.
        residual: f64,
        /// The one that was asked for.
        tolerance: f64,
    },
    /// What the gradient of a level's coming step is made of, for levels with hypergradients, if an observer
    /// [asks](crate::Observer::asks_for_parts) for it or [`Engine::parts`](crate::Engine::parts) does; not of tasks that are
    /// computed together. Of several batches, those of the last one.
    Parts {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// Norm of the direct gradient: the derivative of the level's own loss, what is below standing still.
        direct: f64,
        /// Norm of the indirect gradient: what comes up through the levels below.
        indirect: f64,
        /// The cosine of the angle between them, from -1 to 1; none where one of them is zero.
        cosine: Option<f64>,
    },
    /// The hypergradient of a level's coming step is out of all proportion: more than a thousand times as large as those
    /// before usually were. Told of once while it lasts, and again where it becomes ten times as large.
    Runaway {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// The step, counted from 1. It is taken.
        step: u64,
        /// Norm of the gradient, all terms included, before clipping.
        norm: f64,
        /// About how many times the median of the norms so far that is, or of the first ones where that is larger.
        ratio: f64,
        /// What can be done about it.
        advice: &'a str,
    },
    /// A level computes products in a type of its own, and its gradient was compared with the one without: at the first
    /// batch of each shape, before the level's step, unless verification is off.
    Rounding {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// `‖rounded − exact‖ / ‖exact‖` over the direct gradient in all floats that the loss reads. A few times the type's
        /// precision is usual (4e-3 for bf16, 5e-4 for f16); near a minimum, where the gradient is small against what it
        /// is the sum of, it is more, and with kinks such as a rectifier's, which rounding crosses, about its square root.
        difference: f64,
    },
    /// The gradient of a trace could not be compared with Burn's autodiff. It is tried again later, and after some tries the run
    /// ends with an error, unless [`Engine::allow_unverified`](crate::Engine::allow_unverified) lets it go on.
    Unverified {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// How often it was tried.
        tries: u32,
        /// Why it could not be compared.
        reason: &'a str,
    },
    /// A level's loss reads a level that it lists, but only adds it, or reads only parts that stand still, or the map of its
    /// `condition` has no derivative there: every hypergradient along this edge is zero. Told once, at the level's first step.
    ZeroEdge {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// Name of the level that it lists.
        other: &'a str,
    },
    /// The tasks of a level go one after the other, although its `vectorize` asks for them together: the method of a level below
    /// does not go through all of its steps in reverse, or keeps less than all of them. A step takes the kernels of one task, and
    /// waits for the device, as often as there are tasks. Told once, before the first step.
    OneByOne {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// Name of the level below.
        through: &'a str,
        /// The name of its method.
        method: &'a str,
        /// How many tasks there are.
        tasks: usize,
    },
    /// A level whose steps average over several tasks is passed by a hypergradient with an implicit method, which takes the level for a
    /// solution of the last task alone. Told once, before the first step.
    LastTask {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// The name of its method.
        method: &'a str,
        /// How many tasks there are.
        tasks: usize,
    },
    /// The steps of a level that are taken again from displaced parameters read another level that was taking steps itself, which are not
    /// taken again: all read it where it ended, so that the hypergradient is another one, however narrow the displacements are. Told
    /// once, before the first step.
    LastRead {
        /// Number of the level whose steps are taken again.
        level: usize,
        /// Its name.
        name: &'a str,
        /// The name of its method.
        method: &'a str,
        /// Name of the level that they read.
        read: &'a str,
    },
    /// A hypergradient takes more kernels than [`Engine::costly_above`](crate::Engine::costly_above) says, because systems are
    /// solved within systems. Told once for each level, before its first step.
    Costly {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// Kernels of one hypergradient, at most.
        kernels: f64,
        /// The same with `solve: joint` at the level, with its default numbers; none where a level below has a method that
        /// `joint` cannot take.
        joint: Option<f64>,
        /// About the same with `curvature: partial` at the levels in the middle, which is an approximation.
        partial: f64,
    },
    /// A level's loss was recorded and planned once more, for another kind of batch: with tensors of other shapes, or other
    /// plain data. Told before the next step.
    Retraced {
        /// Number of the level.
        level: usize,
        /// Its name.
        name: &'a str,
        /// How many recordings there have been since the engine was made or edited, this one and the first included.
        count: u64,
        /// Whether it was compared with Burn's autodiff; not again where only the size of the batch is another.
        verified: bool,
        /// At the fourth recording, why there are so many, and what helps.
        advice: Option<&'a str>,
    },
    /// All uppermost levels took a step.
    Iteration {
        /// The iteration, counted from 1.
        iteration: u64,
    },
    /// The validation function was called.
    Validation {
        /// The iteration, counted from 1.
        iteration: u64,
        /// Its value.
        value: f64,
        /// Whether it is the best so far.
        best: bool,
        /// What the function measured beside it: names and values.
        metrics: &'a [(Rc<str>, f64)],
    },
    /// [`Engine::explain`](crate::Engine::explain) has counted what an iteration takes.
    Explained(&'a Explanation),
    /// [`Engine::verify_hypergradient`](crate::Engine::verify_hypergradient) has held a hypergradient against a reference, and seen the
    /// ends of the spectra that it passes through.
    Checked(&'a HypergradientCheck),
    /// An observer found something that a person who supervises the run should know: [`Current::warn`](crate::Current::warn). Or the
    /// engine did: that a learned number of an optimizer is one which the level's method does not see, told once for each, before the
    /// level's first step.
    Warning(&'a Warning),
    /// A checkpoint is about to be written. What goes with it, such as a log, is written now, so that it is never behind.
    Saving {
        /// The iteration, counted from 1.
        iteration: u64,
        /// Where to.
        file: &'a Path,
    },
    /// A checkpoint between two iterations could not be written. The run goes on, and the file holds the last one that could.
    SaveFailed {
        /// The iteration, counted from 1.
        iteration: u64,
        /// Where to.
        file: &'a Path,
        /// What its [`CheckpointError`](crate::CheckpointError) says.
        reason: &'a str,
        /// The iteration after which it is tried again, or before that at the end of the run.
        next: u64,
    },
}
