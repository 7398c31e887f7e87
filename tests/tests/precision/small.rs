//! Small levels in 16 bits, where little averages rounding out: a head of ten weights, and parameters that are 16-bit floats themselves.

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::model::{apart, noise, tensor};

type Examples = (Tensor<2>, Tensor<2>);
type Matrix = Param<Tensor<2>>;
type Vector = Param<Tensor<1>>;

fn fitted(head: &Matrix, penalty: &Vector, (x, y): Examples) -> Tensor<1> {
    (x.matmul(head.val()) - y).powi_scalar(2).mean()
        + (penalty.val().exp() * head.val().powi_scalar(2).sum()).mean() * 0.01
}

fn held_out(_penalty: &Vector, head: &Matrix, (x, y): Examples) -> Tensor<1> {
    (x.matmul(head.val()) - y).powi_scalar(2).mean()
}

multilevel! {
    struct Head;
    level penalty: Vector { lower: [head], batch: Examples, loss: held_out, optimizer: sgd(lr = 0.1) }
    level head: Matrix {
        upper: [penalty], batch: Examples, loss: fitted, optimizer: sgd(lr = 0.1), unroll: 3,
        hypergradient: nystrom(rank = 10, damping = 0.1),
    }
}

/// The hypergradient of the penalty, for data of this seed.
fn of_penalty(seed: u64, level: &str) -> f64 {
    let config = HeadConfig::from_json(&format!(r#"{{ "head": {level} }}"#)).unwrap();
    let problem = Head {
        penalty: Param::from_tensor(Tensor::zeros([1], &Device::flex())),
        head: Param::from_tensor(tensor([10, 1], seed, DType::F32)),
    };
    let examples = |seed: u64| (tensor([40, 10], seed, DType::F32), tensor([40, 1], seed + 1, DType::F32));
    let data =
        HeadData { penalty: Stream::constant(examples(seed + 100)), head: Stream::constant(examples(seed + 200)) };
    let mut engine = Engine::new(problem, data, config).unwrap();
    engine.run(1).unwrap();
    engine.gradient("penalty").unwrap().gradient.to_vec().unwrap()[0]
}

#[test]
fn a_head_is_sketched_in_16_bits() {
    let methods = [
        r#""hypergradient": { "method": "nystrom", "rank": 10, "damping": 0.1 }"#,
        r#""preconditioner": { "name": "nystrom", "rank": 5 }, "hypergradient": { "method": "cg", "damping": 0.1 }"#,
    ];
    for method in methods {
        for seed in 0..8 {
            let truth = of_penalty(seed, &format!("{{ {method} }}"));
            for (precision, tolerance) in [("bf16", 5e-2), ("f16", 5e-3)] {
                let found = of_penalty(seed, &format!(r#"{{ {method}, "precision": "{precision}" }}"#));
                let difference = (found - truth).abs() / truth.abs();
                assert!(difference <= tolerance, "{method} {precision} {seed}: {difference:.1e}");
            }
        }
    }
}

fn curved(theta: &Vector, lambda: &Vector, _: Tensor<1>) -> Tensor<1> {
    (lambda.val() * theta.val().powi_scalar(2)).sum() * 0.5
}

fn length(_lambda: &Vector, theta: &Vector, _: Tensor<1>) -> Tensor<1> {
    theta.val().powi_scalar(2).sum() * 0.5
}

multilevel! {
    struct Curved;
    level lambda: Vector { lower: [theta], batch: Tensor<1>, loss: length, optimizer: sgd(lr = 0.1) }
    level theta: Vector {
        upper: [lambda], batch: Tensor<1>, loss: curved, optimizer: sgd(lr = 0.125), hypergradient: finite_difference,
    }
}

#[test]
fn quotients_of_16_bit_parameters_are_none_of_roundings() {
    // The cotangent is θ and the mixed product θ times it, so that the hypergradient is −θ², and times the rate for `sama`.
    for (method, factor) in [("finite_difference", 1.0), ("sama", 0.125)] {
        for (dtype, tolerance) in [(DType::BF16, 0.1), (DType::F16, 0.03), (DType::F32, 1e-3)] {
            for count in [10, 100, 1000] {
                let parameter = |values: Vec<f64>| {
                    Param::from_tensor(Tensor::<1>::from_data(
                        TensorData::new(values, [count]),
                        (&Device::flex(), dtype),
                    ))
                };
                let lambda = noise(count, 5).iter().map(|x| 1.0 + x.abs()).collect();
                let problem = Curved { lambda: parameter(lambda), theta: parameter(noise(count, 7)) };
                let stream = || Stream::constant(Tensor::<1>::zeros([1], (&Device::flex(), dtype)));
                let json = format!(
                    r#"{{ "lambda": {{ "optimizer": {{ "lr": 1e-9 }} }}, "theta": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#
                );
                let data = CurvedData { lambda: stream(), theta: stream() };
                let mut engine = Engine::new(problem, data, CurvedConfig::from_json(&json).unwrap()).unwrap();
                engine.run(1).unwrap();
                let found = engine.gradient("lambda").unwrap().gradient.to_vec().unwrap();
                let theta: Vec<f64> = engine.problem().theta.val().into_data().iter::<f64>().collect();
                let expected: Vec<f64> = theta.iter().map(|x| -factor * x * x).collect();
                let difference = apart(&found, &expected);
                assert!(difference <= tolerance, "{method} {dtype:?} {count}: {difference:.1e}");
            }
        }
    }
}

fn pushed(theta: &Vector, lambda: &Vector, _: Tensor<1>) -> Tensor<1> {
    (theta.val() * lambda.val()).sum().neg()
}

fn sum(_lambda: &Vector, theta: &Vector, _: Tensor<1>) -> Tensor<1> {
    theta.val().sum()
}

multilevel! {
    struct Pushed;
    level lambda: Vector { lower: [theta], batch: Tensor<1>, loss: sum, optimizer: sgd(lr = 1.0) }
    level theta: Vector {
        upper: [lambda], batch: Tensor<1>, loss: pushed, optimizer: sgd(lr = 1.0), hypergradient: unrolled,
    }
}

multilevel! {
    struct Tasked;
    level lambda: Vector { lower: [theta], batch: Tensor<1>, loss: sum, optimizer: sgd(lr = 1.0), tasks: 2, vectorize: true }
    level theta: Vector {
        upper: [lambda], batch: Tensor<1>, loss: pushed, optimizer: sgd(lr = 1.0), hypergradient: unrolled,
        start: initial,
    }
}

/// Both parameters after an iteration from these, of one task and of the last of two.
fn pushed_from(lambda: f64, config: &str, dtype: DType) -> [(f64, f64); 2] {
    let parameter =
        |x: f64| Param::from_tensor(Tensor::<1>::from_data(TensorData::new(vec![x], [1]), (&Device::flex(), dtype)));
    let stream = || Stream::constant(Tensor::<1>::zeros([1], (&Device::flex(), dtype)));
    let value = |of: &Vector| of.val().into_data().iter::<f64>().next().unwrap();
    macro_rules! after {
        ($problem:ident, $data:ident, $config:ident) => {{
            let problem = $problem { lambda: parameter(lambda), theta: parameter(0.0) };
            let data = $data { lambda: stream(), theta: stream() };
            let mut engine = Engine::new(problem, data, $config::from_json(config).unwrap()).unwrap();
            engine.run(1).unwrap();
            (value(&engine.problem().lambda), value(&engine.problem().theta))
        }};
    }
    [after!(Pushed, PushedData, PushedConfig), after!(Tasked, TaskedData, TaskedConfig)]
}

/// In 16 bits a sum of ones stands still at 256 or 2048, and in f16 none is above 65504.
#[test]
fn sums_of_many_gradients_do_not_stand_still() {
    for dtype in [DType::BF16, DType::F16, DType::F32] {
        for (_, theta) in pushed_from(1.0, r#"{ "theta": { "accumulate": 4096 } }"#, dtype) {
            assert_eq!(theta, 1.0, "{dtype:?}");
        }
        for (_, theta) in pushed_from(128.0, r#"{ "theta": { "accumulate": 1024 } }"#, dtype) {
            assert_eq!(theta, 128.0, "{dtype:?}");
        }
        // Each of 600 steps has the derivative 1 in λ.
        for (lambda, _) in pushed_from(0.0, r#"{ "theta": { "unroll": 600 } }"#, dtype) {
            assert_eq!(lambda, -600.0, "{dtype:?}");
        }
    }
}
