//! What was done and not told yet, and how it is read.

use std::rc::Rc;

use super::gathered::Gathered;
use super::savepoint::Savepoint;
use crate::event::Event;
use crate::execute::{ReadError, Unread};
use crate::hypergradient::SolveReport;
use crate::program::{Late, News, Told, Unchecked};

/// What was done since the last reading.
pub(super) struct Pending {
    pub(super) before: Savepoint,
    /// Iterations before it.
    pub(super) iterations: u64,
    /// What could not be verified before it.
    pub(super) unchecked: Unchecked,
    pub(super) untold: Vec<Untold>,
}

/// Something that nobody was told of yet.
pub(super) enum Untold {
    /// A step that has to be read.
    Step(Box<UnreadStep>),
    /// What turned out while losses were recorded.
    News(News),
    /// What is known.
    Known(Known),
}

/// Something that is known, to be told.
pub(super) enum Known {
    /// What a hypergradient of a level took.
    Solves { level: usize, reports: Vec<(usize, SolveReport)> },
    /// A step of a level in a task that was computed together with others.
    Step(KnownStep),
    /// An iteration was completed.
    Iteration(u64),
    /// Any other event.
    Event(Tell),
}

/// Gives an event to somebody.
pub(super) type Tell = Box<dyn FnOnce(&mut dyn FnMut(&Event<'_>))>;

/// A step whose numbers are known.
pub(super) struct KnownStep {
    pub(super) level: usize,
    pub(super) step: u64,
    pub(super) loss: f64,
    pub(super) metrics: Vec<(Rc<str>, f64)>,
    pub(super) gradient_norm: f64,
    pub(super) learning_rate: f64,
    pub(super) looks_ahead: bool,
}

/// A step that was taken, to be told of.
pub(super) struct Arrived {
    pub(super) level: usize,
    /// The step, counted from 1.
    pub(super) step: u64,
    pub(super) looks_ahead: bool,
    /// Its learning rate, if a level above does not learn it.
    pub(super) rate: f64,
    /// The row of what its learning rate is made of otherwise.
    pub(super) row: usize,
    /// What that is, once it is read; nothing if nobody wants to know.
    pub(super) learned: Vec<Vec<f64>>,
}

/// A step whose numbers are not known yet.
pub(super) struct UnreadStep {
    pub(super) arrived: Arrived,
    /// Of each batch, if they are not known.
    pub(super) numbers: Vec<Late>,
    /// What is known, a sum over batches of which there were so many.
    pub(super) known: Gathered,
    pub(super) batches: usize,
    /// Square of the norm of the mean, where it is one of several.
    pub(super) square_norm: Unread,
    pub(super) finiteness: Unread,
    /// What its learning rate is made of, if that is learned and somebody wants to know.
    pub(super) rates: Vec<Unread>,
}

/// What became known of a step.
pub(super) struct StepNumbers {
    pub(super) told: Vec<Told>,
    /// Of the mean over several batches.
    pub(super) norm: Option<f64>,
    /// What its learning rate was made of.
    pub(super) rates: Vec<Vec<f64>>,
}

/// Reads everything in one transfer. Nothing if a number is not finite that has to be.
pub(super) fn read(others: &[Late], untold: &[Untold]) -> Result<Option<Vec<StepNumbers>>, ReadError> {
    let steps = untold.iter().filter_map(|untold| match untold {
        Untold::Step(step) => Some(step),
        _ => None,
    });
    let mut unread: Vec<Unread> = others.iter().flat_map(Late::unread).collect();
    for step in steps.clone() {
        unread.extend(step.numbers.iter().flat_map(Late::unread));
        unread.extend([step.square_norm.clone(), step.finiteness.clone()]);
        unread.extend(step.rates.iter().cloned());
    }
    let mut read = Unread::read_all(unread)?.into_iter();
    if !others.iter().all(|late| late.told(&mut read).is_some()) {
        return Ok(None);
    }
    let numbers = steps.map(|step| {
        let told = step.numbers.iter().map(|late| late.told(&mut read)).collect::<Option<Vec<_>>>();
        let (square_norm, finiteness) = (read.next()?, read.next()?);
        let is_finite = finiteness.iter().chain(&square_norm).all(|number| number.is_finite());
        let norm = square_norm.first().map(|square| square.sqrt());
        let rates = read.by_ref().take(step.rates.len()).collect();
        told.filter(|_| is_finite).map(|told| StepNumbers { told, norm, rates })
    });
    Ok(numbers.collect())
}
