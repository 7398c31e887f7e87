//! What is recorded computes what Burn computes, to the last bit: a loss may round, compare and index by its numbers.

use burn::tensor::module::{avg_pool1d, max_pool1d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Int, f16};
use proptest::prelude::*;

use super::*;

/// Values of a function as it is recorded, and as Burn computes it at once.
pub(super) fn both(example: impl Fn(Tensor<1>) -> Tensor<1>, at: &[f64], dtype: DType) -> (Vec<f64>, Vec<f64>) {
    let (graph, x, y, _) = recorded(&example, at.len(), dtype, Device::clone);
    let program = Program::new(&graph, &[x], &[y], &Device::flex());
    let found = program.run([Value::from_tensor(floats(at, dtype, &Device::flex()))], 0);
    let at_once = example(floats(at, dtype, &Device::flex())).into_data();
    (found[0].to_vec().unwrap(), at_once.iter::<f64>().collect())
}

/// One number is the other, but for the sign of zero.
fn same(x: &[f64], y: &[f64]) -> bool {
    x.len() == y.len() && x.iter().zip(y).all(|(x, y)| x == y || x.is_nan() && y.is_nan())
}

fn whole(count: usize) -> Vec<f64> {
    (0..count).map(|k| k as f64).collect()
}

#[test]
fn a_quotient_is_rounded_once() {
    for dtype in [DType::F32, DType::F64] {
        for divisor in 1..200 {
            let (found, expected) = both(|x| (x / f64::from(divisor)).floor(), &whole(400), dtype);
            assert_eq!(found, expected, "{dtype:?} by {divisor}");
        }
    }
    let (found, expected) = both(|x| x / 1e-5, &[0.1, -0.2], DType::F16);
    assert_eq!(found, expected);
    assert!(found[0].is_finite());
}

#[test]
fn a_mean_is_rounded_once_and_does_not_overflow() {
    for count in 1..100 {
        for dtype in [DType::F32, DType::F64] {
            let ones = vec![1.0; count];
            assert_eq!(both(|x| x.mean(), &ones, dtype).0, [1.0], "{dtype:?} of {count}");
            assert_eq!(both(|x| x.mean_dim(0), &ones, dtype).0, [1.0], "{dtype:?} of {count}");
        }
    }
    let large = vec![100.0; 1000];
    assert_eq!(both(|x| x.mean(), &large, DType::F16).0, [100.0]);
    assert_eq!(both(|x| x.mean_dim(0), &large, DType::F16).0, [100.0]);
}

#[test]
fn numbers_are_not_joined_across_a_rounding() {
    let (found, expected) = both(|x| (x + 12_582_912.0) - 12_582_912.0, &[2.3, 0.6, -1.4], DType::F32);
    assert_eq!((found.as_slice(), expected), ([2.0, 1.0, -1.0].as_slice(), vec![2.0, 1.0, -1.0]));
    let (found, expected) = both(|x| x * 1e30 * 1e-30, &[1e10, 1.0], DType::F32);
    assert!(same(&found, &expected), "{found:?} {expected:?}");
    assert!(found[0].is_infinite());
    // A power of two may lead out of the type, or below its normal numbers, before another factor leads back.
    let powers: [(DType, f64, [f64; 2]); 8] = [
        (DType::F16, 100.0, [1024.0, 1.0 / 1024.0]),
        (DType::F16, 1.0, [0.5, 1e5]),
        (DType::F16, 3e-4, [1.0 / 1024.0, 1024.0]),
        (DType::F32, 1e9, [2.0_f64.powi(100), 2.0_f64.powi(-100)]),
        (DType::F32, 1e9, [2.0_f64.powi(100), 0.3]),
        (DType::F32, 1.3e-38, [0.3, 0.5]),
        (DType::F32, 11.0 * 2.0_f64.powi(-149), [0.25, 0.5]),
        (DType::F32, 3.0 * 2.0_f64.powi(-149), [1.5, 2.0]),
    ];
    for (dtype, at, factors) in powers {
        let (found, expected) = both(|x| x * factors[0] * factors[1], &[at, -at, 0.0], dtype);
        assert!(same(&found, &expected), "{dtype:?}, {at} by {factors:?}: {found:?} {expected:?}");
    }
    let all: Vec<f64> = (0..=u16::MAX).map(|bits| f64::from(f16::from_bits(bits).to_f32())).collect();
    for factors in [[2.0, 3.0], [-1024.0, 1.7], [1024.0, 63.9], [32768.0, 1.0], [4.0, -2.0], [8.0, 0.3], [1.0, 1e5]] {
        let (found, expected) = both(|x| x * factors[0] * factors[1], &all, DType::F16);
        assert!(same(&found, &expected), "every number of 16 bits by {factors:?}");
    }
    let logarithm = |x: Tensor<1>| {
        let u = x.clone() + 1.0;
        u.clone().log() * x / (u - 1.0)
    };
    let (found, expected) = both(logarithm, &[1e-5, 3e-6], DType::F32);
    assert!(same(&found, &expected), "{found:?} {expected:?}");
}

