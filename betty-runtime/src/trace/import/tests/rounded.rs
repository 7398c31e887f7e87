//! What is narrower than what Burn computes in is rounded once, as Burn does: 16 bits, and integers of few bits.

use burn::tensor::Int;
use burn::tensor::module::deform_conv2d;
use burn::tensor::ops::{DeformConvOptions, GridSampleOptions, GridSamplePaddingMode, InterpolateMode};

use super::values::both;
use super::*;

#[test]
fn parts_of_a_product_do_not_overflow_in_16_bits() {
    for factors in [[0.01, 300.0, 0.01, 300.0], [0.0, 300.0, 1.0, 300.0], [300.0, 300.0, 0.01, 0.01]] {
        for dtype in [DType::F16, DType::BF16] {
            // In another order: a rounding of each type.
            let near = |(found, expected): (Vec<f64>, Vec<f64>)| {
                let digits = dtype.finfo().unwrap().epsilon;
                let is_near = |(x, y): (&f64, &f64)| x == y || (x - y).abs() <= digits * y.abs();
                assert!(found.iter().zip(&expected).all(is_near), "{dtype:?} {factors:?}: {found:?} {expected:?}");
            };
            near(both(|x| x.prod(), &factors, dtype));
            near(both(|x| x.reshape([2, 2]).prod_dim(1).reshape([2]), &factors, dtype));
            near(both(|x| x.cumprod(0), &factors, dtype));
        }
    }
}

#[test]
fn a_hypotenuse_has_the_range_of_its_sides() {
    let at = [1e20, 1e-25, 3.0, 0.0];
    let (found, expected) = both(|x| x.clone().hypot(x), &at, DType::F32);
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= 1e-6 * expected, "{found:e} {expected:e}");
    }
}

#[test]
fn positions_in_images_are_not_rounded_to_16_bits() {
    let row = |x: &Tensor<1>, width: usize| {
        let places = Tensor::<1, Int>::arange(0..width as i64, &x.device()).float();
        (places * 0.7).sin().cast(x.dtype()).reshape([1, 1, 1, width])
    };
    let sampled = |x: Tensor<1>| {
        let (image, count) = (row(&x, 1000), x.dims()[0]);
        let grid = Tensor::stack::<2>(vec![x.clone(), x.zeros_like()], 1).reshape([1, 1, count, 2]);
        let options = GridSampleOptions::new(InterpolateMode::Bilinear);
        image.grid_sample_2d(grid, options.with_padding_mode(GridSamplePaddingMode::Border)).reshape([count])
    };
    let moved = |x: Tensor<1>| {
        let (image, count) = (row(&x, 400), x.dims()[0]);
        let start = 400 / count;
        let offset = Tensor::stack::<2>(vec![x.zeros_like(), x.clone()], 0).reshape([1, 2, 1, count]);
        let weight = Tensor::<4>::ones([1, 1, 1, 1], &x.device()).cast(x.dtype());
        let options = DeformConvOptions::new([1, start], [0, 0], [1, 1], 1, 1);
        deform_conv2d(image, offset, weight, None, None, options).reshape([count])
    };
    for dtype in [DType::BF16, DType::F16] {
        // Both at once: numbers of absolute value 1, rounded once.
        let digits = dtype.finfo().map_or(0.0, |info| info.epsilon);
        let near = |(found, expected): (Vec<f64>, Vec<f64>)| {
            let largest = found.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(found.len() == expected.len() && largest <= digits, "{dtype:?}: {found:?} {expected:?}");
        };
        near(both(sampled, &[0.5, -0.25, 0.75, 0.375], dtype));
        near(both(moved, &[0.25, -0.5, 0.375, 0.75], dtype));
    }
}

#[test]
fn a_mean_of_narrow_integers_is_divided_by_the_count() {
    for dtype in [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32] {
        for count in [44, 255, 256, 300] {
            let at: Vec<f64> = (0..2 * count).map(|k| if k % count < 100 { 1.0 } else { 0.0 }).collect();
            let means = |x: Tensor<1>| {
                let whole: Tensor<2, Int> = x.int().cast(dtype).reshape([2, count]);
                whole.mean_dim(1).float().cast(DType::F64).reshape([2])
            };
            let (found, expected) = both(means, &at, DType::F64);
            assert_eq!(
                (&found, &expected),
                (&expected, &vec![f64::from(i32::from(count == 44)); 2]),
                "{dtype:?}, {count}"
            );
        }
    }
    for dtype in [DType::I8, DType::I16, DType::I32, DType::I64] {
        let mean = |x: Tensor<1>| x.int().cast(dtype).mean().float().cast(DType::F64);
        let at: Vec<f64> = (0..512).map(|k| f64::from(u8::from(k < 100))).collect();
        let (found, expected) = both(mean, &at, DType::F64);
        assert_eq!((found, expected), (vec![0.0], vec![0.0]), "{dtype:?}");
    }
}
