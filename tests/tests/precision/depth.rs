//! A chain of three levels, each in a type of its own: one Lagrangian holds products of several types.

use betty_runtime::{Engine, Precision, ProgramConfig, Stream, multilevel};
use burn::module::Param;
use burn::tensor::{DType, Tensor};

use crate::model::{apart, tensor};

type Matrix = Param<Tensor<2>>;
type Data = Tensor<2>;

const SIZE: usize = 6;

/// `½‖y − tanh(A·x)‖² + ¼ Σ (A·y)²`
fn bottom(y: &Matrix, x: &Matrix, a: Data) -> Tensor<1> {
    let gap = y.val() - a.clone().matmul(x.val()).tanh();
    gap.powi_scalar(2).sum() * 0.5 + a.matmul(y.val()).powi_scalar(2).sum() * 0.25
}

/// `½‖x − λ·A‖² + Σ log cosh(A·y) + ¼‖x‖²`
fn middle(x: &Matrix, lambda: &Matrix, y: &Matrix, a: Data) -> Tensor<1> {
    let gap = x.val() - lambda.val().matmul(a.clone());
    let product = a.matmul(y.val());
    gap.powi_scalar(2).sum() * 0.5 + product.cosh().log().sum() * 0.2 + x.val().powi_scalar(2).sum() * 0.25
}

fn top(lambda: &Matrix, x: &Matrix, y: &Matrix, a: Data) -> Tensor<1> {
    let gap = x.val().matmul(a.clone()) - y.val();
    (gap - a).powi_scalar(2).sum() + lambda.val().powi_scalar(2).sum() * 0.1
}

multilevel! {
    struct Chain;
    level lambda: Matrix { lower: [x, y], batch: Data, loss: top, optimizer: sgd(lr = 0.01) }
    level x: Matrix {
        upper: [lambda], lower: [y], batch: Data, loss: middle, optimizer: sgd(lr = 0.2), unroll: 10,
        hypergradient: cg(iterations = 40),
    }
    level y: Matrix {
        upper: [x], batch: Data, loss: bottom, optimizer: sgd(lr = 0.3), unroll: 10, hypergradient: cg(iterations = 40),
    }
}

/// A program that has taken some steps, with the levels in these types.
fn engine(dtype: DType, precisions: [Option<Precision>; 3], methods: [&str; 2]) -> Engine<Chain> {
    let [x, y] = methods;
    let text = format!(r#"{{ "x": {{ "hypergradient": {x} }}, "y": {{ "hypergradient": {y} }} }}"#);
    let mut config = ChainConfig::from_json(&text).unwrap();
    for (level, precision) in config.levels_mut().into_iter().zip(precisions) {
        level.precision = precision;
    }
    let matrix = |seed| Param::from_tensor(tensor([SIZE, SIZE], seed, dtype));
    let problem = Chain { lambda: matrix(1), x: matrix(2), y: matrix(3) };
    let stream = || Stream::constant(tensor::<2>([SIZE, SIZE], 4, dtype) / (SIZE as f64).sqrt());
    let mut engine = Engine::new(problem, ChainData { lambda: stream(), x: stream(), y: stream() }, config).unwrap();
    engine.run(1).unwrap();
    engine
}

/// The total gradient of the uppermost level.
fn hypergradient(dtype: DType, precisions: [Option<Precision>; 3], methods: [&str; 2]) -> Vec<f64> {
    engine(dtype, precisions, methods).gradient("lambda").unwrap().gradient.to_vec().unwrap()
}

const CG: &str = r#"{ "method": "cg", "iterations": 40, "tolerance": 1e-3 }"#;
const NEUMANN: &str = r#"{ "method": "neumann", "terms": 20, "step_size": 0.3 }"#;
const UNROLLED: &str = r#"{ "method": "unrolled" }"#;

#[test]
fn levels_of_different_types_nest() {
    let (bf16, f16) = (Some(Precision::Bf16), Some(Precision::F16));
    for methods in [[CG, CG], [NEUMANN, CG], [UNROLLED, CG], [UNROLLED, UNROLLED]] {
        let truth = hypergradient(DType::F64, [None; 3], methods);
        // The coarsest type decides, by a few of its roundings.
        for (precisions, tolerance) in [
            ([None, None, bf16], 1e-2),
            ([None, f16, bf16], 1e-2),
            ([bf16, bf16, f16], 1e-2),
            ([f16, f16, f16], 1.5e-3),
        ] {
            let found = hypergradient(DType::F32, precisions, methods);
            let difference = apart(&found, &truth);
            assert!(difference <= tolerance, "{precisions:?}, {methods:?}: {difference:.1e}");
        }
    }
}

#[test]
fn single_precision_for_doubles_is_as_good_as_single_precision() {
    let truth = hypergradient(DType::F64, [None; 3], [NEUMANN, NEUMANN]);
    let found = hypergradient(DType::F64, [Some(Precision::F32); 3], [NEUMANN, NEUMANN]);
    let difference = apart(&found, &truth);
    assert!((1e-9..=1e-5).contains(&difference), "{difference:.1e}");
}

#[test]
fn verification_of_a_hypergradient_tells_what_rounding_loses() {
    const DENSE: &str = r#"{ "method": "dense" }"#;
    let check = |precision| {
        let mut engine = engine(DType::F32, [precision; 3], [DENSE, DENSE]);
        let before = engine.gradient("lambda").unwrap();
        let check = engine.verify_hypergradient("lambda").unwrap();
        // The engine goes on as before.
        assert_eq!(engine.gradient("lambda").unwrap().loss, before.loss);
        check
    };
    // The reference is the method itself.
    let single = check(None);
    assert_eq!(single.relative_error, 0.0, "{single}");
    for (precision, least, most) in [(Precision::Bf16, 2e-4, 1e-2), (Precision::F16, 2e-5, 1.5e-3)] {
        let low = check(Some(precision));
        assert!((least..=most).contains(&low.relative_error), "{low}");
    }
}
