//! What two levels above a classifier can learn about its training labels: what each means, and how much each example counts.

use betty_runtime::distributed::sum;
use betty_runtime::stop_gradient;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{log_softmax, relu, sigmoid, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::RngExt;

use crate::init::linear;

/// What given labels mean: `q(y | ỹ, x) ∝ exp(C[ỹ, y])·p(y | x)^τ`, where `p` is what the classifier thinks, as a number that no
/// gradient goes through. With `C[ỹ, y] = log P(ỹ | y)` and `τ = 1` that is the posterior of the true label.
#[derive(Module, Debug)]
pub struct Corrector {
    meanings: Param<Tensor<2>>,
    trust: Param<Tensor<1>>,
}

/// How much an example counts, as a function of its loss: a network with one hidden layer ([Shu et al.,
/// 2019](https://arxiv.org/abs/1902.07379)).
#[derive(Module, Debug)]
pub struct WeightNet {
    hidden: Linear,
    output: Linear,
}

/// Units of the hidden layer.
const HIDDEN: usize = 32;

impl Corrector {
    /// Begins with what labels say, at these odds against each other class, and no trust in the classifier. `means` is the class that
    /// each label stands for, `None` for one that says nothing.
    pub fn new(means: &[Option<usize>], classes: usize, log_odds: f32, device: &Device) -> Self {
        let says = |label: &Option<usize>, class| if *label == Some(class) { log_odds } else { 0.0 };
        let logits: Vec<f32> =
            means.iter().flat_map(|label| (0..classes).map(move |class| says(label, class))).collect();
        let meanings = Tensor::from_data(TensorData::new(logits, [means.len(), classes]), device);
        Corrector { meanings: Param::from_tensor(meanings), trust: Param::from_tensor(Tensor::zeros([1], device)) }
    }

    /// The probability of each class for examples with these labels, for which the classifier has these scores.
    pub fn labels(&self, given: Tensor<1, Int>, scores: Tensor<2>) -> Tensor<2> {
        let thought = stop_gradient(log_softmax(scores, 1));
        softmax(self.meanings.val().select(0, given) + thought * self.trust.val().unsqueeze_dim(0), 1)
    }

    /// The probability of each class, a row for each label, where the classifier is not asked.
    pub fn meanings(&self) -> Tensor<2> {
        softmax(self.meanings.val(), 1)
    }
}

impl WeightNet {
    /// Begins with the same weight for all examples.
    pub fn new(rng: &mut impl RngExt, device: &Device) -> Self {
        let mut output = linear(HIDDEN, 1, rng, device);
        output.weight = Param::from_tensor(Tensor::zeros([HIDDEN, 1], device));
        WeightNet { hidden: linear(1, HIDDEN, rng, device), output }
    }

    /// The weights of examples with these losses, which no gradient goes through.
    pub fn weights(&self, losses: Tensor<1>) -> Tensor<1> {
        let seen = stop_gradient(losses).unsqueeze_dim::<2>(1);
        sigmoid(self.output.forward(relu(self.hidden.forward(seen)))).squeeze_dim::<1>(1)
    }

    /// The mean of losses under their weights.
    pub fn mean(&self, losses: Tensor<1>) -> Tensor<1> {
        let weights = self.weights(losses.clone());
        sum((weights.clone() * losses).sum()) / sum(weights.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// Bayes: P(y | ỹ, x) = P(ỹ | y)·P(y | x) / Σ.
    #[test]
    fn a_corrector_that_knows_the_noise_gives_the_posterior() {
        let device = Device::flex();
        let mut corrector = Corrector::new(&[Some(0), Some(1)], 2, 1.0, &device);
        let noise = [[0.9_f32, 0.3], [0.1, 0.7]];
        corrector.meanings = Param::from_tensor(Tensor::from_floats(noise.map(|row| row.map(f32::ln)), &device));
        corrector.trust = Param::from_tensor(Tensor::ones([1], &device));
        let scores = Tensor::from_floats([[0.2_f32.ln(), 0.8_f32.ln()]; 2], &device);
        let labels = corrector.labels(Tensor::from_ints([0, 1], &device), scores);
        let found: Vec<f32> = labels.into_data().iter::<f32>().collect();
        let posterior = |of: [f32; 2]| of[0] * 0.2 / (of[0] * 0.2 + of[1] * 0.8);
        for (row, expected) in noise.map(posterior).into_iter().enumerate() {
            assert!((found[2 * row] - expected).abs() < 1e-6, "{found:?}");
        }
    }

    #[test]
    fn all_examples_count_alike_to_begin_with() {
        let device = Device::flex();
        let weights = WeightNet::new(&mut StdRng::seed_from_u64(1), &device);
        let losses = Tensor::<1>::from_floats([0.1, 2.0, 5.0], &device);
        let mean: f32 = weights.mean(losses).into_scalar();
        assert!((mean - 7.1 / 3.0).abs() < 1e-6, "{mean}");
    }
}
