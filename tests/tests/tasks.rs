//! Tasks of one step, one after the other and computed together: the same parameters and the same events.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use betty_runtime::error::rules::Violation;
use betty_runtime::{ConflictError, StepsError};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use betty_runtime::nn::BatchNorm;
use betty_runtime::{
    Batch, ConfigError, Engine, EngineError, Event, Measured, Multilevel, ProgramConfig, Stream, multilevel,
};
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::module::{Module, Param};
use burn::nn::{BatchNormConfig, DropoutConfig};
use burn::tensor::activation::tanh;
use burn::tensor::{DType, Device, Distribution, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Two layers; the second one is shared by all rows of a batch, and both by nobody.
#[derive(Module, Debug)]
struct Net {
    first: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    second: Param<Tensor<2>>,
}

/// A penalty, a shift of the inputs, and the logarithm of a learning rate.
#[derive(Module, Debug)]
struct Knobs {
    penalty: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
    rate: Param<Tensor<1>>,
}

#[derive(Clone, Batch)]
struct Samples {
    x: Tensor<2>,
    y: Tensor<2>,
}

fn tensor<const D: usize>(shape: [usize; D], random: &mut StdRng) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
}

impl Net {
    fn new(seed: u64) -> Self {
        let random = &mut StdRng::seed_from_u64(seed);
        Net {
            first: Param::from_tensor(tensor([3, 5], random)),
            bias: Param::from_tensor(tensor([5], random)),
            second: Param::from_tensor(tensor([5, 2], random)),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = tanh(x.matmul(self.first.val()) + self.bias.val().unsqueeze());
        hidden.matmul(self.second.val())
    }

    fn values(&self) -> Vec<f64> {
        let flat = |x: Tensor<2>| -> Vec<f64> { x.into_data().try_to_vec().unwrap() };
        [flat(self.first.val()), flat(self.bias.val().unsqueeze()), flat(self.second.val())].concat()
    }
}

fn error(net: &Net, batch: Samples) -> Tensor<1> {
    (net.forward(batch.x) - batch.y).powi_scalar(2).mean()
}

fn adapt(net: &Net, batch: Samples) -> Measured {
    let x = DropoutConfig::new(0.3).init().forward(batch.x);
    let loss = error(net, Samples { x, y: batch.y });
    Measured::new(loss.clone()).with("double", loss.mul_scalar(2.0))
}

fn query(_meta: &Net, net: &Net, batch: Samples) -> Measured {
    let noise = batch.y.random_like(Distribution::Normal(0.0, 0.1));
    let loss = error(net, Samples { x: batch.x, y: batch.y + noise });
    Measured::new(loss.clone()).with("half", loss.mul_scalar(0.5))
}

multilevel! {
    struct Meta;
    level meta: Net { lower: [net], batch: Samples, loss: query, optimizer: adam(lr = 0.05), tasks: 3, clip: norm(0.5) }
    level net: Net {
        start: from(meta), batch: Samples, loss: adapt, optimizer: adam(lr = 0.1), unroll: 3, accumulate: 2,
        clip: norm(0.4), hypergradient: unrolled,
    }
}

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let penalty = knobs.penalty.val().exp() * net.second.val().powi_scalar(2).sum();
    error(net, Samples { x: batch.x + knobs.shift.val().unsqueeze(), y: batch.y }) + penalty
}

fn follow(point: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let x = batch.x.mean_dim(0) * knobs.shift.val().unsqueeze();
    (point.forward(x).sum() - knobs.penalty.val()).powi_scalar(2) + point.bias.val().powi_scalar(2).sum()
}

fn judge(knobs: &Knobs, net: &Net, point: &Net, batch: Samples) -> Tensor<1> {
    let together = (point.forward(batch.x.clone()) * net.forward(batch.x.clone())).mean();
    error(net, batch) + together + knobs.shift.val().powi_scalar(2).sum()
}

multilevel! {
    struct Tuned;
    level knobs: Knobs { lower: [net, point], batch: Samples, loss: judge, optimizer: sgd(lr = 0.1), tasks: 4 }
    level net: Net {
        upper: [knobs], start: initial, batch: Samples, loss: fit,
        optimizer: sgd(lr = exp(knobs.rate), momentum = 0.9), unroll: 4,
        hypergradient: unrolled,
    }
    level point: Net {
        upper: [knobs], start: initial, batch: Samples, loss: follow, optimizer: rmsprop(lr = 0.01), unroll: 2,
        project: norm_ball(radius = 2.0), hypergradient: unrolled,
    }
}

