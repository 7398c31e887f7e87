//! Mistakes, each told with its remedy.

use betty_runtime::trace::TraceError;
use betty_runtime::{Derivatives, DerivativesError, Unverified, output, stop_gradient};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Tensor};

use crate::models::{Mlp, hidden_layer};
use crate::reference::{device, drawn, random, tensor};

fn linear(from: usize, to: usize) -> Linear {
    drawn(LinearConfig::new(from, to).init(&device()), 1)
}

fn refused<T>(result: Result<T, DerivativesError>) -> (DerivativesError, String) {
    let error = result.map(drop).unwrap_err();
    let text = error.to_string();
    (error, text)
}

#[test]
fn a_hidden_detach_is_found_and_a_visible_one_is_not_wrong() {
    let (model, x) = (linear(3, 2), random([4, 3], 1));
    let detached = |model: &Linear, x: Tensor<2>| {
        let out = model.forward(x);
        (out.clone() * out.detach()).mean()
    };
    let mut derivatives = Derivatives::of(detached, &model, &x).unwrap();
    let (error, text) = refused(derivatives.gradient());
    assert!(matches!(error, DerivativesError::Verification { ref parameter, .. } if parameter == "bias"), "{text}");
    assert!(text.contains("use `betty_runtime::stop_gradient` instead"), "{text}");
    // Whatever is asked for; and allowing what could not be compared allows nothing that is wrong.
    assert!(matches!(derivatives.allow_unverified().hessian().map(drop), Err(DerivativesError::Verification { .. })));
    let stopped = |model: &Linear, x: Tensor<2>| {
        let out = model.forward(x);
        (out.clone() * stop_gradient(out)).mean()
    };
    Derivatives::of(stopped, &model, &x).unwrap().gradient().unwrap();
}

#[test]
fn a_loss_that_cannot_be_recorded_says_why_without_a_level() {
    let (model, x) = (linear(3, 2), random([4, 3], 1));
    let outside = random([4, 2], 2);
    let (error, text) =
        refused(Derivatives::of(|m: &Linear, x: Tensor<2>| (m.forward(x) - outside.clone()).mean(), &model, &x));
    assert!(matches!(error, DerivativesError::Trace(TraceError::ForeignTensor { .. })));
    assert!(
        text.starts_with("the loss uses a tensor in `sub` (at ")
            && text.contains("that is neither part of a module nor of the batch; put it"),
        "{text}"
    );
    let (_, text) =
        refused(Derivatives::of(|m: &Linear, x: Tensor<2>| m.forward(x).sum_dim(1).flatten(0, 1), &model, &x));
    assert_eq!(text, "the loss has shape [4], but a loss is one number: take its mean or sum");
    let (_, text) = refused(Derivatives::of(|_: &Linear, x: Tensor<2>| x.mean(), &model, &x));
    assert!(text.starts_with("the loss does not depend on the parameters of the module"), "{text}");
    let (error, text) =
        refused(Derivatives::of(|m: &Linear, x: Tensor<2>| m.forward(x).greater_elem(0.0).float().mean(), &model, &x));
    assert!(
        matches!(error, DerivativesError::Trace(TraceError::NoDerivative { .. } | TraceError::Disconnected { .. })),
        "{text}"
    );
}

#[test]
fn another_module_is_refused_and_the_point_stays() {
    let x = random([4, 3], 1);
    let loss = |layers: &Vec<Linear>, x: Tensor<2>| layers.iter().fold(x, |x, layer| layer.forward(x)).square().mean();
    let mut derivatives = Derivatives::of(loss, &vec![linear(3, 2)], &x).unwrap();
    let before = derivatives.value().unwrap();
    let (error, text) = refused(derivatives.at(&vec![linear(3, 4)]));
    assert!(matches!(error, DerivativesError::OtherModule { .. }));
    assert!(text.contains("`0.weight` has shape [3, 4]") && text.contains("make a new `Derivatives`"), "{text}");
    let (_, text) = refused(derivatives.at(&vec![linear(3, 2), linear(2, 2)]));
    assert!(text.contains("it has 4 parameters instead of 2"), "{text}");
    let (error, _) = refused(derivatives.at(&vec![linear(3, 2).no_grad()]));
    assert!(matches!(error, DerivativesError::NoParameters | DerivativesError::OtherModule { .. }));
    assert_eq!(derivatives.value().unwrap(), before);
}

