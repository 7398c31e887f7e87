//! Images resized and sampled, windows unfolded, frames added.

use burn::tensor::Tensor;
use burn::tensor::module::{conv2d, deform_conv2d, fold4d, interpolate, unfold4d};
use burn::tensor::ops::{
    ConvOptions, DeformConvOptions, GridSampleOptions, GridSamplePaddingMode, InterpolateMode, InterpolateOptions,
    PadMode, UnfoldOptions,
};

use crate::harness::{within, x};

fn resized(x: Tensor<4>, to: [usize; 2], mode: InterpolateMode, align_corners: bool) -> Tensor<4> {
    interpolate(x, InterpolateOptions::new(mode).with_align_corners(align_corners).with_output_size(to))
}

cases! {
    nearest(x([1, 2, 3, 4])) = |a| resized(a.x::<4>(0).exp(), [5, 6], InterpolateMode::Nearest, true);
    nearest_smaller(x([1, 1, 5, 4])) = |a| resized(a.x::<4>(0).exp(), [3, 2], InterpolateMode::Nearest, false);
    bilinear(x([1, 2, 3, 4])) = |a| resized(a.x::<4>(0).exp(), [5, 7], InterpolateMode::Bilinear, false);
    bilinear_aligned(x([1, 2, 3, 4])) = |a| resized(a.x::<4>(0).exp(), [5, 7], InterpolateMode::Bilinear, true);
    bilinear_smaller(x([2, 1, 5, 6])) = |a| resized(a.x::<4>(0).exp(), [2, 3], InterpolateMode::Bilinear, false);
    bilinear_to_one(x([1, 1, 4, 3])) = |a| resized(a.x::<4>(0).exp(), [1, 1], InterpolateMode::Bilinear, true);
    bilinear_from_one(x([1, 1, 1, 1])) = |a| resized(a.x::<4>(0).exp(), [2, 3], InterpolateMode::Bilinear, false);
    bicubic(x([1, 1, 4, 5])) = |a| resized(a.x::<4>(0).exp(), [7, 6], InterpolateMode::Bicubic, false);
    bicubic_aligned(x([1, 2, 3, 4])) = |a| resized(a.x::<4>(0).exp(), [5, 7], InterpolateMode::Bicubic, true);
    bicubic_smaller(x([1, 1, 6, 5])) = |a| resized(a.x::<4>(0).exp(), [3, 2], InterpolateMode::Bicubic, false);

    unfold(x([2, 7])) = |a| a.x::<2>(0).exp().unfold::<3, _>(1, 3, 2);
    unfold_first(x([6, 2, 3])) = |a| a.x::<3>(0).exp().unfold::<4, _>(0, 2, 1);
    unfold_overlapping(x([1, 8])) = |a| a.x::<2>(0).exp().unfold::<3, _>(1, 5, 1) * 0.5;
    unfold_image(x([2, 2, 4, 5])) = |a| unfold4d(a.x::<4>(0).exp(), [2, 3], UnfoldOptions::new([1, 2], [0, 0], [1, 1]));
    unfold_padded_image(x([1, 2, 4, 5])) = |a| {
        unfold4d(a.x::<4>(0).exp(), [2, 2], UnfoldOptions::new([2, 1], [1, 0], [1, 2]))
    };

    fold_image(x([1, 4, 6])) = |a| {
        fold4d(a.x::<3>(0).exp(), [3, 4], [2, 2], UnfoldOptions::new([1, 1], [0, 0], [1, 1]))
    };

    pad_reflected(x([3, 4])) = |a| a.x::<2>(0).exp().pad((2, 1, 2, 1), PadMode::Reflect);
    pad_reflected_last(x([2, 3, 4])) = |a| a.x::<3>(0).exp().pad([(1, 3)], PadMode::Reflect);
    pad_edge(x([3, 4])) = |a| a.x::<2>(0).exp().pad((2, 1, 3, 0), PadMode::Edge);
    pad_edge_everywhere(x([2, 1, 3])) = |a| a.x::<3>(0).exp().pad([(1, 0), (2, 2), (0, 1)], PadMode::Edge);

    cross(x([2, 3]), x([2, 3])) = |a| a.x::<2>(0).exp().cross(a.x::<2>(1), 1);
    cross_first(x([3, 4]), x([3, 4])) = |a| a.x::<2>(0).cross(a.x::<2>(1).exp(), 0);
    cross_with_itself(x([2, 3])) = |a| a.x::<2>(0).exp().cross(a.x::<2>(0), 1);

    sampled(x([1, 2, 3, 4]), within(-0.8, 0.9, [1, 2, 3, 2])) = |a| {
        a.x::<4>(0).exp().grid_sample_2d(a.x::<4>(1), GridSampleOptions::new(InterpolateMode::Bilinear))
    };
    sampled_aligned(x([2, 1, 3, 4]), within(-0.8, 0.9, [2, 2, 3, 2])) = |a| {
        let options = GridSampleOptions::new(InterpolateMode::Bilinear).with_align_corners(true);
        a.x::<4>(0).exp().grid_sample_2d(a.x::<4>(1), options.with_padding_mode(GridSamplePaddingMode::Border))
    };
    sampled_outside(x([1, 1, 3, 4]), within(-1.7, 1.8, [1, 2, 3, 2])) = |a| {
        let options = GridSampleOptions::new(InterpolateMode::Bilinear);
        a.x::<4>(0).exp().grid_sample_2d(a.x::<4>(1), options.with_padding_mode(GridSamplePaddingMode::Reflection))
    };

    deformed(x([1, 2, 3, 4]), within(-0.7, 0.8, [1, 8, 2, 3]), x([2, 2, 2, 2])) [f32] = |a| {
        let options = DeformConvOptions::new([1, 1], [0, 0], [1, 1], 1, 1);
        deform_conv2d(a.x::<4>(0), a.x::<4>(1), a.x::<4>(2), None, None, options)
    };
    deformed_by_itself(x([2, 2, 3, 3]), x([2, 1, 2, 1]), x([8, 2, 2, 1]), x([2])) [f32] = |a| {
        // The offsets come from the image, as they do in deformable networks.
        let x = a.x::<4>(0);
        let offset = conv2d(x.clone(), a.x::<4>(2), None, ConvOptions::new([1, 1], [0, 0], [1, 1], 1)).tanh() * 0.4;
        let mask = offset.clone().exp().slice_dim(1, 0..4);
        let options = DeformConvOptions::new([1, 1], [0, 0], [1, 1], 2, 2);
        deform_conv2d(x, offset, a.x::<4>(1), Some(mask), Some(a.x::<1>(3)), options)
    };
}