/// What a run told: the level, its step, and all numbers.
type Told = Vec<(String, u64, Vec<f64>)>;

/// An endless stream of different batches.
fn samples(seed: u64, rows: impl Fn(usize) -> usize + 'static) -> Stream<Samples> {
    let mut random = StdRng::seed_from_u64(seed);
    let batches = (0..).map(move |index| {
        let rows = rows(index);
        Ok::<_, io::Error>(Samples { x: tensor([rows, 3], &mut random), y: tensor([rows, 2], &mut random) })
    });
    Stream::batches(batches)
}

fn run<P: Multilevel>(mut engine: Engine<P>, iterations: u64) -> (P, Told) {
    let told = Rc::new(RefCell::new(Told::new()));
    let log = Rc::clone(&told);
    engine = engine.seed(5).observe(move |event| match event {
        Event::Step { name, step, loss, metrics, gradient_norm, learning_rate, .. } => {
            let metrics = metrics.iter().map(|(_, value)| *value);
            let numbers = [*loss, *gradient_norm, *learning_rate].into_iter().chain(metrics).collect();
            log.borrow_mut().push(((*name).to_owned(), *step, numbers));
        }
        Event::Hypergradient { through, products, .. } => {
            log.borrow_mut().push((format!("through {through}"), *products as u64, Vec::new()));
        }
        _ => {}
    });
    engine.run(iterations).unwrap();
    (engine.into_problem(), told.take())
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    let gap = found.iter().zip(expected).map(|(x, y)| (x - y).abs() / y.abs().max(1.0)).fold(0.0, f64::max);
    assert!(found.len() == expected.len() && gap < 1e-12, "{found:?} is not {expected:?} ({gap:e})");
}

#[track_caller]
fn assert_told(found: &Told, expected: &Told) {
    assert_eq!(found.len(), expected.len());
    for ((name, step, numbers), (of, at, others)) in found.iter().zip(expected) {
        assert_eq!((name, step), (of, at));
        assert_close(numbers, others);
    }
}

fn meta(json: &str, rows: impl Fn(usize) -> usize + Clone + 'static) -> Engine<Meta> {
    let data = MetaData { meta: samples(1, |_| 4), net: samples(2, rows) };
    let config = MetaConfig::from_json(json).unwrap();
    Engine::new(Meta { meta: Net::new(0), net: Net::new(1) }, data, config).unwrap()
}

const TOGETHER: &str = r#"{ "meta": { "vectorize": true } }"#;

#[test]
fn tasks_that_start_from_the_level_above() {
    let (expected, told_in_turn) = run(meta("{}", |_| 4), 3);
    let (found, told) = run(meta(TOGETHER, |_| 4), 3);
    assert_close(&found.meta.values(), &expected.meta.values());
    assert_close(&found.net.values(), &expected.net.values());
    // Six steps and one pass through them a task.
    assert_eq!(told.len(), 3 * (3 * (3 + 1) + 1));
    assert_told(&told, &told_in_turn);
}

