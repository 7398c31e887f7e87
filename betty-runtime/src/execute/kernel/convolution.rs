//! Convolutions and their adjoints: by our own kernels in host memory, where Burn's scatter and transpose what those gather,
//! and by Burn's everywhere else.

use betty_kernels::Number;
use burn::tensor::{DType, DispatchTensor, Element, TensorData};
use burn_backend::TensorMetadata;
use burn_backend::ops::{ConvOptions, ConvTransposeOptions, FloatTensorOps, ModuleOps};
use burn_dispatch::{BackendTensor, Dispatch as B, DispatchTensorKind};

use super::window::by_rank;
use crate::graph::Convolution;

/// `x * weight`, of this shape.
pub(super) fn forward(x: DispatchTensor, weight: DispatchTensor, o: &Convolution, shape: &[usize]) -> DispatchTensor {
    let sizes = sizes(o, &x.shape(), &weight.shape(), shape);
    if let Some(result) = on_host(&x, &weight, sizes, shape, Which::Forward) {
        return result;
    }
    by_rank!(
        o.stride.len(),
        B::conv1d(x, weight, None, options(o)),
        B::conv2d(x, weight, None, options(o)),
        B::conv3d(x, weight, None, options(o))
    )
}

/// The adjoint in `x`, which Burn takes only for its shape.
pub(super) fn input_adjoint(
    weight: DispatchTensor,
    c: DispatchTensor,
    o: &Convolution,
    shape: &[usize],
    x: impl FnOnce() -> DispatchTensor,
) -> DispatchTensor {
    let sizes = sizes(o, shape, &weight.shape(), &c.shape());
    if let Some(result) = on_host(&weight, &c, sizes, shape, Which::InputAdjoint) {
        return result;
    }
    if o.padding.iter().all(|(before, after)| before == after) {
        let out = beyond(o, shape, &weight.shape(), &c.shape());
        return by_rank!(
            o.stride.len(),
            B::conv_transpose1d(c, weight, None, transposed(o, &out)),
            B::conv_transpose2d(c, weight, None, transposed(o, &out)),
            B::conv_transpose3d(c, weight, None, transposed(o, &out))
        );
    }
    by_rank!(
        o.stride.len(),
        B::conv1d_x_backward(x(), weight, c, options(o)),
        B::conv2d_x_backward(x(), weight, c, options(o)),
        B::conv3d_x_backward(x(), weight, c, options(o))
    )
}

/// The adjoint in `weight`, which Burn takes only for its shape.
pub(super) fn weight_adjoint(
    x: DispatchTensor,
    c: DispatchTensor,
    o: &Convolution,
    shape: &[usize],
    weight: impl FnOnce() -> DispatchTensor,
) -> DispatchTensor {
    let sizes = sizes(o, &x.shape(), shape, &c.shape());
    if let Some(result) = on_host(&x, &c, sizes, shape, Which::WeightAdjoint) {
        return result;
    }
    by_rank!(
        o.stride.len(),
        conv1d_weight(x, weight(), c, o),
        B::conv2d_weight_backward(x, weight(), c, options(o)),
        B::conv3d_weight_backward(x, weight(), c, options(o))
    )
}

/// The three bilinear maps.
#[derive(Clone, Copy)]
enum Which {
    Forward,
    InputAdjoint,
    WeightAdjoint,
}

/// The sizes of a convolution whose channels all mix.
fn sizes(o: &Convolution, x: &[usize], weight: &[usize], out: &[usize]) -> Option<betty_kernels::Convolution> {
    // Dimensions that are missing are in front: the last one is the one along which memory lies.
    fn last<T: Copy>(of: &[T], missing: T) -> [T; 3] {
        std::array::from_fn(|d| (d + of.len()).checked_sub(3).map_or(missing, |d| of[d]))
    }
    (o.groups == 1).then(|| betty_kernels::Convolution {
        batch: x[0],
        inputs: x[1],
        outputs: weight[0],
        input: last(&x[2..], 1),
        output: last(&out[2..], 1),
        kernel: last(&weight[2..], 1),
        stride: last(&o.stride, 1),
        padding: last(&o.padding, (0, 0)).map(|(before, _)| before),
        dilation: last(&o.dilation, 1),
    })
}

/// The result of our own kernel, if there is one for what these tensors hold.
fn on_host(
    a: &DispatchTensor,
    b: &DispatchTensor,
    sizes: Option<betty_kernels::Convolution>,
    shape: &[usize],
    which: Which,
) -> Option<DispatchTensor> {
    let sizes = sizes?;
    let (DispatchTensorKind::Flex(BackendTensor::Float(x)), DispatchTensorKind::Flex(BackendTensor::Float(y))) =
        (&a.kind, &b.kind)
    else {
        return None;
    };
    let (x, y) = (x.to_contiguous(), y.to_contiguous());
    let data = match (x.dtype(), y.dtype()) {
        (DType::F32, DType::F32) => computed::<f32>(&sizes, x.as_slice()?, y.as_slice()?, shape, which),
        (DType::F64, DType::F64) => computed::<f64>(&sizes, x.as_slice()?, y.as_slice()?, shape, which),
        _ => return None,
    };
    Some(B::float_from_data(data, &a.device()))
}

fn computed<T: Number + Element>(
    sizes: &betty_kernels::Convolution,
    a: &[T],
    b: &[T],
    shape: &[usize],
    which: Which,
) -> TensorData {
    let numbers = match which {
        Which::Forward => sizes.forward(a, b),
        Which::InputAdjoint => sizes.input_adjoint(a, b),
        Which::WeightAdjoint => sizes.weight_adjoint(a, b),
    };
    TensorData::new(numbers, shape.to_vec())
}

