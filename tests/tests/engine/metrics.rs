//! Numbers that a loss reports beside itself.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::trace::TraceError;
use betty_runtime::{Engine, EngineError, Event, Measured, Stream, multilevel};
use betty_tests::vectors::{parameter, tensor};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::problem::{
    Cleaning, Examples, Mlp, TRAIN, Weights, clean, engine, examples, first_weight, logits, losses, problem, weighted,
};

fn accuracy(model: &Mlp, batch: &Examples) -> Tensor<1> {
    let found = model.forward(batch.x.clone()).argmax(1).squeeze_dim::<1>(1);
    found.equal(batch.y.clone()).float().mean()
}

fn measured(model: &Mlp, weights: &Weights, batch: Examples) -> Measured {
    let accuracy = accuracy(model, &batch);
    let largest = losses(model, &batch).max();
    Measured::new(weighted(model, weights, batch)).with("accuracy", accuracy).with("largest", largest)
}

// The program of `Cleaning`, measured.
multilevel! {
    pub(crate) struct Watched;

    level weights: Weights { lower: [model], batch: Examples, loss: clean, optimizer: adam(lr = 0.1) }
    level model: Mlp {
        upper: [weights],
        batch: Examples,
        loss: measured,
        optimizer: sgd(lr = 0.1, momentum = 0.9),
        unroll: 3,
        hypergradient: cg(iterations = 5, damping = 1.0),
    }
}

fn watched(batches: Vec<Examples>, config: WatchedConfig) -> Engine<Watched> {
    let Cleaning { weights, model } = problem(0.0);
    let model_data = Stream::epochs(move |_| batches.clone().into_iter().map(Ok::<_, std::io::Error>));
    let data = WatchedData { weights: Stream::constant(examples(12, 1)), model: model_data };
    Engine::new(Watched { weights, model }, data, config).unwrap()
}

/// Accuracy and largest loss, as Burn computes them outside of a recording.
fn by_hand(model: &Mlp, batch: &Examples) -> [f64; 2] {
    [accuracy(model, batch), losses(model, batch).max()].map(|metric| f64::from(metric.into_scalar::<f32>()))
}

#[test]
fn they_are_those_of_the_parameters_before_the_step() {
    let batch = examples(TRAIN, 2);
    let mut engine = watched(vec![batch.clone()], WatchedConfig::default());
    let expected = by_hand(&engine.problem().model, &batch);
    let found = engine.gradient("model").unwrap().metrics;
    assert_eq!(found.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["accuracy", "largest"]);
    for ((_, found), expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
    assert!(engine.gradient("weights").unwrap().metrics.is_empty());
}

#[test]
fn every_step_reports_them() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let mut engine = watched(vec![examples(TRAIN, 2)], WatchedConfig::default()).observe(move |event| {
        if let Event::Step { name, metrics, .. } = event {
            log.borrow_mut().push((name.to_string(), metrics.to_vec()));
        }
    });
    let report = engine.run(2).unwrap();
    let seen = seen.borrow();
    assert_eq!(seen.iter().map(|(_, metrics)| metrics.len()).collect::<Vec<_>>(), [2, 2, 2, 0, 2, 2, 2, 0]);
    assert_eq!(report.levels[1].metrics, seen[6].1);
    assert!(report.levels[0].metrics.is_empty());
}

#[test]
fn nothing_is_differentiated_through_them() {
    let mut with = watched(vec![examples(TRAIN, 2)], WatchedConfig::default());
    with.run(5).unwrap();
    let mut without = engine(0.0);
    without.run(5).unwrap();
    let with = with.into_problem();
    let with = Cleaning { weights: with.weights, model: with.model };
    assert_eq!(logits(&with), logits(without.problem()));
    assert_eq!(first_weight(&with), first_weight(without.problem()));
}

#[test]
fn they_are_averaged_over_the_batches_of_a_step() {
    let batches = vec![examples(TRAIN, 2), examples(9, 3)];
    let mut config = WatchedConfig::default();
    config.model.unroll = 1;
    config.model.accumulate = 2;
    let mut engine = watched(batches.clone(), config);
    let parts = batches.iter().map(|batch| by_hand(&engine.problem().model, batch)).collect::<Vec<_>>();
    let report = engine.run(1).unwrap();
    for (i, (name, found)) in report.levels[1].metrics.iter().enumerate() {
        let expected = (parts[0][i] + parts[1][i]) / 2.0;
        assert!((found - expected).abs() < 1e-6, "{name}: {found} is not {expected}");
    }
}

