//! Modules between two calls: parts that stand still, other shapes, settings, running statistics, a tape in use.

use betty_runtime::nn::{BatchNorm, BatchNormConfig};
use betty_runtime::{Engine, EngineError, Hypergradient, LevelModule, ModuleError, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param, RunningState};
use burn::nn::{self, DropoutConfig, Linear};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};

use crate::problem::{CALLS, CleaningConfig, data, held_out, linear, noisy, problem, weighted};

#[test]
fn parts_that_stand_still_have_no_gradient() {
    let device = Device::flex().autodiff();
    let all = problem(0.0, &device);
    let batches = || data(held_out(0, &device), noisy(0, &device));
    let config = CleaningConfig::from_json(r#"{ "model": { "freeze": ["first"] } }"#).unwrap();
    let mut hypergradient = Hypergradient::new(&all, config).unwrap();
    let direct = hypergradient.direct("model", &all, batches()).unwrap();
    assert_eq!(direct.gradient.len(), 2);
    assert!(direct.gradient.get::<2>(all.model.second.weight.id).is_some());
    // The same by Burn's own means, between two calls.
    let mut hypergradient = Hypergradient::new(&all, CleaningConfig::default()).unwrap();
    assert_eq!(hypergradient.direct("model", &all, batches()).unwrap().gradient.len(), 4);
    let mut frozen = all.clone();
    frozen.model.first = frozen.model.first.no_grad();
    assert_eq!(hypergradient.direct("model", &frozen, batches()).unwrap().gradient.len(), 2);
}

#[test]
fn modules_with_other_shapes_are_begun_anew() {
    let device = Device::flex().autodiff();
    let all = problem(0.0, &device);
    let batches = || data(held_out(0, &device), noisy(0, &device));
    let mut hypergradient = Hypergradient::new(&all, CleaningConfig::default()).unwrap();
    hypergradient.total("weights", &all, batches()).unwrap();
    let mut wide = all.clone();
    wide.model.first = linear(6, 16, 3, &device);
    wide.model.second = linear(16, 3, 4, &device);
    let again = hypergradient.total("weights", &wide, batches()).unwrap();
    let fresh = Hypergradient::new(&wide, CleaningConfig::default()).unwrap().total("weights", &wide, batches());
    let of = |gradient: &GradientsParams| gradient.get::<1>(wide.weights.logits.id).unwrap().into_data();
    assert_eq!(of(&again.gradient), of(&fresh.unwrap().gradient));
}

#[test]
fn a_setting_that_changes_is_recorded_again_when_that_is_said() {
    let device = Device::flex().autodiff();
    let mut all = problem(0.3, &device);
    let batches = || data(held_out(0, &device), noisy(0, &device));
    let mut hypergradient = Hypergradient::new(&all, CleaningConfig::default()).unwrap();
    hypergradient.direct("model", &all, batches()).unwrap();
    CALLS.set(0);
    hypergradient.modules_changed();
    hypergradient.direct("model", &all, batches()).unwrap();
    assert_eq!(CALLS.replace(0), 1);
    all.model.dropout = DropoutConfig::new(0.0).init();
    hypergradient.modules_changed();
    let without = hypergradient.direct("model", &all, batches()).unwrap();
    let fresh = Hypergradient::new(&all, CleaningConfig::default()).unwrap().direct("model", &all, batches()).unwrap();
    let of = |gradient: &GradientsParams| gradient.get::<2>(all.model.first.weight.id).unwrap().into_data();
    assert_eq!(of(&without.gradient), of(&fresh.gradient));
}

#[test]
fn a_question_between_burns_passes_leaves_its_tape_alone() {
    let device = Device::flex().autodiff();
    let all = problem(0.0, &device);
    let gradient = |ask: bool| {
        let loss = weighted(&all.model, &all.weights, noisy(0, &device));
        if ask {
            let mut hypergradient = Hypergradient::new(&all, CleaningConfig::default()).unwrap();
            hypergradient.total("weights", &all, data(held_out(0, &device), noisy(0, &device))).unwrap();
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &all.model);
        assert_eq!(gradients.len(), 4);
        gradients.get::<2>(all.model.first.weight.id).unwrap().into_data()
    };
    assert_eq!(gradient(true), gradient(false));
}

/// A level with running statistics.
#[derive(Module, Debug)]
pub(crate) struct Normed {
    linear: Linear,
    norm: BatchNorm,
}

fn fit(normed: &Normed, scale: &Param<Tensor<1>>, x: Tensor<2>) -> Tensor<1> {
    let answer = normed.norm.forward(normed.linear.forward(x.clone()));
    ((answer - x * scale.val().reshape([1, 4])).square()).mean()
}

fn judge(_scale: &Param<Tensor<1>>, normed: &Normed, x: Tensor<2>) -> Tensor<1> {
    normed.norm.forward(normed.linear.forward(x)).square().mean()
}

multilevel! {
    struct Statistics;

    level scale: Param<Tensor<1>> { lower: [normed], batch: Tensor<2>, loss: judge, optimizer: sgd(lr = 0.5) }
    level normed: Normed {
        upper: [scale], batch: Tensor<2>, loss: fit, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: cg(iterations = 3, damping = 10.0),
    }
}

fn statistics(device: &Device) -> Statistics {
    Statistics {
        scale: Param::from_tensor(Tensor::ones([4], device)),
        normed: Normed { linear: linear(4, 4, 5, device), norm: BatchNormConfig::new(4).init(device) },
    }
}

fn inputs(step: u64, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..32).map(|i| ((i as f32) * 0.7 + step as f32).sin() + 0.1 * (step as f32)).collect();
    Tensor::from_data(TensorData::new(values, [8, 4]), device)
}

