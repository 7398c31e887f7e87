//! Moving elements around.

use burn::tensor::{Tensor, s};

use crate::harness::x;

cases! {
    reshape(x([2, 6])) = |a| a.x::<2>(0).exp().reshape([3, 4]).matmul(a.x::<2>(0).reshape([4, 3]));
    flatten(x([2, 3, 2])) = |a| a.x::<3>(0).flatten::<2>(1, 2).exp();
    squeeze_unsqueeze(x([2, 1, 3])) = |a| a.x::<3>(0).squeeze_dim::<2>(1).exp().unsqueeze::<4>();
    swap_dims(x([2, 3, 4])) = |a| a.x::<3>(0).swap_dims(0, 2).exp();
    transpose(x([2, 3])) = |a| a.x::<2>(0).transpose().matmul(a.x::<2>(0));
    permute(x([2, 3, 4])) = |a| a.x::<3>(0).permute([2, 0, 1]).exp();
    permute_twice(x([2, 3, 4])) = |a| a.x::<3>(0).permute([2, 0, 1]).permute([2, 0, 1]).exp();
    permute_back(x([2, 3, 4])) = |a| a.x::<3>(0).permute([2, 0, 1]).permute([1, 2, 0]).exp();
    expand(x([2, 1])) = |a| a.x::<2>(0).exp().expand([2, 3]);
    expand_rank(x([3])) = |a| a.x::<1>(0).exp().expand([2, 4, 3]);
    repeat_dim(x([2, 3])) = |a| a.x::<2>(0).exp().repeat_dim(1, 3);
    repeat_first(x([2, 3])) = |a| a.x::<2>(0).exp().repeat_dim(0, 2);
    repeat(x([2, 3])) = |a| a.x::<2>(0).exp().repeat(&[2, 3]);
    flip(x([2, 3, 2])) = |a| a.x::<3>(0).exp().flip([0, 2]) * a.x::<3>(0);
    slice(x([4, 5])) = |a| a.x::<2>(0).exp().slice([1..3, 0..2]);
    slice_from_the_end(x([4, 5])) = |a| a.x::<2>(0).exp().slice(s![-2.., ..-1]);
    slice_with_steps(x([5, 7])) = |a| a.x::<2>(0).exp().slice(s![1..5;2, 0..7;3]);
    slice_dim(x([4, 5])) = |a| a.x::<2>(0).exp().slice_dim(1, 2..4);
    slice_of_slice(x([6, 5])) = |a| a.x::<2>(0).slice(s![1..6]).slice([1..3, 2..5]).exp();
    slice_everything(x([2, 3])) = |a| a.x::<2>(0).slice([0..2, 0..3]).exp();
    select_dim(x([4, 5])) = |a| a.x::<2>(0).exp().select_dim::<1>(0, 2);
    narrow(x([4, 5])) = |a| a.x::<2>(0).exp().narrow(1, 1, 3);
    chunk(x([4, 6])) = |a| { let parts = a.x::<2>(0).chunk(3, 1); parts[0].clone() * parts[2].clone().exp() };
    split(x([4, 6])) = |a| { let parts = a.x::<2>(0).split(2, 0); parts[0].clone() * parts[1].clone().exp() };
    slice_assign(x([4, 5]), x([2, 3])) = |a| a.x::<2>(0).exp().slice_assign([1..3, 1..4], a.x::<2>(1).exp());
    slice_assign_with_steps(x([5, 6]), x([2, 3])) = |a| {
        a.x::<2>(0).exp().slice_assign(s![0..4;2, 1..6;2], a.x::<2>(1).exp())
    };
    slice_assign_backwards(x([5, 6]), x([5, 3])) = |a| {
        a.x::<2>(0).exp().slice_assign(s![..;-1, 1..6;2], a.x::<2>(1).exp())
    };
    slice_assign_backwards_with_steps(x([6]), x([3])) = |a| {
        a.x::<1>(0).exp().slice_assign(s![0..6;-2], a.x::<1>(1).exp()) * a.x::<1>(0)
    };
    slice_assign_twice(x([4]), x([2])) = |a| {
        a.x::<1>(0).slice_assign(s![0..2], a.x::<1>(1).exp()).slice_assign(s![1..3], a.x::<1>(1).sin()).exp()
    };
    slice_fill(x([4, 5])) = |a| a.x::<2>(0).exp().slice_fill([1..3, 1..4], 0.5);
    cat(x([2, 3]), x([2, 2])) = |a| Tensor::cat(vec![a.x::<2>(0).exp(), a.x::<2>(1).square()], 1).tanh();
    cat_first(x([2, 3]), x([1, 3]), x([3, 3])) = |a| {
        Tensor::cat(vec![a.x::<2>(0), a.x::<2>(1).exp(), a.x::<2>(2)], 0).tanh()
    };
    cat_with_itself(x([2, 3])) = |a| Tensor::cat(vec![a.x::<2>(0), a.x::<2>(0).exp(), a.x::<2>(0)], 0).tanh();
    cat_of_one(x([2, 3])) = |a| Tensor::cat(vec![a.x::<2>(0)], 0).tanh();
    stack(x([2, 3]), x([2, 3])) = |a| Tensor::stack::<3>(vec![a.x::<2>(0), a.x::<2>(1).exp()], 1).tanh();
    pad(x([2, 3])) = |a| a.x::<2>(0).exp().pad((1, 2, 3, 4), 0.5);
    pad_all(x([2, 3])) = |a| a.x::<2>(0).exp().pad([(1, 0), (0, 2)], 0.0);
    pad_last(x([2, 3, 2])) = |a| a.x::<3>(0).exp().pad([(2, 1)], -1.0);
    movedim(x([2, 3, 4])) = |a| a.x::<3>(0).movedim(0, 2).exp();
    roll(x([4, 5])) = |a| a.x::<2>(0).roll(&[1, 2], &[0, 1]).exp() * a.x::<2>(0);
    triu(x([4, 4])) = |a| a.x::<2>(0).triu(0).exp();
    tril(x([4, 4])) = |a| a.x::<2>(0).tril(-1).exp();

    empty_slice_in_cat(x([2, 3])) = |a| {
        let x = a.x::<2>(0);
        Tensor::cat(vec![x.clone().slice([0..0, 0..3]), x.exp()], 0)
    };
    empty_parameter(x([0, 3]), x([2, 3])) = |a| Tensor::cat(vec![a.x::<2>(0).exp(), a.x::<2>(1).exp()], 0);
    empty_sum(x([0, 3]), x([2, 3])) = |a| a.x::<2>(0).exp().sum_dim(0) + a.x::<2>(1).exp().sum_dim(0);
    all_ones(x([1, 1, 1])) = |a| a.x::<3>(0).permute([2, 0, 1]).swap_dims(0, 1).exp();
    expand_everything(x([1, 1])) = |a| a.x::<2>(0).exp().expand([3, 4]);
    expand_and_sum(x([2, 1])) = |a| a.x::<2>(0).exp().expand([2, 3]).sum_dim(1) * a.x::<2>(0);
    expand_and_sum_all(x([2, 1, 3])) = |a| a.x::<3>(0).exp().expand([2, 4, 3]).sum();
    repeat_of_one(x([1, 3])) = |a| a.x::<2>(0).exp().repeat_dim(0, 3);
    slice_one_step(x([3, 1])) = |a| a.x::<2>(0).slice(s![0..3;2, 0..1;3]).exp();
    slice_assign_everything(x([2, 3]), x([2, 3])) = |a| {
        a.x::<2>(0).exp().slice_assign([0..2, 0..3], a.x::<2>(1).exp())
    };
    reshape_of_permuted(x([2, 3, 4])) = |a| a.x::<3>(0).permute([2, 0, 1]).reshape([4, 6]).exp();
    negative_steps_inside(x([6, 5])) = |a| a.x::<2>(0).exp().slice(s![1..5;-2, 0..4;2]);
    negative_steps_all(x([3, 4])) = |a| a.x::<2>(0).exp().slice(s![..;-1, ..;-3]);
    negative_steps(x([5])) = |a| a.x::<1>(0).slice(s![..;-2]).exp();
}
