//! f16 with numbers that it does not hold: gradients that vanish in it, activations that exceed it.

use betty_runtime::__private::graph::expand_products;
use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Convolution, Graph, Op};
use betty_runtime::{Engine, EngineError, Precision, Stream, multilevel};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::model::{apart, noise, tensor};

type Matrix = Param<Tensor<2>>;

const SIZE: usize = 12;

/// Mean of squares of `x·W − x`, for which `W = 1` is best.
fn misfit(product: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    (product - x).powi_scalar(2).mean()
}

fn tiny(w: &Matrix, _scale: &Matrix, x: Tensor<2>) -> Tensor<1> {
    misfit(x.clone().matmul(w.val()), x) * 1e-9
}

/// The same in f16 as a user would write it with casts.
fn tiny_by_hand(w: &Matrix, _scale: &Matrix, x: Tensor<2>) -> Tensor<1> {
    let product = x.clone().cast(DType::F16).matmul(w.val().cast(DType::F16)).cast(DType::F32);
    misfit(product, x) * 1e-9
}

fn huge(w: &Matrix, _scale: &Matrix, x: Tensor<2>) -> Tensor<1> {
    misfit((x.clone() * 1e6).matmul(w.val()) / 1e6, x)
}

fn huge_by_hand(w: &Matrix, _scale: &Matrix, x: Tensor<2>) -> Tensor<1> {
    let product = (x.clone() * 1e6).cast(DType::F16).matmul(w.val().cast(DType::F16)).cast(DType::F32);
    misfit(product / 1e6, x)
}

fn above(scale: &Matrix, w: &Matrix, x: Tensor<2>) -> Tensor<1> {
    (scale.val() * w.val()).mean() + x.mean()
}

macro_rules! program {
    ($name:ident, $data:ident, $config:ident, $loss:ident, $rate:literal) => {
        multilevel! {
            struct $name;
            level scale: Matrix { lower: [w], batch: Tensor<2>, loss: above, optimizer: sgd(lr = 1e-3) }
            level w: Matrix {
                upper: [scale], batch: Tensor<2>, loss: $loss, optimizer: sgd(lr = $rate), unroll: 50,
                hypergradient: identity,
            }
        }

        impl $name {
            /// The weights after 50 steps, and how far they were from the best before.
            fn trained(precision: Option<Precision>) -> Result<(f64, f64), EngineError> {
                let device = Device::flex();
                let start = Param::from_tensor(tensor([SIZE, SIZE], 3, DType::F32));
                let problem = $name { scale: Param::from_tensor(Tensor::ones([SIZE, SIZE], &device)), w: start };
                let stream = || Stream::constant(tensor::<2>([64, SIZE], 4, DType::F32));
                let mut config = $config::default();
                config.w.precision = precision;
                let gap = |w: &Matrix| {
                    let w: Vec<f64> = w.val().into_data().iter::<f64>().collect();
                    let one: Vec<f64> = (0..SIZE * SIZE).map(|i| f64::from(u8::from(i % (SIZE + 1) == 0))).collect();
                    apart(&w, &one)
                };
                let before = gap(&problem.w);
                let mut engine =
                    Engine::new(problem, $data { scale: stream(), w: stream() }, config)?.unread("w", "scale")?;
                engine.run(1)?;
                Ok((before, gap(&engine.problem().w)))
            }
        }
    };
}

program!(Tiny, TinyData, TinyConfig, tiny, 1e10);
program!(TinyByHand, TinyByHandData, TinyByHandConfig, tiny_by_hand, 1e10);
program!(Huge, HugeData, HugeConfig, huge, 10.0);
program!(HugeByHand, HugeByHandData, HugeByHandConfig, huge_by_hand, 10.0);

#[test]
fn gradients_that_vanish_in_f16_train() {
    let (before, single) = Tiny::trained(None).unwrap();
    let (_, scaled) = Tiny::trained(Some(Precision::F16)).unwrap();
    assert!(single < 0.05 * before, "{before} {single}");
    assert!(scaled < 0.05 * before, "{before} {scaled}");
    // Without scaling every gradient is zero.
    let (_, by_hand) = TinyByHand::trained(None).unwrap();
    assert_eq!(by_hand, before);
}

