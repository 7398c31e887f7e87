//! Random programs of up to 30 operations of Burn: our derivatives agree with Burn's autodiff and with central differences.

use burn::tensor::activation::{gelu, log_softmax, relu, softmax};
use burn::tensor::module::conv1d;
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{IndexingUpdateOp, Int, Tensor};
use proptest::prelude::*;

use crate::harness::{Arguments, Input, Options, check, flat};

/// One step: which operation, on which earlier values, with which detail.
type Step = (usize, usize, usize, usize);

/// How many operations there are to choose from; the first [`SMOOTH`] have no kinks.
const OPERATIONS: usize = 42;
const SMOOTH: usize = 33;

/// Values larger than this are not computed with any further.
const LARGEST: usize = 96;

fn positions(count: usize, below: usize, detail: usize, like: &Tensor<3>) -> Tensor<1, Int> {
    let positions: Vec<i64> = (0..count).map(|k| ((k * (2 * detail + 1) + detail) % below) as i64).collect();
    Tensor::from_ints(positions.as_slice(), &like.device())
}

/// What a step makes of `x`, and of a `y` that broadcasts to it; bounded, so that nothing grows without end.
fn step(kind: usize, x: Tensor<3>, y: Tensor<3>, detail: usize) -> Tensor<3> {
    let axis = detail % 3;
    let shape = x.dims();
    let size = shape[axis];
    match kind {
        0 => (x + y) * 0.6,
        1 => x - y * 0.7,
        2 => (x * y).tanh(),
        3 => x.tanh(),
        4 => x.sin(),
        5 => x.tanh().exp() * 0.5,
        6 => x / (y.powi_scalar(2) + 1.5),
        7 => (x.powi_scalar(2) + 0.5).sqrt() - 1.0,
        8 => softmax(x, axis) * 2.0,
        9 => log_softmax(x, axis) * 0.4,
        10 => x.sum_dim(axis) * (1.25 / size as f64),
        11 => x.clone() - x.mean_dim(axis),
        12 => (x.cumsum(axis) * 0.4).tanh(),
        13 => (x.tanh() * 0.4 + 0.6).cumprod(axis),
        14 => ((x.sin() + 0.3) * 0.7).prod_dim(axis),
        15 => x.permute([[1, 2, 0], [0, 2, 1], [2, 1, 0]][axis]),
        16 => x.reshape([[shape[0] * shape[1], 1, shape[2]], [1, shape[1] * shape[2], shape[0]]][detail % 2]),
        17 => x.slice_dim(axis, burn::tensor::Slice::new((size / 3) as isize, None, 1 + (detail / 3 % 2) as isize)),
        18 => Tensor::cat(vec![x.clone(), x.cos()], axis),
        19 => x.flip([axis]),
        20 => x.clone().select(axis, positions(2, size, detail, &x)),
        21 => {
            let indices = positions(shape.iter().product(), size, detail, &x).reshape(shape);
            x.gather(axis, indices)
        }
        22 => {
            let indices = positions(shape.iter().product(), size, detail, &x).reshape(shape);
            x.clone().scatter(axis, indices, x.cos() * 0.3, IndexingUpdateOp::Add)
        }
        23 => x.clone().select_assign(
            axis,
            positions(1, size, detail, &x),
            x.slice_dim(axis, 0..1).sin(),
            IndexingUpdateOp::Assign,
        ),
        24 => x.clone().matmul(y.expand(shape).transpose()).tanh(),
        25 => x.erf(),
        26 => gelu(x),
        27 => x.pad([(detail % 2, 1)], [PadMode::Constant(0.4), PadMode::Edge][detail % 2]),
        28 => x.repeat_dim(axis, 2),
        29 => {
            let centred = x.clone() - x.mean_dim(2);
            centred.clone() / (centred.powi_scalar(2).mean_dim(2) + 0.3).sqrt()
        }
        30 => {
            conv1d(x.clone(), x.slice_dim(0, 0..1).slice_dim(2, 0..1), None, ConvOptions::new([1], [0], [1], 1)).tanh()
        }
        31 => x.clone().unfold::<4, _>(2, 1 + detail % shape[2], 1).sum_dim(2).squeeze_dim::<3>(2),
        32 => x.roll(&[1], &[axis]) * 0.8,
        33 => x.max_dim(axis),
        34 => x.sort(axis),
        35 => x.cummax(axis),
        36 => x.cummin(axis),
        37 => relu(x) - y * 0.3,
        38 => x.abs(),
        39 => x.clamp(-0.45, 0.65),
        40 => x.clone().mask_where(x.clone().lower(y.clone().expand(shape)), y.expand(shape).sin()),
        _ => x.topk(1.max(size / 2), axis),
    }
}

/// Everything a program computes on the way is worth a look: its result is the last value and its arguments.
fn run(steps: &[Step], a: &Arguments) -> Tensor<1> {
    let mut values: Vec<Tensor<3>> = (0..3).map(|i| a.x::<3>(i)).collect();
    for &(kind, i, j, detail) in steps {
        let x = values[values.len() - 1 - i % values.len().min(4)].clone();
        let shape = x.dims();
        let fitting = |y: &&Tensor<3>| y.dims().iter().zip(shape).all(|(&of, to)| of == to || of == 1);
        let others: Vec<&Tensor<3>> = values.iter().filter(fitting).collect();
        let y = others[j % others.len()].clone();
        let next = step(kind % OPERATIONS, x, y, detail);
        if (1..=LARGEST).contains(&next.shape().num_elements()) {
            values.push(next);
        }
    }
    let last = values[values.len() - 1].clone();
    Tensor::cat(vec![flat(last), flat(values[0].clone()), flat(values[1].clone()), flat(values[2].clone())], 0)
}

/// How many programs are tried; more where somebody asks.
fn cases() -> u32 {
    std::env::var("BETTY_PROGRAMS").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

fn arguments() -> Vec<Input> {
    [[2, 3, 2], [1, 3, 1], [2, 1, 4]].map(|shape| Input::Parameter(shape.to_vec(), -1.0, 1.1)).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn smooth_programs(steps in prop::collection::vec((0..SMOOTH, 0_usize..9, 0_usize..9, 0_usize..12), 1..=30)) {
        // Thirty operations in single precision lose a few digits, and thirty nested functions have large high derivatives.
        let options = Options { f32_gradient: Some(1e-4), differences: Some(1e-6), ..Options::default() };
        check("smooth program", &arguments(), options, |a| run(&steps, a));
    }

    #[test]
    fn rough_programs(steps in prop::collection::vec((0..OPERATIONS, 0_usize..9, 0_usize..9, 0_usize..12), 1..=30)) {
        // In single precision two values may change their order, and with it the side of a kink.
        let options = Options { rough: true, f32_gradient: Some(f64::INFINITY), ..Options::default() };
        check("rough program", &arguments(), options, |a| run(&steps, a));
    }
}
