//! Vectors of parameters: made, read, and exchanged with modules and with Burn.

use betty_runtime::{Derivatives, DerivativesError, ParameterVector, untied};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor};

use crate::models::{Labelled, Mlp, hidden_layer};
use crate::reference::{burn_gradient, device, distance, drawn, labels, random, values};

fn loss(net: &Mlp, (x, y): Labelled) -> Tensor<1> {
    betty_tests::models::cross_entropy(net.forward(x), y)
}

#[test]
fn vectors_are_read_as_they_were_made() {
    let net = hidden_layer();
    let theta = ParameterVector::of(&net).unwrap();
    assert_eq!(theta.len(), 3 * 5 + 5 + 5 * 3 + 3);
    let shapes: Vec<_> = theta.shapes().collect();
    let expected: [(&str, &[usize]); 4] =
        [("first.weight", &[3, 5]), ("first.bias", &[5]), ("second.weight", &[5, 3]), ("second.bias", &[3])];
    assert_eq!(shapes, expected);
    assert_eq!(values(theta.tensor::<2>("second.weight").unwrap()), values(net.second.weight.val()));
    let count: Vec<f64> = (0..theta.len()).map(|k| k as f64).collect();
    let counted = theta.with_values(&count).unwrap();
    assert_eq!(counted.to_vec().unwrap(), count);
    assert_eq!(values(counted.tensor::<1>("first.bias").unwrap()), [15.0, 16.0, 17.0, 18.0, 19.0]);
    let mut sum = counted.scaled(2.0);
    sum.add_scaled(-1.0, &counted).unwrap();
    assert_eq!(sum.to_vec().unwrap(), count);
    assert_eq!(counted.dot(&counted).unwrap(), count.iter().map(|x| x * x).sum::<f64>());
    assert!((counted.norm().unwrap().powi(2) / counted.dot(&counted).unwrap() - 1.0).abs() < 1e-15);
    assert_eq!(counted.zeros().to_vec().unwrap(), vec![0.0; theta.len()]);
    assert!(format!("{counted:?}").contains("first.weight"));
}

#[test]
fn random_vectors_have_their_moments_and_their_seed() {
    let theta = ParameterVector::of(&LinearConfig::new(200, 100).init(&device())).unwrap();
    let n = theta.len() as f64;
    for (draw, fourth) in [(theta.normal(1), 3.0), (theta.signs(1), 1.0)] {
        let draw = draw.to_vec().unwrap();
        let moment = |power: i32| draw.iter().map(|x| x.powi(power)).sum::<f64>() / n;
        assert!(moment(1).abs() < 4.0 / n.sqrt() && (moment(2) - 1.0).abs() < 6.0 / n.sqrt());
        assert!((moment(4) - fourth).abs() < 40.0 / n.sqrt(), "{}", moment(4));
    }
    assert!(theta.signs(2).to_vec().unwrap().iter().all(|x| x.abs() == 1.0));
    let same = |x: ParameterVector, y: ParameterVector| x.to_vec().unwrap() == y.to_vec().unwrap();
    assert!(same(theta.normal(3), theta.normal(3)) && !same(theta.normal(3), theta.normal(4)));
    assert!(same(theta.signs(3), theta.signs(3)) && !same(theta.signs(3), theta.signs(4)));
}

#[test]
fn an_optimizer_of_burn_takes_our_gradient() {
    let net = hidden_layer().train();
    let batch = (random([6, 3], 1), labels(3, 6));
    let mut derivatives = Derivatives::of(loss, &net, &batch).unwrap();
    let gradients = derivatives.gradient().unwrap().to_gradients().unwrap();
    let back = derivatives.parameters().with_gradients(&gradients).unwrap();
    assert_eq!(back.to_vec().unwrap(), derivatives.gradient().unwrap().to_vec().unwrap());
    let ours = SgdConfig::new().init().step(0.1, net.clone(), gradients);
    let theirs = GradientsParams::from_grads(loss(&net, batch).backward(), &net);
    let theirs = SgdConfig::new().init().step(0.1, net, theirs);
    let theta = |net: &Mlp| ParameterVector::of(net).unwrap().to_vec().unwrap();
    assert!(distance(&theta(&ours), &theta(&theirs)) < 1e-14);
}

