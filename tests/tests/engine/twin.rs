//! The program that `multilevel!` writes, written by hand: it must be the same program.

use std::collections::BTreeMap;

use betty_runtime::{
    BatchStream, ConfigError, CurvatureOf, Engine, EngineError, HypergradientConfig, LevelConfig, LevelModule,
    LevelSpec, Measured, Multilevel, OptimizerConfig, ProgramConfig, Schedule, Start, Stream, Through, Tracer,
};
use serde::{Deserialize, Serialize};

use crate::problem::{
    Cleaning, CleaningConfig, Examples, Mlp, TRAIN, Weights, clean, engine, examples, logits, problem, weighted,
};

/// `SWEPT` is whether its schedule has the sweep that follows from its edges.
struct Twin<const SWEPT: bool> {
    weights: Weights,
    model: Mlp,
}

struct TwinData {
    weights: Stream<Examples>,
    model: Stream<Examples>,
}

#[derive(Clone, Serialize, Deserialize)]
struct TwinConfig {
    weights: LevelConfig,
    model: LevelConfig,
}

impl Default for TwinConfig {
    fn default() -> Self {
        let level = |optimizer: &str| LevelConfig {
            unroll: 1,
            warmup: 0,
            optimizer: Some(serde_json::from_str::<OptimizerConfig>(optimizer).unwrap()),
            groups: BTreeMap::new(),
            solver: None,
            hypergradient: None,
            preconditioner: None,
            curvature: CurvatureOf::Total,
            solve: None,
            clip: None,
            project: None,
            accumulate: 1,
            start: Start::Kept,
            tasks: 1,
            rounds: 1,
            vectorize: false,
            train: None,
            freeze: Vec::new(),
            precision: None,
        };
        let cg = r#"{ "method": "cg", "iterations": 5, "damping": 1.0 }"#;
        TwinConfig {
            weights: level(r#"{ "name": "adam", "lr": 0.1 }"#),
            model: LevelConfig {
                unroll: 3,
                hypergradient: Some(serde_json::from_str::<HypergradientConfig>(cg).unwrap()),
                ..level(r#"{ "name": "sgd", "lr": 0.1, "momentum": 0.9 }"#)
            },
        }
    }
}

impl ProgramConfig for TwinConfig {
    fn levels(&self) -> Vec<&LevelConfig> {
        vec![&self.weights, &self.model]
    }

    fn levels_mut(&mut self) -> Vec<&mut LevelConfig> {
        vec![&mut self.weights, &mut self.model]
    }
}

impl<const SWEPT: bool> Multilevel for Twin<SWEPT> {
    const SCHEDULE: Schedule = Schedule {
        name: "Cleaning",
        levels: &[
            LevelSpec {
                name: "weights",
                module: "Weights",
                batch: "Examples",
                loss: "clean",
                condition: None,
                upper: &[],
                lower: &[1],
                start: None,
                hyperparameters: &[],
                sweep: if SWEPT { &[Through { level: 1, into: &[0] }] } else { &[] },
            },
            LevelSpec {
                name: "model",
                module: "Mlp",
                batch: "Examples",
                loss: "weighted",
                condition: None,
                upper: &[0],
                lower: &[],
                start: None,
                hyperparameters: &[],
                sweep: &[],
            },
        ],
        roots: &[0],
    };
    type Data = TwinData;
    type Config = TwinConfig;

    fn modules(&self) -> Vec<&dyn LevelModule> {
        vec![&self.weights, &self.model]
    }

    fn modules_mut(&mut self) -> Vec<&mut dyn LevelModule> {
        vec![&mut self.weights, &mut self.model]
    }

    fn streams(data: TwinData) -> Vec<Box<dyn BatchStream>> {
        vec![Box::new(data.weights), Box::new(data.model)]
    }

    fn loss(&self, level: usize, tracer: &mut Tracer<'_>) -> Measured {
        if level == 0 {
            let weights = tracer.module(0, &self.weights);
            let model = tracer.module(1, &self.model);
            Measured::new(clean(&weights, &model, tracer.batch()))
        } else {
            let model = tracer.module(1, &self.model);
            let weights = tracer.module(0, &self.weights);
            Measured::new(weighted(&model, &weights, tracer.batch()))
        }
    }
}

#[test]
fn the_macro_writes_what_a_hand_would() {
    assert_eq!(Twin::<true>::SCHEDULE, Cleaning::SCHEDULE);
    assert_eq!(TwinConfig::default().to_json().unwrap(), CleaningConfig::default().to_json().unwrap());
    let Cleaning { weights, model } = problem(0.0);
    let data = TwinData { weights: Stream::constant(examples(12, 1)), model: Stream::constant(examples(TRAIN, 2)) };
    let mut by_hand = Engine::new(Twin::<true> { weights, model }, data, TwinConfig::default()).unwrap();
    let mut by_macro = engine(0.0);
    by_hand.run(4).unwrap();
    by_macro.run(4).unwrap();
    let Twin { weights, model } = by_hand.into_problem();
    assert_eq!(logits(&Cleaning { weights, model }), logits(by_macro.problem()));
}

/// Without the stop, the weights would be trained by their direct gradient alone: zero, and nobody would notice.
#[test]
fn a_schedule_that_lacks_a_stop_is_refused() {
    let Cleaning { weights, model } = problem(0.0);
    let data = TwinData { weights: Stream::constant(examples(12, 1)), model: Stream::constant(examples(TRAIN, 2)) };
    let refused = Engine::new(Twin::<false> { weights, model }, data, TwinConfig::default());
    let error = refused.err().expect("the schedule contradicts its edges");
    assert!(matches!(error, EngineError::Config(ConfigError::Schedule { .. })), "{error}");
    assert_eq!(
        error.to_string(),
        "the schedule of `Cleaning` cannot be followed: `sweep` of level `weights` is [], but its hypergradient passes through \
         [model -> weights]; let `multilevel!` write the schedule, or write that"
    );
}
