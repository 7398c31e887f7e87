//! Reweighted pretraining for fine-tuning, three levels; and four, where how strongly each hidden unit is tied to the pretrained one
//! is learned in between.
//!
//! ```text
//! min_λ  ℓ_judging(φ*)                                                   weights of the sources
//!          r* = argmin_r  ℓ_tying(φ*(r)) + ½ρ‖r − r₀‖²                   ties, of four levels only
//!                           φ*(r) = argmin_φ  ℓ_target(φ) + ½Σᵤ exp(rᵤ)·‖φᵤ − θ*ᵤ‖²
//!                                               θ*(λ) = argmin_θ  Σₛ σ(λₛ)·ℓₛ(θ) + ½δ‖θ‖²
//! ```

use betty_examples::data::{Dataset, digits};
use betty_examples::penalized::{Classifier, Examples};
use betty_runtime::{Multilevel, multilevel};
use burn::module::Param;
use burn::tensor::activation::sigmoid;
use burn::tensor::{DType, Device, Int, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// A number for each source, whose sigmoid is its weight.
pub(crate) type Weights = Param<Tensor<1>>;

/// A number for each hidden unit, the logarithm of its tie.
type Ties = Param<Tensor<1>>;

pub(crate) const SOURCES: usize = 6;
/// In every second source each class has the name of another.
const IS_RIGHT: [bool; SOURCES] = [true, false, true, false, true, false];
/// Examples of a source, of the target, of what judges ties, and of what judges weights; what is left is for the test.
const SIZES: [usize; 4] = [60, 40, 80, 120];
const HIDDEN: usize = 8;
/// The logarithm of a tie to begin with, …
const TIE: f64 = -1.5;
/// … how strongly ties are held there, …
const HELD: f64 = 0.02;
/// … and how strongly a pretrained classifier is drawn to zero.
const DECAY: f64 = 0.1;

multilevel! {
    /// Weights of sources, a classifier that is fine-tuned, and one that is pretrained.
    pub(crate) struct Three;

    level weights: Weights { lower: [tuned], batch: Examples, loss: judging, optimizer: adam(lr = 0.2) }

    level tuned: Classifier {
        lower: [pretrained], batch: Examples, loss: near, optimizer: sgd(lr = 0.5, momentum = 0.9), unroll: 10,
        hypergradient: minres(iterations = 20),
    }

    level pretrained: Classifier {
        upper: [weights], batch: Examples, loss: sources, optimizer: sgd(lr = 0.2, momentum = 0.9), unroll: 1,
        hypergradient: minres(iterations = 20),
    }
}

multilevel! {
    /// The same with learned ties between both classifiers.
    pub(crate) struct Four;

    level weights: Weights { lower: [ties, tuned], batch: Examples, loss: judging_tied, optimizer: adam(lr = 0.2) }

    level ties: Ties {
        lower: [tuned], batch: Examples, loss: tying, optimizer: adam(lr = 0.1), unroll: 2,
        hypergradient: minres(iterations = 20),
    }

    level tuned: Classifier {
        upper: [ties], lower: [pretrained], batch: Examples, loss: tied, optimizer: sgd(lr = 0.5, momentum = 0.9),
        unroll: 10, hypergradient: minres(iterations = 20),
    }

    level pretrained: Classifier {
        upper: [weights], batch: Examples, loss: sources, optimizer: sgd(lr = 0.2, momentum = 0.9), unroll: 1,
        hypergradient: minres(iterations = 20),
    }
}

fn judging(_weights: &Weights, tuned: &Classifier, examples: Examples) -> Tensor<1> {
    tuned.cross_entropy(examples)
}

fn judging_tied(_weights: &Weights, _ties: &Ties, tuned: &Classifier, examples: Examples) -> Tensor<1> {
    tuned.cross_entropy(examples)
}

fn tying(ties: &Ties, tuned: &Classifier, examples: Examples) -> Tensor<1> {
    tuned.cross_entropy(examples) + (ties.val() - TIE).square().sum() * (0.5 * HELD)
}

/// How far all parameters are from others, tensor by tensor.
fn gaps(tuned: &Classifier, pretrained: &Classifier) -> impl Iterator<Item = Tensor<1>> {
    tuned.parameters().into_iter().zip(pretrained.parameters()).map(|(own, from)| (own - from).square())
}

fn near(tuned: &Classifier, pretrained: &Classifier, examples: Examples) -> Tensor<1> {
    let pulled = gaps(tuned, pretrained).map(|gap| gap.sum() * (0.5 * TIE.exp()));
    pulled.fold(tuned.cross_entropy(examples), |sum, pulled| sum + pulled)
}

fn tied(tuned: &Classifier, ties: &Ties, pretrained: &Classifier, examples: Examples) -> Tensor<1> {
    let units = HIDDEN as i32;
    // Weights from inputs to units, their biases, weights from units to classes, and biases of those.
    let parts: Vec<Tensor<1>> = gaps(tuned, pretrained).collect();
    let of_units = parts[0].clone().reshape([-1, units]).sum_dim(0).squeeze_dim::<1>(0)
        + parts[1].clone()
        + parts[2].clone().reshape([units, -1]).sum_dim(1).squeeze_dim::<1>(1);
    let pulled = (of_units * ties.val().exp()).sum() + parts[3].clone().sum() * TIE.exp();
    tuned.cross_entropy(examples) + pulled * 0.5
}

/// The examples of a source stand together.
fn sources(pretrained: &Classifier, weights: &Weights, examples: Examples) -> Tensor<1> {
    let decay = pretrained.parameters().into_iter().map(|own| own.square().sum() * (0.5 * DECAY));
    let losses = pretrained.losses(examples).reshape([SOURCES as i32, -1]).mean_dim(1).squeeze_dim::<1>(1);
    decay.fold((sigmoid(weights.val()) * losses).sum(), |sum, decay| sum + decay)
}

/// What a seed gives to each level, and what it keeps for the test.
pub(crate) struct Parts {
    sources: Examples,
    target: Examples,
    tying: Examples,
    pub(crate) judging: Examples,
    pub(crate) test: Examples,
    classifier: Classifier,
    device: Device,
}

impl Parts {
    pub(crate) fn draw(seed: u64, device: &Device) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let all = digits();
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.shuffle(&mut rng);
        let mut take = |count: usize| -> Dataset { all.subset(&order.split_off(order.len() - count)) };
        let [source, target, tying, judging] = SIZES;
        let sources = IS_RIGHT.map(|is_right| {
            let examples = Examples::of(&take(source), device);
            let exchanged = |labels: Tensor<1, Int>| (labels + 1).remainder_scalar(10);
            if is_right { examples } else { Examples { labels: exchanged(examples.labels), ..examples } }
        });
        let sources = sources.into_iter().reduce(|all, of| all.join(&of)).expect("there are sources");
        let [target, tying, judging] = [target, tying, judging].map(|count| Examples::of(&take(count), device));
        let test = Examples::of(&all.subset(&order), device);
        let classifier = Classifier::new(all.pixels(), Some(HIDDEN), all.classes(), &mut rng, device);
        Parts { sources, target, tying, judging, test, classifier, device: device.clone() }
    }

    fn zeros(&self, count: usize) -> Tensor<1> {
        Tensor::zeros([count], (&self.device, DType::F64))
    }

    fn weights(&self) -> Weights {
        Param::from_tensor(self.zeros(SOURCES))
    }
}

