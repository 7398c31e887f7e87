//! An optimizer of the user's own: the same program as with a built-in one that computes the same.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use betty_runtime::graph::{Distribution, Graph, GraphError};
use betty_runtime::optimizer::{Coefficient, UpdateInputs, Updated, penalized, spread_like};
use betty_runtime::{
    CheckpointError, CustomOptimizerConfig, Engine, EngineError, Optimizer, OptimizerConfig, ProgramConfig, Stream,
    StreamPosition, multilevel,
};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::Param;
use burn::tensor::Tensor;

type Vector = Param<Tensor<1>>;

/// v ← momentum·v + g + decay·θ; θ ← θ − lr·v
#[derive(Debug)]
pub(crate) struct Heavy {
    pub(crate) momentum: f64,
    pub(crate) decay: f64,
}

impl Optimizer for Heavy {
    fn name(&self) -> &'static str {
        "heavy"
    }

    fn states(&self) -> usize {
        1
    }

    fn scalars(&self, _step: u64) -> Vec<f64> {
        Vec::new()
    }

    fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
        inputs.check(graph, self)?;
        let gradient = penalized(graph, inputs, self.decay.into())?;
        let kept = Coefficient::Constant(self.momentum).times(graph, inputs, inputs.states[0])?;
        let velocity = graph.add(kept, gradient)?;
        let rate = spread_like(graph, inputs.learning_rate, velocity)?;
        let step = graph.mul(rate, velocity)?;
        let parameter = graph.sub(inputs.parameter, step)?;
        Ok(Updated { parameter, states: vec![velocity] })
    }

    fn decay(&self) -> Coefficient {
        self.decay.into()
    }
}

fn fit(x: &Vector, lambda: &Vector, target: Tensor<1>) -> Tensor<1> {
    ((x.val() - target).square() * lambda.val().exp()).sum() + x.val().sin().sum()
}

fn judge(_lambda: &Vector, x: &Vector, target: Tensor<1>) -> Tensor<1> {
    (x.val() - target).square().sum()
}

macro_rules! program {
    ($name:ident, $optimizer:ident($($settings:tt)*)) => {
        multilevel! {
            struct $name;

            level lambda: Vector { lower: [x], batch: Tensor<1>, loss: judge, optimizer: adam(lr = 0.05) }

            level x: Vector {
                upper: [lambda], batch: Tensor<1>, loss: fit, optimizer: $optimizer($($settings)*),
                unroll: 4, clip: norm(1.5), project: clamp(low = -2.0, high = 2.0), hypergradient: unrolled,
            }
        }
    };
}

program!(Own, custom(Heavy { momentum: 0.9, decay: 0.01 }, lr = 0.1));
program!(Built, sgd(lr = 0.1, momentum = 0.9, weight_decay = 0.01));
program!(Broken, custom(Grows, lr = 0.1));
program!(Lost, custom(Forgets, lr = 0.1));
program!(Angry, custom(Panics, lr = 0.1));
program!(Noisy, custom(Draws, lr = 0.1));

macro_rules! engine {
    ($name:ident, $data:ident, $config:expr) => {{
        let data = $data { lambda: Stream::constant(tensor(&[1.0, -0.5])), x: Stream::constant(tensor(&[0.5, 0.3])) };
        Engine::new($name { lambda: parameter(&[0.1, 0.2]), x: parameter(&[1.0, -1.0]) }, data, $config)
    }};
}

/// Steps, and derivatives of steps: unrolled through momentum, decay, clipping and projection.
#[test]
fn it_is_the_program_with_the_built_in_one() {
    let mut own = engine!(Own, OwnData, OwnConfig::default()).unwrap();
    let mut built = engine!(Built, BuiltData, BuiltConfig::default()).unwrap();
    own.run(6).unwrap();
    built.run(6).unwrap();
    assert_ne!(values(&own.problem().lambda), [0.1, 0.2]);
    assert_eq!(values(&own.problem().lambda), values(&built.problem().lambda));
    assert_eq!(values(&own.problem().x), values(&built.problem().x));
}

