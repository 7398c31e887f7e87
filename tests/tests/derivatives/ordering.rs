//! Sorting, the largest few, running reductions and products.

use burn::tensor::Tensor;

use crate::harness::{given, indices, within, x};

cases! {
    sort(x([3, 5])) = |a| a.x::<2>(0).sort(1).exp() * a.x::<2>(0);
    sort_first(x([4, 3, 2])) = |a| a.x::<3>(0).exp().sort(0);
    sort_of_one(x([3, 1])) = |a| a.x::<2>(0).sort(1).exp();
    sort_list(x([7])) = |a| a.x::<1>(0).sort(0).exp() * a.x::<1>(0);
    sort_descending(x([3, 5])) = |a| a.x::<2>(0).sort_descending(1).exp() * a.x::<2>(0);
    sort_with_indices(x([3, 4])) = |a| {
        let x = a.x::<2>(0);
        let (values, indices) = x.clone().exp().sort_with_indices(1);
        values * (indices.float().cast(x.dtype()) + 1.0)
    };
    sort_descending_with_indices(x([3, 4])) = |a| {
        let x = a.x::<2>(0);
        let (values, indices) = x.clone().exp().sort_descending_with_indices(0);
        values * (indices.float().cast(x.dtype()) + 1.0)
    };
    argsort(x([3, 4])) = |a| { let x = a.x::<2>(0); x.clone().exp() * x.clone().argsort(1).float().cast(x.dtype()) };
    argsort_descending(x([3, 4])) = |a| {
        let x = a.x::<2>(0);
        x.clone().exp() * x.clone().argsort_descending(0).float().cast(x.dtype())
    };
    sort_tied(given([2, 4], &[1.0, 0.5, 1.0, 0.5, 2.0, 2.0, 2.0, 0.0])) [kink] = |a| a.x::<2>(0).sort(1);
    sort_integers(x([3, 4]), indices(9, [3, 4])) = |a| {
        let (values, order) = a.indices::<2>(0).sort_with_indices(1);
        let x = a.x::<2>(0);
        x.clone().exp().gather(1, order) * values.float().cast(x.dtype())
    };
    median(x([5])) = |a| a.x::<1>(0).sort(0).narrow(0, 2, 1).exp();

    topk(x([3, 6])) = |a| a.x::<2>(0).exp().topk(2, 1);
    topk_first(x([5, 2])) = |a| a.x::<2>(0).exp().topk(3, 0);
    topk_all(x([2, 3])) = |a| a.x::<2>(0).exp().topk(3, 1);
    topk_with_indices(x([3, 6])) = |a| {
        let x = a.x::<2>(0);
        let (values, indices) = x.clone().exp().topk_with_indices(3, 1);
        values * (indices.float().cast(x.dtype()) + 1.0)
    };
    argtopk(x([3, 6])) = |a| { let x = a.x::<2>(0); x.clone().exp().gather(1, x.argtopk(2, 1)) };
    topk_tied(given([2, 4], &[1.0, 0.5, 1.0, 1.0, 2.0, 2.0, 2.0, 0.0])) [kink] = |a| a.x::<2>(0).topk(2, 1);
    topk_integers(x([3, 2]), indices(9, [3, 4])) = |a| {
        let x = a.x::<2>(0);
        x.clone().exp() * a.indices::<2>(0).topk(2, 1).float().cast(x.dtype())
    };

    cumsum(x([2, 3])) = |a| a.x::<2>(0).exp().cumsum(1);
    cumsum_first(x([4, 3, 2])) = |a| a.x::<3>(0).exp().cumsum(0);
    cumsum_of_one(x([2, 1])) = |a| a.x::<2>(0).exp().cumsum(1);
    cumsum_twice(x([9])) = |a| a.x::<1>(0).exp().cumsum(0).square().cumsum(0);
    cumprod(x([2, 5])) = |a| a.x::<2>(0).cumprod(1);
    cumprod_first(x([7, 2])) = |a| a.x::<2>(0).exp().cumprod(0);
    cumprod_of_one(x([2, 1])) = |a| a.x::<2>(0).exp().cumprod(1);
    cumprod_with_a_zero(given([2, 4], &[0.5, 0.0, -1.5, 2.0, 0.7, 1.1, -0.9, 0.0])) = |a| a.x::<2>(0).cumprod(1);
    cumprod_with_zeros(given([1, 5], &[0.5, 0.0, -1.5, 0.0, 0.7])) = |a| a.x::<2>(0).cumprod(1);
    cummax(x([2, 6])) = |a| a.x::<2>(0).exp().cummax(1);
    cummax_first(x([5, 3])) = |a| a.x::<2>(0).exp().cummax(0) * a.x::<2>(0);
    cummin(x([2, 6])) = |a| a.x::<2>(0).exp().cummin(1);
    cummin_first(x([5, 3])) = |a| a.x::<2>(0).exp().cummin(0) * a.x::<2>(0);
    cummax_tied(given([6], &[0.5, 0.5, 0.2, 1.0, 0.3, 1.0])) [kink] = |a| a.x::<1>(0).cummax(0);
    cummin_tied(given([6], &[0.5, 0.5, 0.8, 0.1, 0.3, 0.1])) [kink] = |a| a.x::<1>(0).cummin(0);
    cumulative_integers(x([2, 4]), indices(5, [2, 4])) = |a| {
        let (x, i) = (a.x::<2>(0), a.indices::<2>(0));
        let all = i.clone().cumsum(1) + (i.clone() + 1).cumprod(0) + i.clone().cummax(1) * 3 + i.cummin(0);
        x.clone().exp() * all.float().cast(x.dtype())
    };

    prod(x([2, 3])) = |a| a.x::<2>(0).prod();
    prod_dim(x([2, 5])) = |a| a.x::<2>(0).prod_dim(1);
    prod_dim_first(x([6, 2, 2])) = |a| a.x::<3>(0).exp().prod_dim(0);
    prod_dim_of_one(x([2, 1])) = |a| a.x::<2>(0).exp().prod_dim(1);
    prod_of_one(x([1])) = |a| a.x::<1>(0).exp().prod();
    prod_with_a_zero(given([5], &[0.5, 0.0, -1.5, 2.0, 0.7])) = |a| a.x::<1>(0).prod();
    prod_with_zeros(given([2, 4], &[0.5, 0.0, -1.5, 2.0, 0.0, 1.1, 0.0, -0.4])) = |a| a.x::<2>(0).prod_dim(1);
    prod_with_three_zeros(given([4], &[0.0, 0.5, 0.0, 0.0])) = |a| a.x::<1>(0).prod();
    prod_of_nothing(x([0, 3]), x([1, 3])) = |a| a.x::<2>(0).prod_dim(0) + a.x::<2>(1).exp();
    prod_integers(x([2, 3]), indices(4, [2, 3])) = |a| {
        let (x, i) = (a.x::<2>(0), a.indices::<2>(0) + 1);
        let product = i.clone().prod_dim(1).expand([2, 3]) + i.prod().unsqueeze::<2>().expand([2, 3]);
        x.clone().exp() * product.float().cast(x.dtype())
    };

    quantile_loss(x([8]), within(0.1, 0.9, [1])) = |a| {
        // The weighted gap between neighbours in order.
        let sorted = a.x::<1>(0).sort(0);
        (sorted.clone().narrow(0, 1, 7) - sorted.narrow(0, 0, 7)).exp() * a.x::<1>(1)
    };
    sorted_distance(x([6]), x([6])) = |a| (a.x::<1>(0).sort(0) - a.x::<1>(1).sort(0)).square();
    stick_breaking(within(0.1, 0.9, [2, 5])) = |a| {
        let v = a.x::<2>(0);
        let rest = (-v.clone() + 1.0).cumprod(1).narrow(1, 0, 4);
        v.clone() * Tensor::cat(vec![v.narrow(1, 0, 1).ones_like(), rest], 1)
    };
}
