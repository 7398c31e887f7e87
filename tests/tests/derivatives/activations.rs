//! Activations, softmax and the losses built from it.

use burn::tensor::activation::*;
use burn::tensor::module::{ctc_loss, layer_norm};
use burn::tensor::{Int, Tensor};

use crate::harness::{data, given, indices, within, x};

cases! {
    relu_case(x([2, 3])) = |a| relu(a.x::<2>(0)).square();
    relu_at_zero(given([3], &[0.0, 0.5, -0.5])) [kink] = |a| relu(a.x::<1>(0));
    relu6_case(within(-2.0, 8.0, [2, 4])) = |a| relu6(a.x::<2>(0)).square();
    leaky_relu_case(x([2, 3])) = |a| leaky_relu(a.x::<2>(0), 0.1).square();
    leaky_relu_at_zero(given([3], &[0.0, 0.5, -0.5])) [kink] = |a| leaky_relu(a.x::<1>(0), 0.1);
    prelu_case(x([2, 3]), x([1])) = |a| prelu(a.x::<2>(0), a.x::<1>(1)).square();
    prelu_channels(x([2, 3, 2]), x([3])) = |a| prelu(a.x::<3>(0), a.x::<1>(1)).square();
    prelu_at_zero(given([3], &[0.0, 0.5, -0.5]), given([1], &[0.25])) [kink] = |a| prelu(a.x::<1>(0).unsqueeze::<2>(), a.x::<1>(1));
    gelu_case(x([2, 3])) = |a| gelu(a.x::<2>(0));
    gelu_approximate_case(x([2, 3])) = |a| gelu_approximate(a.x::<2>(0));
    sigmoid_case(within(-4.0, 4.0, [2, 3])) = |a| sigmoid(a.x::<2>(0));
    log_sigmoid_case(within(-4.0, 4.0, [2, 3])) = |a| log_sigmoid(a.x::<2>(0));
    hard_sigmoid_case(within(-4.0, 4.0, [2, 4])) [single] = |a| hard_sigmoid(a.x::<2>(0), 0.2, 0.5).square();
    hard_sigmoid_at_bound(given([4], &[-2.5, 2.5, 0.1, 3.0])) [kink, sum < 1e-6] = |a| hard_sigmoid(a.x::<1>(0), 0.2, 0.5);
    tanh_case(x([2, 3])) = |a| tanh(a.x::<2>(0));
    softplus_case(x([2, 3])) [eager < 1e-7] = |a| softplus(a.x::<2>(0), 1.5);
    silu_case(x([2, 3])) = |a| silu(a.x::<2>(0));
    mish_case(x([2, 3])) = |a| mish(a.x::<2>(0));
    hard_swish_case(within(-4.0, 4.0, [2, 4])) [single] = |a| hard_swish(a.x::<2>(0));
    elu_case(x([2, 3])) = |a| elu(a.x::<2>(0), 0.7);
    celu_case(x([2, 3])) [eager < 1e-7] = |a| celu(a.x::<2>(0), 0.7);
    selu_case(x([2, 3])) = |a| selu(a.x::<2>(0));
    softsign_case(x([2, 3])) = |a| softsign(a.x::<2>(0));
    glu_case(x([2, 4])) = |a| glu(a.x::<2>(0), 1);
    softmax_last(x([2, 3])) = |a| softmax(a.x::<2>(0), 1);
    softmax_first(x([2, 3])) = |a| softmax(a.x::<2>(0), 0);
    softmax_middle(x([2, 3, 2])) = |a| softmax(a.x::<3>(0), 1);
    softmax_of_one(x([2, 1])) = |a| softmax(a.x::<2>(0), 1) * a.x::<2>(0);
    softmax_one_row(x([1, 3])) = |a| softmax(a.x::<2>(0), 1);
    softmax_far_apart(within(-8.0, 8.0, [2, 3])) [f32 < 1e-5] = |a| softmax(a.x::<2>(0), 1);
    softmin_case(x([2, 3])) = |a| softmin(a.x::<2>(0), 1);
    quiet_softmax_case(x([2, 3])) = |a| quiet_softmax(a.x::<2>(0), 1);
    log_softmax_last(x([2, 3])) = |a| log_softmax(a.x::<2>(0), 1);
    log_softmax_first(x([2, 3])) = |a| log_softmax(a.x::<2>(0), 0);
    log_softmax_middle(x([2, 3, 2])) = |a| log_softmax(a.x::<3>(0), 1);
    log_softmax_of_one(x([2, 1])) = |a| log_softmax(a.x::<2>(0), 1) + a.x::<2>(0);
    log_softmax_far_apart(within(-40.0, 40.0, [2, 3])) = |a| log_softmax(a.x::<2>(0), 1);
    attention_weights(x([2, 3, 4]), x([2, 3, 4]), x([2, 3, 4])) = |a| {
        softmax(a.x::<3>(0).matmul(a.x::<3>(1).transpose()) * 0.5, 2).matmul(a.x::<3>(2))
    };
    cross_entropy_by_hand(x([4, 3]), indices(3, [4])) = |a| {
        -log_softmax(a.x::<2>(0), 1).gather(1, a.indices::<1>(0).unsqueeze_dim::<2>(1)).mean()
    };
    layer_norm_of_rows(x([3, 4]), x([4]), x([4])) = |a| layer_norm(a.x::<2>(0), a.x::<1>(1), Some(a.x::<1>(2)), 1e-5);
    layer_norm_of_blocks(x([2, 3, 5]), x([5])) = |a| layer_norm(a.x::<3>(0).exp(), a.x::<1>(1), None, 1e-2).sin();
    layer_norm_of_equal_values(given([2, 3], &[0.5, 0.5, 0.5, 0.1, 0.2, 0.4]), x([3])) = |a| {
        layer_norm(a.x::<2>(0), a.x::<1>(1), None, 0.3)
    };
    layer_norm_of_one(x([3, 1]), x([1])) = |a| layer_norm(a.x::<2>(0), a.x::<1>(1), None, 1e-5) + a.x::<2>(0).exp();
    entropy(x([2, 3]), data([2, 3])) = |a| {
        let p = softmax(a.x::<2>(0) + a.data::<2>(0), 1);
        p.clone() * p.log()
    };
    connectionist_temporal_classification(x([6, 2, 4])) = |a| {
        let x = a.x::<3>(0);
        let integers = |values: &[i64]| Tensor::<1, Int>::from_ints(values, &x.device());
        let (targets, lengths) = (integers(&[1, 2, 2, 3, 1, 0]).reshape([2, 3]), (integers(&[6, 5]), integers(&[3, 2])));
        ctc_loss(log_softmax(x.clone(), 2), targets, lengths.0, lengths.1, 0)
    };
}
