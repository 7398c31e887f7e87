//! Layers of Burn's `nn`, and the losses that come with it.

use burn::nn::attention::{MhaInput, MultiHeadAttentionConfig};
use burn::nn::conv::{Conv1dConfig, Conv2dConfig, Conv3dConfig, ConvTranspose2dConfig};
use burn::nn::loss::{
    BinaryCrossEntropyLossConfig, CrossEntropyLossConfig, HuberLossConfig, KLDivLossConfig, LpLossConfig, MseLoss,
    Reduction, SmoothL1LossConfig,
};
use burn::nn::pool::{AdaptiveAvgPool2dConfig, AvgPool2dConfig, MaxPool2dConfig};
use burn::nn::transformer::{TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::*;
use burn::tensor::Device;
use burn::tensor::activation::{log_softmax, sigmoid, softmax};

use crate::harness::{data, flat, indices};

/// One module a line: `name(module; batch) = |module, a| function;`
macro_rules! modules {
    ($($name:ident($module:expr; $($input:expr),* $(,)?) $([$($option:tt)*])? = |$m:ident, $a:ident| $body:expr;)*) => {$(
        #[test]
        fn $name() {
            let options = option!($($($option)*)?);
            $crate::harness::check_module(stringify!($name), &$module, &[$($input),*], options, |$m, $a| flat($body));
        }
    )*};
}

pub(crate) fn flex() -> Device {
    Device::flex()
}

modules! {
    linear_layer(LinearConfig::new(3, 4).init(&flex()); data([5, 3])) = |m, a| m.forward(a.data::<2>(0)).tanh();
    linear_without_bias(LinearConfig::new(3, 4).with_bias(false).init(&flex()); data([5, 3])) = |m, a| m.forward(a.data::<2>(0)).tanh();
    linear_of_rank_three(LinearConfig::new(3, 4).init(&flex()); data([2, 5, 3])) = |m, a| m.forward(a.data::<3>(0)).tanh();
    linear_of_rank_one(LinearConfig::new(3, 4).init(&flex()); data([3])) = |m, a| m.forward(a.data::<1>(0)).tanh();
    mlp(vec![LinearConfig::new(3, 6).init(&flex()), LinearConfig::new(6, 6).init(&flex()), LinearConfig::new(6, 2).init(&flex())]; data([5, 3])) = |m, a| {
        m[2].forward(m[1].forward(m[0].forward(a.data::<2>(0)).tanh()).tanh())
    };
    cross_entropy(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), indices(4, [5])) = |m, a| {
        CrossEntropyLossConfig::new().init(&flex()).forward(m.forward(a.data::<2>(0)), a.indices::<1>(0))
    };
    cross_entropy_padded(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), indices(4, [5])) = |m, a| {
        CrossEntropyLossConfig::new().with_pad_tokens(Some(vec![0])).init(&flex()).forward(m.forward(a.data::<2>(0)), a.indices::<1>(0))
    };
    mse(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4])) = |m, a| {
        MseLoss::new().forward(m.forward(a.data::<2>(0)), a.data::<2>(1), Reduction::Mean)
    };
    huber(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4])) = |m, a| {
        HuberLossConfig::new(0.9).init().forward(m.forward(a.data::<2>(0)), a.data::<2>(1), Reduction::Sum)
    };
    bce_with_logits(LinearConfig::new(3, 2).init(&flex()); data([5, 3]), indices(2, [5, 2])) [f32] = |m, a| {
        BinaryCrossEntropyLossConfig::new().with_logits(true).init(&flex()).forward(m.forward(a.data::<2>(0)), a.indices::<2>(0))
    };
    embedding_layer(EmbeddingConfig::new(6, 4).init(&flex()); indices(6, [3, 2])) = |m, a| m.forward(a.indices::<2>(0)).tanh();
    layer_norm(LayerNormConfig::new(4).init(&flex()); data([3, 4]), data([3, 4])) = |m, a| m.forward(a.data::<2>(0)).tanh();
    layer_norm_inside(vec![LinearConfig::new(3, 4).init(&flex()), LinearConfig::new(4, 2).init(&flex())]; data([5, 3])) = |m, a| {
        let h = m[0].forward(a.data::<2>(0));
        let h = h.clone() - h.mean_dim(1);
        let h = h.clone() / (h.square().mean_dim(1) + 1e-5).sqrt();
        m[1].forward(h)
    };
    norms((LinearConfig::new(3, 4).init(&flex()), LayerNormConfig::new(4).init(&flex()), RmsNormConfig::new(4).init(&flex())); data([5, 3])) [single] = |m, a| {
        m.2.forward(m.1.forward(m.0.forward(a.data::<2>(0))).tanh())
    };
    group_norm((Conv1dConfig::new(2, 4, 3).init(&flex()), GroupNormConfig::new(2, 4).init(&flex())); data([2, 2, 6])) = |m, a| {
        m.1.forward(m.0.forward(a.data::<3>(0))).tanh()
    };
    instance_norm((Conv1dConfig::new(2, 4, 3).init(&flex()), InstanceNormConfig::new(4).init(&flex())); data([2, 2, 6])) = |m, a| {
        m.1.forward(m.0.forward(a.data::<3>(0))).tanh()
    };
    convolutional((Conv2dConfig::new([1, 2], [3, 3]).with_padding(PaddingConfig2d::Same).init(&flex()), Conv2dConfig::new([2, 2], [2, 2]).with_stride([2, 2]).init(&flex()), LinearConfig::new(8, 3).init(&flex())); data([2, 1, 8, 8]), indices(3, [2])) = |m, a| {
        let h = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init().forward(m.0.forward(a.data::<4>(0)).tanh());
        let logits = m.2.forward(m.1.forward(h).tanh().flatten::<2>(1, 3));
        CrossEntropyLossConfig::new().init(&flex()).forward(logits, a.indices::<1>(0))
    };
    pooled((Conv2dConfig::new([1, 2], [3, 3]).init(&flex()), LinearConfig::new(2, 3).init(&flex())); data([2, 1, 8, 8])) = |m, a| {
        let h = AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init().forward(m.0.forward(a.data::<4>(0)).tanh());
        m.1.forward(AdaptiveAvgPool2dConfig::new([1, 1]).init().forward(h).flatten::<2>(1, 3))
    };
    transposed(ConvTranspose2dConfig::new([2, 1], [3, 3]).with_stride([2, 2]).init(&flex()); data([1, 2, 3, 3])) = |m, a| m.forward(a.data::<4>(0)).tanh();
    attention(MultiHeadAttentionConfig::new(4, 2).with_dropout(0.0).init(&flex()); data([2, 3, 4])) = |m, a| {
        m.forward(MhaInput::self_attn(a.data::<3>(0))).context
    };
    transformer(TransformerEncoderConfig::new(4, 6, 2, 1).with_dropout(0.0).init(&flex()); data([2, 3, 4])) = |m, a| {
        m.forward(TransformerEncoderInput::new(a.data::<3>(0)))
    };
    lstm(LstmConfig::new(3, 4, true).init(&flex()); data([2, 3, 3])) [f32] = |m, a| m.forward(a.data::<3>(0), None).0;
    gru(gru::GruConfig::new(3, 4, true).init(&flex()); data([2, 3, 3])) [f32] = |m, a| m.forward(a.data::<3>(0), None);
    dropout((LinearConfig::new(3, 8).init(&flex()), LinearConfig::new(8, 2).init(&flex())); data([4, 3])) [random] = |m, a| {
        m.1.forward(DropoutConfig::new(0.4).init().forward(m.0.forward(a.data::<2>(0)).tanh()))
    };
    gaussian_noise(LinearConfig::new(3, 8).init(&flex()); data([4, 3])) [noise] = |m, a| {
        GaussianNoiseConfig::new(0.4).init().forward(m.forward(a.data::<2>(0)).tanh())
    };
    cross_entropy_smoothed(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), indices(4, [5])) [f32] = |m, a| {
        let config = CrossEntropyLossConfig::new().with_smoothing(Some(0.1));
        config.init(&a.data::<2>(0).device()).forward(m.forward(a.data::<2>(0)), a.indices::<1>(0))
    };
    cross_entropy_weighted(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), indices(4, [5])) [f32] = |m, a| {
        let config = CrossEntropyLossConfig::new().with_weights(Some(vec![1.0, 2.0, 0.5, 1.5]));
        config.init(&a.data::<2>(0).device()).forward(m.forward(a.data::<2>(0)), a.indices::<1>(0))
    };
    cross_entropy_of_probabilities(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), indices(4, [5])) = |m, a| {
        let config = CrossEntropyLossConfig::new().with_logits(false);
        config.init(&flex()).forward(softmax(m.forward(a.data::<2>(0)), 1), a.indices::<1>(0))
    };
    binary_cross_entropy(LinearConfig::new(3, 2).init(&flex()); data([5, 3]), indices(2, [5, 2])) [f32] = |m, a| {
        BinaryCrossEntropyLossConfig::new().init(&flex()).forward(sigmoid(m.forward(a.data::<2>(0))), a.indices::<2>(0))
    };
    kl_divergence(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4])) = |m, a| {
        let loss = KLDivLossConfig::new().init();
        loss.forward(log_softmax(m.forward(a.data::<2>(0)), 1), softmax(a.data::<2>(1), 1), Reduction::Mean)
    };
    smooth_l1(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4])) = |m, a| {
        SmoothL1LossConfig::new().init().forward(m.forward(a.data::<2>(0)), a.data::<2>(1) + 0.3)
    };
    lp_loss(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4])) = |m, a| {
        LpLossConfig::new(3.0).init().forward(m.forward(a.data::<2>(0)), a.data::<2>(1) + 0.3, Reduction::Mean)
    };
    cosine(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4])) = |m, a| {
        CosineSimilarityConfig::new().init().forward(m.forward(a.data::<2>(0)), a.data::<2>(1))
    };
    distance(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4])) = |m, a| {
        PairwiseDistanceConfig::new().init().forward(m.forward(a.data::<2>(0)), a.data::<2>(1))
    };
    swiglu(SwiGluConfig::new(3, 4).init(&flex()); data([5, 3])) = |m, a| m.forward(a.data::<2>(0));
    pixel_shuffle(LinearConfig::new(3, 3).init(&flex()); data([1, 4, 2, 3])) = |m, a| {
        PixelShuffleConfig::new(2).init().forward(m.forward(a.data::<4>(0))).exp()
    };
    local_response_norm(LinearConfig::new(3, 3).init(&flex()); data([1, 4, 2, 3])) = |m, a| {
        LocalResponseNormConfig::new(3).init().forward(m.forward(a.data::<4>(0)))
    };
    positions(LinearConfig::new(3, 4).init(&flex()); data([2, 3, 3])) [f32] = |m, a| {
        let x = m.forward(a.data::<3>(0));
        PositionalEncodingConfig::new(4).with_max_sequence_size(8).init(&x.device()).forward(x).tanh()
    };
    causal_attention(MultiHeadAttentionConfig::new(4, 2).with_dropout(0.0).init(&flex()); data([2, 3, 4])) [f32] = |m, a| {
        let x = a.data::<3>(0);
        let mask = attention::generate_autoregressive_mask(2, 3, &x.device());
        m.forward(MhaInput::self_attn(x).mask_attn(mask)).context
    };
    conv3d_layer(Conv3dConfig::new([1, 2], [2, 2, 2]).init(&flex()); data([1, 1, 3, 3, 3])) = |m, a| m.forward(a.data::<5>(0)).tanh();
    bidirectional_lstm(BiLstmConfig::new(3, 2, true).init(&flex()); data([2, 3, 3])) [f32] = |m, a| m.forward(a.data::<3>(0), None).0;
}
