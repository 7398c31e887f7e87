//! What Burn builds from its operations: activations, statistics, einsum, masks and grids.

use burn::tensor::activation::*;
use burn::tensor::grid::affine_grid_2d;
use burn::tensor::loss::cross_entropy_with_logits;
use burn::tensor::ops::GridSampleOptions;
use burn::tensor::{Bool, Int, IntDType, Tensor, s};

use crate::harness::{data, given, indices, within, x};

cases! {
    hard_shrink_case(x([2, 4])) = |a| hard_shrink(a.x::<2>(0), 0.31).square();
    soft_shrink_case(x([2, 4])) = |a| soft_shrink(a.x::<2>(0), 0.31).square();
    shrink_case(x([2, 4])) = |a| shrink(a.x::<2>(0), 0.31, 0.2).square();
    hard_tanh(x([2, 4])) = |a| hardtanh(a.x::<2>(0), -0.43, 0.61).square();
    tanh_shrink(x([2, 4])) = |a| tanhshrink(a.x::<2>(0));
    threshold_case(x([2, 4])) = |a| threshold(a.x::<2>(0), 0.21, 0.5).square();
    thresholded(x([2, 4])) = |a| thresholded_relu(a.x::<2>(0), 0.21).square();
    softplus_with_a_bound(x([2, 4])) [eager < 1e-7] = |a| softplus_with_threshold(a.x::<2>(0), 1.5, 20.0);
    shrink_at_its_bound(given([4], &[-0.5, 0.5, 0.7, 0.0])) [kink] = |a| shrink(a.x::<1>(0), 0.5, 0.5);
    threshold_at_its_bound(given([3], &[-0.5, 0.5, 0.7])) [kink] = |a| threshold(a.x::<1>(0), 0.5, 0.2);
    elu_at_zero(given([3], &[0.0, 0.5, -0.5])) [kink] = |a| elu(a.x::<1>(0), 0.7);
    selu_at_zero(given([3], &[0.0, 0.5, -0.5])) [kink] = |a| selu(a.x::<1>(0));
    relu6_at_its_bounds(given([4], &[0.0, 6.0, -0.5, 7.0])) [kink] = |a| relu6(a.x::<1>(0));
    sign_at_zero(given([3], &[0.0, 0.5, -0.5])) [kink] = |a| a.x::<1>(0).sign() + a.x::<1>(0);
    max_pair_tied(given([3], &[0.1, 0.5, -0.5]), given([3], &[0.1, 0.2, -0.5])) [kink] = |a| {
        a.x::<1>(0).max_pair(a.x::<1>(1)) + a.x::<1>(0).min_pair(a.x::<1>(1)) * 3.0
    };
    remainder_at_a_jump(given([3], &[1.5, -1.0, 2.2]), given([3], &[0.5, 0.5, 0.7])) [kink] = |a| a.x::<1>(0).remainder(a.x::<1>(1));
    steps_at_integers(given([3], &[1.0, -1.0, 2.5])) [kink] = |a| {
        let x = a.x::<1>(0);
        x.clone().round() + x.clone().floor() + x.clone().ceil() + x.clone().trunc() + x
    };
    fmod_case(within(1.0, 5.0, [2, 3]), within(0.7, 0.9, [2, 3])) [kink] = |a| a.x::<2>(0).fmod(a.x::<2>(1));

    covariance(x([3, 4])) [eager < 1e-7] = |a| a.x::<2>(0).cov(1, 1);
    variance_and_mean(x([2, 5])) [eager < 1e-7] = |a| { let (var, mean) = a.x::<2>(0).var_mean_bias(1); var * mean };
    medians(x([3, 5])) = |a| a.x::<2>(0).exp().median(1);
    medians_of_even(x([3, 4])) = |a| a.x::<2>(0).exp().median_with_indices(1).0;
    soft_targets(x([3, 4]), data([3, 4])) = |a| cross_entropy_with_logits(a.x::<2>(0), softmax(a.data::<2>(0), 1));
    magnitudes(x([2, 3, 2])) = |a| a.x::<3>(0).max_abs_dims(&[0, 2]).exp();
    products(within(0.3, 1.2, [2, 3, 2])) = |a| a.x::<3>(0).prod_dims(&[0, 2]).exp();
    smallest(x([2, 3, 2])) = |a| a.x::<3>(0).exp().min_dims(&[1, 2]);

    einsum_product(x([2, 3]), x([3, 4])) = |a| Tensor::<2>::einsum("ij,jk->ik", [a.x::<2>(0).into(), a.x::<2>(1).into()]);
    einsum_trace(x([3, 3])) = |a| Tensor::<1>::einsum("ij,ij->j", [a.x::<2>(0).into(), a.x::<2>(0).exp().into()]);
    taken(x([4, 3]), indices(4, [2, 2])) = |a| a.x::<2>(0).exp().take::<2, 3>(0, a.indices::<2>(0));
    rows_in_turn(x([3, 4])) = |a| {
        let rows = a.x::<2>(0).iter_dim(0).enumerate().map(|(i, row)| row.powi_scalar(i as i32 + 1)).collect();
        Tensor::cat(rows, 0)
    };
    split_unevenly(x([2, 6])) = |a| {
        let parts = a.x::<2>(0).split_with_sizes(vec![1, 3, 2], 1);
        parts[0].clone().exp() * parts[1].clone() + parts[2].clone().slice(s![.., 0..1]).sin()
    };
    masks(x([3, 3])) = |a| {
        let x = a.x::<2>(0);
        let mask = |mask: Tensor<2, Bool>, x: Tensor<2>| x.mask_fill(mask, 0.25);
        let (lower, upper) = (Tensor::tril_mask([3, 3], 0, &x.device()), Tensor::triu_mask([3, 3], 1, &x.device()));
        mask(lower, x.clone().exp()) + mask(upper, x.clone().sin()) + mask(Tensor::diag_mask([3, 3], 0, &x.device()), x)
    };
    one_hot_targets(x([3, 4]), indices(4, [3])) = |a| {
        let x = a.x::<2>(0);
        let classes = Tensor::<1, Int>::arange(0..4, &x.device()).cast(IntDType::I64);
        let hot = a.indices::<1>(0).unsqueeze_dim::<2>(1).expand([3, 4]).equal(classes.unsqueeze::<2>().expand([3, 4]));
        log_softmax(x.clone(), 1) * hot.float().cast(x.dtype())
    };
    close_or_not(x([2, 3]), data([2, 3])) = |a| {
        let x = a.x::<2>(0);
        x.clone().exp().mask_fill(x.is_close(a.data::<2>(0), Some(0.1), Some(0.3)), 0.5)
    };
    warped(x([1, 1, 3, 4]), within(-0.3, 0.4, [1, 2, 3])) [f32] = |a| {
        let grid = affine_grid_2d(a.x::<3>(1), [1, 1, 2, 2]);
        a.x::<4>(0).grid_sample_2d(grid, GridSampleOptions::default())
    };
}
