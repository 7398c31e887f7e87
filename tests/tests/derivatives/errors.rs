//! Losses that cannot be traced say why, print nothing and leave the module as it was.

use betty_runtime::trace::{AnyBatch, LevelModule, TraceError, Tracer, trace};
use burn::module::{Module, Param, ParamId};
use burn::nn::conv::Conv2dConfig;
use burn::nn::{BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{DType, Device, Int, Tensor};

type One = Param<Tensor<2>>;

fn parameter() -> One {
    Param::from_tensor(Tensor::from_floats([[1.0, 2.0, 3.0], [3.0, 4.0, 7.0]], &Device::flex()))
}

/// The error of tracing a function of one parameter.
fn refusal(loss: impl FnOnce(Tensor<2>) -> Tensor<1>) -> TraceError {
    let parameter = parameter();
    let batch = AnyBatch::new(());
    trace("classifier", &batch, |tracer: &mut Tracer<'_>| loss(tracer.module(0, &parameter).val()))
        .expect_err("this loss cannot be traced")
}

#[test]
fn reading_a_value_is_an_error() {
    let error = refusal(|x| {
        let factor: f32 = x.clone().sum().into_scalar();
        x.sum() * factor
    });
    assert!(matches!(error, TraceError::ReadsValue { ref level, .. } if level == "classifier"), "{error}");
    let error = refusal(|x| if x.clone().into_data().shape().is_empty() { x.sum() } else { x.mean() });
    assert!(matches!(error, TraceError::ReadsValue { .. }), "{error}");
}

/// The call that a refusal names, with its line.
#[track_caller]
fn check_place(call: &str, loss: impl FnOnce(Tensor<2>) -> Tensor<1>) -> String {
    let text = refusal(loss).to_string();
    assert!(text.contains(&format!(" in `{call}` (at ")) && text.contains("derivatives/errors.rs:"), "{call}: {text}");
    text
}

#[test]
fn a_refusal_names_the_call_and_its_line() {
    // Burn hands the line of some calls on, and then the line is all that is known.
    let text = refusal(|x| x.clone().sum() * x.sum().into_scalar::<f32>()).to_string();
    assert!(text.contains("(`into_scalar`, `into_data`, …) (at ") && text.contains("errors.rs:"), "{text}");
    assert!(text.contains("compute with tensors instead"), "{text}");
    check_place("to_device", |x| x.to_device(&Device::flex()).sum());
    check_place("inner", |x| x.inner().sum());
    check_place("backward", |x| {
        drop(x.clone().sum().backward());
        x.sum()
    });
    let ones = Tensor::<2>::ones([2, 3], &Device::flex());
    check_place("mul", |x| (x * ones).sum());
    let linear = LinearConfig::new(3, 2).init(&Device::flex());
    let text = trace("classifier", &AnyBatch::new(()), |tracer| {
        let linear = tracer.module(0, &linear);
        linear.valid().forward(Tensor::<2>::ones([1, 3], &linear.weight.val().device())).sum()
    });
    let text = text.expect_err("`valid` leaves autodiff").to_string();
    assert!(text.contains("nn::inference") && text.contains("errors.rs:"), "{text}");
}

#[test]
fn calls_that_read_values_name_the_way_out() {
    let classes = |x: &Tensor<2>| x.clone().argmax(1).flatten::<1>(0, 1);
    let large = |x: &Tensor<2>| x.clone().greater_elem(2.5);
    let text = check_place("one_hot", |x| x.clone().sum() * classes(&x).one_hot::<2>(3).float().sum());
    assert!(text.contains("labels.unsqueeze_dim::<2>(1).equal(classes)"), "{text}");
    let text =
        check_place("one_hot_fill", |x| x.clone().sum() * classes(&x).one_hot_fill::<2>(3, 1.0, 0.0, -1).float().sum());
    assert!(text.contains("labels.unsqueeze_dim::<2>(1).equal(classes)"), "{text}");
    for text in [
        check_place("mask_select", |x| x.clone().mask_select(large(&x)).sum()),
        check_place("nonzero", |x| x.clone().sum() * large(&x).nonzero().len() as f32),
        check_place("argwhere", |x| x.clone().sum() * large(&x).argwhere().float().sum()),
    ] {
        assert!(text.contains("`mask_fill` or `mask_where`"), "{text}");
    }
    // What is advised can be recorded, and is the same.
    let (parameter, device) = (parameter(), Device::flex());
    let labels = Tensor::<1, Int>::from_ints([2, 0], &device);
    let encoded = |labels: Tensor<1, Int>| {
        let classes = Tensor::arange(0..3, &labels.device()).unsqueeze::<2>();
        labels.unsqueeze_dim::<2>(1).equal(classes).float()
    };
    assert_eq!(encoded(labels.clone()).into_data(), labels.clone().one_hot::<2>(3).float().into_data());
    let traced = trace("classifier", &AnyBatch::new(labels), |tracer| {
        (tracer.module(0, &parameter).val() * encoded(tracer.batch())).sum()
    });
    assert!(traced.is_ok());
}

#[test]
fn integers_of_two_types_are_named_as_such() {
    let (parameter, device) = (parameter(), Device::flex());
    let labels = Tensor::<1, Int>::from_data([2_i64, 0], (&device, DType::I64));
    let error = trace("classifier", &AnyBatch::new(labels), |tracer| {
        let x = tracer.module(0, &parameter).val();
        let hits = x.clone().argmax(1).flatten::<1>(0, 1).cast(DType::I32).equal(tracer.batch());
        x.sum() * hits.float().mean()
    });
    let text = error.expect_err("the types differ").to_string();
    assert!(text.contains("mixes types in `equal`"), "{text}");
    assert!(text.contains("i64 (tensor 0 of the batch) and i32 (made in the loss)"), "{text}");
}

/// Panic hooks belong to the process, so this looks at one of its own.
#[test]
fn reading_a_value_prints_nothing() {
    let this = std::env::current_exe().unwrap();
    let arguments = ["--exact", "errors::reading_a_value_is_an_error", "--nocapture"];
    let output = std::process::Command::new(this).args(arguments).output().unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    assert!(!printed.contains("panicked"), "{printed}");
}

#[test]
fn a_trace_still_works_after_one_that_failed() {
    refusal(|x| x.exp().flatten::<1>(0, 1));
    refusal(|_| panic!("on purpose"));
    let parameter = parameter();
    let traced = trace("classifier", &AnyBatch::new(()), |tracer| tracer.module(0, &parameter).val().exp().sum());
    assert!(traced.is_ok());
}

#[test]
fn a_panic_of_the_loss_keeps_its_message_and_says_where() {
    let error = refusal(|_| panic!("a message of {} words", 4));
    let says = |message: &str| message.starts_with("a message of 4 words (at ") && message.contains("errors.rs:");
    assert!(matches!(&error, TraceError::Panicked { message, .. } if says(message)), "{error}");
}

#[test]
fn a_loss_is_one_number() {
    let error = refusal(|x| x.exp().flatten::<1>(0, 1));
    assert!(matches!(&error, TraceError::NotOneNumber { shape, .. } if shape == &[6]), "{error}");
}

#[test]
fn a_loss_depends_on_its_own_level() {
    let error = refusal(|x| Tensor::ones([1], &x.device()));
    assert!(matches!(error, TraceError::Disconnected { .. }), "{error}");
    let error = refusal(|x| x.exp().detach().sum());
    assert!(matches!(error, TraceError::NoDerivative { .. }), "{error}");
    let error = refusal(|x| x.greater_elem(0.5).float().sum());
    assert!(matches!(error, TraceError::NoDerivative { .. }), "{error}");
    // It depends on another level's parameter only.
    let (own, other) = (parameter(), parameter());
    let traced = trace("classifier", &AnyBatch::new(()), |tracer| {
        let _own = tracer.module(1, &own);
        tracer.module(0, &other).val().sum()
    })
    .unwrap();
    assert!(traced.depends_on(0, &[0]) && !traced.depends_on(1, &[0]));
}

#[test]
fn autodiff_inside_a_loss_is_refused() {
    let error = refusal(|x| x.inner().sum());
    assert!(matches!(error, TraceError::UsesAutodiff { .. }), "{error}");
    let error = refusal(|x| {
        let gradients = x.clone().sum().backward();
        x.grad(&gradients).map_or_else(|| x.sum(), |gradient| gradient.sum())
    });
    assert!(matches!(error, TraceError::UsesAutodiff { .. }), "{error}");
}

/// Layers at computed weights, as a hypernetwork or a virtual step has them.
#[test]
fn what_is_computed_is_no_parameter() {
    let forward = |weight: Param<Tensor<2>>, x: Tensor<2>| Linear { weight, bias: None }.forward(x).square().sum();
    let error = refusal(|x| {
        let weights = Param::from_tensor(x.clone().transpose() * 0.5);
        forward(weights, x)
    });
    assert!(matches!(error, TraceError::ComputedParameter { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("`Param::initialized(ParamId::new(), weights)`") && text.contains("errors.rs:"), "{text}");
    let error = refusal(|x| (x * 2.0).require_grad().sum());
    assert!(matches!(error, TraceError::ComputedParameter { .. }), "{error}");
    // An answer of `gradient` is computed, and so is what is made of it and data alone.
    let error = refusal(|x| {
        let fresh = Tensor::<2>::ones([3, 2], &x.device());
        let slope = betty_runtime::gradient(x.clone().matmul(fresh.clone()).square(), fresh.clone());
        forward(Param::from_tensor(fresh - slope * 0.1), x)
    });
    assert!(matches!(error, TraceError::ComputedParameter { .. }), "{error}");
    // And what to do instead.
    let parameter = parameter();
    let ways: [fn(&One, Tensor<2>) -> One; 2] =
        [|_, x| Param::initialized(ParamId::new(), x), |weight, x| weight.clone().map(|_| x)];
    for way in ways {
        let traced = trace("classifier", &AnyBatch::new(()), |tracer| {
            let weight = tracer.module(0, &parameter);
            let x = weight.val();
            forward(way(&weight, x.clone().transpose() * 0.5), x)
        });
        traced.unwrap();
    }
}

#[test]
fn a_tensor_from_elsewhere_is_refused() {
    let (plain, taped) = (Device::flex(), Device::flex().autodiff());
    let parameter = parameter();
    // Kept from another recording.
    let mut kept = None;
    let other = trace("other", &AnyBatch::new(()), |tracer| {
        let x = tracer.module(0, &parameter).val();
        kept = Some(x.clone());
        x.sum()
    });
    assert!(other.is_ok());
    let ones = |device: &Device| Tensor::<2>::ones([2, 3], device);
    for foreign in [ones(&plain), ones(&taped), parameter.val(), kept.unwrap()] {
        let error = refusal(|x| (x * foreign).sum());
        assert!(matches!(error, TraceError::ForeignTensor { .. }), "{error}");
    }
    // Made on the device of an argument it is a constant.
    let made = trace("classifier", &AnyBatch::new(()), |tracer| {
        let x = tracer.module(0, &parameter).val();
        (Tensor::from_floats([[1.0, 2.0, 3.0], [3.0, 4.0, 7.0]], &x.device()) * x).sum()
    });
    assert!(made.is_ok());
}

#[test]
fn moving_devices_is_refused() {
    let error = refusal(|x| x.to_device(&Device::flex()).sum());
    assert!(matches!(error, TraceError::MovesDevice { .. }), "{error}");
}

#[derive(Module, Debug)]
struct Normalised {
    convolution: burn::nn::conv::Conv2d,
    norm: burn::nn::BatchNorm,
    head: burn::nn::Linear,
}

#[test]
fn batch_norm_is_refused_and_stays_as_it_was() {
    let device = Device::flex();
    let module = Normalised {
        convolution: Conv2dConfig::new([1, 2], [2, 2]).init(&device),
        norm: BatchNormConfig::new(2).init(&device),
        head: LinearConfig::new(8, 1).init(&device),
    };
    let numbers = |module: &Normalised| -> Vec<(String, bool, Vec<f64>)> {
        let leaf = |leaf: betty_runtime::trace::Leaf| (leaf.path, leaf.trainable, leaf.value.to_vec().unwrap());
        module.leaves().into_iter().map(leaf).collect()
    };
    let before = numbers(&module);
    assert!(before.iter().any(|(path, ..)| path.contains("running_mean")), "the running statistics are leaves");
    let input = Tensor::<4>::ones([3, 1, 3, 3], &device);
    let result = trace("classifier", &AnyBatch::new(input), |tracer| {
        let module = tracer.module(0, &module);
        let x = module.norm.forward(module.convolution.forward(tracer.batch::<Tensor<4>>()));
        module.head.forward(x.flatten::<2>(1, 3)).mean()
    });
    let error = result.expect_err("Burn's BatchNorm in training mode cannot be traced");
    assert!(matches!(error, TraceError::MovesDevice { .. }), "{error}");
    assert_eq!(before, numbers(&module));
    // Its running statistics can still be read and used.
    let output = module.norm.forward(module.convolution.forward(Tensor::<4>::ones([3, 1, 3, 3], &device)));
    assert!(output.into_data().iter::<f64>().all(f64::is_finite));
}
