//! Convolutions against the sums that define them, in every set of instructions, at any number of threads.

use crate::Convolution;
use crate::arithmetic::Arithmetic;
use crate::contraction::contract_with;
use crate::gather::Operand;
use crate::vectorized::Instructions;

/// Small integers, whose products and sums are exact.
fn integers(count: usize, seed: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 7 + i / 5 * 3 + seed) % 11) as f64 - 5.0).collect()
}

struct Case {
    sizes: Convolution,
    x: Vec<f64>,
    weight: Vec<f64>,
    cotangent: Vec<f64>,
}

impl Case {
    fn new(sizes: Convolution) -> Self {
        let volume = |sizes: [usize; 3]| sizes.iter().product::<usize>();
        Case {
            x: integers(sizes.batch * sizes.inputs * volume(sizes.input), 1),
            weight: integers(sizes.outputs * sizes.inputs * volume(sizes.kernel), 2),
            cotangent: integers(sizes.batch * sizes.outputs * volume(sizes.output), 3),
            sizes,
        }
    }

    /// Every product of which the convolution is the sum: places in `x`, in the weight, and in the result.
    fn products(&self, mut see: impl FnMut(usize, usize, usize)) {
        let c = &self.sizes;
        let volume = |sizes: [usize; 3]| sizes.iter().product::<usize>();
        let index = |at: usize, [_, b, c]: [usize; 3]| [at / (b * c), at / c % b, at % c];
        for example in 0..c.batch {
            for (output, input) in (0..c.outputs).flat_map(|output| (0..c.inputs).map(move |input| (output, input))) {
                for (pixel, tap) in (0..volume(c.output)).flat_map(|p| (0..volume(c.kernel)).map(move |tap| (p, tap))) {
                    let (place, step) = (index(pixel, c.output), index(tap, c.kernel));
                    let at = |d: usize| {
                        (place[d] * c.stride[d] + step[d] * c.dilation[d])
                            .checked_sub(c.padding[d])
                            .filter(|&at| at < c.input[d])
                    };
                    let (Some(i), Some(j), Some(k)) = (at(0), at(1), at(2)) else { continue };
                    let place = (i * c.input[1] + j) * c.input[2] + k;
                    see(
                        (example * c.inputs + input) * volume(c.input) + place,
                        (output * c.inputs + input) * volume(c.kernel) + tap,
                        (example * c.outputs + output) * volume(c.output) + pixel,
                    );
                }
            }
        }
    }
}

