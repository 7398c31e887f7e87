//! What stands for the inputs of the program of all tasks.

use super::super::level::Seeded;
use super::super::program::Multilevel;
use super::super::train::Engine;
use super::Round;
use crate::derivatives::{Input, StepInput};
use crate::execute::Value;
use crate::graph::Node;
use crate::trace::Source;

impl<P: Multilevel> Engine<P> {
    /// The value of an input of all tasks.
    pub(super) fn task_input(
        &self,
        input: Input,
        task: Option<usize>,
        like: &Node,
        rounds: &[Round],
        own: &[Seeded],
    ) -> Value {
        let task = task.unwrap_or(0);
        let draw = |distribution, seed, draw| {
            Value::draw(&like.shape, like.dtype, distribution, seed, draw, &self.levels[0].device())
        };
        let round = |level: usize| rounds.iter().find(|round| round.level == level);
        match input {
            Input::Leaf { level, index } => match round(level) {
                // What is no parameter stands where the steps began.
                Some(Round { from: Some(from), .. }) => self.levels[*from].leaves[index].clone(),
                Some(_) => self.levels[level].initial[index].clone(),
                None => self.levels[level].leaves[index].clone(),
            },
            Input::Batch { index, .. } => own[task].0.values()[index].clone(),
            Input::Draw { draw: number, distribution, .. } => draw(distribution, own[task].1, number),
            Input::Step { level, step, of } => {
                let round = round(level).expect("the steps are those of a level below");
                let level = &self.levels[level];
                match of {
                    StepInput::Parameter(index) => level.initial[level.trainable[index]].clone(),
                    StepInput::State(_) => Value::zeros(&like.shape, like.dtype, &level.device()),
                    StepInput::Number(index) => round.numbers[task][step][index].clone(),
                    StepInput::Loss { evaluation, input } => {
                        let (batch, _) = &round.batches[task][step][evaluation];
                        match self.losses.get(round.level, batch).trace().inputs[input].0 {
                            Source::Batch { index } => batch.values()[index].clone(),
                            Source::Leaf { .. } => unreachable!("no running statistic moves"),
                        }
                    }
                    StepInput::Draw { evaluation, draw: number, distribution } => {
                        draw(distribution, round.batches[task][step][evaluation].1, number)
                    }
                }
            }
            Input::Multiplier { .. } => unreachable!("tasks have no multipliers"),
        }
    }
}
