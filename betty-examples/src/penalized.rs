//! Penalties of single parameters above, a classifier trained under them below: the classic bilevel problem.
//!
//! Learning one L2 penalty for each parameter by the gradient of a validation loss is the standard test of hypergradients
//! (Pedregosa, *Hyperparameter optimization with approximate gradient*, 2016; Lorraine, Vicol and Duvenaud, *Optimizing
//! millions of hyperparameters by implicit differentiation*, 2020).

use std::ops::Range;

use betty_runtime::{Batch, multilevel};
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::Linear;
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::RngExt;

use crate::data::Dataset;
use crate::init::linear;

/// Logistic regression, or a perceptron with one hidden layer, in double precision.
#[derive(Module, Debug)]
pub struct Classifier {
    hidden: Option<Linear>,
    output: Linear,
}

/// Inputs, one example a row, and their classes.
#[derive(Clone, Debug, Batch)]
pub struct Examples {
    /// One example a row.
    pub inputs: Tensor<2>,
    /// The class of each row.
    pub labels: Tensor<1, Int>,
}

multilevel! {
    /// A penalty for each parameter of a classifier.
    pub struct Penalized;

    /// Logarithms of the penalties, in the shape of the classifier.
    level penalties: Classifier {
        lower: [classifier],
        batch: Examples,
        loss: validation_loss,
        optimizer: adam(lr = 0.1),
        // Small enough for the steps of the classifier.
        project: clamp(low = -12.0, high = 2.0),
    }

    /// Fits the training examples under the penalties.
    level classifier: Classifier {
        upper: [penalties],
        batch: Examples,
        loss: training_loss,
        optimizer: sgd(lr = 0.2, momentum = 0.9),
        unroll: 50,
        // A perceptron that has not converged curves downwards in some directions.
        hypergradient: minres(iterations = 20),
    }
}

fn validation_loss(_penalties: &Classifier, classifier: &Classifier, examples: Examples) -> Tensor<1> {
    classifier.cross_entropy(examples)
}

/// The cross-entropy and ½·Σᵢ exp(λᵢ)·θᵢ².
fn training_loss(classifier: &Classifier, penalties: &Classifier, examples: Examples) -> Tensor<1> {
    let penalty = classifier.parameters().into_iter().zip(penalties.parameters());
    let penalty = penalty.map(|(theta, log)| (log.exp() * theta.square()).sum().mul_scalar(0.5));
    penalty.fold(classifier.cross_entropy(examples), |total, term| total + term)
}

impl Classifier {
    /// A classifier with initial parameters from `rng`; with hidden units a perceptron, without logistic regression.
    pub fn new(inputs: usize, hidden: Option<usize>, classes: usize, rng: &mut impl RngExt, device: &Device) -> Self {
        let classifier = Classifier {
            hidden: hidden.map(|units| linear(inputs, units, rng, device)),
            output: linear(hidden.unwrap_or(inputs), classes, rng, device),
        };
        classifier.map(&mut Double)
    }

    /// The same shapes with other values: `fill` is asked for as many as a tensor has.
    #[must_use]
    pub fn filled(&self, fill: impl FnMut(usize) -> Vec<f64>) -> Self {
        self.clone().map(&mut Fill(fill))
    }

    fn layers(&self) -> impl Iterator<Item = &Linear> {
        self.hidden.iter().chain([&self.output])
    }

    /// All parameters, each tensor as a vector; the weights of the first layer come first, those of an input together.
    pub fn parameters(&self) -> Vec<Tensor<1>> {
        let vectors = self.layers().flat_map(|layer| {
            let bias = layer.bias.iter().map(|bias| bias.val());
            std::iter::once(layer.weight.val().flatten::<1>(0, 1)).chain(bias)
        });
        vectors.collect()
    }

    /// Number of parameters.
    pub fn size(&self) -> usize {
        self.num_params()
    }

    /// Scores of the classes, up to a number for each example the logarithms of their probabilities; an example a row.
    pub fn logits(&self, inputs: Tensor<2>) -> Tensor<2> {
        let features = match &self.hidden {
            Some(hidden) => hidden.forward(inputs).tanh(),
            None => inputs,
        };
        self.output.forward(features)
    }

    /// The logarithm of each class's probability, an example a row.
    fn scores(&self, inputs: Tensor<2>) -> Tensor<2> {
        log_softmax(self.logits(inputs), 1)
    }

    /// The mean cross-entropy.
    pub fn cross_entropy(&self, Examples { inputs, labels }: Examples) -> Tensor<1> {
        self.scores(inputs).gather(1, labels.unsqueeze_dim(1)).mean().neg()
    }

    /// The cross-entropy of each example.
    pub fn losses(&self, Examples { inputs, labels }: Examples) -> Tensor<1> {
        self.scores(inputs).gather(1, labels.unsqueeze_dim(1)).squeeze_dim::<1>(1).neg()
    }

    /// The share of examples whose class gets the highest score.
    pub fn accuracy(&self, Examples { inputs, labels }: Examples) -> f64 {
        let [count] = labels.dims();
        let predicted = self.scores(inputs).argmax(1).squeeze_dim::<1>(1);
        predicted.equal(labels).int().sum().into_scalar::<i64>() as f64 / count.max(1) as f64
    }
}

impl Examples {
    /// The images of a data set, in double precision.
    pub fn of(dataset: &Dataset, device: &Device) -> Self {
        let on_device = dataset.to_device(device);
        Examples { inputs: on_device.images.cast(DType::F64), labels: on_device.labels }
    }

    /// Those of these examples that stand at some places.
    #[must_use]
    pub fn part(&self, places: Range<usize>) -> Self {
        let (start, count) = (places.start, places.len());
        let (inputs, labels) =
            (self.inputs.clone().narrow(0, start, count), self.labels.clone().narrow(0, start, count));
        Examples { inputs, labels }
    }

    /// These examples, and then those of `other`.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let inputs = Tensor::cat(vec![self.inputs.clone(), other.inputs.clone()], 0);
        Examples { inputs, labels: Tensor::cat(vec![self.labels.clone(), other.labels.clone()], 0) }
    }

    /// The same examples with more inputs, drawn by `draw`, which say nothing about the class.
    #[must_use]
    pub fn with_distractors(self, count: usize, mut draw: impl FnMut() -> f64) -> Self {
        let [examples, _] = self.inputs.dims();
        let values: Vec<f64> = (0..examples * count).map(|_| draw()).collect();
        let place = (&self.inputs.device(), DType::F64);
        let distractors = Tensor::from_data(TensorData::new(values, [examples, count]), place);
        Examples { inputs: Tensor::cat(vec![self.inputs, distractors], 1), ..self }
    }
}

/// Replaces every parameter by double-precision values.
struct Fill<F>(F);

impl<F: FnMut(usize) -> Vec<f64>> ModuleMapper for Fill<F> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let tensor = parameter.val();
        let shape = tensor.dims();
        let values = TensorData::new((self.0)(shape.iter().product()), shape);
        Param::from_tensor(Tensor::from_data(values, (&tensor.device(), DType::F64)))
    }
}

/// Turns every parameter into double precision.
struct Double;

impl ModuleMapper for Double {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::from_tensor(parameter.val().cast(DType::F64))
    }
}
