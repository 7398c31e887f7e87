//! One small function for every operation, or for several that belong together.

use burn::tensor::IndexingUpdateOp::{Add, Assign, Max, Min, Mul};
use burn::tensor::activation::*;
use burn::tensor::module::*;
use burn::tensor::ops::{
    AttentionModuleOptions, AvgPoolOptions, ConvOptions, ConvTransposeOptions, DeformConvOptions, GridSampleOptions,
    GridSamplePaddingMode, InterpolateMode, InterpolateOptions, MaxPoolOptions, PadMode, UnfoldOptions,
};
use burn::tensor::{Bool, Distribution, IndexingUpdateOp, Int, IntDType, Tensor, s};

use super::Example;

/// A part of the floats, as a tensor of this shape.
fn part<const D: usize>(x: &Tensor<1>, from: usize, shape: [usize; D]) -> Tensor<D> {
    x.clone().narrow(0, from, shape.iter().product()).reshape(shape)
}

fn flat<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let count = x.shape().num_elements();
    x.reshape([count])
}

/// The floats times numbers that come from integers.
fn times<const D: usize>(x: &Tensor<1>, integers: Tensor<D, Int>) -> Tensor<1> {
    let count = integers.shape().num_elements();
    let factor = integers.reshape([count]).float().cast(x.dtype());
    x.clone().narrow(0, 0, count) * factor
}

fn masked<const D: usize>(x: &Tensor<1>, mask: Tensor<D, Bool>) -> Tensor<1> {
    times(x, mask.int() + 1)
}

fn integers<const D: usize>(x: &Tensor<1>, shape: [usize; D]) -> Tensor<D, Int> {
    let count: usize = shape.iter().product();
    let values: Vec<i64> = (0..count as i64).map(|k| (k * 7 + 2) % 5).collect();
    Tensor::<1, Int>::from_ints(values.as_slice(), &x.device()).reshape(shape)
}

fn matrix(x: &Tensor<1>) -> Tensor<2> {
    part(x, 0, [3, 4])
}

fn update<const D: usize>(x: &Tensor<1>, with: fn(Tensor<2>, Tensor<2>, IndexingUpdateOp) -> Tensor<D>) -> Tensor<1> {
    let all = [Add, Assign, Mul, Min, Max].map(|op| with(matrix(x), part(x, 20, [2, 4]), op));
    flat(Tensor::cat(all.to_vec(), 0))
}

