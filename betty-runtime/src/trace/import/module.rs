//! Convolutions and pools, with their recorded backward passes.

use burn_ir::{ModuleOperationIr, TensorIr};

use super::{Imported, Importer, unsupported};
use crate::graph::{Convolution, NodeId, Op, Window};

/// The geometry of a recorded convolution of any rank.
macro_rules! convolution {
    ($options:expr, $pad:expr) => {
        Convolution {
            stride: $options.stride.to_vec(),
            padding: $options.padding.iter().map($pad).collect(),
            dilation: $options.dilation.to_vec(),
            groups: $options.groups,
        }
    };
}

/// The geometry of the convolution whose adjoint is recorded.
macro_rules! transposed {
    ($options:expr) => {
        convolution!($options, |&p| (p, p))
    };
}

/// The geometry of a recorded pool.
macro_rules! window {
    (max $o:expr) => {
        Window {
            kernel: sizes($o.kernel_size),
            stride: sizes($o.stride),
            padding: sizes($o.padding),
            dilation: sizes($o.dilation),
            ceil: $o.ceil_mode,
            count_padding: false,
        }
    };
    (average $o:expr) => {{
        let kernel = sizes($o.kernel_size);
        Window {
            dilation: vec![1; kernel.len()],
            kernel,
            stride: sizes($o.stride),
            padding: sizes($o.padding),
            ceil: $o.ceil_mode,
            count_padding: $o.count_include_pad,
        }
    }};
}

trait Sizes {
    fn list(self) -> Vec<usize>;
}

impl Sizes for usize {
    fn list(self) -> Vec<usize> {
        vec![self]
    }
}

impl<const N: usize> Sizes for [usize; N] {
    fn list(self) -> Vec<usize> {
        self.to_vec()
    }
}

fn sizes(sizes: impl Sizes) -> Vec<usize> {
    sizes.list()
}