/// One of both programs, with what is looked at from outside.
pub(crate) trait Deep: Multilevel + Sized {
    /// At its first parameters.
    fn start(parts: &Parts) -> Self;
    fn data(parts: &Parts) -> Self::Data;
    fn copied(&self) -> Self;
    fn weights(&self) -> &Weights;
    fn tuned(&self) -> &Classifier;
}

impl Deep for Three {
    fn start(parts: &Parts) -> Self {
        Three { weights: parts.weights(), tuned: parts.classifier.clone(), pretrained: parts.classifier.clone() }
    }

    fn data(parts: &Parts) -> ThreeData {
        ThreeData {
            weights: parts.judging.clone().into(),
            tuned: parts.target.clone().into(),
            pretrained: parts.sources.clone().into(),
        }
    }

    fn copied(&self) -> Self {
        Three { weights: self.weights.clone(), tuned: self.tuned.clone(), pretrained: self.pretrained.clone() }
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn tuned(&self) -> &Classifier {
        &self.tuned
    }
}

impl Deep for Four {
    fn start(parts: &Parts) -> Self {
        let (tuned, pretrained) = (parts.classifier.clone(), parts.classifier.clone());
        let ties = Param::from_tensor(parts.zeros(HIDDEN) + TIE);
        Four { weights: parts.weights(), ties, tuned, pretrained }
    }

    fn data(parts: &Parts) -> FourData {
        FourData {
            weights: parts.judging.clone().into(),
            ties: parts.tying.clone().into(),
            tuned: parts.target.clone().into(),
            pretrained: parts.sources.clone().into(),
        }
    }

    fn copied(&self) -> Self {
        Four {
            weights: self.weights.clone(),
            ties: self.ties.clone(),
            tuned: self.tuned.clone(),
            pretrained: self.pretrained.clone(),
        }
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn tuned(&self) -> &Classifier {
        &self.tuned
    }
}