/// The number is a constant, as it may be: a value in capital letters in a call is not the name of a level.
const MOMENTUM: f64 = 0.9;

fn heavy(momentum: f64) -> Heavy {
    Heavy { momentum, decay: 0.0 }
}

fn settle(x: &Vector, z: &Vector, target: Tensor<1>) -> Tensor<1> {
    ((x.val() - z.val()) * target.exp()).square().sum() + x.val().square().sum()
}

fn follow(z: &Vector, lambda: &Vector, x: &Vector, target: Tensor<1>) -> Tensor<1> {
    (z.val() - lambda.val() * target).square().sum() + (x.val() * z.val()).sum()
}

macro_rules! chain {
    ($name:ident, $optimizer:ident($($settings:tt)*)) => {
        multilevel! {
            struct $name;

            level lambda: Vector { lower: [z], batch: Tensor<1>, loss: judge, optimizer: adam(lr = 0.05) }

            level z: Vector {
                upper: [lambda], lower: [x], batch: Tensor<1>, loss: follow, optimizer: sgd(lr = 0.1), unroll: 2,
                hypergradient: cg,
            }

            level x: Vector {
                upper: [z], batch: Tensor<1>, loss: settle, optimizer: $optimizer($($settings)*), unroll: 3, hypergradient: cg,
            }
        }
    };
}

chain!(OwnBelow, custom(heavy(MOMENTUM), lr = 0.05));
chain!(BuiltBelow, sgd(lr = 0.05, momentum = 0.9));

/// At the bottom of a chain, which does not list the top.
#[test]
fn it_is_made_by_a_call_at_any_depth() {
    macro_rules! trained {
        ($name:ident, $data:ident) => {{
            let stream = |values: &[f64]| Stream::constant(tensor(values));
            let data = $data { lambda: stream(&[1.0, -0.5]), z: stream(&[0.8, 1.1]), x: stream(&[0.5, 0.3]) };
            let (lambda, z, x) = (parameter(&[0.1, 0.2]), parameter(&[1.0, -1.0]), parameter(&[0.4, 0.6]));
            let mut engine = Engine::new($name { lambda, z, x }, data, Default::default()).unwrap();
            engine.run(4).unwrap();
            let of = engine.problem();
            [values(&of.lambda), values(&of.z), values(&of.x)]
        }};
    }
    let own = trained!(OwnBelow, OwnBelowData);
    assert_eq!(own, trained!(BuiltBelow, BuiltBelowData));
    assert_ne!(own[0], [0.1, 0.2]);
}

/// A best response is where its steps come to rest, decay included.
#[test]
fn its_decay_is_part_of_a_best_response() {
    let implicit = r#"{ "x": { "project": null, "clip": null, "hypergradient": { "method": "dense" } } }"#;
    let mut own = engine!(Own, OwnData, OwnConfig::from_json(implicit).unwrap()).unwrap();
    let mut built = engine!(Built, BuiltData, BuiltConfig::from_json(implicit).unwrap()).unwrap();
    own.run(3).unwrap();
    built.run(3).unwrap();
    assert_ne!(values(&own.problem().lambda), [0.1, 0.2]);
    assert_eq!(values(&own.problem().lambda), values(&built.problem().lambda));
}

#[test]
fn a_run_goes_on_with_its_states() {
    let mut whole = engine!(Own, OwnData, OwnConfig::default()).unwrap();
    whole.run(5).unwrap();
    let mut first = engine!(Own, OwnData, OwnConfig::default()).unwrap();
    first.run(3).unwrap();
    let saved = first.checkpoint().unwrap();
    let mut second = engine!(Own, OwnData, OwnConfig::default()).unwrap();
    second.resume(&saved, StreamPosition::Start).unwrap();
    second.run(2).unwrap();
    assert_eq!(values(&second.problem().x), values(&whole.problem().x));
    // Another optimizer has as many states, and they mean something else.
    let mut config = OwnConfig::default();
    config.x.optimizer = BuiltConfig::default().x.optimizer;
    let mut other = engine!(Own, OwnData, config).unwrap();
    let error = other.resume(&saved, StreamPosition::Start).expect_err("states of another optimizer");
    assert!(
        matches!(&error, EngineError::Checkpoint(reason) if matches!(**reason, CheckpointError::OtherOptimizer { .. }))
    );
    assert!(error.to_string().contains("heavy"), "{error}");
}

