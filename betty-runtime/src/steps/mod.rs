//! One step of a level and its derivatives: what it is computed from, what is kept of it, and the three ways through several.

mod after_step;
mod basis;
mod carried;
mod coming;
mod decay;
mod divided;
mod groups;
mod kept;
mod learned;
mod passage;
mod rates;
mod reads;
mod record;
mod replays;
mod rewind;
mod step;
mod tangents;
mod update;
mod widths;

pub(crate) use after_step::{AfterStep, Seen};
pub(crate) use basis::{Basis, Shape, StepsBasis};
pub(crate) use coming::ComingStep;
pub(crate) use groups::{Group, Groups};
pub(crate) use kept::{KeptSteps, Needed};
pub(crate) use learned::{LearnedNumber, LearnedNumbers, LearnedPart, LearnedSource, shape_of_row};
pub(crate) use passage::{Member, Passage};
pub(crate) use rates::{LearningRates, scheduled_rate};
pub(crate) use reads::{Moves, Reads};
pub(crate) use record::{Parts, Record};
pub(crate) use replays::UpperLoss;
pub(crate) use step::{Condition, Evaluation, OnBatch, Restart, Step, mean};
pub(crate) use tangents::Tangents;
pub(crate) use update::{Before, Update};