#[test]
fn a_module_that_trains_still_trains_with_other_parameters() {
    let mut net = hidden_layer().train();
    net.second = net.second.no_grad();
    let theta = ParameterVector::of(&net).unwrap();
    // What is frozen is no parameter.
    assert_eq!(theta.shapes().map(|(path, _)| path).collect::<Vec<_>>(), ["first.weight", "first.bias"]);
    let moved = theta.scaled(2.0).put_into(net.clone()).unwrap();
    assert_eq!(values(moved.first.weight.val()), values(net.first.weight.val() * 2.0));
    assert!(moved.first.weight.val().is_require_grad() && !moved.second.weight.val().is_require_grad());
    assert_eq!(values(moved.second.weight.val()), values(net.second.weight.val()));
    let batch = (random([6, 3], 1), labels(3, 6));
    let found = Derivatives::of(loss, &moved, &batch).unwrap().gradient().unwrap();
    let expected = burn_gradient(&moved, |net| loss(net, batch));
    assert!(distance(&found.to_vec().unwrap(), &expected.to_vec().unwrap()) < 1e-13);
}

#[derive(Module, Debug)]
struct Tied {
    one: Linear,
    other: Linear,
    unread: Linear,
}

#[test]
fn tied_weights_are_there_once_and_unread_ones_have_no_derivative() {
    let linear = || drawn(LinearConfig::new(2, 2).init(&device()), 4);
    let one: Linear = linear();
    let tied = Tied { other: one.clone(), one, unread: untied(linear()) };
    let twice = |net: &Tied, x: Tensor<2>| net.other.forward(net.one.forward(x).tanh()).square().mean();
    let x = random([3, 2], 5);
    let mut derivatives = Derivatives::of(twice, &tied, &x).unwrap();
    let gradient = derivatives.gradient().unwrap();
    assert_eq!(gradient.len(), 12);
    // Burn keeps the gradient of one place of two; of two parameters it has both.
    let apart = Tied { other: untied(tied.one.clone()), one: tied.one.clone(), unread: tied.unread.clone() };
    let both = burn_gradient(&apart, |net| twice(net, x.clone())).to_vec().unwrap();
    let expected: Vec<f64> = both[..6].iter().zip(&both[6..12]).map(|(x, y)| x + y).collect();
    assert!(distance(&gradient.to_vec().unwrap()[..6], &expected) < 1e-13);
    let v = gradient.normal(1);
    let product = derivatives.hessian().unwrap().product(&v).unwrap();
    for vector in [&gradient, &product] {
        assert_eq!(values(vector.tensor::<2>("unread.weight").unwrap()), [0.0; 4]);
        assert!(vector.to_vec().unwrap()[..6].iter().all(|x| *x != 0.0));
    }
    let moved = gradient.put_into(tied).unwrap();
    assert_eq!(values(moved.one.weight.val()), values(moved.other.weight.val()));
}

#[test]
fn what_does_not_fit_is_refused() {
    let theta = ParameterVector::of(&hidden_layer()).unwrap();
    let other = ParameterVector::of(&LinearConfig::new(3, 5).init(&device())).unwrap();
    let text = |error: DerivativesError| error.to_string();
    let mut moved = theta.clone();
    let error = moved.add_scaled(1.0, &other).unwrap_err();
    assert!(matches!(error, DerivativesError::OtherParameters { .. }));
    assert!(text(error).contains("it has `weight` in the place of `first.weight`"));
    assert_eq!(moved.to_vec().unwrap(), theta.to_vec().unwrap());
    assert!(matches!(theta.dot(&other), Err(DerivativesError::OtherParameters { .. })));
    assert!(text(theta.with_values(&[1.0]).unwrap_err()).contains("1 numbers do not fit 38 entries"));
    let error = theta.tensor::<2>("first.wieght").map(drop).unwrap_err();
    assert!(text(error).contains("no parameter named `first.wieght`; there are `first.weight`, `first.bias`"));
    let error = theta.tensor::<1>("first.weight").map(drop).unwrap_err();
    assert_eq!(text(error), "`first.weight` has shape [3, 5], which is no tensor of rank 1; ask for one of rank 2");
    let error = theta.put_into(LinearConfig::new(3, 5).init(&Device::flex())).map(drop).unwrap_err();
    assert!(matches!(error, DerivativesError::OtherParameters { .. }));
    let frozen = hidden_layer().no_grad();
    assert!(matches!(ParameterVector::of(&frozen), Err(DerivativesError::NoParameters)));
    let mut gradients = GradientsParams::new();
    gradients.register::<2>(hidden_layer().first.weight.id, random([2, 2], 1));
    let theirs = theta.with_gradients(&gradients).unwrap();
    assert_eq!(theirs.norm().unwrap(), 0.0, "gradients of another module are none of this one's");
}
