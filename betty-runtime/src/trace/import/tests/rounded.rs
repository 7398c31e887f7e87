//! What is narrower than what Burn computes in is rounded once, as Burn does: 16 bits, and integers of few bits.

use burn::tensor::Int;
use burn::tensor::module::{deform_conv2d, interpolate};
use burn::tensor::ops::{
    DeformConvOptions, GridSampleOptions, GridSamplePaddingMode, InterpolateMode, InterpolateOptions,
};

use super::values::both;
use super::*;

/// Numbers as a type holds them.
fn held(at: impl IntoIterator<Item = f64>, dtype: DType) -> Vec<f64> {
    let at: Vec<f64> = at.into_iter().collect();
    floats(&at, dtype, &Device::flex()).into_data().iter::<f64>().collect()
}

/// Whether each number is one of the two of a type that are nearest to the truth; what 32 bits round on the way is small.
fn are_rounded_once(found: &[f64], truth: &[f64], dtype: DType) -> bool {
    let half = dtype.finfo().unwrap().epsilon / 2.0;
    let largest = truth.iter().fold(0.0_f64, |largest, truth| largest.max(truth.abs()));
    let is_near = |(found, truth): (&f64, &f64)| (found - truth).abs() <= half * truth.abs() + 2e-6 * largest;
    found.len() == truth.len() && found.iter().zip(truth).all(is_near)
}

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
fn a_hypotenuse_of_16_bits_is_rounded_once() {
    for dtype in [DType::BF16, DType::F16] {
        let at = held((0..200).map(|k| ((k * 37 + 11) % 97) as f64 / 7.0 - 5.0), dtype);
        let sides = |x: Tensor<1>| x.clone().hypot(x.flip([0]));
        let (found, expected) = both(sides, &at, dtype);
        let truth: Vec<f64> = at.iter().zip(at.iter().rev()).map(|(x, y)| x.hypot(*y)).collect();
        assert!(are_rounded_once(&found, &truth, dtype), "{dtype:?}: {found:?} {truth:?}");
        assert!(are_rounded_once(&expected, &truth, dtype), "Burn in {dtype:?}");
    }
    // Sides of which 16 bits hold no square.
    let (found, _) = both(|x| x.clone().hypot(x), &[30000.0, 1e-4, 0.0], DType::F16);
    assert!(are_rounded_once(&found[..1], &[30000.0 * 2.0_f64.sqrt()], DType::F16), "{found:?}");
}

#[test]
fn an_image_of_16_bits_is_resized_and_rounded_once() {
    const SIDE: usize = 6;
    const MODES: [InterpolateMode; 4] =
        [InterpolateMode::Nearest, InterpolateMode::Bilinear, InterpolateMode::Bicubic, InterpolateMode::Lanczos3];
    let pixels = |k: usize| ((k * 29 + 7) % 37) as f64 / 11.0 - 1.0;
    for dtype in [DType::BF16, DType::F16] {
        for mode in MODES {
            for to in [[13, 16], [4, 5], [7, 6]] {
                let options = InterpolateOptions::new(mode.clone()).with_align_corners(false).with_output_size(to);
                let resized = |x: Tensor<1>| {
                    let image: Tensor<4> = x.reshape([1, 1, SIDE, SIDE]);
                    interpolate(image, options.clone()).reshape([to[0] * to[1]])
                };
                let (ones, _) = both(resized, &[1.0; SIDE * SIDE], dtype);
                assert!(ones.iter().all(|&one| one == 1.0), "{mode:?} to {to:?} in {dtype:?}: {ones:?}");
                let at = held((0..SIDE * SIDE).map(pixels), dtype);
                let [(found, gradient), (truth, slope)] =
                    [dtype, DType::F64].map(|dtype| with_slope(resized, &at, dtype));
                let eager = both(resized, &at, DType::F64).1;
                assert!(
                    are_rounded_once(&found, &truth, dtype),
                    "{mode:?} to {to:?} in {dtype:?}: {found:?} {truth:?}"
                );
                assert!(apart(&truth, &eager) <= 1e-12, "{mode:?} to {to:?}: {truth:?} {eager:?}");
                assert!(are_rounded_once(&gradient, &slope, dtype), "slope of {mode:?} to {to:?} in {dtype:?}");
            }
        }
    }
}

/// The value of a function, and its transposed product with values that every type holds.
fn with_slope(example: impl Fn(Tensor<1>) -> Tensor<1>, at: &[f64], dtype: DType) -> (Vec<f64>, Vec<f64>) {
    let (mut graph, x, y, _) = recorded(example, at.len(), dtype, Device::clone);
    let count = graph.shape(y)[0];
    let weights: Vec<f64> = (0..count).map(|k| (k * 5 % 7) as f64 - 3.0).collect();
    let weights = graph.literal(TensorData::new(weights, [count]).convert_dtype(dtype));
    let slope = vjp(&mut graph, &[(y, weights)], &[x]).unwrap()[0].unwrap();
    let program = Program::new(&graph, &[x], &[y, slope], &Device::flex());
    let found = program.run([Value::from_tensor(floats(at, dtype, &Device::flex()))], 0);
    (found[0].to_vec().unwrap(), found[1].to_vec().unwrap())
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
fn an_image_that_is_sampled_in_a_loss_is_read_where_it_is_cast_to() {
    // A loss is recorded through autodiff, where Burn samples in pieces of the type of the tensors.
    const WIDTH: usize = 1000;
    let sampled = |x: Tensor<1>| {
        let places = Tensor::<1, Int>::arange(0..WIDTH as i64, &x.device()).float();
        let image: Tensor<4> = (places * 0.7).sin().cast(DType::BF16).cast(DType::F32).reshape([1, 1, 1, WIDTH]);
        let (count, x) = (x.dims()[0], x.cast(DType::F32));
        let grid = Tensor::stack::<2>(vec![x.clone(), x.zeros_like()], 1).reshape([1, 1, count, 2]);
        let options = GridSampleOptions::new(InterpolateMode::Bilinear);
        let row = image.grid_sample_2d(grid, options.with_padding_mode(GridSamplePaddingMode::Border));
        row.reshape([count]).cast(DType::BF16)
    };
    let at = [0.5, -0.25, 0.75, 0.375];
    let (graph, x, y, operations) = recorded(sampled, at.len(), DType::BF16, |device| device.clone().autodiff());
    assert!(!operations.contains("Float::GridSample2d"), "{operations:?}");
    let program = Program::new(&graph, &[x], &[y], &Device::flex());
    let found = program.run([Value::from_tensor(floats(&at, DType::BF16, &Device::flex()))], 0)[0].to_vec().unwrap();
    let pixel = |place: f64| held([(place.floor() as f32 * 0.7).sin().into()], DType::BF16)[0];
    let truth = at.map(|x| {
        let place = (x + 1.0) * WIDTH as f64 / 2.0 - 0.5;
        pixel(place) * (1.0 - place.fract()) + pixel(place + 1.0) * place.fract()
    });
    assert!(are_rounded_once(&found, &truth, DType::BF16), "{found:?} {truth:?}");
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