#[test]
fn activations_beyond_f16_train() {
    let (before, single) = Huge::trained(None).unwrap();
    let (_, scaled) = Huge::trained(Some(Precision::F16)).unwrap();
    assert!(single < 0.05 * before, "{before} {single}");
    assert!(scaled < 0.05 * before, "{before} {scaled}");
    let error = HugeByHand::trained(None).unwrap_err();
    assert!(matches!(error, EngineError::NonFinite { .. }), "{error}");
}

/// `x·y` in f16 where the largest entries have these sizes.
fn product(of_x: f64, of_y: f64, inner: usize) -> (Vec<f64>, Vec<f64>) {
    let mut graph = Graph::new();
    let (x, y) = (graph.input(&[4, inner], DType::F32), graph.input(&[inner, 3], DType::F32));
    let low = graph.push(Op::InType(DType::F16, Box::new(Op::MatMul)), &[x, y]).unwrap();
    let exact = graph.matmul(x, y).unwrap();
    let outputs = expand_products(&mut graph, &[low, exact], &[]).unwrap();
    let value = |size: f64, shape: [usize; 2], seed| {
        let values = noise(shape[0] * shape[1], seed).into_iter().map(|x| (x * size) as f32).collect::<Vec<_>>();
        Value::from_data(TensorData::new(values, shape), &Device::flex())
    };
    let program = Program::new(&graph, &[x, y], &outputs, &Device::flex());
    let found = program.run([value(of_x, [4, inner], 1), value(of_y, [inner, 3], 2)], 0);
    (found[0].to_vec().unwrap(), found[1].to_vec().unwrap())
}

#[test]
fn a_product_holds_at_every_size() {
    for (of_x, of_y) in [(1.0, 1.0), (1e-20, 1e-10), (1e20, 1e10), (1e-30, 1e30), (1e-33, 1e20)] {
        for inner in [1, 7, 4096] {
            let (low, exact) = product(of_x, of_y, inner);
            let difference = apart(&low, &exact);
            // Three roundings by up to 2⁻¹¹.
            assert!(difference <= 1e-3, "{of_x:e} {of_y:e} {inner}: {difference:.1e}");
        }
    }
}

#[test]
fn the_largest_sums_that_can_be_do_not_overflow() {
    let geometry = Convolution { stride: vec![1, 1], padding: vec![(1, 1), (1, 1)], dilation: vec![1, 1], groups: 2 };
    let (x, w) = (vec![8, 16, 12, 12], vec![20, 8, 3, 3]);
    let c = vec![8, 20, 12, 12];
    let products = [
        (Op::MatMul, vec![2, 5000], vec![5000, 2]),
        (Op::Conv(geometry.clone()), x.clone(), w.clone()),
        (Op::ConvInput(geometry.clone(), x.clone()), w.clone(), c.clone()),
        (Op::ConvWeight(geometry, w), x, c),
    ];
    for (product, left, right) in products {
        let mut graph = Graph::new();
        let (x, y) = (graph.input(&left, DType::F32), graph.input(&right, DType::F32));
        let low = graph.push(Op::InType(DType::F16, Box::new(product.clone())), &[x, y]).unwrap();
        let exact = graph.push(product.clone(), &[x, y]).unwrap();
        // Every term is as large as the largest, and has its sign.
        let value = |shape: &[usize], size: f32| {
            let values = vec![size; shape.iter().product()];
            Value::from_data(TensorData::new(values, shape.to_vec()), &Device::flex())
        };
        let program = Program::new(&graph, &[x, y], &[low, exact], &Device::flex());
        let found = program.run([value(&left, 3e5), value(&right, 7e-9)], 0);
        let difference = apart(&found[0].to_vec().unwrap(), &found[1].to_vec().unwrap());
        // Three roundings by up to 2⁻¹¹, to one side here.
        assert!(difference <= 1.5e-3, "{}: {difference:.1e}", product.name());
    }
}

#[test]
fn nothing_and_what_is_not_finite_stay_what_they_are() {
    let (low, exact) = product(0.0, 1.0, 5);
    assert_eq!(low, exact);
    for value in [f64::NAN, f64::INFINITY] {
        let (low, _) = product(value, 1.0, 5);
        assert!(low.iter().any(|x| !x.is_finite()), "{low:?}");
    }
    let (low, exact) = product(1.0, 1.0, 0);
    assert_eq!(low, exact);
}
