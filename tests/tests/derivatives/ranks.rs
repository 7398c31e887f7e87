//! The same functions on tensors of one to five dimensions, broadcast, with dimensions of size 1.
//!
//! Tensors without elements have cases of their own where Burn's CPU backend can compute with them.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, s};

use crate::harness::{Input, Options, check, flat};

/// A function of two tensors that broadcast to each other.
type Pair<const D: usize> = fn(Tensor<D>, Tensor<D>) -> Tensor<D>;

fn functions<const D: usize>() -> [(&'static str, Pair<D>); 25] {
    [
        ("add", |x, y| x.exp() + y),
        ("multiply", |x, y| x * y.exp()),
        ("divide", |x, y| x.tanh() / (y.powi_scalar(2) + 1.0)),
        ("sum", |x, y| (x * y).sum().exp().reshape([1; D])),
        ("sum along the first", |x, y| (x.sum_dim(0) * y.sum_dim(0)).sin()),
        ("sum along the last", |x, y| (x * y).sum_dim(D - 1).sin()),
        ("compare", |x, y| (x.clone() * y.clone()).mask_fill((x - y).greater_scalar(0.03), 0.5).exp()),
        ("running sum", |x, y| (x * y).cumsum(D - 1).sin()),
        ("running product", |x, y| (x * y).cumprod(0).sin()),
        ("product", |x, y| (x * y).prod_dim(D - 1).sin()),
        ("concatenate", |x, y| Tensor::cat(vec![x.clone().exp() * y.clone(), x * y], D - 1).tanh()),
        ("repeat", |x, y| (x.exp() * y).repeat_dim(0, 2).sin()),
        ("reverse", |x, y| x.exp().swap_dims(0, D - 1).flip([0]).swap_dims(0, D - 1) * y),
        ("mean", |x, y| x.clone().mean_dim(0).exp() * x * y),
        ("largest", |x, y| (x.exp() * y.exp()).max_dim(D - 1)),
        ("smallest", |x, y| (x.exp() * y.exp()).min_dim(0)),
        ("running maximum", |x, y| (x.exp() * y.exp()).cummax(D - 1)),
        ("sort", |x, y| (x * y.exp()).sort(0).sin()),
        ("softmax", |x, y| softmax(x * y, D - 1)),
        ("log-softmax", |x, y| log_softmax(x * y, 0)),
        ("gather", |x, y| {
            let x = x.exp() * y;
            let zeros = Tensor::<D, Int>::zeros(x.dims(), &x.device());
            x.clone().gather(D - 1, zeros) * x
        }),
        ("scatter", |x, y| {
            let x = x.exp() * y;
            let zeros = Tensor::<D, Int>::zeros(x.dims(), &x.device());
            x.clone().scatter(0, zeros, x.sin(), IndexingUpdateOp::Add)
        }),
        ("select", |x, y| {
            let zeros = Tensor::<1, Int>::zeros([3], &x.device());
            (x.exp() * y).select(D - 1, zeros).sin()
        }),
        ("take a row", |x, y| (x.exp() * y).slice_dim(0, 0..1).square()),
        ("assign a row", |x, y| {
            let x = x.exp() * y;
            x.clone().slice_assign(s![0..1], x.slice_dim(0, 0..1).sin())
        }),
    ]
}

fn try_shape<const D: usize>(x: [usize; D], y: [usize; D]) {
    let inputs = [x, y].map(|shape| Input::Parameter(shape.to_vec(), -1.0, 1.1));
    for (name, function) in functions::<D>() {
        check(&format!("{name} {x:?} {y:?}"), &inputs, Options::default(), |a| flat(function(a.x(0), a.x(1))));
    }
}

#[test]
fn one_dimension() {
    for (x, y) in [([4], [4]), ([4], [1]), ([1], [3]), ([1], [1])] {
        try_shape(x, y);
    }
}

#[test]
fn two_dimensions() {
    for (x, y) in [([2, 3], [2, 3]), ([2, 1], [1, 3]), ([1, 1], [2, 3])] {
        try_shape(x, y);
    }
}

#[test]
fn three_dimensions() {
    for (x, y) in [([2, 3, 2], [2, 3, 2]), ([2, 1, 3], [1, 2, 1]), ([1, 3, 1], [1, 1, 1])] {
        try_shape(x, y);
    }
}

#[test]
fn four_dimensions() {
    for (x, y) in [([2, 1, 3, 2], [1, 2, 1, 2]), ([1, 2, 1, 1], [2, 2, 1, 3])] {
        try_shape(x, y);
    }
}

#[test]
fn five_dimensions() {
    for (x, y) in [([2, 1, 2, 1, 3], [2, 2, 1, 1, 3]), ([1, 1, 2, 1, 2], [1, 2, 1, 2, 1])] {
        try_shape(x, y);
    }
}
