//! Convolutions and pools of one to three dimensions.

use burn::tensor::module::*;
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, ConvTransposeOptions, MaxPoolOptions};

use crate::harness::{data, x};

cases! {
    conv1d_plain(x([2, 2, 5]), x([3, 2, 3])) = |a| conv1d(a.x::<3>(0), a.x::<3>(1), None, ConvOptions::new([1], [0], [1], 1));
    conv1d_strided(x([2, 2, 8]), x([3, 2, 3]), x([3])) = |a| {
        conv1d(a.x::<3>(0), a.x::<3>(1), Some(a.x::<1>(2)), ConvOptions::new([2], [1], [1], 1))
    };
    conv1d_dilated(x([1, 2, 9]), x([2, 2, 3])) = |a| conv1d(a.x::<3>(0), a.x::<3>(1), None, ConvOptions::new([1], [2], [2], 1));
    conv1d_groups(x([2, 4, 6]), x([6, 2, 3]), x([6])) = |a| {
        conv1d(a.x::<3>(0), a.x::<3>(1), Some(a.x::<1>(2)), ConvOptions::new([1], [1], [1], 2))
    };
    // Burn's own derivative by the weight is wrong here; ours is held against differences.
    conv1d_groups_ragged_stride(x([2, 4, 8]), x([6, 2, 3])) [eager < 2.0] = |a| {
        conv1d(a.x::<3>(0), a.x::<3>(1), None, ConvOptions::new([2], [0], [1], 2))
    };
    conv2d_plain(x([2, 2, 4, 5]), x([3, 2, 3, 2])) = |a| {
        conv2d(a.x::<4>(0), a.x::<4>(1), None, ConvOptions::new([1, 1], [0, 0], [1, 1], 1))
    };
    conv2d_strided(x([2, 2, 5, 6]), x([3, 2, 3, 3]), x([3])) = |a| {
        conv2d(a.x::<4>(0), a.x::<4>(1), Some(a.x::<1>(2)), ConvOptions::new([2, 2], [1, 1], [1, 1], 1))
    };
    conv2d_uneven(x([1, 2, 6, 7]), x([2, 2, 2, 3])) = |a| {
        conv2d(a.x::<4>(0), a.x::<4>(1), None, ConvOptions::new([2, 3], [0, 2], [2, 1], 1))
    };
    conv2d_asymmetric(x([1, 2, 5, 5]), x([2, 2, 3, 3])) = |a| {
        let options = ConvOptions { stride: [1, 2], padding: [(0, 1), (2, 1)], dilation: [1, 1], groups: 1 };
        conv2d(a.x::<4>(0), a.x::<4>(1), None, options)
    };
    conv2d_depthwise(x([2, 3, 4, 4]), x([3, 1, 3, 3])) = |a| {
        conv2d(a.x::<4>(0), a.x::<4>(1), None, ConvOptions::new([1, 1], [1, 1], [1, 1], 3))
    };
    conv2d_groups(x([2, 4, 4, 4]), x([2, 2, 3, 3]), x([2])) = |a| {
        conv2d(a.x::<4>(0), a.x::<4>(1), Some(a.x::<1>(2)), ConvOptions::new([2, 1], [1, 0], [1, 1], 2))
    };
    conv2d_pointwise(x([2, 3, 3, 3]), x([2, 3, 1, 1])) = |a| {
        conv2d(a.x::<4>(0), a.x::<4>(1), None, ConvOptions::new([1, 1], [0, 0], [1, 1], 1))
    };
    conv2d_ragged_stride(x([1, 1, 6, 6]), x([1, 1, 3, 3])) = |a| {
        conv2d(a.x::<4>(0), a.x::<4>(1), None, ConvOptions::new([2, 2], [0, 0], [1, 1], 1))
    };
    conv2d_weights_only(data([2, 2, 5, 5]), x([3, 2, 3, 3])) = |a| {
        conv2d(a.data::<4>(0), a.x::<4>(0), None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1)).tanh()
    };
    conv2d_twice(data([2, 1, 6, 6]), x([2, 1, 3, 3]), x([2, 2, 3, 3])) = |a| {
        let options = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        conv2d(conv2d(a.data::<4>(0), a.x::<4>(0), None, options()).tanh(), a.x::<4>(1), None, options()).tanh()
    };
    conv3d_plain(x([1, 2, 3, 3, 4]), x([2, 2, 2, 2, 2]), x([2])) = |a| {
        conv3d(a.x::<5>(0), a.x::<5>(1), Some(a.x::<1>(2)), ConvOptions::new([1; 3], [0; 3], [1; 3], 1))
    };
    conv3d_strided(x([1, 2, 4, 4, 5]), x([2, 1, 2, 3, 2])) = |a| {
        conv3d(a.x::<5>(0), a.x::<5>(1), None, ConvOptions::new([2, 1, 2], [1, 1, 0], [1, 1, 2], 2))
    };
    conv_transpose1d_case(x([2, 2, 4]), x([2, 3, 3]), x([3])) = |a| {
        conv_transpose1d(a.x::<3>(0), a.x::<3>(1), Some(a.x::<1>(2)), ConvTransposeOptions::new([2], [1], [1], [1], 1))
    };
    conv_transpose2d_case(x([1, 2, 3, 3]), x([2, 3, 3, 2]), x([3])) = |a| {
        conv_transpose2d(a.x::<4>(0), a.x::<4>(1), Some(a.x::<1>(2)), ConvTransposeOptions::new([2, 1], [1, 0], [1, 0], [1, 2], 1))
    };
    conv_transpose2d_groups(x([1, 4, 3, 3]), x([4, 2, 2, 2])) = |a| {
        conv_transpose2d(a.x::<4>(0), a.x::<4>(1), None, ConvTransposeOptions::new([1, 2], [0, 1], [0, 0], [1, 1], 2))
    };
    conv_transpose2d_padded_out(x([1, 2, 3, 3]), x([2, 2, 3, 2])) = |a| {
        // Output padding that is not smaller than the stride, but than the dilation.
        conv_transpose2d(a.x::<4>(0).sin(), a.x::<4>(1), None, ConvTransposeOptions::new([1, 2], [1, 0], [1, 3], [2, 4], 1)).sin()
    };
    conv_transpose1d_padded_out_groups(x([2, 4, 4]), x([4, 2, 2])) = |a| {
        conv_transpose1d(a.x::<3>(0).exp(), a.x::<3>(1).exp(), None, ConvTransposeOptions::new([1], [1], [2], [3], 2))
    };
    conv_transpose1d_padded_out(x([2, 2, 4]), x([2, 3, 2])) = |a| {
        conv_transpose1d(a.x::<3>(0).exp(), a.x::<3>(1).exp(), None, ConvTransposeOptions::new([1], [0], [2], [3], 1))
    };
    conv_transpose3d_case(x([1, 2, 2, 2, 3]), x([2, 1, 2, 2, 2])) = |a| {
        conv_transpose3d(a.x::<5>(0), a.x::<5>(1), None, ConvTransposeOptions::new([1, 2, 1], [0; 3], [0; 3], [1; 3], 1))
    };

    conv1d_asymmetric(x([1, 2, 5]), x([2, 2, 3])) = |a| {
        conv1d(a.x::<3>(0), a.x::<3>(1), None, ConvOptions { stride: [2], padding: [(2, 1)], dilation: [1], groups: 1 })
    };
    conv3d_depthwise(x([1, 2, 3, 3, 3]), x([2, 1, 2, 2, 2])) = |a| {
        conv3d(a.x::<5>(0), a.x::<5>(1), None, ConvOptions::new([1; 3], [1, 0, 1], [2, 1, 1], 2)).sin()
    };
    conv_transpose1d_groups(x([1, 4, 3]), x([4, 2, 3]), x([4])) = |a| {
        conv_transpose1d(a.x::<3>(0), a.x::<3>(1), Some(a.x::<1>(2)), ConvTransposeOptions::new([3], [1], [1], [2], 2)).sin()
    };
    conv_transpose2d_pointwise(x([2, 2, 2, 3]), x([2, 3, 1, 1])) = |a| {
        conv_transpose2d(a.x::<4>(0), a.x::<4>(1), None, ConvTransposeOptions::new([1; 2], [0; 2], [0; 2], [1; 2], 1)).sin()
    };
    conv_transpose3d_strided(x([1, 2, 2, 2, 2]), x([2, 1, 2, 3, 2]), x([2])) = |a| {
        let options = ConvTransposeOptions::new([2, 1, 2], [1, 1, 0], [1, 0, 1], [1, 1, 2], 2);
        conv_transpose3d(a.x::<5>(0), a.x::<5>(1), Some(a.x::<1>(2)), options).sin()
    };
    conv_transpose_of_conv(x([1, 1, 5]), x([2, 1, 3])) = |a| {
        let h = conv1d(a.x::<3>(0), a.x::<3>(1), None, ConvOptions::new([2], [1], [1], 1)).tanh();
        conv_transpose1d(h, a.x::<3>(1), None, ConvTransposeOptions::new([2], [1], [0], [1], 1))
    };

    avg_pool1d_plain(x([2, 2, 6])) = |a| avg_pool1d(a.x::<3>(0), AvgPoolOptions::new([2]));
    avg_pool1d_padded(x([2, 2, 7])) = |a| {
        avg_pool1d(a.x::<3>(0), AvgPoolOptions::new([3]).with_stride([2]).with_padding([1]))
    };
    avg_pool1d_ceil(x([1, 2, 6])) = |a| {
        avg_pool1d(a.x::<3>(0), AvgPoolOptions { ceil_mode: true, ..AvgPoolOptions::new([3]).with_stride([2]) })
    };
    avg_pool2d_plain(x([2, 2, 4, 6])) = |a| avg_pool2d(a.x::<4>(0), AvgPoolOptions::new([2, 2]));
    avg_pool2d_padded(x([1, 2, 5, 6])) = |a| {
        avg_pool2d(a.x::<4>(0), AvgPoolOptions::new([3, 2]).with_stride([2, 1]).with_padding([1, 1]))
    };
    avg_pool2d_padding_not_counted(x([1, 2, 5, 6])) = |a| {
        let options = AvgPoolOptions::new([3, 2]).with_stride([2, 1]).with_padding([1, 1]);
        avg_pool2d(a.x::<4>(0), AvgPoolOptions { count_include_pad: false, ..options })
    };
    avg_pool2d_ceil(x([1, 1, 6, 6])) = |a| {
        let options = AvgPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
        avg_pool2d(a.x::<4>(0), AvgPoolOptions { ceil_mode: true, ..options })
    };
    avg_pool2d_asymmetric(x([1, 1, 5, 5])) = |a| {
        avg_pool2d(a.x::<4>(0), AvgPoolOptions { padding: [(0, 1), (1, 0)], ..AvgPoolOptions::new([2, 2]) })
    };
    adaptive_avg_pool1d_case(x([1, 2, 7])) = |a| adaptive_avg_pool1d(a.x::<3>(0), 3);
    adaptive_avg_pool2d_case(x([1, 2, 5, 7])) = |a| adaptive_avg_pool2d(a.x::<4>(0), [2, 3]);
    adaptive_avg_pool2d_to_one(x([2, 2, 3, 3])) = |a| adaptive_avg_pool2d(a.x::<4>(0), [1, 1]);
    adaptive_avg_pool3d_case(x([1, 1, 3, 4, 5])) = |a| adaptive_avg_pool3d(a.x::<5>(0), [2, 2, 3]);
    max_pool1d_plain(x([2, 2, 6])) = |a| max_pool1d(a.x::<3>(0), MaxPoolOptions::new([2])).exp();
    max_pool1d_overlapping(x([1, 2, 8])) = |a| {
        max_pool1d(a.x::<3>(0), MaxPoolOptions::new([3]).with_stride([2]).with_padding([1])).exp()
    };
    max_pool1d_dilated(x([1, 2, 9])) = |a| {
        let options = MaxPoolOptions::new([3]).with_stride([1]).with_padding([1]);
        max_pool1d(a.x::<3>(0), MaxPoolOptions { dilation: [2], ..options }).exp()
    };
    max_pool2d_plain(x([2, 2, 4, 6])) = |a| max_pool2d(a.x::<4>(0), MaxPoolOptions::new([2, 2])).exp();
    max_pool2d_overlapping(x([1, 2, 5, 6])) = |a| {
        max_pool2d(a.x::<4>(0), MaxPoolOptions::new([3, 2]).with_stride([1, 2]).with_padding([1, 1])).exp()
    };
    max_pool2d_dilated(x([1, 1, 6, 7])) = |a| {
        let options = MaxPoolOptions::new([2, 3]).with_stride([1, 1]).with_padding([1, 0]);
        max_pool2d(a.x::<4>(0), MaxPoolOptions { dilation: [2, 2], ..options }).exp()
    };
    max_pool2d_ceil(x([1, 1, 6, 6])) = |a| {
        let options = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
        max_pool2d(a.x::<4>(0), MaxPoolOptions { ceil_mode: true, ..options }).exp()
    };
    max_pool2d_negative(crate::harness::within(-2.0, -1.0, [1, 1, 4, 4])) = |a| {
        max_pool2d(a.x::<4>(0), MaxPoolOptions::new([2, 2]).with_stride([2, 2]).with_padding([1, 1])).exp()
    };
    max_pool2d_asymmetric(x([1, 1, 5, 5])) = |a| {
        max_pool2d(a.x::<4>(0), MaxPoolOptions { padding: [(0, 1), (1, 0)], ..MaxPoolOptions::new([2, 2]) }).exp()
    };
    max_pool2d_tied(crate::harness::given([1, 1, 2, 4], &[1.0, 1.0, 2.0, 0.0, 1.0, 0.0, 2.0, 2.0])) [kink] = |a| {
        max_pool2d(a.x::<4>(0), MaxPoolOptions::new([2, 2])).exp()
    };
    max_pool2d_indices(x([1, 2, 4, 4])) = |a| {
        let x = a.x::<4>(0);
        let (values, indices) = max_pool2d_with_indices(x.clone(), MaxPoolOptions::new([2, 2]));
        values.exp() * (indices.float().cast(x.dtype()) + 1.0)
    };
}
