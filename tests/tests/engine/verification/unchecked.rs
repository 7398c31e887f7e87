//! What cannot be compared is a state of its own: it is told, tried again, and not passed over.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{Engine, EngineError, Event, Stream, Unverified, multilevel};
use burn::module::Param;
use burn::tensor::{Device, Tensor};

type Vector = Param<Tensor<1>>;

/// The root of zero has no derivative: that of the upper numbers does not exist, and the method below does not need it.
fn rootless(lower: &Vector, upper: &Vector, _zeros: Tensor<1>) -> Tensor<1> {
    let nothing = (upper.val() - upper.val() * 1.0).abs().sqrt().sum();
    (lower.val() - upper.val()).square().sum() + nothing
}

fn top(upper: &Vector, lower: &Vector, _zeros: Tensor<1>) -> Tensor<1> {
    (lower.val() - 1.0).square().sum() + upper.val().square().sum()
}

multilevel! {
    struct Unseen;
    level upper: Vector { lower: [lower], batch: Tensor<1>, loss: top, optimizer: sgd(lr = 0.01) }
    level lower: Vector {
        upper: [upper], batch: Tensor<1>, loss: rootless, optimizer: sgd(lr = 0.1),
        hypergradient: evolution(pairs = 2, sigma = 0.1),
    }
}

fn parameter() -> Vector {
    Param::from_tensor(Tensor::from_floats([0.5, -1.0, 2.0], &Device::flex()))
}

fn engine() -> Engine<Unseen> {
    let zeros = || Stream::constant(Tensor::<1>::zeros([3], &Device::flex()));
    let problem = Unseen { upper: parameter(), lower: parameter() };
    Engine::new(problem, UnseenData { upper: zeros(), lower: zeros() }, UnseenConfig::default()).unwrap()
}

#[test]
fn a_gradient_that_is_not_finite_is_told_and_not_passed_over() {
    let told = Rc::new(RefCell::new(Vec::new()));
    let tell = Rc::clone(&told);
    let mut engine = engine().observe(move |event| {
        if let Event::Unverified { name, tries, .. } = event {
            tell.borrow_mut().push(((*name).to_owned(), *tries));
        }
    });
    let error = engine.run(100).unwrap_err();
    assert!(
        matches!(&error, EngineError::Unverified { level, tries: 5, source: Unverified::NotFinite, .. } if level == "lower"),
        "{error}"
    );
    assert!(error.to_string().contains("allow_unverified"), "{error}");
    assert_eq!(*told.borrow(), [1, 2, 3, 4].map(|tries| ("lower".to_owned(), tries)));
    // A later run does not forget.
    assert!(matches!(engine.run(1), Err(EngineError::Unverified { .. })));
    // Who allows it goes on from there.
    engine.allow_unverified(true).run(100).unwrap();
}

#[test]
fn it_may_be_allowed_from_the_start() {
    engine().allow_unverified(true).run(100).unwrap();
    engine().verification(false).run(100).unwrap();
}

/// Knows how many examples it is given.
fn fixed(lower: &Vector, upper: &Vector, x: Tensor<1>) -> Tensor<1> {
    (x.reshape([20, 3]).matmul((lower.val() - upper.val()).reshape([3, 1]))).square().mean()
}

multilevel! {
    struct Fixed;
    level upper: Vector { lower: [lower], batch: Tensor<1>, loss: top, optimizer: sgd(lr = 0.01) }
    level lower: Vector {
        upper: [upper], batch: Tensor<1>, loss: fixed, optimizer: sgd(lr = 0.1),
        hypergradient: identity(scale = 0.1),
    }
}

#[test]
fn what_is_too_large_and_cannot_be_cut_is_named_with_both_sizes() {
    let engine = |memory: usize| {
        let x = || Stream::constant(Tensor::<1>::ones([60], &Device::flex()));
        let problem = Fixed { upper: parameter(), lower: parameter() };
        let data = FixedData { upper: x(), lower: x() };
        Engine::new(problem, data, FixedConfig::default()).unwrap().verification_memory(memory)
    };
    let error = engine(600).run(100).unwrap_err();
    let EngineError::Unverified { source: Unverified::TooLarge { needed, allowed: 600, cut: Some(_), .. }, .. } =
        &error
    else {
        panic!("{error}")
    };
    assert!(error.to_string().contains("verification_memory"), "{error}");
    engine(*needed).run(100).unwrap();
}
