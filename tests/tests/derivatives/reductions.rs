//! Sums, means, extreme values and what is built from them.

use crate::harness::{given, within, x};

cases! {
    sum(x([2, 3])) = |a| a.x::<2>(0).exp().sum();
    sum_dim_first(x([2, 3])) = |a| a.x::<2>(0).exp().sum_dim(0);
    sum_dim_last(x([2, 3])) = |a| a.x::<2>(0).exp().sum_dim(1);
    sum_dim_of_one(x([2, 1])) = |a| a.x::<2>(0).exp().sum_dim(1);
    sum_dims(x([2, 3, 4])) = |a| a.x::<3>(0).exp().sum_dims(&[0, 2]);
    sum_dims_all(x([2, 3, 4])) = |a| a.x::<3>(0).exp().sum_dims(&[0, 1, 2]);
    sum_dims_middle(x([2, 3, 4, 2])) = |a| a.x::<4>(0).exp().sum_dims(&[1, 3]);
    sum_dims_squeeze(x([2, 3, 4])) = |a| a.x::<3>(0).exp().sum_dims_squeeze::<1, _>(&[0, 2]);
    sum_of_broadcast(x([2, 1, 3])) = |a| a.x::<3>(0).expand([2, 4, 3]).sum_dim(1).exp();
    sum_of_sum(x([2, 3, 4])) = |a| a.x::<3>(0).sum_dim(1).sum_dim(2).exp();
    mean(x([2, 3])) = |a| a.x::<2>(0).exp().mean();
    mean_dim(x([2, 3])) = |a| a.x::<2>(0).exp().mean_dim(1);
    mean_dims(x([2, 3, 4])) = |a| a.x::<3>(0).exp().mean_dims(&[0, 1]);
    var(x([2, 5])) = |a| a.x::<2>(0).var(1);
    var_bias(x([2, 5])) [eager < 1e-7] = |a| a.x::<2>(0).var_bias(1);
    var_mean(x([2, 5])) = |a| { let (var, mean) = a.x::<2>(0).var_mean(1); var * mean };
    max(x([2, 3])) = |a| a.x::<2>(0).exp().max();
    min(x([2, 3])) = |a| a.x::<2>(0).exp().min();
    max_dim(x([2, 3])) = |a| a.x::<2>(0).exp().max_dim(1);
    max_dim_first(x([4, 3])) = |a| a.x::<2>(0).exp().max_dim(0);
    min_dim(x([2, 3])) = |a| a.x::<2>(0).exp().min_dim(1);
    max_dim_with_indices(x([3, 4])) = |a| {
        let x = a.x::<2>(0);
        let (values, indices) = x.clone().exp().max_dim_with_indices(1);
        values * (indices.float().cast(x.dtype()) + 1.0)
    };
    min_dim_with_indices(x([3, 4])) = |a| {
        let x = a.x::<2>(0);
        let (values, indices) = x.clone().exp().min_dim_with_indices(1);
        values * (indices.float().cast(x.dtype()) + 1.0)
    };
    argmax(x([3, 4])) = |a| { let x = a.x::<2>(0); x.clone().exp() * x.clone().argmax(1).float().cast(x.dtype()) };
    argmin(x([3, 4])) = |a| { let x = a.x::<2>(0); x.clone().exp() * x.clone().argmin(0).float().cast(x.dtype()) };
    max_tied(given([2, 3], &[1.0, 1.0, 0.0, 0.0, 2.0, 2.0])) [kink] = |a| a.x::<2>(0).max_dim(1);
    min_tied(given([2, 3], &[1.0, 1.0, 0.0, 0.0, 0.0, 2.0])) [kink] = |a| a.x::<2>(0).min_dim(1);
    max_tied_first(given([3, 2], &[1.0, 1.0, 1.0, 0.0, 0.5, 1.0])) [kink] = |a| a.x::<2>(0).max_dim(0);
    max_of_all_tied(given([4], &[1.0, 2.0, 2.0, 2.0])) [kink] = |a| a.x::<1>(0).max();
    min_of_all_tied(given([4], &[1.0, 2.0, 1.0, 2.0])) [kink] = |a| a.x::<1>(0).min();
    dot(x([5]), x([5])) = |a| a.x::<1>(0).dot(a.x::<1>(1));
    norm(x([2, 3])) = |a| a.x::<2>(0).square().sum().sqrt();
    log_sum_exp(x([2, 3])) = |a| {
        let x = a.x::<2>(0);
        let max = x.clone().max_dim(1);
        (x - max.clone()).exp().sum_dim(1).log() + max
    };
    one_element(x([1])) = |a| a.x::<1>(0).exp();
    mean_of_one(x([1, 1])) = |a| a.x::<2>(0).exp().mean_dim(0).mean();
    max_abs(x([2, 3])) = |a| a.x::<2>(0).max_abs();
    max_abs_dim(x([2, 3])) = |a| a.x::<2>(0).max_abs_dim(1);
    max_dims(x([2, 3, 2])) = |a| a.x::<3>(0).max_dims(&[0, 2]);
    any_dim(x([2, 3])) = |a| {
        let x = a.x::<2>(0);
        x.clone().square().mask_fill(x.clone().greater_scalar(0.6).any_dim(1).expand([2, 3]), 0.5)
    };
    all_dim(x([2, 3])) = |a| {
        let x = a.x::<2>(0);
        x.clone().square().mask_fill(x.clone().greater_scalar(-0.6).all_dim(0).expand([2, 3]), 0.5)
    };
    hypot(x([2, 3]), x([2, 3])) = |a| a.x::<2>(0).hypot(a.x::<2>(1));
    powers(within(0.5, 2.0, [2, 3]), x([2, 3])) = |a| a.x::<2>(0).powi(a.x::<2>(0).ones_like() * 2);
}
