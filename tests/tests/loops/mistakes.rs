//! What cannot be answered is an error with its remedy, and leaves nothing behind.

use betty_runtime::{ModuleError, StepsError};
use std::io;

use betty_runtime::{EngineError, Hypergradient, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::problem::{CleaningConfig, CleaningData, data, held_out, noisy, numbers, problem, trained};

#[test]
fn methods_that_need_steps_are_refused_with_the_reason() {
    for (method, needs) in [
        (r#"{ "method": "unrolled" }"#, "the steps that the level has taken"),
        (r#"{ "method": "unrolled", "truncate": 2 }"#, "the steps that the level has taken"),
        (r#"{ "method": "forward" }"#, "the steps that the level has taken"),
        (r#"{ "method": "forward_gradient" }"#, "the steps that the level has taken"),
        (r#"{ "method": "evolution" }"#, "the steps that the level has taken"),
        (r#"{ "method": "sama" }"#, "the states of the level's optimizer"),
    ] {
        let config = CleaningConfig::from_json(&format!(r#"{{ "model": {{ "hypergradient": {method} }} }}"#)).unwrap();
        let error = Hypergradient::new(&problem(0.0, &Device::flex()), config).err().unwrap();
        assert!(matches!(error, EngineError::Steps(StepsError::Elsewhere { .. })), "{error}");
        let text = error.to_string();
        assert!(text.contains("`model`") && text.contains(needs) && text.contains("`hypergradient: cg`"), "{text}");
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let mut config = CleaningConfig::default();
    config.model.unroll = 0;
    let refused = Hypergradient::new(&problem(0.0, &Device::flex()), config);
    assert!(matches!(refused.err(), Some(EngineError::Config(_))));
}

#[test]
fn a_question_that_fails_leaves_no_trace() {
    let device = Device::flex().autodiff();
    let all = problem(0.3, &device);
    let mut hypergradient = Hypergradient::new(&all, CleaningConfig::default()).unwrap().seed(3);
    let good = || data(held_out(0, &device), noisy(0, &device));

    let error = hypergradient.total("wheights", &all, good()).unwrap_err();
    assert!(matches!(error, EngineError::UnknownLevel { .. }), "{error}");
    let nothing = || Stream::batches(std::iter::empty::<Result<_, io::Error>>());
    let error = hypergradient.total("weights", &all, CleaningData { model: nothing(), ..good() }).unwrap_err();
    assert!(matches!(&error, EngineError::EmptyData { level } if level == "model"), "{error}");
    let broken = Stream::batches([Err("the disk is gone")]);
    let error = hypergradient.total("weights", &all, CleaningData { weights: broken, ..good() }).unwrap_err();
    assert!(matches!(&error, EngineError::Data { level, .. } if level == "weights"), "{error}");
    // An index beyond the end of the table of logits.
    let mut far = noisy(0, &device);
    far.index = far.index + 5;
    let error = hypergradient.direct("model", &all, CleaningData { model: far.into(), ..good() }).unwrap_err();
    assert!(matches!(&error, EngineError::Panicked { level, .. } if level == "model"), "{error}");
    let mut wild = noisy(0, &device);
    wild.x = wild.x * f32::NAN;
    let error = hypergradient.total("weights", &all, CleaningData { model: wild.into(), ..good() }).unwrap_err();
    assert!(matches!(&error, EngineError::NonFinite { .. } | EngineError::Hypergradient { .. }), "{error}");
    let mut frozen = all.clone();
    frozen.model = frozen.model.no_grad();
    let error = hypergradient.direct("model", &frozen, good()).unwrap_err();
    assert!(
        matches!(&error, EngineError::Module(ModuleError::NothingToTrain { level }) if level == "model"),
        "{error}"
    );

    // It goes on as if nobody had asked.
    let fresh = Hypergradient::new(&all, CleaningConfig::default()).unwrap().seed(3);
    let (asked, fresh) = (trained(all.clone(), hypergradient, 2, &device), trained(all, fresh, 2, &device));
    assert!(numbers(&asked) == numbers(&fresh));
}

type Number = Param<Tensor<1>>;

fn fit(x: &Number, y: &Number, scale: Tensor<1>) -> Tensor<1> {
    (x.val().square() * 0.5 - x.val() * y.val() * scale).sum()
}

fn judge(y: &Number, x: &Number, slope: Tensor<1>) -> Tensor<1> {
    (x.val() * slope + y.val().square()).sum()
}

multilevel! {
    struct Warm;
    level y: Number { lower: [x], batch: Tensor<1>, loss: judge, optimizer: sgd(lr = 0.1) }
    level x: Number {
        upper: [y], batch: Tensor<1>, loss: fit, optimizer: sgd(lr = 0.1),
        hypergradient: neumann(terms = 1, step_size = 0.5, warm_start = true),
    }
}

/// The system is solved, and what its answer comes to above is beyond the range of its type.
#[test]
fn no_question_starts_from_the_answer_of_one_that_failed() {
    let device = Device::flex().autodiff();
    let number = |at: f32| Tensor::<1>::from_floats([at], &device);
    let all = Warm { y: Param::from_tensor(number(0.5)), x: Param::from_tensor(number(0.25)) };
    let ask = |hypergradient: &mut Hypergradient<Warm>, slope: f32, scale: f32| {
        let data = WarmData { y: number(slope).into(), x: number(scale).into() };
        hypergradient.total("y", &all, data).map(|found| found.norm)
    };
    let [mut asked, mut fresh] = [(); 2].map(|()| Hypergradient::new(&all, WarmConfig::default()).unwrap());
    // 2y + scale · solution, which comes closer to the slope by half.
    for (hypergradient, fails) in [(&mut asked, true), (&mut fresh, false)] {
        assert_eq!(ask(hypergradient, 1.0, 1.0).unwrap(), 1.0 + 0.5);
        if fails {
            let error = ask(hypergradient, 1e15, 1e25).unwrap_err();
            assert!(matches!(&error, EngineError::NonFinite { quantity: "hypergradient", .. }), "{error}");
        }
        assert_eq!(ask(hypergradient, 1.0, 1.0).unwrap(), 1.0 + 0.75, "{fails}");
    }
}

#[test]
fn tied_weights_that_an_optimizer_has_taken_apart_are_told() {
    let device = Device::flex().autodiff();
    let mut all = problem(0.0, &device);
    let hidden = crate::problem::linear(8, 8, 3, &device);
    all.model.second = hidden.clone();
    all.model.first = hidden;
    let mut hypergradient = Hypergradient::new(&all, CleaningConfig::default()).unwrap();
    let id = all.model.second.weight.id;
    all.model.second.weight = Param::initialized(id, Tensor::ones([8, 8], &device).require_grad());
    let error = hypergradient.direct("model", &all, data(held_out(0, &device), noisy(0, &device))).unwrap_err();
    assert!(matches!(&error, EngineError::Module(ModuleError::TiedApart { level, .. }) if level == "model"), "{error}");
}