#[test]
fn one_task_is_computed_together_too() {
    let (expected, _) = run(meta(r#"{ "meta": { "tasks": 1 } }"#, |_| 4), 2);
    let (found, _) = run(meta(r#"{ "meta": { "tasks": 1, "vectorize": true } }"#, |_| 4), 2);
    assert_close(&found.meta.values(), &expected.meta.values());
}

#[test]
fn a_scheduler_goes_on_from_task_to_task() {
    let scheduled = |json| {
        let mut engine = meta(json, |_| 4);
        let scheduler = LinearLrSchedulerConfig::new(0.1, 0.01, 20).init().unwrap();
        engine = engine.scheduler("net", scheduler).unwrap();
        run(engine, 2)
    };
    let ((expected, told_in_turn), (found, told)) = (scheduled("{}"), scheduled(TOGETHER));
    assert_close(&found.meta.values(), &expected.meta.values());
    assert_told(&told, &told_in_turn);
}

#[test]
fn several_levels_below_from_their_first_parameters() {
    let tuned = |json| {
        let data =
            TunedData { knobs: samples(1, |_| 4), net: samples(2, |_| 4), point: samples(3, |step| 2 + step % 2) };
        let random = &mut StdRng::seed_from_u64(7);
        let knobs = Knobs {
            penalty: Param::from_tensor(tensor([1], random)),
            shift: Param::from_tensor(tensor([3], random)),
            rate: Param::from_tensor(tensor([1], random) - 2.0),
        };
        let problem = Tuned { knobs, net: Net::new(0), point: Net::new(1) };
        run(Engine::new(problem, data, TunedConfig::from_json(json).unwrap()).unwrap(), 3)
    };
    let (expected, told_in_turn) = tuned("{}");
    let (found, told) = tuned(r#"{ "knobs": { "vectorize": true } }"#);
    let knobs = |problem: &Tuned| -> Vec<f64> {
        let Knobs { penalty, shift, rate } = &problem.knobs;
        [penalty, shift, rate].into_iter().flat_map(|of| of.val().into_data().try_to_vec::<f64>().unwrap()).collect()
    };
    assert_close(&knobs(&found), &knobs(&expected));
    assert_close(&found.net.values(), &expected.net.values());
    assert_close(&found.point.values(), &expected.point.values());
    assert_told(&told, &told_in_turn);
}

/// Batches of different shapes are no one computation, and then tasks go one after the other.
#[test]
fn tasks_that_differ_in_shape_go_one_after_the_other() {
    let rows = |index: usize| if index == 9 { 3 } else { 4 };
    let (expected, told_in_turn) = run(meta("{}", rows), 3);
    let (found, told) = run(meta(TOGETHER, rows), 3);
    assert_close(&found.meta.values(), &expected.meta.values());
    assert_told(&told, &told_in_turn);
}

/// A net with running statistics.
#[derive(Module, Debug)]
struct Normed {
    norm: BatchNorm,
    net: Net,
}

fn adapt_normed(normed: &Normed, batch: Samples) -> Tensor<1> {
    let x = normed.norm.forward(batch.x.cast(DType::F32)).cast(DType::F64);
    error(&normed.net, Samples { x, y: batch.y })
}

fn query_normed(_meta: &Normed, normed: &Normed, batch: Samples) -> Tensor<1> {
    adapt_normed(normed, batch)
}

multilevel! {
    struct Statistics;
    level meta: Normed { lower: [normed], batch: Samples, loss: query_normed, optimizer: sgd(lr = 0.1), tasks: 2 }
    level normed: Normed {
        start: from(meta), batch: Samples, loss: adapt_normed, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: unrolled,
    }
}

/// Running statistics go from one step to the next, which no two tasks can share.
#[test]
fn tasks_that_move_statistics_go_one_after_the_other() {
    let trained = |json: &str| {
        let normed = |seed| {
            let norm = BatchNormConfig::new(3).init(&Device::flex());
            Normed { norm: norm.into(), net: Net::new(seed) }
        };
        let data = StatisticsData { meta: samples(1, |_| 4), normed: samples(2, |_| 4) };
        let problem = Statistics { meta: normed(0), normed: normed(1) };
        run(Engine::new(problem, data, StatisticsConfig::from_json(json).unwrap()).unwrap(), 2)
    };
    let (expected, told_in_turn) = trained("{}");
    let (found, told) = trained(r#"{ "meta": { "vectorize": true } }"#);
    assert_eq!(found.meta.net.values(), expected.meta.net.values());
    assert_eq!(told, told_in_turn);
}

#[test]
fn costs_are_counted_once() {
    let (in_turn, together) = (meta("{}", |_| 4).explain().unwrap(), meta(TOGETHER, |_| 4).explain().unwrap());
    let text = together.to_string();
    assert!(text.contains("net: 9 steps of 30 parameters, counted in those of meta"), "{text}");
    let of_steps = |levels: &[betty_runtime::LevelCost]| -> (f64, f64) {
        let all = levels.iter().filter(|level| level.within.is_none());
        all.map(|level| {
            let responses = level.responses.iter().fold((0.0, 0.0), |(kernels, operations), of| {
                (kernels + of.cost.kernels, operations + of.cost.operations)
            });
            let steps = level.steps as f64;
            ((level.step.kernels + responses.0) * steps, (level.step.operations + responses.1) * steps)
        })
        .fold((0.0, 0.0), |(kernels, operations), of| (kernels + of.0, operations + of.1))
    };
    let ((kernels, operations), (fewer, same)) = (of_steps(&in_turn.levels), of_steps(&together.levels));
    assert!(fewer < 0.7 * kernels, "{fewer} of {kernels} kernels\n{in_turn}{together}");
    assert!(same < 1.5 * operations, "{same} for {operations} operations");
}

#[test]
fn a_number_that_is_not_finite_names_its_level() {
    let mut engine =
        meta(r#"{ "meta": { "vectorize": true }, "net": { "optimizer": { "lr": 1e300 }, "clip": null } }"#, |_| 4);
    let before = engine.problem().meta.values();
    let error = engine.run(1).unwrap_err();
    assert!(matches!(&error, EngineError::NonFinite { level, .. } if level == "net"), "{error}");
    assert_eq!(engine.problem().meta.values(), before);
}

#[test]
fn there_are_no_single_steps_to_look_back_on() {
    let mut engine = meta(TOGETHER, |_| 4);
    engine.run(1).unwrap();
    let error = engine.gradient("meta").unwrap_err();
    assert!(
        matches!(&error, EngineError::Steps(StepsError::Together { level, above }) if level == "net" && above == "meta"),
        "{error}"
    );
}

/// Methods for which there is no one program of all tasks: bit for bit as without `vectorize`, and observers are told which it is.
#[test]
fn tasks_go_one_after_the_other_where_a_method_cannot_have_them_together() {
    for (method, name) in [
        (r#"{ "memory": 4 }"#, "unrolled"),
        (r#"{ "method": "forward_gradient", "directions": 3 }"#, "forward_gradient"),
    ] {
        let json = |vectorize: bool| {
            format!(r#"{{ "meta": {{ "vectorize": {vectorize} }}, "net": {{ "hypergradient": {method} }} }}"#)
        };
        let (expected, told_in_turn) = run(meta(&json(false), |_| 4), 2);
        let news = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&news);
        let engine = meta(&json(true), |_| 4).observe(move |event| {
            if let Event::OneByOne { name, through, method, tasks, .. } = event {
                let text = event.warning().unwrap().fact;
                seen.borrow_mut().push((name.to_string(), through.to_string(), method.to_string(), *tasks, text));
            }
        });
        let (found, told) = run(engine, 2);
        assert_eq!(found.meta.values(), expected.meta.values(), "{method}");
        assert_eq!(told, told_in_turn, "{method}");
        let news = news.take();
        let [(level, through, of, tasks, text)] = news.as_slice() else {
            panic!("{method}: told {} times", news.len())
        };
        assert_eq!((level.as_str(), through.as_str(), of.as_str(), *tasks), ("meta", "net", name, 3));
        assert!(text.contains("3 tasks of level `meta` go one after the other") && text.contains(name), "{text}");
    }
    // Nobody asked for them together, or they are: there is nothing to tell.
    for json in ["{}", TOGETHER] {
        let told = Rc::new(RefCell::new(0));
        let seen = Rc::clone(&told);
        let engine = meta(json, |_| 4).observe(move |event| {
            *seen.borrow_mut() += i32::from(matches!(event, Event::OneByOne { .. }));
        });
        run(engine, 1);
        assert_eq!(*told.borrow(), 0, "{json}");
    }
}

/// An edit of the program does not put them together again.
#[test]
fn tasks_stay_one_by_one_after_an_edit() {
    let trained = |vectorize: bool| {
        let json =
            format!(r#"{{ "meta": {{ "vectorize": {vectorize} }}, "net": {{ "hypergradient": {{ "memory": 4 }} }} }}"#);
        let mut engine = meta(&json, |_| 4);
        engine.run(1).unwrap();
        engine.edit(|problem| problem.meta = Net::new(5)).unwrap();
        engine.run(1).unwrap();
        engine.into_problem().meta.values()
    };
    assert_eq!(trained(true), trained(false));
}

#[test]
fn what_cannot_be_computed_together_says_why() {
    let refused = |json: &str, text: &str| {
        let data = MetaData { meta: samples(1, |_| 4), net: samples(2, |_| 4) };
        let config = MetaConfig::from_json(json).unwrap();
        let error = Engine::new(Meta { meta: Net::new(0), net: Net::new(1) }, data, config).err().unwrap();
        assert!(
            matches!(
                &error,
                EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                    rule: Violation::NotTogether(_),
                    ..
                }))
            ),
            "{error}"
        );
        assert!(error.to_string().contains(text), "{error}");
    };
    refused(r#"{ "meta": { "vectorize": true, "accumulate": 2 } }"#, "`accumulate` takes several batches");
    refused(r#"{ "meta": { "vectorize": true }, "net": { "start": "kept" } }"#, "goes on from one task to the next");
    refused(r#"{ "net": { "vectorize": true, "accumulate": 1 } }"#, "one by one");
}
