//! Tensors that a module holds as plain fields: read like any constant, wherever in the module they are.

use betty_runtime::trace::{AnyBatch, LevelModule, LossInput, trace};
use burn::module::{Module, Param};
use burn::nn::loss::{BinaryCrossEntropyLoss, BinaryCrossEntropyLossConfig, CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{
    Dropout, DropoutConfig, Linear, LinearConfig, PositionalEncoding, PositionalEncodingConfig, RotaryEncoding,
    RotaryEncodingConfig,
};
use burn::tensor::{Bool, DType, Device, Int, Tensor};

use crate::models::drawn;
use crate::whole::{EXACT, Tolerances, compare};

/// Burn's own constants are in single precision.
const SINGLE: Tolerances =
    Tolerances { recorded: Some(1e-5), eager: Some(1e-5), differences: Some(1e-6), step: 1e-3, widened: true };

fn flex() -> Device {
    Device::flex()
}

fn wave<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let count = shape.iter().product::<usize>() as i64;
    (Tensor::<1, Int>::arange(0..count, &flex()).float() * 0.7).sin().reshape(shape)
}

#[derive(Module, Debug)]
struct With<C> {
    code: C,
    out: Linear,
}

fn with<C: Module + burn::module::ModuleDisplay>(code: C, inputs: usize, outputs: usize) -> With<C> {
    drawn(With { code, out: LinearConfig::new(inputs, outputs).init(&flex()) }, DType::F32)
}

#[test]
fn encodings_of_positions() {
    let sinusoids = with(PositionalEncodingConfig::new(4).with_max_sequence_size(8).init(&flex()), 4, 2);
    compare("positional", &sinusoids, &wave([2, 3, 4]), SINGLE, |m: &With<PositionalEncoding>, x: Tensor<3>| {
        m.out.forward(m.code.forward(x.tanh())).tanh().mean()
    });
    let rotary = with(RotaryEncodingConfig::new(8, 4).init(&flex()), 4, 4);
    compare("rotary", &rotary, &wave([2, 2, 3, 4]), SINGLE, |m: &With<RotaryEncoding>, x: Tensor<4>| {
        m.code.forward(m.out.forward(x)).tanh().mean()
    });
}

#[test]
fn weights_of_classes() {
    let labels = Tensor::<1, Int>::from_ints([0, 2, 1, 2], &flex());
    for smoothing in [None, Some(0.1)] {
        let loss = CrossEntropyLossConfig::new().with_weights(Some(vec![0.5, 2.0, 3.0])).with_smoothing(smoothing);
        let classes = with(loss.init(&flex()), 3, 3);
        compare(
            "cross entropy",
            &classes,
            &(wave([4, 3]), labels.clone()),
            SINGLE,
            |m: &With<CrossEntropyLoss>, (x, y)| m.code.forward(m.out.forward(x), y),
        );
    }
    let loss = BinaryCrossEntropyLossConfig::new().with_weights(Some(vec![0.5, 2.0])).with_logits(true).init(&flex());
    let labels = Tensor::<2, Int>::from_ints([[0, 1], [1, 1]], &flex());
    compare(
        "binary",
        &with(loss, 3, 2),
        &(wave([2, 3]), labels),
        SINGLE,
        |m: &With<BinaryCrossEntropyLoss>, (x, y)| m.code.forward(m.out.forward(x), y),
    );
}

/// Everything that a field can be.
#[derive(Module, Debug)]
struct Own {
    scale: Tensor<1>,
    weight: Param<Tensor<1>>,
    chosen: Tensor<1, Int>,
    nested: Vec<Nested>,
    present: Option<Tensor<2>>,
    absent: Option<Tensor<2>>,
    pair: (Tensor<1>, Param<Tensor<1>>),
    dropout: Dropout,
    either: Either,
}

