//! A program written by hand whose schedule is not the one that follows from its edges.

use betty_runtime::{
    BatchStream, ConfigError, Engine, EngineError, LevelModule, LevelSpec, Measured, Multilevel, Schedule, Stream,
    Tracer,
};

use crate::problem::{Cleaning, CleaningConfig, CleaningData, TRAIN, examples, problem};

/// `Cleaning`, whose weights are not told what becomes of the model.
struct Unswept(Cleaning);

impl Multilevel for Unswept {
    const SCHEDULE: Schedule = Schedule {
        levels: &[LevelSpec { sweep: &[], ..Cleaning::SCHEDULE.levels[0] }, Cleaning::SCHEDULE.levels[1]],
        ..Cleaning::SCHEDULE
    };
    type Data = CleaningData;
    type Config = CleaningConfig;

    fn modules(&self) -> Vec<&dyn LevelModule> {
        self.0.modules()
    }

    fn modules_mut(&mut self) -> Vec<&mut dyn LevelModule> {
        self.0.modules_mut()
    }

    fn streams(data: CleaningData) -> Vec<Box<dyn BatchStream>> {
        Cleaning::streams(data)
    }

    fn loss(&self, level: usize, tracer: &mut Tracer<'_>) -> Measured {
        self.0.loss(level, tracer)
    }
}

/// Without the stop, the weights would be trained by their direct gradient alone: zero, and nobody would notice.
#[test]
fn a_schedule_that_lacks_a_stop_is_refused() {
    let data = CleaningData { weights: Stream::constant(examples(12, 1)), model: Stream::constant(examples(TRAIN, 2)) };
    let refused = Engine::new(Unswept(problem(0.0)), data, CleaningConfig::default());
    let error = refused.err().expect("the schedule contradicts its edges");
    assert!(matches!(error, EngineError::Config(ConfigError::Schedule { .. })), "{error}");
    assert_eq!(
        error.to_string(),
        "the schedule of `Cleaning` cannot be followed: `sweep` of level `weights` is [], but its hypergradient passes through \
         [model -> weights]; let `multilevel!` write the schedule, or write that"
    );
}