/// A convolution of squares.
fn square(
    batch: usize,
    [inputs, outputs]: [usize; 2],
    side: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Convolution {
    let output = (side + 2 * padding - kernel) / stride + 1;
    Convolution {
        batch,
        inputs,
        outputs,
        input: [1, side, side],
        output: [1, output, output],
        kernel: [1, kernel, kernel],
        stride: [1, stride, stride],
        padding: [0, padding, padding],
        dilation: [1; 3],
    }
}

fn cases() -> Vec<Case> {
    let plain = square(2, [3, 5], 7, 3, 1, 1);
    let cases = [
        plain,
        square(3, [2, 7], 8, 3, 2, 1),
        square(2, [4, 3], 9, 1, 2, 0),
        square(2, [4, 9], 5, 1, 1, 0),
        square(1, [5, 20], 16, 5, 1, 0),
        square(9, [40, 13], 4, 3, 1, 1),
        square(1, [1, 1], 3, 3, 1, 0),
        // More padding than the window reaches over, and a rest that no window covers.
        square(2, [2, 3], 4, 2, 1, 3),
        square(2, [2, 3], 8, 2, 3, 0),
        Convolution {
            dilation: [1, 2, 2],
            padding: [0, 3, 1],
            stride: [1, 2, 3],
            output: [1, 5, 3],
            input: [1, 9, 9],
            ..plain
        },
        Convolution { kernel: [2, 3, 3], input: [4, 7, 7], output: [5, 9, 5], padding: [1, 2, 0], ..plain },
        Convolution {
            kernel: [1, 1, 4],
            input: [1, 1, 21],
            output: [1, 1, 11],
            padding: [0, 0, 2],
            stride: [1, 1, 2],
            ..plain
        },
        Convolution { batch: 0, ..plain },
    ];
    cases.into_iter().map(Case::new).collect()
}

#[test]
fn convolutions_and_their_adjoints_are_the_sums_that_define_them() {
    for case in cases() {
        let Case { sizes, x, weight, cotangent } = &case;
        let mut result = vec![0.0; cotangent.len()];
        let mut in_x = vec![0.0; x.len()];
        let mut in_weight = vec![0.0; weight.len()];
        case.products(|a, b, c| {
            result[c] += x[a] * weight[b];
            in_x[a] += cotangent[c] * weight[b];
            in_weight[b] += cotangent[c] * x[a];
        });
        assert_eq!(sizes.forward(x, weight), result, "{sizes:?}");
        assert_eq!(sizes.input_adjoint(weight, cotangent), in_x, "{sizes:?}");
        assert_eq!(sizes.weight_adjoint(x, cotangent), in_weight, "{sizes:?}");
        let single = |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect::<Vec<f32>>();
        let (x, weight, cotangent) = (single(x), single(weight), single(cotangent));
        assert_eq!(sizes.forward(&x, &weight), single(&result), "{sizes:?}");
        assert_eq!(sizes.input_adjoint(&weight, &cotangent), single(&in_x), "{sizes:?}");
        assert_eq!(sizes.weight_adjoint(&x, &cotangent), single(&in_weight), "{sizes:?}");
    }
}

#[test]
fn every_set_of_instructions_computes_the_same_product() {
    let sizes = [
        (1, 1, 1, 1),
        (7, 300, 33, 33),
        (64, 20, 130, 130),
        (13, 600, 70, 70),
        // More rows than columns, and columns in runs.
        (150, 300, 12, 4),
        (290, 40, 33, 33),
        (9, 40, 8, 1),
        (70, 30, 210, 3),
        // A small result of many terms, in parts.
        (16, 9001, 9, 9),
        (5, 8192, 20, 4),
    ];
    for (rows, terms, columns, run) in sizes {
        let (a, b) = (integers(rows * terms, 4), integers(terms * columns, 5));
        let [row, inner, column] = [rows, terms, columns].map(|count| (0..count).collect::<Vec<usize>>());
        let times = |of: &[usize], by: usize| of.iter().map(|place| place * by).collect::<Vec<usize>>();
        let (rows_of_a, terms_of_b) = (times(&row, terms), times(&inner, columns));
        let expected: Vec<f64> = (0..rows * columns)
            .map(|at| {
                let (row, column) = (at / run % rows, at / (run * rows) * run + at % run);
                (0..terms).map(|k| a[row * terms + k] * b[k * columns + column]).sum()
            })
            .collect();
        for instructions in Instructions::all() {
            let a = Operand { data: &a, free: &rows_of_a, summed: &inner };
            let b = Operand { data: &b, free: &column, summed: &terms_of_b };
            assert_eq!(contract_with(instructions, a, b, run), expected, "{instructions:?}, {rows} by {columns}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    // Numbers whose sums are rounded.
    let numbers = |count: usize, seed: usize| -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed) as f32 * 0.618_034).fract() - 0.5).collect()
    };
    // More places than channels, more channels than places, and a first layer of few channels, whose weight's adjoint is cut into parts.
    for (sizes, volume) in [
        (square(5, [24, 40], 14, 3, 1, 1), 196),
        (square(2, [150, 200], 4, 3, 1, 1), 16),
        (square(11, [1, 16], 28, 3, 1, 1), 784),
        // With a stride, in classes of places; with one tap three of four classes meet none.
        (square(5, [24, 40], 14, 3, 2, 1), 196),
        (square(5, [24, 40], 14, 1, 2, 0), 196),
    ] {
        let x = numbers(sizes.batch * sizes.inputs * volume, 1);
        let weight = numbers(sizes.outputs * sizes.inputs * sizes.kernel.iter().product::<usize>(), 2);
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let results = pool.install(|| {
                let result = sizes.forward(&x, &weight);
                [sizes.input_adjoint(&weight, &result), sizes.weight_adjoint(&x, &result), result]
            });
            results.map(|numbers| numbers.into_iter().map(f32::to_bits).collect::<Vec<u32>>())
        };
        let alone = bits(1);
        for threads in [2, 3, 8] {
            assert_eq!(bits(threads), alone, "{sizes:?}, {threads} threads");
        }
    }
}

#[test]
fn arithmetic_is_that_of_one_number_after_the_other() {
    let numbers =
        |seed: usize| -> Vec<f32> { (0..100_003).map(|i| ((i * seed) as f32 * 0.618_034).fract() - 0.5).collect() };
    let (x, y) = (numbers(7919), numbers(104_729));
    for (of, f) in [
        (Arithmetic::Add, (|x, y| x + y) as fn(f32, f32) -> f32),
        (Arithmetic::Sub, |x, y| x - y),
        (Arithmetic::Mul, |x, y| x * y),
        (Arithmetic::Div, |x, y| x / y),
    ] {
        let bits = |all: &[f32]| all.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        let expected: Vec<f32> = x.iter().zip(&y).map(|(&x, &y)| f(x, y)).collect();
        let (mut first, mut second) = (x.clone(), y.clone());
        of.replace_first(&mut first, &y);
        of.replace_second(&x, &mut second);
        for found in [of.fresh(&x, &y), first, second] {
            assert_eq!(bits(&found), bits(&expected), "{of:?}");
        }
    }
}