#[test]
fn constants_are_folded_in_their_own_type() {
    let rounded = |x: Tensor<1>| {
        let large = Tensor::<1>::full([3], 16_777_216.0, (&x.device(), x.dtype()));
        x * ((large + 1.0) - 16_777_216.0)
    };
    let (found, expected) = both(rounded, &[1.0, 2.0, 3.0], DType::F32);
    assert_eq!(found, expected);
    assert_eq!(found, [0.0; 3]);
}

#[test]
fn integers_stay_whole() {
    const BEYOND: i64 = (1 << 53) + 1;
    type Whole = Tensor<1, Int>;
    let functions: [fn(Whole) -> Whole; 4] = [
        |n| n - (BEYOND - 5),
        |n| n * 3,
        |n| n.reshape([2, 1]).expand([2, 2]).slice([0..2, 0..1]).reshape([2]),
        |n| n + (BEYOND - 7),
    ];
    for (number, f) in functions.into_iter().enumerate() {
        let left = |x: Tensor<1>| {
            let whole = Whole::full([2], BEYOND, (&x.device(), DType::I64));
            x + f(whole).remainder_scalar(1024).float().cast(DType::F64)
        };
        let (found, expected) = both(left, &[0.0, 1.0], DType::F64);
        assert_eq!(found, expected, "{number}");
    }
}

#[test]
fn a_window_that_is_larger_than_what_there_is_counts_once_with_ceil() {
    let (found, expected) = both(
        |x| {
            let line: Tensor<3> = x.reshape([1, 1, 2]);
            max_pool1d(line.clone(), MaxPoolOptions::new([3]).with_stride([2]).with_ceil_mode(true)).reshape([1])
                + avg_pool1d(line, AvgPoolOptions::new([3]).with_stride([2]).with_ceil_mode(true)).reshape([1])
        },
        &[0.25, 0.75],
        DType::F64,
    );
    assert_eq!(found, expected);
}

/// One step of a random expression: an operation, a number, and which earlier values it takes.
fn steps() -> impl Strategy<Value = Vec<(usize, f64, usize, usize)>> {
    let number = prop_oneof![
        -3.0..3.0_f64,
        Just(2.0),
        Just(0.5),
        Just(1.0),
        Just(-1.0),
        Just(0.0),
        Just(1e20),
        Just(1e-20),
        Just(2.0_f64.powi(100)),
        Just(2.0_f64.powi(-100)),
        Just(16_777_216.0),
        Just(10.0),
        Just(3.0),
    ];
    prop::collection::vec((0_usize..14, number, 0_usize..8, 0_usize..8), 1..10)
}