#[test]
fn outputs_are_marked_once_and_cotangents_look_like_them() {
    let (model, x) = (linear(3, 2), random([4, 3], 1));
    let twice = |m: &Linear, x: Tensor<2>| (output(m.forward(x.clone())) * output(m.forward(x).tanh())).mean();
    let mut derivatives = Derivatives::of(twice, &model, &x).unwrap();
    let (error, text) = refused(derivatives.output::<2>());
    assert!(matches!(error, DerivativesError::SeveralOutputs { count: 2 }));
    assert!(text.contains("`Tensor::cat`"), "{text}");
    let mut derivatives = Derivatives::of_output(|m: &Linear, x: Tensor<2>| m.forward(x), &model, &x).unwrap();
    let v = derivatives.parameters();
    let (error, text) = refused(derivatives.jvp::<3>(&v));
    assert!(
        matches!(error, DerivativesError::Rank { rank: 3, .. }) && text.contains("ask for one of rank 2"),
        "{text}"
    );
    let (error, _) = refused(derivatives.vjp(random([2, 4], 2)));
    assert!(matches!(error, DerivativesError::OtherOutput { .. }));
    let (error, text) = refused(derivatives.vjp(random([4, 2], 2).cast(DType::F32)));
    assert!(matches!(error, DerivativesError::OtherOutput { .. }) && text.contains("F64"), "{text}");
    let (error, _) = refused(derivatives.jvp::<2>(&betty_runtime::ParameterVector::of(&hidden_layer()).unwrap()));
    assert!(matches!(error, DerivativesError::OtherParameters { .. }));
}

#[test]
fn what_is_not_finite_is_traced_to_where_it_comes_from() {
    let loss = |theta: &Param<Tensor<1>>, x: Tensor<1>| (theta.val().sqrt() * x).sum();
    let (theta, x) = (Param::from_tensor(tensor(&[4.0, 1.0], [2])), tensor(&[1.0, 2.0], [2]));
    let mut derivatives = Derivatives::of(loss, &theta, &x).unwrap();
    assert!((derivatives.value().unwrap() - 4.0).abs() < 1e-15);
    let negative = Param::from_tensor(tensor(&[-4.0, 1.0], [2]));
    let (error, text) = refused(derivatives.at(&negative).unwrap().value());
    assert!(matches!(error, DerivativesError::NotFinite { quantity: "loss", .. }));
    assert!(text.contains("sqrt") && text.contains("keep its operands in range"), "{text}");
    // The square root of zero is finite, its derivative is not.
    let zero = Param::from_tensor(tensor(&[0.0, 1.0], [2]));
    let (error, _) = refused(derivatives.at(&zero).unwrap().gradient());
    assert!(matches!(error, DerivativesError::NotFinite { quantity: "gradient", .. }));
    let v = derivatives.parameters().normal(0);
    let (error, _) = refused(derivatives.hessian().unwrap().product(&v));
    assert!(matches!(error, DerivativesError::NotFinite { quantity: "product", .. }));
    let (error, text) = refused(derivatives.at(&theta).unwrap().on(&tensor(&[1.0, f64::NAN], [2])).unwrap().value());
    assert!(
        matches!(error, DerivativesError::NotFinite { .. }) && text.contains("tensor 0 of the batch has it"),
        "{text}"
    );
    // It goes on from there.
    assert!(derivatives.on(&x).unwrap().value().is_ok());
}

#[test]
fn a_gradient_that_cannot_be_compared_is_used_only_if_that_is_allowed() {
    let (model, x) = (linear(3, 2), random([4, 3], 1));
    let endless = |m: &Linear, x: Tensor<2>| (m.forward(x) * 0.0).recip().mean();
    let mut derivatives = Derivatives::of(endless, &model, &x).unwrap();
    let (error, text) = refused(derivatives.gradient());
    assert!(matches!(error, DerivativesError::Unverified(Unverified::NotFinite)));
    assert!(text.contains("`Derivatives::allow_unverified`"), "{text}");
    assert!(matches!(derivatives.allow_unverified().gradient(), Err(DerivativesError::NotFinite { .. })));
    let scaled = |m: &Linear, x: Tensor<2>| m.forward(x).square().mean();
    let mut derivatives = Derivatives::of(scaled, &model, &x).unwrap();
    let (error, text) = refused(derivatives.verification_memory(10).gradient());
    assert!(matches!(error, DerivativesError::Unverified(Unverified::TooLarge { allowed: 10, .. })));
    assert!(text.contains("allow more with `verification_memory`"), "{text}");
    derivatives.verification_memory(1 << 20).gradient().unwrap();
}

#[test]
fn numbers_that_are_too_small_are_refused() {
    let net: Mlp = hidden_layer();
    let mut derivatives =
        Derivatives::of(|net: &Mlp, x: Tensor<2>| net.forward(x).square().mean(), &net, &random([4, 3], 1)).unwrap();
    let mut hessian = derivatives.hessian().unwrap();
    let least = |error| matches!(error, DerivativesError::TooFew { .. });
    assert!(least(hessian.eigenvalues(0, 0).map(drop).unwrap_err()));
    assert!(least(hessian.density(0, 5, 0).map(drop).unwrap_err()));
    assert!(least(hessian.diagonal(1, 0).map(drop).unwrap_err()));
    let (_, text) = refused(hessian.trace(1, 0));
    assert_eq!(text, "the number of samples must be at least 2, but 1 was given");
}