fn options<const N: usize>(o: &Convolution) -> ConvOptions<N> {
    ConvOptions {
        stride: std::array::from_fn(|d| o.stride[d]),
        padding: std::array::from_fn(|d| o.padding[d]),
        dilation: std::array::from_fn(|d| o.dilation[d]),
        groups: o.groups,
    }
}

/// How many places of `x` are behind the last that an output reaches: what Burn guesses from the shapes is less where the stride is
/// more than two, or none.
fn beyond(o: &Convolution, x: &[usize], weight: &[usize], c: &[usize]) -> Vec<usize> {
    let reached = |d: usize| (c[d + 2] - 1) * o.stride[d] + o.dilation[d] * (weight[d + 2] - 1) + 1;
    (0..o.stride.len()).map(|d| (x[d + 2] + 2 * o.padding[d].0).saturating_sub(reached(d))).collect()
}

fn transposed<const N: usize>(o: &Convolution, beyond: &[usize]) -> ConvTransposeOptions<N> {
    ConvTransposeOptions {
        stride: std::array::from_fn(|d| o.stride[d]),
        padding: std::array::from_fn(|d| o.padding[d].0),
        padding_out: std::array::from_fn(|d| beyond[d]),
        dilation: std::array::from_fn(|d| o.dilation[d]),
        groups: o.groups,
    }
}

/// Adjoint of a one-dimensional convolution in its weight.
///
/// Where the stride leaves a rest, Burn 0.22 computes more taps than a grouped weight has and writes all of them. With a
/// second dimension of size 1 it drops what is too much.
fn conv1d_weight(x: DispatchTensor, weight: DispatchTensor, c: DispatchTensor, o: &Convolution) -> DispatchTensor {
    if o.groups == 1 {
        return B::conv1d_weight_backward(x, weight, c, options(o));
    }
    let shape = weight.shape();
    let flat = |tensor: DispatchTensor| {
        let shape = [tensor.shape().to_vec(), vec![1]].concat();
        B::float_reshape(tensor, shape.into())
    };
    let options = ConvOptions {
        stride: [o.stride[0], 1],
        padding: [o.padding[0], (0, 0)],
        dilation: [o.dilation[0], 1],
        groups: o.groups,
    };
    B::float_reshape(B::conv2d_weight_backward(flat(x), flat(weight), flat(c), options), shape)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::execute::Value;

    fn tensor(shape: &[usize], seed: usize) -> DispatchTensor {
        let numbers = (0..shape.iter().product()).map(|i: usize| ((i * 7919 + seed) as f64 * 0.618_034).fract() - 0.5);
        Value::from_data(TensorData::new(numbers.collect::<Vec<f64>>(), shape.to_vec()), &Device::flex()).0
    }

    /// Our own kernels against Burn's, in one to three dimensions.
    #[test]
    fn our_own_kernels_agree_with_burns() {
        let own = |x: &DispatchTensor, y: &DispatchTensor, sizes, shape: &[usize], which| {
            let result = on_host(x, y, sizes, shape, which).expect("numbers in host memory");
            assert_eq!(result.shape().as_slice(), shape);
            Value(result).to_vec().expect("host memory")
        };
        let close = |found: Vec<f64>, burns: DispatchTensor| {
            let burns = Value(burns).to_vec().expect("host memory");
            assert_eq!(found.len(), burns.len());
            // Sums of at most some hundred products below 1, in another order.
            found.iter().zip(&burns).for_each(|(x, y)| assert!((x - y).abs() < 1e-13, "{x} {y}"));
        };
        for (stride, padding, dilation) in [(1, 0, 1), (1, 1, 1), (2, 1, 1), (2, 2, 2), (3, 0, 1)] {
            for dimensions in 1..=3 {
                let o = Convolution {
                    stride: vec![stride; dimensions],
                    padding: vec![(padding, padding); dimensions],
                    dilation: vec![dilation; dimensions],
                    groups: 1,
                };
                let of = |first: [usize; 2], side: usize| [first.to_vec(), vec![side; dimensions]].concat();
                let side = (8 + 2 * padding - dilation * 2 - 1) / stride + 1;
                let (in_x, in_weight, in_result) = (of([2, 3], 8), of([4, 3], 3), of([2, 4], side));
                let sizes = sizes(&o, &in_x, &in_weight, &in_result);
                let (x, weight, c) = (tensor(&in_x, 1), tensor(&in_weight, 2), tensor(&in_result, 3));
                let forward = own(&x, &weight, sizes, &in_result, Which::Forward);
                let input = own(&weight, &c, sizes, &in_x, Which::InputAdjoint);
                let in_weights = own(&x, &c, sizes, &in_weight, Which::WeightAdjoint);
                let all = || (x.clone(), weight.clone(), c.clone());
                let ((x, w, _), (y, v, c), (z, u, d)) = (all(), all(), all());
                let burns = match dimensions {
                    1 => [
                        B::conv1d(x, w, None, options(&o)),
                        B::conv1d_x_backward(y, v, c, options(&o)),
                        B::conv1d_weight_backward(z, u, d, options(&o)),
                    ],
                    2 => [
                        B::conv2d(x, w, None, options(&o)),
                        B::conv2d_x_backward(y, v, c, options(&o)),
                        B::conv2d_weight_backward(z, u, d, options(&o)),
                    ],
                    _ => [
                        B::conv3d(x, w, None, options(&o)),
                        B::conv3d_x_backward(y, v, c, options(&o)),
                        B::conv3d_weight_backward(z, u, d, options(&o)),
                    ],
                };
                [forward, input, in_weights].into_iter().zip(burns).for_each(|(found, burns)| close(found, burns));
            }
        }
    }
}
