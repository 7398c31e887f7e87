//! What is gathered for one hypergradient.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Level;
use super::bases::Bases;
use super::losses::of_batch;
use crate::derivatives::{Input, Variable};
use crate::execute::Value;
use crate::graph::Node;
use crate::hypergradient::{Blocks, Response};
use crate::steps::{Basis, Condition, Reads, UpperLoss};

/// For each level: solutions of the systems below it.
pub(crate) type Solutions = BTreeMap<usize, Blocks>;

/// What has been gathered for one hypergradient.
#[derive(Default)]
pub(super) struct Context {
    /// On what each level is differentiated.
    pub(super) bases: Bases,
    pub(super) multipliers: Blocks,
    /// The loss that the hypergradient belongs to, where values of it are needed.
    pub(super) loss: Option<Rc<UpperLoss>>,
    pub(super) conditions: Vec<Condition>,
    /// Whether ranks find it each by itself.
    pub(super) is_apart: bool,
    /// The stop whose tangents go along with the steps of all others that it has to do with.
    pub(super) leader: Option<usize>,
    /// The stops whose steps are gone through together.
    pub(super) together: Vec<usize>,
    /// What the losses depend on that it goes through.
    pub(super) reads: Reads,
    pub(super) response: Response,
    /// What systems below were solved to, level by level, for methods that start from there.
    pub(super) solutions: Solutions,
}

impl Context {
    /// The current value of an input of a Lagrangian, with one of the bases of each level.
    pub(super) fn value(&self, input: Input, like: &Node, levels: &[Level], bases: &BTreeMap<usize, Basis>) -> Value {
        match input {
            Input::Leaf { level, index } => levels[level].leaves[index].clone(),
            Input::Constant { level, index } => levels[level].constants[index].clone(),
            Input::Batch { level, index } => match &bases[&level] {
                Basis::Loss { batch, .. } => of_batch(batch, index, self.is_apart),
                Basis::Steps(_) => unreachable!("steps have batches of their own"),
            },
            Input::Step { level, step, of } => {
                let steps = bases[&level].steps().expect("steps are what this level is differentiated on");
                steps.value(step, of, like)
            }
            Input::Draw { level, draw, distribution } => {
                Value::draw(&like.shape, like.dtype, distribution, bases[&level].seed(), draw, &levels[level].device())
            }
            Input::Multiplier { of, index, part } => {
                let multiplier = self.multipliers.get(Variable::Multiplier { of, index });
                multiplier.expect("a stop comes after its own stops").0[part].clone()
            }
        }
    }
}