fn expression(x: Tensor<1>, steps: &[(usize, f64, usize, usize)]) -> Tensor<1> {
    let mut known = vec![x];
    for &(operation, number, left, right) in steps {
        let last = known[known.len() - 1].clone();
        let (x, y) = (known[left % known.len()].clone(), known[right % known.len()].clone());
        known.push(match operation {
            0 => last + number,
            1 => last - number,
            2 => last * number,
            3 => last / number,
            4 => -last,
            5 => x + y,
            6 => x - y,
            7 => x * y,
            8 => x / y,
            9 => last.floor(),
            10 => last.clone().mean().expand(last.dims()),
            11 => last.clone().sum().expand(last.dims()) * number,
            12 => number * (last.clone() / number),
            _ => Tensor::full(last.dims(), number, (&last.device(), last.dtype())) * last,
        });
    }
    known.pop().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_recorded_expression_has_burns_bits(
        steps in steps(),
        at in prop::collection::vec(-2.0..2.0_f64, 1..6),
        is_double in any::<bool>(),
    ) {
        let dtype = if is_double { DType::F64 } else { DType::F32 };
        let (found, expected) = both(|x| expression(x, &steps), &at, dtype);
        prop_assert!(same(&found, &expected), "{found:?} {expected:?}");
    }
}

#[test]
fn layers_of_a_batch_have_burns_bits() {
    // Rows of a batch are put below each other: each entry is the same sum in the same order. Sums of more than 512 products are
    // formed in parts, which Burn makes by the number of rows.
    for [batch, rows, inner, columns] in [[2, 3, 5, 7], [3, 40, 300, 65], [8, 32, 512, 33], [8, 32, 700, 33]] {
        let layer = |x: Tensor<1>| {
            let numbers = |count: usize, factor: Tensor<1>| {
                let places = Tensor::<1, Int>::arange(0..count as i64, &factor.device()).float().cast(factor.dtype());
                (places * factor).sin()
            };
            let left = numbers(batch * rows * inner, x.clone().narrow(0, 0, 1)).reshape([batch, rows, inner]);
            let right = numbers(inner * columns, x.narrow(0, 1, 1)).reshape([1, inner, columns]);
            left.matmul(right).reshape([-1])
        };
        for dtype in [DType::F32, DType::F64] {
            let (found, expected) = both(layer, &[0.37, 1.91], dtype);
            assert_eq!((found.len(), expected.len()), (batch * rows * columns, batch * rows * columns));
            let largest = found.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            let rounding = dtype.finfo().map_or(0.0, |info| info.epsilon);
            // No term is larger than 1, and no partial sum is rounded by more than a few of its last places.
            let bound = if inner > 512 { inner as f64 * rounding } else { 0.0 };
            assert!(largest <= bound, "{batch} × {rows} × {inner}, {dtype:?}: {largest}");
        }
    }
}

#[test]
fn only_a_layer_norm_that_is_formed_in_its_own_type_is_one() {
    const COLUMNS: usize = 4096;
    let mean = |x: Tensor<2>, wide: bool| {
        let dtype = x.dtype();
        if wide { x.cast(DType::F64).mean_dim(1).cast(dtype) } else { x.mean_dim(1) }
    };
    let norm = |x: Tensor<1>, [first, second]: [bool; 2]| {
        let x: Tensor<2> = x.reshape([1, COLUMNS]);
        let centred = x.clone() - mean(x, first);
        let square = mean(centred.clone() * centred.clone(), second);
        (centred / square.add_scalar(1e-5).sqrt()).reshape([COLUMNS])
    };
    let at: Vec<f64> = (0..COLUMNS).map(|k| 1000.0 + ((k * 29 + 7) % 101) as f64 / 101.0).collect();
    for wide in [[true, true], [true, false], [false, true]] {
        let (found, expected) = both(|x| norm(x, wide), &at, DType::F32);
        assert!(same(&found, &expected), "{wide:?}");
    }
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        let (graph, _, y, _) = recorded(|x| norm(x, [false; 2]), COLUMNS, dtype, Device::clone);
        let is_norm = |node: NodeId| matches!(graph.node(node).op, Op::Normalize { .. });
        assert!(graph.node(y).inputs.iter().any(|&input| is_norm(input)), "{dtype:?}");
    }
}