impl Importer<'_> {
    pub(super) fn module(&mut self, op: &ModuleOperationIr) -> Imported {
        use ModuleOperationIr as M;
        match op {
            M::Linear(o) => self.linear(&o.x, &o.weight, o.bias.as_ref(), &o.out),
            M::LinearXBackward(o) => self.linear_x_backward(&o.weight, &o.output_grad, &o.out),
            M::LinearWeightBackward(o) => self.linear_weight_backward(&o.x, &o.output_grad, &o.out),
            M::LinearBiasBackward(o) => self.bias_backward(o.output_grad.shape.num_dims() - 1, &o.output_grad, &o.out),
            M::BatchNorm(o) => self.batch_norm(o),
            M::LayerNorm(o) => self.layer_norm(o),
            M::Attention(o) => self.attention(o),
            M::Embedding(o) => self.embedding(&o.weights, &o.indices, &o.out),
            M::EmbeddingBackward(o) => self.embedding_backward(&o.weights, &o.indices, &o.out_grad, &o.out),
            M::Conv1d(o) => self.conv(convolution!(o.options, |&p| p), &o.x, &o.weight, o.bias.as_ref(), &o.out),
            M::Conv2d(o) => self.conv(convolution!(o.options, |&p| p), &o.x, &o.weight, o.bias.as_ref(), &o.out),
            M::Conv3d(o) => self.conv(convolution!(o.options, |&p| (p, p)), &o.x, &o.weight, o.bias.as_ref(), &o.out),
            M::Conv1dXBackward(o) => {
                self.conv_adjoint(Op::ConvInput, convolution!(o.options, |&p| p), &o.weight, &o.output_grad, &o.out)
            }
            M::Conv2dXBackward(o) => {
                self.conv_adjoint(Op::ConvInput, convolution!(o.options, |&p| p), &o.weight, &o.output_grad, &o.out)
            }
            M::Conv3dXBackward(o) => self.conv_adjoint(
                Op::ConvInput,
                convolution!(o.options, |&p| (p, p)),
                &o.weight,
                &o.output_grad,
                &o.out,
            ),
            M::Conv1dWeightBackward(o) => {
                self.conv_adjoint(Op::ConvWeight, convolution!(o.options, |&p| p), &o.x, &o.output_grad, &o.out)
            }
            M::Conv2dWeightBackward(o) => {
                self.conv_adjoint(Op::ConvWeight, convolution!(o.options, |&p| p), &o.x, &o.output_grad, &o.out)
            }
            M::Conv3dWeightBackward(o) => {
                self.conv_adjoint(Op::ConvWeight, convolution!(o.options, |&p| (p, p)), &o.x, &o.output_grad, &o.out)
            }
            M::Conv1dBiasBackward(o) => self.bias_backward(1, &o.output_grad, &o.out),
            M::Conv2dBiasBackward(o) => self.bias_backward(1, &o.output_grad, &o.out),
            M::Conv3dBiasBackward(o) => self.bias_backward(1, &o.output_grad, &o.out),
            M::ConvTranspose1d(o) => {
                self.conv_transpose(transposed!(o.options), &o.x, &o.weight, o.bias.as_ref(), &o.out)
            }
            M::ConvTranspose2d(o) => {
                self.conv_transpose(transposed!(o.options), &o.x, &o.weight, o.bias.as_ref(), &o.out)
            }
            M::ConvTranspose3d(o) => {
                self.conv_transpose(transposed!(o.options), &o.x, &o.weight, o.bias.as_ref(), &o.out)
            }
            M::ConvTranspose1dWeightBackward(o) => {
                self.conv_adjoint(Op::ConvWeight, transposed!(o.options), &o.output_grad, &o.x, &o.out)
            }
            M::ConvTranspose2dWeightBackward(o) => {
                self.conv_adjoint(Op::ConvWeight, transposed!(o.options), &o.output_grad, &o.x, &o.out)
            }
            M::ConvTranspose3dWeightBackward(o) => {
                self.conv_adjoint(Op::ConvWeight, transposed!(o.options), &o.output_grad, &o.x, &o.out)
            }
            M::ConvTranspose1dBiasBackward(o) => self.bias_backward(1, &o.output_grad, &o.out),
            M::ConvTranspose2dBiasBackward(o) => self.bias_backward(1, &o.output_grad, &o.out),
            M::ConvTranspose3dBiasBackward(o) => self.bias_backward(1, &o.output_grad, &o.out),
            M::AvgPool1d(o) => self.unary_op(Op::AvgPool(window!(average o)), &o.x, &o.out),
            M::AvgPool2d(o) => self.unary_op(Op::AvgPool(window!(average o)), &o.x, &o.out),
            M::AvgPool1dBackward(o) => {
                self.unary_op(Op::AvgPoolAdjoint(window!(average o), o.out.shape.to_vec()), &o.grad, &o.out)
            }
            M::AvgPool2dBackward(o) => {
                self.unary_op(Op::AvgPoolAdjoint(window!(average o), o.out.shape.to_vec()), &o.grad, &o.out)
            }
            M::AdaptiveAvgPool1d(o) => self.unary_op(Op::AdaptiveAvgPool(sizes(o.output_size)), &o.x, &o.out),
            M::AdaptiveAvgPool2d(o) => self.unary_op(Op::AdaptiveAvgPool(sizes(o.output_size)), &o.x, &o.out),
            M::AdaptiveAvgPool3d(o) => self.unary_op(Op::AdaptiveAvgPool(sizes(o.output_size)), &o.x, &o.out),
            M::AdaptiveAvgPool1dBackward(o) => self.adaptive_adjoint(&o.grad, &o.out),
            M::AdaptiveAvgPool2dBackward(o) => self.adaptive_adjoint(&o.grad, &o.out),
            M::AdaptiveAvgPool3dBackward(o) => self.adaptive_adjoint(&o.grad, &o.out),
            M::MaxPool1d(o) => self.max_pool(window!(max o), &o.x, &o.out, None),
            M::MaxPool2d(o) => self.max_pool(window!(max o), &o.x, &o.out, None),
            M::MaxPool1dWithIndices(o) => self.max_pool(window!(max o), &o.x, &o.out, Some(&o.out_indices)),
            M::MaxPool2dWithIndices(o) => self.max_pool(window!(max o), &o.x, &o.out, Some(&o.out_indices)),
            M::MaxPool1dWithIndicesBackward(o) => self.max_pool_backward(&o.grad, &o.indices, &o.out),
            M::MaxPool2dWithIndicesBackward(o) => self.max_pool_backward(&o.grad, &o.indices, &o.out),
            M::Interpolate(o) => self.interpolate(o),
            M::InterpolateBackward(o) => self.interpolate_backward(o),
            M::Unfold4d(o) => self.unfold_image(o),
            M::DeformableConv2d(o) => self.deformable(o),
            M::DeformableConv2dBackward(o) => self.deformable_backward(o),
            M::CtcLoss(_) | M::CtcLossBackward(_) => unsupported(op),
        }
    }

    /// Adds a bias that belongs to one dimension.
    pub(super) fn with_bias(&mut self, x: NodeId, bias: Option<&TensorIr>, axis: usize) -> Imported<NodeId> {
        let Some(bias) = bias else { return Ok(x) };
        let bias = self.node(bias)?;
        let mut shape = vec![1; self.graph.shape(x).len()];
        shape[axis] = self.graph.shape(x)[axis];
        let bias = self.graph.reshape(bias, &shape)?;
        Ok(self.graph.add(x, bias)?)
    }

    fn conv(
        &mut self,
        options: Convolution,
        x: &TensorIr,
        weight: &TensorIr,
        bias: Option<&TensorIr>,
        out: &TensorIr,
    ) -> Imported {
        let (x, weight) = (self.node(x)?, self.node(weight)?);
        let product = self.graph.push(Op::Conv(options), &[x, weight])?;
        let node = self.with_bias(product, bias, 1)?;
        self.set(out, node)
    }

    /// A transposed convolution is the adjoint, in the data, of the convolution with the same weight.
    fn conv_transpose(
        &mut self,
        options: Convolution,
        x: &TensorIr,
        weight: &TensorIr,
        bias: Option<&TensorIr>,
        out: &TensorIr,
    ) -> Imported {
        let (x, weight) = (self.node(x)?, self.node(weight)?);
        let product = self.graph.push(Op::ConvInput(options, out.shape.to_vec()), &[weight, x])?;
        let node = self.with_bias(product, bias, 1)?;
        self.set(out, node)
    }

    fn conv_adjoint(
        &mut self,
        adjoint: fn(Convolution, Vec<usize>) -> Op,
        options: Convolution,
        fixed: &TensorIr,
        cotangent: &TensorIr,
        out: &TensorIr,
    ) -> Imported {
        let (fixed, cotangent) = (self.node(fixed)?, self.node(cotangent)?);
        let node = self.graph.push(adjoint(options, out.shape.to_vec()), &[fixed, cotangent])?;
        self.set(out, node)
    }

    /// A bias is added to every position of its dimension.
    fn bias_backward(&mut self, axis: usize, cotangent: &TensorIr, out: &TensorIr) -> Imported {
        let node = self.node(cotangent)?;
        let axes: Vec<usize> = (0..cotangent.shape.num_dims()).filter(|&d| d != axis).collect();
        let sum = self.graph.sum(node, &axes)?;
        let node = self.graph.reshape(sum, &out.shape.to_vec())?;
        self.set(out, node)
    }

    fn adaptive_adjoint(&mut self, cotangent: &TensorIr, out: &TensorIr) -> Imported {
        self.unary_op(Op::AdaptiveAvgPoolAdjoint(out.shape.to_vec()), cotangent, out)
    }

    /// A maximum over windows is a gather at the index of each window's largest value.
    fn max_pool(&mut self, window: Window, x: &TensorIr, out: &TensorIr, out_indices: Option<&TensorIr>) -> Imported {
        let input = self.node(x)?;
        let indices = self.graph.push(Op::MaxPoolIndices(window), &[input])?;
        let flat = self.graph.reshape(input, &flat_shape(x))?;
        let flat_indices = self.graph.reshape(indices, &flat_shape(out))?;
        let values = self.graph.push(Op::Gather(2), &[flat, flat_indices])?;
        let node = self.graph.reshape(values, &out.shape.to_vec())?;
        self.set(out, node)?;
        match out_indices {
            Some(tensor) => {
                let indices = self.graph.cast(indices, tensor.dtype)?;
                self.set(tensor, indices)
            }
            None => Ok(()),
        }
    }

    fn max_pool_backward(&mut self, cotangent: &TensorIr, indices: &TensorIr, out: &TensorIr) -> Imported {
        let (node, indices_node) = (self.node(cotangent)?, self.node(indices)?);
        let flat_indices = self.graph.reshape(indices_node, &flat_shape(indices))?;
        let flat = self.graph.reshape(node, &flat_shape(cotangent))?;
        let shape = flat_shape(out);
        let spread = self.graph.push(Op::ScatterAdd { axis: 2, size: shape[2] }, &[flat_indices, flat])?;
        let node = self.graph.reshape(spread, &out.shape.to_vec())?;
        self.set(out, node)
    }
}

/// `[batch, channel, everything else]`
fn flat_shape(tensor: &TensorIr) -> Vec<usize> {
    let shape = tensor.shape.to_vec();
    vec![shape[0], shape[1], shape[2..].iter().product()]
}