#[test]
fn running_statistics_are_answered_and_can_be_put_into_the_module() {
    let plain = Device::flex();
    let stream =
        |first: u64| Stream::batches((first..).map(|step| Ok::<_, std::io::Error>(inputs(step, &Device::flex()))));
    let streams = StatisticsData { scale: stream(50), normed: stream(0) };
    let mut engine = Engine::new(statistics(&plain), streams, StatisticsConfig::default()).unwrap();
    engine.run(3).unwrap();

    let device = plain.autodiff();
    let mut all = statistics(&device);
    let mut hypergradient = Hypergradient::new(&all, StatisticsConfig::default()).unwrap();
    let (mut lower, mut upper) = (SgdConfig::new().init(), SgdConfig::new().init());
    for step in 0..3 {
        let batches = |inner| StatisticsData {
            scale: inputs(50 + step, &device).into(),
            normed: inputs(2 * step + inner, &device).into(),
        };
        for inner in 0..2 {
            let before = bits(&all.normed);
            let direct = hypergradient.direct("normed", &all, batches(inner)).unwrap();
            assert_eq!(bits(&all.normed), before);
            assert!(!direct.statistics.is_empty());
            all.normed = lower.step(0.1, all.normed, direct.gradient);
            direct.statistics.put_into(&mut all.normed).unwrap();
        }
        let total = hypergradient.total("scale", &all, batches(1)).unwrap();
        // The level that was asked about has none.
        assert!(total.statistics.is_empty());
        all.scale = upper.step(0.5, all.scale, total.gradient);
    }
    assert_eq!(bits(&all.normed), bits(&engine.problem().normed));
    // It still trains.
    let loss = fit(&all.normed, &all.scale, inputs(0, &device));
    assert_eq!(GradientsParams::from_grads(loss.backward(), &all.normed).len(), 4);

    let direct = hypergradient
        .direct("normed", &all, StatisticsData { scale: inputs(0, &device).into(), normed: inputs(0, &device).into() })
        .unwrap();
    let error = direct.statistics.put_into(&mut all.scale).unwrap_err();
    assert!(
        matches!(error, EngineError::Module(ModuleError::OtherModule { .. }))
            && error.to_string().contains("running_mean"),
        "{error}"
    );
}

/// A level with a layer of Burn's, as it was trained by somebody else.
#[derive(Module, Debug)]
struct Borrowed {
    norm: nn::BatchNorm,
    linear: Linear,
}

