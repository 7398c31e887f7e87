//! Further layers of Burn's `nn`: every convolution, pool, recurrence and attention block that `modules` leaves out.

use burn::nn::conv::*;
use burn::nn::gru::{BiGruConfig, GruConfig};
use burn::nn::interpolate::{Interpolate1dConfig, Interpolate2dConfig, InterpolateMode};
use burn::nn::pool::*;
use burn::nn::transformer::{
    PositionWiseFeedForwardConfig, TransformerDecoderConfig, TransformerDecoderInput, TransformerEncoderConfig,
    TransformerEncoderInput,
};
use burn::nn::*;

use crate::harness::{data, flat};
use crate::modules::flex;

modules! {
    conv1d_layer(Conv1dConfig::new(2, 3, 3).with_stride(2).init(&flex()); data([2, 2, 7])) = |m, a| m.forward(a.data::<3>(0)).tanh();
    conv2d_layer(Conv2dConfig::new([2, 4], [3, 2]).with_groups(2).init(&flex()); data([2, 2, 5, 4])) = |m, a| m.forward(a.data::<4>(0)).tanh();
    conv_transpose1d_layer(ConvTranspose1dConfig::new([2, 3], 3).with_stride(2).init(&flex()); data([2, 2, 4])) = |m, a| m.forward(a.data::<3>(0)).tanh();
    conv_transpose3d_layer(ConvTranspose3dConfig::new([2, 1], [2, 2, 2]).init(&flex()); data([1, 2, 2, 2, 3])) = |m, a| m.forward(a.data::<5>(0)).tanh();
    max_pool1d_layer(Conv1dConfig::new(1, 2, 2).init(&flex()); data([2, 1, 7])) = |m, a| MaxPool1dConfig::new(2).init().forward(m.forward(a.data::<3>(0)));
    max_pool2d_layer(Conv2dConfig::new([1, 2], [2, 2]).init(&flex()); data([2, 1, 5, 5])) = |m, a| MaxPool2dConfig::new([2, 2]).init().forward(m.forward(a.data::<4>(0)));
    avg_pool1d_layer(Conv1dConfig::new(1, 2, 2).init(&flex()); data([2, 1, 7])) = |m, a| AvgPool1dConfig::new(3).init().forward(m.forward(a.data::<3>(0)).tanh());
    avg_pool2d_layer(Conv2dConfig::new([1, 2], [2, 2]).init(&flex()); data([2, 1, 5, 5])) = |m, a| AvgPool2dConfig::new([2, 2]).init().forward(m.forward(a.data::<4>(0)).tanh());
    adaptive_avg_pool1d_layer(Conv1dConfig::new(1, 2, 2).init(&flex()); data([2, 1, 7])) = |m, a| AdaptiveAvgPool1dConfig::new(2).init().forward(m.forward(a.data::<3>(0)).tanh());
    adaptive_avg_pool2d_layer(Conv2dConfig::new([1, 2], [2, 2]).init(&flex()); data([2, 1, 5, 6])) = |m, a| AdaptiveAvgPool2dConfig::new([2, 3]).init().forward(m.forward(a.data::<4>(0)).tanh());
    adaptive_avg_pool3d_layer(Conv3dConfig::new([1, 2], [2, 2, 2]).init(&flex()); data([1, 1, 4, 5, 3])) = |m, a| AdaptiveAvgPool3dConfig::new([2, 2, 1]).init().forward(m.forward(a.data::<5>(0)).tanh());
    interpolate1d_layer(Conv1dConfig::new(1, 2, 2).init(&flex()); data([2, 1, 5])) = |m, a| {
        let up = Interpolate1dConfig::new().with_output_size(Some(7)).with_mode(InterpolateMode::Linear).init();
        up.forward(m.forward(a.data::<3>(0)).tanh())
    };
    interpolate2d_layer(Conv2dConfig::new([1, 2], [2, 2]).init(&flex()); data([1, 1, 4, 5])) = |m, a| {
        let up = Interpolate2dConfig::new().with_output_size(Some([5, 7])).with_mode(InterpolateMode::Linear).init();
        up.forward(m.forward(a.data::<4>(0)).tanh())
    };
    deform_conv2d_layer(DeformConv2dConfig::new([2, 3], [2, 2]).init(&flex()); data([1, 2, 4, 4]), data([1, 8, 3, 3]), data([1, 4, 3, 3])) = |m, a| {
        m.forward(a.data::<4>(0), a.data::<4>(1), Some(a.data::<4>(2))).tanh()
    };
    unfold4d_layer(Conv2dConfig::new([1, 2], [2, 2]).init(&flex()); data([1, 1, 5, 4])) = |m, a| {
        Unfold4dConfig::new([2, 2]).init().forward(m.forward(a.data::<4>(0)).tanh())
    };
    fold4d_layer(LinearConfig::new(3, 4).init(&flex()); data([1, 4, 3])) = |m, a| {
        Fold4dConfig::new([3, 3], [2, 2]).init().forward(m.forward(a.data::<3>(0)).tanh())
    };
    rms_norm(LinearConfig::new(3, 4).init(&flex()); data([5, 3])) [f32] = |m, a| {
        let x = m.forward(a.data::<2>(0));
        RmsNormConfig::new(4).init(&x.device()).forward(x)
    };
    rms_norm_layer(RmsNormConfig::new(4).init(&flex()); data([5, 4])) [single] = |m, a| m.forward(a.data::<2>(0)).tanh();
    bidirectional_gru(BiGruConfig::new(3, 2, true).init(&flex()); data([2, 3, 3])) [f32] = |m, a| m.forward(a.data::<3>(0), None).0;
    gru_without_reset_after(GruConfig::new(3, 4, true).with_reset_after(false).init(&flex()); data([2, 3, 3])) [f32] = |m, a| m.forward(a.data::<3>(0), None);
    feed_forward(PositionWiseFeedForwardConfig::new(4, 6).with_dropout(0.0).init(&flex()); data([2, 3, 4])) = |m, a| m.forward(a.data::<3>(0));
    transformer_decoder(TransformerDecoderConfig::new(4, 6, 2, 1).with_dropout(0.0).init(&flex()); data([2, 3, 4]), data([2, 2, 4])) = |m, a| {
        m.forward(TransformerDecoderInput::new(a.data::<3>(0), a.data::<3>(1)))
    };
    transformer_norm_first(TransformerEncoderConfig::new(4, 6, 2, 2).with_dropout(0.0).with_norm_first(true).init(&flex()); data([2, 3, 4])) = |m, a| {
        m.forward(TransformerEncoderInput::new(a.data::<3>(0)))
    };
    rotary(LinearConfig::new(3, 4).init(&flex()); data([2, 2, 3, 3])) [f32] = |m, a| {
        let x = m.forward(a.data::<4>(0));
        RotaryEncodingConfig::new(8, 4).init(&x.device()).forward(x).tanh()
    };
}
