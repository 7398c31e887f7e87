//! A program whose modules are somebody else's: lent for one question, and given back.

use burn::tensor::{DType, Device};

use super::Program;
use super::level::whole_leaves;
use crate::error::EngineError;
use crate::trace::{Leaf, LevelModule};

/// A program that holds the tensors of its modules no longer than a question takes. What it keeps are compiled losses, the
/// modules' plain tensors, and solutions for methods that start from them.
pub(crate) struct Lent {
    pub(crate) program: Program,
    /// What the modules looked like, level by level.
    looks: Vec<Vec<Look>>,
    /// Whether something about the modules has changed that does not show.
    changed: bool,
}

/// What compiled losses depend on, tensor by tensor, beside its numbers.
#[derive(Debug, PartialEq)]
struct Look {
    paths: Vec<String>,
    shape: Vec<usize>,
    dtype: DType,
    device: Device,
    trainable: bool,
}

impl Look {
    fn of(leaf: &Leaf) -> Self {
        Look {
            paths: leaf.paths().map(str::to_owned).collect(),
            shape: leaf.value.shape(),
            dtype: leaf.value.dtype(),
            device: leaf.value.device(),
            trainable: leaf.trainable,
        }
    }
}

impl Lent {
    /// A program that was made of these modules.
    pub(crate) fn new(program: Program, modules: &[&dyn LevelModule]) -> Self {
        let looks = modules.iter().map(|module| module.leaves().iter().map(Look::of).collect()).collect();
        let mut lent = Lent { program, looks, changed: false };
        lent.give_back();
        lent
    }

    /// Whatever about the modules is not seen from outside may be another from the next question on.
    pub(crate) fn set_changed(&mut self) {
        self.changed = true;
    }

    /// Takes the modules as they are now. If other tensors are in them than before, all is begun `anew`.
    ///
    /// # Errors
    /// [`EngineError`] as for a new program.
    pub(crate) fn take(
        &mut self,
        modules: &[&dyn LevelModule],
        anew: impl FnOnce() -> Result<Program, EngineError>,
    ) -> Result<(), EngineError> {
        let levels = self.program.levels.iter().zip(modules);
        let leaves = levels.map(|(level, module)| whole_leaves(level.name, *module)).collect::<Result<Vec<_>, _>>()?;
        let looks: Vec<Vec<Look>> = leaves.iter().map(|of_level| of_level.iter().map(Look::of).collect()).collect();
        if looks != self.looks {
            let mut fresh = anew()?;
            fresh.losses.set_as(&self.program.losses);
            for (fresh, level) in fresh.levels.iter_mut().zip(&self.program.levels) {
                fresh.steps = level.steps;
            }
            (self.program, self.looks, self.changed) = (fresh, looks, false);
            return Ok(());
        }
        for (level, leaves) in self.program.levels.iter_mut().zip(leaves) {
            level.leaves = leaves.into_iter().map(|leaf| leaf.value).collect();
        }
        if self.changed {
            for (level, module) in self.program.levels.iter_mut().zip(modules) {
                level.constants = module.constants(&level.device())?;
            }
            self.program.losses.recheck();
            self.changed = false;
        }
        Ok(())
    }

    /// Lets go of everything that belongs to the modules, or would belong to an optimizer.
    pub(crate) fn give_back(&mut self) {
        for level in &mut self.program.levels {
            (level.leaves, level.initial, level.states) = (Vec::new(), Vec::new(), Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig, PositionalEncoding, PositionalEncodingConfig};

    use super::super::{LossFunctions, Own};
    use super::*;
    use crate::config::LevelConfig;
    use crate::schedule::{LevelSpec, Schedule};
    use crate::trace::{Measured, Tracer};

    const SCHEDULE: Schedule = Schedule {
        name: "Alone",
        levels: &[LevelSpec {
            name: "model",
            module: "Model",
            batch: "()",
            loss: "loss",
            condition: None,
            after_step: None,
            upper: &[],
            lower: &[],
            start: None,
            hyperparameters: &[],
            sweep: &[],
        }],
        roots: &[0],
    };

    /// Parameters, and a table in a plain field.
    type Model = (Linear, PositionalEncoding);

    fn model(inputs: usize) -> Model {
        let device = Device::flex();
        (LinearConfig::new(inputs, 4).init(&device), PositionalEncodingConfig::new(4).init(&device))
    }

    /// Functions that nobody asks for.
    struct Silent;

    impl LossFunctions for Silent {
        fn loss(&self, level: usize, _: &mut Tracer<'_>) -> Measured {
            unreachable!("level {level} is not recorded")
        }

        fn condition(&self, _: usize, _: &mut Tracer<'_>) -> Option<Measured> {
            None
        }

        fn after_step(&self, _: usize, _: &mut Tracer<'_>) -> Option<Measured> {
            None
        }
    }

    fn made_of(model: &Model) -> Result<Program, EngineError> {
        let momentum = r#"{ "optimizer": { "name": "sgd", "lr": 0.1, "momentum": 0.9 }, "start": "initial" }"#;
        let config: LevelConfig = serde_json::from_str(momentum).expect("a config");
        let own = Own {
            method: |_| None,
            preconditioner: |_| None,
            optimizer: |_| None,
            group_optimizer: |_, _| None,
            solver: |_| None,
            fresh: |_, _| None,
        };
        Program::new(SCHEDULE, &[model], &[&config], own, &Silent)
    }

    #[test]
    fn nothing_of_a_module_stays_behind_but_its_constants() {
        let mut first = model(3);
        let mut lent = Lent::new(made_of(&first).expect("a program"), &[&first]);
        let held = |lent: &Lent| {
            let level = &lent.program.levels[0];
            [&level.leaves, &level.initial, &level.states, &level.constants].map(Vec::len)
        };
        assert_eq!(held(&lent), [0, 0, 0, 1]);
        for _ in 0..2 {
            lent.take(&[&first], || unreachable!("it is the same module")).expect("a module");
            assert_eq!(held(&lent), [2, 0, 0, 1]);
            lent.give_back();
            assert_eq!(held(&lent), [0, 0, 0, 1]);
            // Other numbers, as after a step, are the same module.
            first.0 = LinearConfig::new(3, 4).init(&Device::flex());
        }
        let other = model(5);
        lent.take(&[&other], || made_of(&other)).expect("a module");
        assert_eq!(lent.program.levels[0].leaves[0].shape(), [5, 4]);
        lent.give_back();
        assert_eq!(held(&lent), [0, 0, 0, 1]);
    }
}
