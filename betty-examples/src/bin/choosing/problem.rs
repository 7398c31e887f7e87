//! The common problem: penalties of single parameters above, a classifier of digits trained under them below.

use betty_examples::data::{Dataset, digits};
use betty_examples::init::linear;
use betty_runtime::{Batch, Stream, multilevel};
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::Linear;
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Examples of each level.
const EXAMPLES: usize = 400;
/// Logarithms of the penalties.
const LOG_PENALTIES: std::ops::Range<f64> = -4.0..-2.0;

/// Logistic regression, or a perceptron with one hidden layer.
#[derive(Module, Debug)]
pub(crate) struct Classifier {
    hidden: Option<Linear>,
    output: Linear,
}

/// Images and their classes.
#[derive(Clone, Debug, Batch)]
pub(crate) struct Examples {
    images: Tensor<2>,
    labels: Tensor<1, Int>,
}

multilevel! {
    /// A penalty for each parameter of a classifier.
    pub(crate) struct Penalized;

    /// Logarithms of the penalties, in the shape of the classifier. They stand still: only their hypergradient is measured.
    level penalties: Classifier {
        lower: [classifier],
        batch: Examples,
        loss: validation_loss,
        optimizer: sgd(lr = 1.0),
        warmup: 1_000_000,
    }

    /// Fits the training examples under the penalties, from the same start each time.
    level classifier: Classifier {
        upper: [penalties],
        batch: Examples,
        loss: training_loss,
        optimizer: sgd(lr = 0.2, momentum = 0.9),
        start: initial,
        hypergradient: cg,
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
    fn layers(&self) -> impl Iterator<Item = &Linear> {
        self.hidden.iter().chain([&self.output])
    }

    /// All parameters, each tensor as a vector.
    fn parameters(&self) -> Vec<Tensor<1>> {
        let vectors = self.layers().flat_map(|layer| {
            let bias = layer.bias.iter().map(|bias| bias.val());
            std::iter::once(layer.weight.val().flatten::<1>(0, 1)).chain(bias)
        });
        vectors.collect()
    }

    /// Number of parameters.
    pub(crate) fn size(&self) -> usize {
        self.num_params()
    }

    fn cross_entropy(&self, examples: Examples) -> Tensor<1> {
        let features = match &self.hidden {
            Some(hidden) => hidden.forward(examples.images).tanh(),
            None => examples.images,
        };
        let scores = log_softmax(self.output.forward(features), 1);
        scores.gather(1, examples.labels.unsqueeze_dim(1)).mean().neg()
    }
}

impl Penalized {
    /// Both levels in double precision; with hidden units a perceptron, without logistic regression.
    pub(crate) fn new(hidden: Option<usize>, device: &Device) -> Self {
        let mut rng = StdRng::seed_from_u64(0);
        let digits = digits();
        let classifier = Classifier {
            hidden: hidden.map(|units| linear(digits.pixels(), units, &mut rng, device)),
            output: linear(hidden.unwrap_or(digits.pixels()), digits.classes(), &mut rng, device),
        };
        let mut draw = Map(|shape: Vec<usize>| {
            let values = (0..shape.iter().product()).map(|_| rng.random_range(LOG_PENALTIES)).collect();
            TensorData::new(values, shape)
        });
        let penalties = classifier.clone().map(&mut draw);
        Penalized { penalties, classifier: classifier.map(&mut Double) }
    }
}

/// Replaces every parameter by double-precision values for its shape.
struct Map<F>(F);

impl<F: FnMut(Vec<usize>) -> TensorData> ModuleMapper for Map<F> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let tensor = parameter.val();
        let values = (self.0)(tensor.dims().to_vec());
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

impl PenalizedData {
    /// All training examples below, as many others above, always.
    pub(crate) fn constant(device: &Device) -> Self {
        let digits = digits();
        let part = |range: std::ops::Range<usize>| examples(&digits.subset(&range.collect::<Vec<_>>()), device);
        PenalizedData {
            penalties: Stream::constant(part(EXAMPLES..2 * EXAMPLES)),
            classifier: Stream::constant(part(0..EXAMPLES)),
        }
    }
}

fn examples(dataset: &Dataset, device: &Device) -> Examples {
    let on_device = dataset.to_device(device);
    Examples { images: on_device.images.cast(DType::F64), labels: on_device.labels }
}
