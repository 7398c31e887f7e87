//! Mistakes a user can make, each with the error that names it.

use std::io;

use betty_runtime::{ConfigError, Engine, EngineError, ModuleError, ProgramConfig, Stream, multilevel};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::problem::{
    Cleaning, CleaningConfig, CleaningData, Examples, Mlp, TRAIN, Weights, clean, data, engine, examples, first_weight,
    logits, problem, seeded, self_weighted, self_weighted_with_detach, weighted,
};

fn with_model_data(model: Stream<Examples>) -> Engine<Cleaning> {
    Engine::new(problem(0.0), CleaningData { model, ..data() }, CleaningConfig::default()).unwrap()
}

#[test]
fn no_iterations() {
    assert!(matches!(engine(0.0).run(0), Err(EngineError::NoIterations)));
}

#[test]
fn an_empty_loader() {
    let mut engine = with_model_data(Stream::batches(Vec::<Result<Examples, io::Error>>::new()));
    let error = engine.run(1).unwrap_err();
    assert!(matches!(&error, EngineError::EmptyData { level } if level == "model"), "{error}");
    let mut engine = with_model_data(Stream::epochs(|_| std::iter::empty::<Result<Examples, io::Error>>()));
    assert!(matches!(engine.run(1), Err(EngineError::EmptyData { .. })));
}

#[test]
fn data_that_end_too_early_leave_a_usable_state() {
    let batches = (0..4).map(|seed| Ok::<_, io::Error>(examples(8, seed)));
    let mut engine = with_model_data(Stream::batches(batches));
    let error = engine.run(5).unwrap_err();
    assert!(matches!(error, EngineError::OutOfData { batches: 4, .. }), "{error}");
    assert_eq!(engine.iterations(), 1);
    assert!(logits(engine.problem()).iter().all(|x| x.is_finite()));
}

#[test]
fn a_failing_data_source() {
    let batches = vec![Ok(examples(8, 0)), Err(io::Error::other("disk on fire"))];
    let error = with_model_data(Stream::batches(batches)).run(5).unwrap_err();
    assert!(error.to_string().contains("`model`") && error.to_string().contains("disk on fire"), "{error}");
}

#[test]
fn nan_in_the_data_stops_before_the_step() {
    let mut poisoned = examples(TRAIN, 2);
    poisoned.x = poisoned.x * f32::NAN;
    let batches = vec![Ok(examples(TRAIN, 2)), Ok(examples(TRAIN, 2)), Ok::<_, io::Error>(poisoned)];
    let mut engine = with_model_data(Stream::batches(batches));
    let error = engine.run(1).unwrap_err();
    assert!(
        matches!(&error, EngineError::NonFinite { level, step: 3, quantity: "loss", .. } if level == "model"),
        "{error}"
    );
    assert!(first_weight(engine.problem()).iter().all(|x| x.is_finite()));
}

#[test]
fn nan_in_the_first_batch_is_no_verification_error() {
    let mut poisoned = examples(TRAIN, 2);
    poisoned.x = poisoned.x * f32::NAN;
    let error = with_model_data(Stream::constant(poisoned)).run(1).unwrap_err();
    assert!(matches!(error, EngineError::NonFinite { step: 1, .. }), "{error}");
}

#[test]
fn an_unknown_method_in_a_config() {
    let json = r#"{ "model": { "hypergradient": { "method": "cgg" } } }"#;
    let error = CleaningConfig::from_json(json).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("cgg") && text.contains("`cg`") && text.contains("model.hypergradient"), "{text}");
}

