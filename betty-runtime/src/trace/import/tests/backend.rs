//! Operations that no tensor method reaches: their caller is a backend.

use burn::tensor::{BoolStore, DispatchTensor, Slice, Tensor};
use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, TensorMetadata as _};
use burn_dispatch::backends::Capture;
use burn_dispatch::{BackendTensor, Dispatch, DispatchKindConversion, DispatchTensorKind};

/// [`linear_and_finite`], recorded by the capture backend itself where that is the tensor's own.
pub(super) fn example(x: Tensor<1>) -> Tensor<1> {
    let dispatch = x.into_dispatch();
    if let DispatchTensorKind::Capture(BackendTensor::Float(x)) = dispatch.kind {
        let answer = BackendTensor::<Capture>::Float(linear_and_finite::<Capture>(x));
        return Tensor::from_dispatch(<DispatchTensor as DispatchKindConversion<Capture>>::from_backend(answer));
    }
    Tensor::from_dispatch(linear_and_finite::<Dispatch>(dispatch))
}

/// A linear layer and its three backward operations, times 1 where numbers are finite.
fn linear_and_finite<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let part = |from: usize, shape: &[usize]| {
        let to = from + shape.iter().product::<usize>();
        let part = B::float_slice(x.clone(), &[Slice::new(from as isize, Some(to as isize), 1)]);
        B::float_reshape(part, shape.to_vec().into())
    };
    let (input, weight, bias, cotangent) =
        (part(0, &[1, 3, 4]), part(12, &[4, 2]), part(20, &[2]), part(22, &[1, 3, 2]));
    let flat = |x: FloatTensor<B>, count: usize| B::float_reshape(x, [count].into());
    let all = vec![
        flat(B::linear(input.clone(), weight.clone(), Some(bias)), 6),
        flat(B::linear_x_backward(weight, cotangent.clone()), 12),
        flat(B::linear_weight_backward(input, cotangent.clone()), 8),
        flat(B::linear_bias_backward(cotangent), 2),
    ];
    let all = B::float_cat(all, 0);
    let strange =
        B::bool_or(B::float_is_nan(all.clone(), BoolStore::Native), B::float_is_inf(all.clone(), BoolStore::Native));
    B::float_mul(all, B::bool_into_float(B::bool_not(strange), x.dtype().into()))
}