#[derive(Module, Debug)]
struct Nested {
    mask: Tensor<1, Bool>,
    list: [Tensor<1>; 2],
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a test")]
enum Either {
    Constant(Tensor<1>),
    #[allow(dead_code, reason = "the other one")]
    Parameter(Param<Tensor<1>>),
}

fn doubles(values: &[f64]) -> Tensor<1> {
    Tensor::from_data(burn::tensor::TensorData::new(values.to_vec(), [values.len()]), (&flex(), DType::F64))
}

fn own() -> Own {
    let nested = |mask: [bool; 3]| Nested {
        mask: Tensor::<1, Bool>::from_data(mask, &flex()),
        list: [doubles(&[0.1, 0.2, -0.3]), doubles(&[1.5, -0.5, 0.25])],
    };
    Own {
        scale: doubles(&[0.5, -1.0, 2.0]),
        weight: Param::from_tensor(doubles(&[0.3, 0.7, -0.2])),
        chosen: Tensor::<1, Int>::from_ints([2, 0, 2], &flex()),
        nested: vec![nested([true, false, false]), nested([false, true, false])],
        present: Some(doubles(&[0.9, 0.8, 0.7]).unsqueeze()),
        absent: None,
        pair: (doubles(&[0.4, 0.4, 1.0]), Param::from_tensor(doubles(&[1.0, 2.0, 3.0]))),
        dropout: DropoutConfig::new(0.0).init(),
        either: Either::Constant(doubles(&[-0.6, 0.6, 0.1])),
    }
}

fn all(m: &Own, x: Tensor<1>) -> Tensor<1> {
    let mut h = (m.weight.val() * m.scale.clone() + x).select(0, m.chosen.clone());
    for nested in &m.nested {
        let [first, second] = nested.list.clone();
        h = (h * second + first.clone()).mask_where(nested.mask.clone(), first * m.pair.1.val());
    }
    let Either::Constant(shift) = &m.either else { unreachable!() };
    let present: Tensor<1> = m.present.clone().unwrap().squeeze();
    let joined = Tensor::cat(vec![m.pair.0.clone(), m.dropout.forward(h.clone() * present)], 0);
    assert!(m.absent.is_none());
    // A constant of a constant, and what is made on the device of one.
    let device = m.scale.device();
    let made = Tensor::<1>::from_data([0.25, 0.5, 0.75], (&device, DType::F64)) * m.scale.clone().exp();
    (joined.tanh().sum() + ((h + shift.clone()) * made).sin().sum()) * m.scale.clone().sum()
}

#[test]
fn fields_of_every_kind() {
    let module = own();
    assert_eq!(module.constants(&flex()).unwrap().len(), 11);
    assert_eq!(module.leaves().len(), 2);
    compare("own", &module, &doubles(&[0.2, -0.4, 0.9]), EXACT, all);
}

/// Also where the module is on an autodiff device already, and its flags stay what they were.
#[test]
fn a_module_that_is_training() {
    let x = doubles(&[0.2, -0.4, 0.9]);
    let plain = compare("plain", &own(), &x, EXACT, all);
    // Burn's eager autodiff is compared with the module that is not training yet.
    let recorded = Tolerances { eager: None, ..EXACT };
    for module in [own().train(), own().train().valid(), own().freeze().unfreeze()] {
        assert_eq!(compare("training", &module, &x, recorded, all), plain);
    }
    let with_dropout = |training: bool| {
        let dropout = DropoutConfig::new(0.5).init();
        let module = Own { dropout: if training { dropout } else { dropout.valid() }, ..own() };
        let traced = trace("net", &AnyBatch::new(x.clone()), |tracer| all(&tracer.module(0, &module), tracer.batch()));
        traced.unwrap().operations.iter().any(|name| name.contains("Random"))
    };
    assert_eq!((with_dropout(true), with_dropout(false)), (true, false));
}

/// Several recordings, batches of several shapes: the constants are inputs, of which there is one on the device.
#[test]
fn they_are_inputs_of_the_graph() {
    let module = own();
    let traced =
        trace("net", &AnyBatch::new(doubles(&[1.0; 3])), |tracer| all(&tracer.module(4, &module), tracer.batch()))
            .unwrap();
    let constants = traced.inputs.iter().filter(|(source, _)| matches!(source, LossInput::Constant { level: 4, .. }));
    let shapes: Vec<Vec<usize>> = constants.map(|&(_, node)| traced.graph.shape(node).to_vec()).collect();
    let expected: Vec<Vec<usize>> = module.constants(&flex()).unwrap().iter().map(|value| value.shape()).collect();
    assert_eq!(shapes, expected);
    // What is left is what the loss made by itself.
    assert_eq!(traced.graph.literals().len(), 1);
}