/// A config chooses between the program's own and the built-in ones.
#[test]
fn a_config_names_it() {
    let config = OwnConfig::from_json(r#"{ "x": { "optimizer": { "name": "custom", "lr": 0.2 } } }"#).unwrap();
    assert_eq!(config.x.optimizer.as_ref().and_then(|optimizer| optimizer.lr().fixed()), Some(0.2));
    assert!(engine!(Own, OwnData, config).is_ok());
    let mut config = BuiltConfig::default();
    config.x.optimizer = Some(OptimizerConfig::CustomOptimizer(CustomOptimizerConfig { lr: 0.1.into() }));
    let error = engine!(Built, BuiltData, config).map(drop).expect_err("the program names none");
    assert_eq!(
        error.to_string(),
        "the config of `x` asks for the optimizer `custom`, but the program does not say which: `optimizer: \
         custom(MyOptimizer, lr = 0.1)`"
    );
}

macro_rules! mistaken {
    ($name:ident, $states:literal, |$graph:ident, $inputs:ident| $answer:expr) => {
        #[derive(Debug)]
        struct $name;

        impl Optimizer for $name {
            fn name(&self) -> &'static str {
                "mistaken"
            }

            fn states(&self) -> usize {
                $states
            }

            fn scalars(&self, _step: u64) -> Vec<f64> {
                Vec::new()
            }

            fn update(&self, $graph: &mut Graph, $inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
                $answer
            }
        }
    };
}

mistaken!(Grows, 0, |graph, inputs| Ok(Updated {
    parameter: graph.reshape(inputs.parameter, &[2, 1])?,
    states: Vec::new()
}));
mistaken!(Forgets, 2, |_graph, inputs| Ok(Updated {
    parameter: inputs.parameter,
    states: inputs.states[..1].to_vec()
}));
mistaken!(Panics, 0, |_graph, _inputs| panic!("no idea"));
// The noise of Langevin's dynamics would be the same vector in every step.
mistaken!(Draws, 0, |graph, inputs| {
    let (shape, dtype) = (graph.shape(inputs.parameter).to_vec(), graph.dtype(inputs.parameter));
    let noise = graph.random(&shape, dtype, Distribution::Normal(0.0, 1.0));
    Ok(Updated { parameter: graph.sub(inputs.parameter, noise)?, states: Vec::new() })
});

#[test]
fn mistakes_are_told_when_the_engine_is_made() {
    let error = engine!(Broken, BrokenData, BrokenConfig::default()).map(drop).expect_err("another shape");
    assert_eq!(
        error.to_string(),
        "the optimizer of level `x` makes no step: `mistaken` must answer the parameter as F64 of shape [2], but answered F64 of \
         shape [2, 1]"
    );
    let error = engine!(Lost, LostData, LostConfig::default()).map(drop).expect_err("a state is missing");
    assert_eq!(
        error.to_string(),
        "the optimizer of level `x` makes no step: `mistaken` must answer 2 states, but answered 1"
    );
    let error = engine!(Noisy, NoisyData, NoisyConfig::default()).map(drop).expect_err("it draws");
    assert!(error.to_string().contains("`mistaken` draws random numbers"), "{error}");
    let error = engine!(Angry, AngryData, AngryConfig::default()).map(drop).expect_err("it panics");
    assert!(matches!(error, EngineError::Panicked { .. }), "{error}");
    assert!(error.to_string().contains("no idea"), "{error}");
}
