//! What stands for the inputs of the program of all tasks.

use super::Round;
use crate::derivatives::{Input, StepInput};
use crate::execute::Value;
use crate::graph::Node;
use crate::program::numbers::not_finite_parameter;
use crate::program::{Program, Seeded};
use crate::trace::LossInput;

impl Program {
    /// The value of an input of all tasks.
    pub(crate) fn task_input(
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
            Input::Constant { level, index } => self.levels[level].constants[index].clone(),
            Input::Batch { index, .. } => own[task].0.values()[index].clone(),
            Input::Draw { draw: number, distribution, .. } => draw(distribution, own[task].1, number),
            Input::Step { level, step, of } => {
                let round = round(level).expect("the steps are those of a level below");
                let level = &self.levels[level];
                match of {
                    StepInput::Parameter(index) => match round.starts.get(task) {
                        Some(drawn) => drawn.0[index].clone(),
                        None => level.initial[level.trainable[index]].clone(),
                    },
                    StepInput::State(_) => Value::zeros(&like.shape, like.dtype, &level.device()),
                    StepInput::Number(index) => round.numbers[task][step][index].clone(),
                    StepInput::Loss { evaluation, input } => {
                        let (batch, _) = &round.batches[task][step][evaluation];
                        match self.losses.get(round.level, batch).trace().inputs[input].0 {
                            LossInput::Batch { index } => batch.values()[index].clone(),
                            LossInput::Leaf { .. } => unreachable!("no running statistic moves"),
                            LossInput::Constant { .. } => unreachable!("constants are inputs of their own"),
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

    /// What stands for an input of all tasks that is not finite, and what to do about it.
    pub(crate) fn describe_input(&self, input: Input) -> String {
        match input {
            Input::Leaf { level, index } => not_finite_parameter(&self.levels[level].path(index)),
            Input::Constant { level, index } => not_finite_parameter(&self.levels[level].constant(index)),
            Input::Step { level, of: StepInput::Parameter(index), .. } => {
                let level = &self.levels[level];
                not_finite_parameter(&level.path(level.trainable[index]))
            }
            Input::Batch { level, .. } | Input::Step { level, .. } => {
                format!("the data of level `{}` have such an entry; clean them", self.levels[level].name)
            }
            Input::Draw { .. } | Input::Multiplier { .. } => {
                "a random draw is not finite; bound its distribution".into()
            }
        }
    }
}
