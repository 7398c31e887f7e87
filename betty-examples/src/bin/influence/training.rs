//! Training to the very minimum: Newton's method, with damping where the loss curves downwards.

use betty_examples::failure::Failure;
use betty_examples::penalized::{Classifier, Examples};
use betty_runtime::linalg::{CgOptions, SolveError};
use betty_runtime::{Derivatives, DerivativesError, Number, ParameterVector, output};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// Examples, how much each of them counts, and the weight of the penalty.
pub(crate) type Weighted = (Examples, Tensor<1>, Number);

/// The norm of a gradient at which nothing is left to be gained.
const SMALL: f64 = 1e-9;
/// Most steps.
const STEPS: usize = 200;
/// Most iterations for the linear system of a step.
const ITERATIONS: usize = 2000;
/// Of what a step promises to gain, the part that it must gain at the least.
const GAIN: f64 = 1e-4;

/// `Σ wᵢ·ℓᵢ/n + ½·penalty·‖θ‖²`
pub(crate) fn objective(classifier: &Classifier, (examples, weights, penalty): Weighted) -> Tensor<1> {
    let square = classifier.parameters().into_iter().map(|theta| theta.square().sum()).reduce(|sum, term| sum + term);
    let Examples { inputs, labels } = examples;
    let fit = (cross_entropies(output(classifier.logits(inputs)), labels) * weights.clone()).mean();
    match square {
        Some(square) => fit + penalty.like(&weights) * square.mul_scalar(0.5),
        None => fit,
    }
}

/// The cross-entropy of every example.
pub(crate) fn losses(classifier: &Classifier, Examples { inputs, labels }: Examples) -> Tensor<1> {
    cross_entropies(classifier.logits(inputs), labels)
}

fn cross_entropies(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    log_softmax(logits, 1).gather(1, labels.unsqueeze_dim(1)).squeeze_dim::<1>(1).neg()
}

/// The classifier at the minimum near `start`, for what the derivatives are on.
pub(crate) fn train(
    derivatives: &mut Derivatives<'_, Classifier, Weighted>,
    start: Classifier,
) -> Result<Classifier, Failure> {
    let mut classifier = start;
    derivatives.at(&classifier)?;
    for _ in 0..STEPS {
        let (value, gradient) = derivatives.value_and_gradient()?;
        if gradient.norm()? < SMALL {
            break;
        }
        let step = step(derivatives, &gradient)?;
        let promised = step.dot(&gradient)?;
        let theta = derivatives.parameters();
        let mut length = 1.0;
        let moved = loop {
            let mut moved = theta.clone();
            moved.add_scaled(-length, &step)?;
            let moved = moved.put_into(classifier.clone())?;
            if derivatives.at(&moved)?.value()? <= value - GAIN * length * promised {
                break Some(moved);
            }
            length *= 0.5;
            if length < 1e-6 {
                break None;
            }
        };
        // What is left to be gained is less than rounding shows.
        let Some(moved) = moved else { break };
        classifier = moved;
    }
    derivatives.at(&classifier)?;
    Ok(classifier)
}

fn step(
    derivatives: &mut Derivatives<'_, Classifier, Weighted>,
    gradient: &ParameterVector,
) -> Result<ParameterVector, DerivativesError> {
    // The smaller the gradient, the better is its system solved: far from the minimum that would be work for nothing.
    let tolerance = gradient.norm()?.sqrt().clamp(1e-4, 0.1);
    let mut system = CgOptions { iterations: ITERATIONS, tolerance, damping: 0.0 };
    loop {
        match derivatives.hessian()?.conjugate_gradient(gradient, &system) {
            Ok(solution) => return Ok(solution.x),
            Err(DerivativesError::Solve(reason)) => match *reason {
                // The error says with which damping it curves upwards.
                SolveError::NotPositiveDefinite { remedy, .. } => {
                    system.damping = remedy.damping.unwrap_or(0.0).max(2.0 * system.damping).max(1e-3);
                }
                reason => return Err(reason.into()),
            },
            Err(error) => return Err(error),
        }
    }
}
