//! What turns out while losses are recorded, for observers to be told.

use crate::error::Unverified;

/// Something that turned out about the loss of a level.
#[derive(Debug)]
pub(crate) enum News {
    /// It was recorded again: how often by now, whether that was compared with Burn's autodiff, and what helps if it is often.
    Retraced { level: usize, count: u64, verified: bool, advice: Option<String> },
    /// It could not be compared with Burn's autodiff, after so many tries.
    Unverified { level: usize, tries: u32, reason: Unverified },
    /// How far a type of its own for products moves the gradient.
    Rounding { level: usize, difference: f64 },
    /// Nothing passes to another level, though it is read.
    ZeroEdge { level: usize, other: usize },
    /// A number of its optimizer is learned, but this method does not see what the number does.
    Unseen { level: usize, option: &'static str, number: String, method: &'static str },
    /// Its tasks go one after the other, because of the method of a level below.
    OneByOne { level: usize, lower: usize, method: &'static str, tasks: usize },
    /// It is taken for a solution of the last of its tasks, by this method.
    LastTask { level: usize, method: &'static str, tasks: usize },
    /// Its steps are taken again by this method without those of a level that they read.
    LastRead { level: usize, method: &'static str, read: usize },
    /// Its hypergradient takes so many kernels; as many by one loop, if that is possible, or with the levels between standing
    /// still.
    Costly { level: usize, kernels: f64, joint: Option<f64>, partial: f64 },
}