/// What nothing computes is told like the rest: a constant of the loss, a tensor of the batch, a parameter, or the loss itself.
fn told_as_it_is(x: &Param<Tensor<1>>, batch: Tensor<1>) -> Measured {
    let loss = (x.val() - batch.clone()).square().sum() + 1.5;
    let temperature = Tensor::from_data(TensorData::from([0.25]), (&batch.device(), DType::F64));
    Measured::new(loss.clone())
        .with("temperature", temperature.clone())
        .with("again", temperature)
        .with("batch", batch)
        .with("parameter", x.val())
        .with("loss", loss)
}

#[test]
fn what_is_not_computed_is_told_as_it_is() {
    let x = parameter(&[3.0]);
    let traced = betty_runtime::trace::trace("level", &betty_runtime::trace::AnyBatch::new(tensor(&[1.0])), |tracer| {
        let x = tracer.module(0, &x);
        told_as_it_is(&x, tracer.batch())
    });
    let alone = betty_runtime::trace::trace("level", &betty_runtime::trace::AnyBatch::new(tensor(&[1.0])), |tracer| {
        let x = tracer.module(0, &parameter(&[3.0]));
        let batch: Tensor<1> = tracer.batch();
        let device = batch.device();
        Measured::new((x.val() - batch).square().sum()).with("temperature", Tensor::from_floats([0.5], &device))
    });
    assert_eq!(alone.unwrap().metrics.len(), 1);
    let names: Vec<String> = traced.unwrap().metrics.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["temperature", "again", "batch", "parameter", "loss"]);
    let data = ConstantsData { above: ().into(), x: Stream::constant(tensor(&[1.0])) };
    let problem = Constants { above: parameter(&[0.5]), x };
    let mut engine = Engine::new(problem, data, ConstantsConfig::default()).unwrap();
    let found: Vec<f64> = engine.gradient("x").unwrap().metrics.iter().map(|(_, value)| *value).collect();
    assert_eq!(found, [0.25, 0.25, 1.0, 3.0, 5.5]);
    engine.run(1).unwrap();
}

fn lifted(x: &Param<Tensor<1>>, above: &Param<Tensor<1>>, batch: Tensor<1>) -> Measured {
    let Measured { loss, metrics } = told_as_it_is(x, batch);
    Measured { loss: loss + (x.val() * above.val()).sum() * 0.0, metrics }
}

fn near(_above: &Param<Tensor<1>>, x: &Param<Tensor<1>>, _: ()) -> Tensor<1> {
    x.val().square().sum()
}

multilevel! {
    struct Constants;

    level above: Param<Tensor<1>> { lower: [x], batch: (), loss: near, optimizer: sgd(lr = 0.1) }
    level x: Param<Tensor<1>> {
        upper: [above], batch: Tensor<1>, loss: lifted, optimizer: sgd(lr = 0.1), hypergradient: cg,
    }
}

/// What tracing says to a metric.
fn refused(metric: impl Fn(&Mlp, &Examples) -> Tensor<1> + 'static) -> TraceError {
    let batch = betty_runtime::trace::AnyBatch::new(examples(TRAIN, 2));
    let Cleaning { weights, model } = problem(0.0);
    let traced = betty_runtime::trace::trace("model", &batch, |tracer| {
        let (model, weights) = (tracer.module(1, &model), tracer.module(0, &weights));
        let batch = tracer.batch::<Examples>();
        let metric = metric(&model, &batch);
        Measured::new(weighted(&model, &weights, batch)).with("errors", metric)
    });
    traced.expect_err("the metric is no number of the recording")
}

#[test]
fn a_metric_that_is_no_single_number_is_named() {
    let error = refused(losses);
    assert!(matches!(error, TraceError::MetricNotOneNumber { ref metric, .. } if metric == "errors"), "{error}");
    let text = EngineError::from(error).to_string();
    assert_eq!(
        text,
        "the metric `errors` of the loss of level `model` has shape [24]; reduce it to one number, with `mean` for example"
    );
    let elsewhere = refused(|_, _| Tensor::from_floats([1.0], &Device::flex()));
    assert!(matches!(elsewhere, TraceError::ForeignTensor { .. }), "{elsewhere}");
}