#[test]
fn a_number_out_of_range_in_a_config() {
    let mut config = CleaningConfig::default();
    config.model.unroll = 0;
    let error = Engine::new(problem(0.0), data(), config).err().unwrap();
    assert!(error.to_string().contains("model.unroll"), "{error}");
    let error: ConfigError = CleaningConfig::from_json(r#"{ "model": { "optimizer": { "lr": -1 } } }"#).unwrap_err();
    assert!(error.to_string().contains("model.optimizer.lr"), "{error}");
}

#[test]
fn an_unknown_level() {
    let scheduler = burn::lr_scheduler::constant::ConstantLr::new(0.1);
    let error = engine(0.0).scheduler("modell", scheduler).err().unwrap();
    assert_eq!(error.to_string(), "no level named `modell`; the levels are `weights`, `model`");
}

#[test]
fn a_frozen_module() {
    let problem = Cleaning { model: Mlp::new(&Device::flex(), 0.0).no_grad(), ..problem(0.0) };
    let error = Engine::new(problem, data(), CleaningConfig::default()).err().unwrap();
    assert!(
        matches!(&error, EngineError::Module(ModuleError::NothingToTrain { level }) if level == "model"),
        "{error}"
    );
}

macro_rules! variant {
    ($program:ident, $data:ident, $loss:ident) => {
        multilevel! {
            struct $program;
            level weights: Weights { lower: [model], batch: Examples, loss: clean, optimizer: sgd(lr = 0.1) }
            level model: Mlp {
                upper: [weights], batch: Examples, loss: $loss, optimizer: sgd(lr = 0.1),
                hypergradient: identity(scale = 1.0),
            }
        }
        impl $program {
            fn run() -> Result<(), EngineError> {
                let device = Device::flex();
                let problem = $program { weights: Weights::new(&device), model: seeded(Mlp::new(&device, 0.0)) };
                let data =
                    $data { weights: Stream::constant(examples(12, 1)), model: Stream::constant(examples(TRAIN, 2)) };
                Engine::new(problem, data, Default::default())?.run(2).map(|_| ())
            }
        }
    };
}

variant!(WithDetach, WithDetachData, self_weighted_with_detach);
variant!(WithDetachedParameter, WithDetachedParameterData, detached_parameter);
variant!(WithStop, WithStopData, self_weighted);
variant!(Reading, ReadingData, reads_a_value);
variant!(NotScalar, NotScalarData, not_scalar);
variant!(Constant, ConstantData, constant);
variant!(Panicking, PanickingData, panics);

/// Holds the weights themselves constant: Burn's tape never reaches them.
fn detached_parameter(model: &Mlp, weights: &Weights, batch: Examples) -> Tensor<1> {
    let weights = Weights { logits: burn::module::Param::from_tensor(weights.logits.val().detach()) };
    weighted(model, &weights, batch)
}

fn reads_a_value(model: &Mlp, weights: &Weights, batch: Examples) -> Tensor<1> {
    let loss = self_weighted(model, weights, batch);
    let value: f32 = loss.clone().into_scalar();
    loss * value
}

fn not_scalar(model: &Mlp, _weights: &Weights, batch: Examples) -> Tensor<1> {
    crate::problem::losses(model, &batch)
}

fn constant(_model: &Mlp, weights: &Weights, batch: Examples) -> Tensor<1> {
    let _ = weights;
    batch.x.mean()
}

fn panics(_model: &Mlp, _weights: &Weights, _batch: Examples) -> Tensor<1> {
    panic!("my own bug")
}

#[test]
fn detach_fails_verification_and_stop_gradient_passes() {
    let error = WithDetach::run().unwrap_err();
    assert!(matches!(&error, EngineError::Verification { level, .. } if level == "model"), "{error}");
    assert!(error.to_string().contains("stop_gradient"), "{error}");
    let error = WithDetachedParameter::run().unwrap_err();
    assert!(matches!(&error, EngineError::Verification { parameter, .. } if parameter == "weights.logits"), "{error}");
    WithStop::run().unwrap();
}

#[test]
fn a_loss_that_cannot_be_recorded() {
    let text = Reading::run().unwrap_err().to_string();
    assert!(text.contains("`model` reads the value of a tensor"), "{text}");
    let text = NotScalar::run().unwrap_err().to_string();
    assert!(text.contains("has shape [24], but a loss is one number"), "{text}");
    let text = Constant::run().unwrap_err().to_string();
    assert!(text.contains("does not depend on the parameters of `model`"), "{text}");
    let text = Panicking::run().unwrap_err().to_string();
    assert!(text.contains("my own bug"), "{text}");
}
