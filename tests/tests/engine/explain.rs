//! What an iteration takes, counted before it runs.

use betty_runtime::{Engine, Stream, multilevel};
use burn::module::Param;
use burn::tensor::{Device, Tensor};

use crate::problem::{engine, logits};

type Matrix = Param<Tensor<2>>;

/// `½‖A·B‖²` for the batch's `A` of 8×16 and parameters of 16×4.
fn product(b: &Matrix, _scale: &Param<Tensor<1>>, a: Tensor<2>) -> Tensor<1> {
    let product = a.matmul(b.val());
    (product.clone() * product).sum() * 0.5
}

fn outer(scale: &Param<Tensor<1>>, _b: &Matrix, a: Tensor<2>) -> Tensor<1> {
    (scale.val() * a.sum()).sum()
}

multilevel! {
    struct Products;
    level scale: Param<Tensor<1>> { lower: [b], batch: Tensor<2>, loss: outer, optimizer: sgd(lr = 0.1), tasks: 2 }
    level b: Matrix {
        upper: [scale], batch: Tensor<2>, loss: product, optimizer: sgd(lr = 0.1), unroll: 3,
        hypergradient: cg(iterations = 7),
    }
}

/// Neither loss reads the other level, so that products alone are counted.
fn apart(engine: Engine<Products>) -> Engine<Products> {
    engine.unread("scale", "b").unwrap().unread("b", "scale").unwrap()
}

#[test]
fn operations_are_those_of_the_matrix_products() {
    let device = Device::flex();
    let problem = Products {
        scale: Param::from_tensor(Tensor::ones([1], &device)),
        b: Param::from_tensor(Tensor::ones([16, 4], &device)),
    };
    let stream = || Stream::constant(Tensor::<2>::ones([8, 16], &device));
    let data = ProductsData { scale: stream(), b: stream() };
    let explained = apart(Engine::new(problem, data, ProductsConfig::default()).unwrap()).explain().unwrap();
    let [scale, b] = explained.levels.as_slice() else { panic!("two levels") };
    // Two tasks, each after three steps of the lower level.
    assert_eq!((scale.steps, b.steps, b.parameters), (1, 6, 64));
    // A·B and Aᵀ·(A·B), with a few passes over 64 numbers around them.
    let multiplications = 2.0 * 2.0 * (8 * 16 * 4) as f64;
    let around = b.step.operations - multiplications;
    assert!(around > 0.0 && around < 64.0 * 12.0, "{explained}");
    let response = &scale.responses[0];
    assert_eq!((response.through, response.method, response.products), ("b", "cg", Some(7)));
    // Each product with AᵀA, twice for two tasks.
    assert!(response.cost.operations > 2.0 * 7.0 * multiplications, "{explained}");
    // And the mean of both.
    assert!(scale.reads == 2 * (2 + 1) + 1 && b.reads == 1, "{explained}");
    let text = explained.to_string();
    assert!(text.contains("b: 6 steps of 64 parameters") && text.contains("at most 7 products"), "{text}");
}

#[test]
fn a_penalty_takes_gradients_only() {
    let device = Device::flex();
    let problem = Products {
        scale: Param::from_tensor(Tensor::ones([1], &device)),
        b: Param::from_tensor(Tensor::ones([16, 4], &device)),
    };
    let stream = || Stream::constant(Tensor::<2>::ones([8, 16], &device));
    let data = ProductsData { scale: stream(), b: stream() };
    let mut config = ProductsConfig::default();
    config.b.hypergradient = Some(serde_json::from_str(r#"{"method": "penalty", "steps": 7}"#).unwrap());
    let explained = apart(Engine::new(problem, data, config).unwrap()).explain().unwrap();
    let response = &explained.levels[0].responses[0];
    assert_eq!((response.method, response.products), ("penalty", Some(7)));
    // A·B and Aᵀ·(A·B) at B itself and at seven points beside it, for two tasks; the scale is not in this loss.
    let multiplications = 2.0 * 8.0 * 2.0 * (2.0 * (8 * 16 * 4) as f64);
    let around = response.cost.operations - multiplications;
    assert!(around > 0.0 && around < 0.25 * multiplications, "{explained}");
}

#[test]
fn looking_ahead_changes_nothing() {
    let mut looked = engine(0.3);
    let explained = looked.explain().unwrap();
    assert_eq!(explained.levels.iter().map(|level| level.steps).collect::<Vec<_>>(), [1, 3]);
    let report = looked.run(3).unwrap();
    let mut plain = engine(0.3);
    assert_eq!(plain.run(3).unwrap().levels, report.levels);
    assert_eq!(logits(looked.problem()), logits(plain.problem()));
}
