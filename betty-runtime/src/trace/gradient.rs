//! `gradient`: a derivative as a value inside of a loss.

use burn::tensor::{Bool, Int, Tensor};
use burn_backend::TensorMetadata;

use super::answers::answer;
use super::batch::{Batch, BatchMapper};
use super::mark::{GRADIENT, mark_all};
use super::number::Number;
use super::recorded::{Recorded, recorded};

/// `∂(Σ of)/∂x` for every float tensor `x` of `with_respect_to`, in the same tree and of the same shapes.
///
/// For losses that are made of derivatives: gradient penalties, physics-informed and contrastive losses. The answer is an
/// ordinary tensor of the recorded graph, with derivatives of every order; gradients of gradients are allowed.
///
/// - `of` may have any shape; its elements are summed. For one derivative a sample, let every sample depend on its own row.
/// - `with_respect_to` is a tensor, or a tuple, array, vector or struct of tensors as in [`Batch`]: parameters, data or
///   intermediate values, exactly as they went into `of` (a clone is the same tensor; a copy made by an operation is not).
///   Where `of` does not depend on a tensor the answer is zero; but a tensor that is made in the loss and read nowhere is an error,
///   because it is such a copy. Integers and bools are handed back.
/// - A tensor that is computed from another one of the tree is on the path from it: derivatives are total.
///
/// Burn's autodiff cannot look inside, so in the comparison of our gradient with Burn's each answer is a leaf of Burn's tape: what is
/// computed from it is verified, and a `detach` of it found; the derivative of the answer itself rests on our rules alone. A `detach`,
/// `no_grad` or `freeze` on the way from `with_respect_to` to `of` leaves no trace and is not found: the answer goes through it. Write
/// [`stop_gradient`](crate::stop_gradient).
///
/// ```
/// # use burn::tensor::Tensor;
/// # use burn::nn::Linear;
/// /// Gradient penalty of a critic (Gulrajani et al. 2017) at `x`, of shape `[batch, features]`.
/// fn penalty(critic: &Linear, x: Tensor<2>) -> Tensor<1> {
///     let slope = betty_runtime::gradient(critic.forward(x.clone()), x);
///     let norm = (slope.square().sum_dim(1) + 1e-12).sqrt();
///     (norm - 1.0).square().mean()
/// }
/// ```
///
/// # Panics
/// Outside of a loss, where Burn's own autodiff answers (one order of derivative): when a tensor does not require a
/// gradient. Inside, every misuse becomes a `TraceError`.
pub fn gradient<const D: usize, T: Batch>(of: Tensor<D>, with_respect_to: T) -> T {
    let dispatch = of.clone().into_dispatch();
    let Some(of_recorded) = recorded(&dispatch) else {
        return with_respect_to.map(&mut Eager(of.backward()));
    };
    let mut collect = Collect(vec![of_recorded]);
    let tree = with_respect_to.map(&mut collect);
    let like: Vec<_> = collect.0[1..].iter().map(|x| (x.shape().to_vec(), x.dtype())).collect();
    tree.map(&mut Replace(mark_all(GRADIENT, collect.0, &like).into_iter()))
}

/// Gathers the recorded floats of a tree.
struct Collect(Vec<Recorded>);

impl BatchMapper for Collect {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        let dispatch = tensor.into_dispatch();
        let recorded = recorded(&dispatch);
        self.0.push(recorded.unwrap_or_else(|| panic!("a tensor is not on the same device as the recorded ones")));
        Tensor::from_dispatch(dispatch)
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        tensor
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        tensor
    }

    fn plain(&mut self, _hash: u64) {}
}

/// Puts the marker's answers in the place of the floats of a tree.
struct Replace<I>(I);

impl<I: Iterator<Item = Recorded>> BatchMapper for Replace<I> {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        self.0.next().map_or(tensor, |found| Tensor::from_dispatch(answer::<D>(found)))
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        tensor
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        tensor
    }

    fn plain(&mut self, _hash: u64) {}
}

/// Burn's own gradients.
struct Eager(burn::tensor::Gradients);

impl BatchMapper for Eager {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        assert!(tensor.is_require_grad(), "outside of a loss, `gradient` needs tensors that require a gradient");
        let gradient = tensor.grad(&self.0).map(Tensor::autodiff);
        gradient.unwrap_or_else(|| tensor.zeros_like())
    }

    fn number(&mut self, _number: Number) -> Number {
        panic!("outside of a loss, `gradient` needs tensors that require a gradient, and a number is none");
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        tensor
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        tensor
    }

    fn plain(&mut self, _hash: u64) {}
}
