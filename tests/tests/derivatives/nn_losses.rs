//! The losses of Burn's `nn`, of a linear layer's output.

use betty_runtime::trace::{AnyBatch, TraceError, trace};
use burn::module::Param;
use burn::nn::LinearConfig;
use burn::nn::loss::*;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

use crate::harness::{data, flat, indices};
use crate::modules::flex;

modules! {
    cosine_embedding(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4]), indices(2, [5])) = |m, a| {
        let sign = a.indices::<1>(0) * 2 - 1;
        let loss = CosineEmbeddingLossConfig::new().with_margin(0.1).init();
        loss.forward(m.forward(a.data::<2>(0)), a.data::<2>(1), sign)
    };
    gaussian_nll(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4]), data([5, 4])) = |m, a| {
        let loss = GaussianNLLLossConfig::new().with_full(true).init();
        loss.forward(m.forward(a.data::<2>(0)), a.data::<2>(1), a.data::<2>(2).exp(), Reduction::Mean)
    };
    gaussian_nll_of_a_variance(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4]), data([5, 4])) = |m, a| {
        let loss = GaussianNLLLossConfig::new().init();
        loss.forward(a.data::<2>(1), a.data::<2>(2), m.forward(a.data::<2>(0)).exp(), Reduction::Sum)
    };
    hinge_embedding(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), indices(2, [5, 4])) = |m, a| {
        let x = m.forward(a.data::<2>(0));
        let sign = (a.indices::<2>(0) * 2 - 1).float().cast(x.dtype());
        HingeEmbeddingLossConfig::new().init().forward(x, sign, Reduction::Mean)
    };
    margin_ranking(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4]), indices(2, [5, 4])) = |m, a| {
        let x = m.forward(a.data::<2>(0));
        let sign = (a.indices::<2>(0) * 2 - 1).float().cast(x.dtype());
        MarginRankingLossConfig::new().with_margin(0.3).init().forward(x, a.data::<2>(1), sign, Reduction::Mean)
    };
    multi_margin(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), indices(4, [5])) = |m, a| {
        MultiMarginLossConfig::new().init().forward(m.forward(a.data::<2>(0)), a.indices::<1>(0), Reduction::Mean)
    };
    multi_margin_squared(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), indices(4, [5])) = |m, a| {
        let loss = MultiMarginLossConfig::new().with_p(2).init();
        loss.forward(m.forward(a.data::<2>(0)), a.indices::<1>(0), Reduction::Mean)
    };
    soft_margin(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), indices(2, [5, 4])) = |m, a| {
        let x = m.forward(a.data::<2>(0));
        let sign = (a.indices::<2>(0) * 2 - 1).float().cast(x.dtype());
        SoftMarginLoss::new().forward(x, sign, Reduction::Mean)
    };
    triplet_margin(LinearConfig::new(3, 4).init(&flex()); data([5, 3]), data([5, 4]), data([5, 4])) = |m, a| {
        let loss = TripletMarginLossConfig::new().init();
        loss.forward(m.forward(a.data::<2>(0)), a.data::<2>(1), a.data::<2>(2), Reduction::Mean)
    };
    ctc(LinearConfig::new(3, 4).init(&flex()); data([5, 2, 3])) = |m, a| {
        let log = log_softmax(m.forward(a.data::<3>(0)), 2);
        let device = log.device();
        let targets = Tensor::<2, Int>::from_ints([[1, 2], [3, 3]], &device);
        let lengths = (Tensor::<1, Int>::from_ints([5, 5], &device), Tensor::<1, Int>::from_ints([2, 1], &device));
        CTCLossConfig::new().init().forward(log, targets, lengths.0, lengths.1)
    };
    rnnt(LinearConfig::new(3, 4).init(&flex()); data([2, 4, 3, 3])) [f32] = |m, a| {
        let logits = m.forward(a.data::<4>(0));
        let device = logits.device();
        let targets = Tensor::<2, Int>::from_ints([[1, 2], [3, 3]], &device);
        let lengths = (Tensor::<1, Int>::from_ints([4, 4], &device), Tensor::<1, Int>::from_ints([2, 1], &device));
        RNNTLossConfig::new().init().forward(logits, targets, lengths.0, lengths.1)
    };
}

/// Burn's Poisson loss looks at its targets and cannot be recorded.
#[test]
fn a_loss_that_looks_at_values_is_refused() {
    let parameter = Param::from_tensor(Tensor::<2>::ones([4, 3], &flex()));
    let traced = trace("poisson", &AnyBatch::new(()), |tracer| {
        let x = tracer.module(0, &parameter).val();
        PoissonNllLossConfig::new().init().forward(x.clone(), x.zeros_like(), Reduction::Mean)
    });
    assert!(matches!(traced, Err(TraceError::ReadsValue { .. })));
}