impl Borrowed {
    fn loss(&self, scale: &Param<Tensor<1>>, x: Tensor<2>) -> Tensor<1> {
        let answer = self.linear.forward(self.norm.forward(x.clone()));
        (answer - x * scale.val().reshape([1, 4])).square().mean()
    }
}

fn judge_borrowed(scale: &Param<Tensor<1>>, borrowed: &Borrowed, x: Tensor<2>) -> Tensor<1> {
    borrowed.linear.forward(borrowed.norm.forward(x)).square().mean() + scale.val().square().sum()
}

multilevel! {
    struct Lent;

    level scale: Param<Tensor<1>> { lower: [borrowed], batch: Tensor<2>, loss: judge_borrowed, optimizer: sgd(lr = 0.5) }
    level borrowed: Borrowed {
        upper: [scale], batch: Tensor<2>, loss: Borrowed::loss, optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 3, damping = 10.0),
    }
}

#[test]
fn burns_batch_norm_in_inference_keeps_its_statistics() {
    let device = Device::flex().autodiff();
    let mut norm = nn::BatchNormConfig::new(4).init(&device);
    norm.running_mean = RunningState::new(Tensor::from_floats([0.1, -0.2, 0.3, 0.4], &device));
    norm.running_var = RunningState::new(Tensor::from_floats([1.5, 0.5, 2.0, 0.7], &device));
    let all = Lent {
        scale: Param::from_tensor(Tensor::ones([4], &device)),
        borrowed: Borrowed { norm: norm.freeze(), linear: linear(4, 4, 5, &device) },
    };
    let statistics = || {
        let norm = &all.borrowed.norm;
        [norm.running_mean.value_sync(), norm.running_var.value_sync()].map(Tensor::into_data)
    };
    let before = statistics();
    let batches = || LentData { scale: inputs(1, &device).into(), borrowed: inputs(0, &device).into() };
    let mut hypergradient = Hypergradient::new(&all, LentConfig::default()).unwrap();
    let direct = hypergradient.direct("borrowed", &all, batches()).unwrap();
    hypergradient.total("scale", &all, batches()).unwrap();
    assert_eq!(statistics(), before);
    let eager = all.borrowed.loss(&all.scale, inputs(0, &device));
    let eager = GradientsParams::from_grads(eager.backward(), &all.borrowed);
    let weight = all.borrowed.linear.weight.id;
    let gap = (direct.gradient.get::<2>(weight).unwrap() - eager.get::<2>(weight).unwrap()).abs().max();
    assert!(gap.into_scalar::<f32>() < 1e-6);
}

fn bits(module: &impl LevelModule) -> Vec<u64> {
    module.leaves().into_iter().flat_map(|leaf| leaf.value.to_vec().unwrap()).map(f64::to_bits).collect()
}

#[test]
fn batches_of_the_program_are_made_of_the_modules_that_are_lent() {
    let device = Device::flex().autodiff();
    let all = problem(0.3, &device);
    let shifted = |number: u64, by: f32| {
        let batch = noisy(number as usize, &Device::flex());
        crate::problem::Examples { x: batch.x + by, ..batch }
    };
    let of = |gradient: &GradientsParams| gradient.get::<1>(all.weights.logits.id).unwrap().into_data();
    let mut plain = Hypergradient::new(&all, CleaningConfig::default()).unwrap();
    let mut made = Hypergradient::new(&all, CleaningConfig::default()).unwrap();
    for number in 0..3 {
        let by: f32 = all.model.first.weight.val().sum().into_scalar();
        let stream = Stream::of_program(move |all: &crate::problem::Cleaning, number| {
            Ok::<_, std::io::Error>(shifted(number, all.model.first.weight.val().sum().into_scalar()))
        });
        let given = made.total(
            "weights",
            &all,
            crate::problem::CleaningData { weights: held_out(0, &device).into(), model: stream },
        );
        let expected = plain.total("weights", &all, data(held_out(0, &device), shifted(number, by)));
        assert_eq!(of(&given.unwrap().gradient), of(&expected.unwrap().gradient));
    }
}