/// Every example with its name.
pub(super) const EXAMPLES: &[(&str, Example)] = &[
    ("backend_only", super::backend::example),
    ("views", |x| {
        let y = matrix(&x).exp().swap_dims(0, 1).permute([1, 0]).flip([1]).unsqueeze::<3>().expand([2, 3, 4]);
        flat(y.repeat_dim(1, 2).slice(s![.., 1..5;2, ..;-1]))
    }),
    ("unfold", |x| flat(matrix(&x).exp().unfold::<3, _>(1, 2, 1))),
    ("slice_assign", |x| flat(matrix(&x).exp().slice_assign([0..2, 1..3], part(&x, 20, [2, 2])))),
    ("cat", |x| Tensor::cat(vec![x.clone().exp(), x], 0)),
    ("select", |x| flat(matrix(&x).exp().select(1, integers(&x, [3]) % 4))),
    ("gather", |x| flat(matrix(&x).exp().gather(1, integers(&x, [3, 2]) % 4))),
    ("gather_nd", |x| flat(matrix(&x).exp().gather_nd::<2, 1>(integers(&x, [4, 2]) % 3))),
    ("select_assign", |x| {
        update(&x, |x, v, op| x.clone().select_assign(0, Tensor::from_ints([2, 0], &x.device()), v, op))
    }),
    ("scatter", |x| {
        update(&x, |x, v, op| x.clone().scatter(0, Tensor::from_ints([[2, 0, 1, 0], [0, 1, 2, 1]], &x.device()), v, op))
    }),
    ("scatter_nd", |x| {
        update(&x, |x, v, op| x.clone().scatter_nd(Tensor::<2, Int>::from_ints([[2], [0]], &x.device()), v, op))
    }),
    ("masks", |x| {
        let mask = x.clone().greater_scalar(0.5);
        x.clone().exp().mask_where(mask.clone(), x.clone().square()).mask_fill(mask.bool_not(), 0.3)
    }),
    ("cast", |x| times(&x, integers(&x, [48]).cast(IntDType::I32)) + x.exp()),
    ("creation", |x| {
        let like = |t: Tensor<1>| t.cast(x.dtype());
        x.clone().exp() * like(Tensor::ones([48], &x.device()))
            + like(Tensor::zeros([48], &x.device()))
            + x.full_like(0.3)
            + Tensor::<1>::empty([48], &x.device()).cast(x.dtype()).zeros_like()
    }),
    ("equality", |x| {
        let i = integers(&x, [48]);
        masked(&x, x.clone().equal(x.clone().flip([0])).bool_or(x.clone().not_equal(x.clone())))
            + masked(&x, x.clone().equal_scalar(0.1).bool_or(x.clone().not_equal_scalar(0.1)))
            + masked(&x, i.clone().equal(i.clone()).bool_and(i.clone().equal_scalar(2)))
            + masked(&x, i.clone().not_equal(i.clone()).bool_xor(i.not_equal_scalar(3)))
    }),
    ("any_and_all", |x| {
        let mask = matrix(&x).greater_scalar(0.5);
        masked(&x, mask.clone().any())
            + masked(&x, mask.clone().all())
            + masked(&x, mask.clone().any_dim(1)).sum()
            + masked(&x, mask.all_dim(0)).sum()
    }),
    ("arithmetic", |x| {
        let y = part(&x, 20, [12]);
        let x = part(&x, 0, [12]);
        ((x.clone() + y.clone()) * (x.clone() - y.clone()) / (y.clone() + 2.0) - 0.3) * 0.7 / 1.3 + (-x).sign() * y
    }),
    ("remainders", |x| x.clone().remainder(x.clone() * 0.0 + 0.37) + (x * 3.0).remainder_scalar(0.77)),
    ("abs", |x| (x - 0.505).abs()),
    ("means", |x| {
        let y = matrix(&x).exp();
        flat(y.clone() * y.clone().mean_dim(1) + y.clone().sum_dim(0)) * y.clone().mean()
            + y.clone().sum()
            + part::<3>(&x, 0, [2, 3, 2]).sum_dims(&[0, 2]).sum()
    }),
    ("products", |x| part(&x, 0, [4]).prod() + part::<2>(&x, 4, [2, 5]).prod_dim(1).sum()),
    ("running", |x| {
        let y = matrix(&x);
        flat(y.clone().cumsum(1) + y.clone().cumprod(0) + y.clone().cummax(1) + y.cummin(0))
    }),
    ("extremes", |x| {
        let y = matrix(&x).exp();
        y.clone().max()
            + y.clone().min()
            + flat(y.clone().max_dim(1))
            + flat(y.clone().min_dim(1))
            + flat(y.clone().max_dim_with_indices(1).0)
            + flat(y.clone().min_dim_with_indices(1).0)
            + (-y.clone()).max_abs()
            + flat((-y).max_abs_dim(1))
    }),
    ("orders", |x| {
        let y = matrix(&x).exp();
        flat(y.clone().sort(1))
            + flat(y.clone().sort_with_indices(1).0)
            + flat(y.clone().topk(2, 1)).sum()
            + flat(y.clone().topk_with_indices(2, 1).0).sum()
            + times(&x, y.clone().argsort(1))
            + times(&x, y.clone().argtopk(2, 1)).sum()
            + times(&x, y.clone().argmax(1)).sum()
            + times(&x, y.argmin(0)).sum()
    }),
    ("comparisons", |x| {
        let y = x.clone().flip([0]);
        masked(&x, x.clone().greater(y.clone()))
            * masked(&x, x.clone().greater_equal(y.clone()))
            * masked(&x, x.clone().lower(y.clone()))
            * masked(&x, x.clone().lower_equal(y))
            * masked(&x, x.clone().greater_scalar(0.5))
            * masked(&x, x.clone().greater_equal_scalar(0.4))
            * masked(&x, x.clone().lower_scalar(0.3))
            * masked(&x, x.clone().lower_equal_scalar(0.2))
    }),
    ("clamps", |x| x.clone().clamp(0.305, 0.805) + x.clone().clamp_min(0.405).square() + x.clamp_max(0.705).square()),
    ("powers", |x| {
        let i = integers(&x, [48]);
        x.clone().powi_scalar(3)
            + x.clone().powf_scalar(1.7)
            + x.clone().powf(x.clone())
            + times(&x, i.clone().powi_scalar(3))
            + times(&x, i.clone().powi(i % 3))
    }),
    ("pad", |x| {
        let y = matrix(&x).exp();
        let all =
            [PadMode::Constant(0.5), PadMode::Reflect, PadMode::Edge].map(|mode| y.clone().pad((2, 1, 1, 2), mode));
        flat(Tensor::cat(all.to_vec(), 0))
    }),
    ("integer_draws", |x| {
        let draw = Tensor::<1, Int>::random([48], Distribution::Uniform(0.0, 9.0), &x.device());
        times(&x, draw.clone() - draw) + x.clone().exp()
    }),
    ("elementary", |x| {
        x.clone().exp()
            + x.clone().log()
            + x.clone().log1p()
            + x.clone().erf()
            + x.clone().sqrt()
            + x.clone().recip()
            + x.clone().sin()
            + x.clone().cos()
            + x.clone().tan()
            + x.clone().sinh()
            + x.clone().cosh()
            + x.tanh()
    }),
    ("inverses", |x| {
        let small = x.clone() * 0.7;
        small.clone().asin()
            + small.clone().acos()
            + x.clone().atan()
            + x.clone().asinh()
            + (x.clone() + 1.5).acosh()
            + small.atanh()
            + x.clone().atan2(x.clone() + 0.3)
            + x.clone().hypot(x.exp())
    }),
    ("steps", |x| {
        let y = x.clone() * 3.01;
        x * (y.clone().round() + y.clone().floor() + y.clone().ceil() + y.trunc())
    }),
    ("to_integers", |x| times(&x, (x.clone() * 5.03).int()) + x.clone().exp()),
    ("matmul", |x| flat(matrix(&x).matmul(part(&x, 12, [4, 3])))),
    ("cross", |x| flat(part::<2>(&x, 0, [2, 3]).cross(part(&x, 12, [2, 3]), 1))),
    ("draws", |x| x.random_like(Distribution::Uniform(0.0, 1.0)) * 0.0 + x.exp()),
    ("not_finite", |x| masked(&x, x.clone().is_nan().bool_or(x.clone().is_inf()))),
    ("integers", |x| {
        let i = integers(&x, [48]) + 1;
        let bits =
            (i.clone().bitwise_and(i.clone() + 3)).bitwise_or(i.clone().bitwise_xor_scalar(5)).bitwise_and_scalar(13)
                + i.clone().bitwise_or_scalar(4).bitwise_xor(i.clone().bitwise_not())
                + i.clone().bitwise_left_shift(i.clone()).bitwise_right_shift_scalar(1)
                + i.clone().bitwise_left_shift_scalar(3).bitwise_right_shift(i.clone());
        let square = i.clone().reshape([6, 8]).matmul(i.reshape([8, 6]));
        times(&x, bits) + times(&x, square).sum()
    }),
    ("truth", |x| {
        let (p, q) = (x.clone().greater_scalar(0.3), x.clone().lower_scalar(0.7));
        let all = p.clone().bool_and(q.clone()).bool_or(p.clone().bool_not()).bool_xor(q.clone());
        x.clone() * all.float().cast(x.dtype()) + times(&x, p.bool_or(q).int())
    }),
    ("activations", |x| {
        let y = x.clone() - 0.505;
        relu(y.clone())
            + leaky_relu(y.clone(), 0.1)
            + gelu(y.clone())
            + sigmoid(y.clone())
            + log_sigmoid(y.clone())
            + prelu(y.clone().unsqueeze::<2>(), part(&x, 0, [1])).flatten::<1>(0, 1)
    }),
    ("hard_sigmoid", |x| hard_sigmoid((x - 0.505) * 6.0, 0.2, 0.5)),
    ("softmaxes", |x| {
        let y = matrix(&x);
        flat(softmax(y.clone(), 1) + log_softmax(y.clone(), 0) + softmin(y, 1))
    }),
    ("linear", |x| flat(linear(matrix(&x), part(&x, 12, [4, 2]), Some(part(&x, 40, [2]))))),
    ("embedding", |x| flat(embedding(matrix(&x).exp(), integers(&x, [2, 3]) % 3))),
    ("batch_norm", |x| {
        flat(batch_norm(
            part::<3>(&x, 0, [2, 2, 3]),
            part(&x, 20, [2]),
            part(&x, 22, [2]),
            part(&x, 24, [2]),
            part(&x, 26, [2]),
            1e-5,
        ))
    }),
    ("layer_norm", |x| flat(layer_norm(matrix(&x), part(&x, 20, [4]), Some(part(&x, 30, [4])), 1e-5))),
    ("conv1d", |x| {
        flat(conv1d(
            part(&x, 0, [1, 2, 5]),
            part(&x, 12, [3, 2, 2]),
            Some(part(&x, 40, [3])),
            ConvOptions::new([1], [1], [1], 1),
        ))
    }),
    ("conv2d", |x| {
        flat(conv2d(
            part(&x, 0, [1, 2, 3, 3]),
            part(&x, 20, [2, 2, 2, 2]),
            Some(part(&x, 40, [2])),
            ConvOptions::new([1, 1], [0, 1], [1, 1], 1),
        ))
    }),
    ("conv3d", |x| {
        flat(conv3d(
            part(&x, 0, [1, 1, 2, 3, 2]),
            part(&x, 20, [2, 1, 2, 2, 1]),
            Some(part(&x, 40, [2])),
            ConvOptions::new([1; 3], [0; 3], [1; 3], 1),
        ))
    }),
    ("conv_transpose1d", |x| {
        flat(conv_transpose1d(
            part(&x, 0, [1, 2, 4]),
            part(&x, 12, [2, 3, 2]),
            Some(part(&x, 40, [3])),
            ConvTransposeOptions::new([2], [0], [0], [1], 1),
        ))
    }),
    ("conv_transpose2d", |x| {
        flat(conv_transpose2d(
            part(&x, 0, [1, 2, 2, 3]),
            part(&x, 12, [2, 1, 2, 2]),
            Some(part(&x, 40, [1])),
            ConvTransposeOptions::new([1, 2], [0, 1], [0, 0], [1, 1], 1),
        ))
    }),
    ("conv_transpose3d", |x| {
        flat(conv_transpose3d(
            part(&x, 0, [1, 1, 2, 2, 2]),
            part(&x, 12, [1, 2, 2, 1, 2]),
            Some(part(&x, 40, [2])),
            ConvTransposeOptions::new([1; 3], [0; 3], [0; 3], [1; 3], 1),
        ))
    }),
    ("average_pools", |x| {
        let (line, image) = (part::<3>(&x, 0, [1, 2, 6]), part::<4>(&x, 12, [1, 1, 4, 4]));
        avg_pool1d(line.clone(), AvgPoolOptions::new([2])).sum()
            + flat(avg_pool2d(image.clone().exp(), AvgPoolOptions::new([2, 2])))
            + adaptive_avg_pool1d(line, 3).square().sum()
            + adaptive_avg_pool2d(image.clone(), [3, 3]).square().sum()
            + adaptive_avg_pool3d(image.reshape([1, 1, 4, 2, 2]), [3, 2, 1]).square().sum()
    }),
    ("max_pools", |x| {
        let (line, image) = (part::<3>(&x, 0, [1, 2, 6]).exp(), part::<4>(&x, 12, [1, 1, 4, 4]).exp());
        max_pool1d(line.clone(), MaxPoolOptions::new([2])).sum()
            + flat(max_pool2d(image.clone(), MaxPoolOptions::new([2, 2])))
            + max_pool1d_with_indices(line, MaxPoolOptions::new([3])).0.square().sum()
            + max_pool2d_with_indices(image, MaxPoolOptions::new([2, 2])).0.square().sum()
    }),
    ("interpolate", |x| {
        let image = part::<4>(&x, 0, [1, 1, 4, 4]).exp();
        let all =
            [InterpolateMode::Nearest, InterpolateMode::Bilinear, InterpolateMode::Bicubic, InterpolateMode::Lanczos3]
                .map(|mode| {
                    interpolate(
                        image.clone(),
                        InterpolateOptions::new(mode).with_align_corners(false).with_output_size([6, 7]),
                    )
                });
        flat(Tensor::cat(all.to_vec(), 1))
    }),
    ("unfold_image", |x| {
        flat(unfold4d(part(&x, 0, [1, 2, 3, 4]).exp(), [2, 2], UnfoldOptions::new([1, 2], [1, 0], [1, 2])))
    }),
    ("attention", |x| {
        let (query, key, value) = (part(&x, 0, [1, 1, 3, 2]), part(&x, 12, [1, 1, 4, 2]), part(&x, 30, [1, 1, 4, 2]));
        let mask = Tensor::<2, Int>::from_ints([[0, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], &x.device()).equal_scalar(1);
        let options = AttentionModuleOptions { scale: Some(0.7), softcap: Some(2.0), is_causal: true };
        let plain = attention(query.clone(), key.clone(), value.clone(), None, None, AttentionModuleOptions::default());
        flat(attention(query, key, value, Some(mask.unsqueeze()), Some(part(&x, 20, [1, 1, 3, 4])), options) + plain)
    }),
    ("grid_sample", |x| {
        let (image, grid) = (part::<4>(&x, 0, [1, 2, 3, 4]), part::<4>(&x, 24, [1, 2, 3, 2]) * 3.02 - 1.813);
        let modes = [GridSamplePaddingMode::Zeros, GridSamplePaddingMode::Border, GridSamplePaddingMode::Reflection];
        let all = modes.map(|mode| {
            let options = GridSampleOptions::new(InterpolateMode::Bilinear).with_padding_mode(mode);
            image.clone().grid_sample_2d(grid.clone(), options.clone())
                + image.clone().grid_sample_2d(grid.clone(), options.with_align_corners(true))
        });
        flat(Tensor::cat(all.to_vec(), 1))
    }),
    ("deformable", |x| {
        let (image, offset) = (part::<4>(&x, 0, [1, 2, 3, 3]), part::<4>(&x, 12, [1, 16, 2, 1]) * 1.7 - 0.93);
        let (weight, mask) = (part::<4>(&x, 10, [2, 1, 2, 2]), part::<4>(&x, 30, [1, 8, 2, 1]));
        let options = DeformConvOptions::new([1, 2], [0, 0], [1, 1], 2, 2);
        flat(deform_conv2d(image, offset, weight, Some(mask), Some(part(&x, 40, [2])), options))
    }),
];

/// What Burn computes but cannot differentiate.
pub(super) const WHOLE_ONLY: &[(&str, Example)] = &[("grid_sample_nearest", |x| {
    let (image, grid) = (part::<4>(&x, 0, [1, 2, 3, 4]), part::<4>(&x, 24, [1, 2, 3, 2]) * 3.02 - 1.813);
    let modes = [GridSamplePaddingMode::Zeros, GridSamplePaddingMode::Border, GridSamplePaddingMode::Reflection];
    let all = modes.map(|mode| {
        let options = GridSampleOptions::new(InterpolateMode::Nearest).with_padding_mode(mode);
        image.clone().grid_sample_2d(grid.clone(), options)
    });
    flat(Tensor::cat(all.to_vec(), 1))
})];
