//! Chains against their steps, one after the other.

use super::step::computed;
use super::*;
use crate::Number;
use crate::arithmetic::Arithmetic;
use crate::entrywise::Function;

/// Numbers of both signs, with some that are no numbers, infinite, or zeros.
fn numbers<T: Number>(count: usize, seed: usize) -> Vec<T> {
    let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-40];
    let number = |i: usize| if i % 89 < 6 { special[(i + seed) % 6] } else { ((i * seed) as f64 * 0.37).sin() * 4.0 };
    (0..count).map(|i| T::of(number(i))).collect()
}

fn step_by_step<T: Chained>(inputs: &[Vec<T>], steps: &[Step]) -> Vec<Vec<T>> {
    let mut values = inputs.to_vec();
    for &step in steps {
        let mut out = vec![T::default(); inputs[0].len()];
        computed(step, |value| &values[value], &mut out);
        values.push(out);
    }
    values
}

fn bits<T: Number + Into<f64>>(numbers: &[T]) -> Vec<u64> {
    numbers.iter().map(|&x| x.into()).map(|x: f64| if x.is_nan() { 1 } else { x.to_bits() }).collect()
}

/// Reads all inputs, results before others, and values again long after they were made.
fn steps() -> Vec<Step> {
    vec![
        Step::Of(Arithmetic::Sub, 0, 1),
        Step::Of(Arithmetic::Mul, 3, 2),
        Step::With(Arithmetic::Add, 4, 0.3),
        Step::Relu(5),
        Step::Of(Arithmetic::Mul, 4, 4),
        Step::Root(7),
        Step::Reciprocal(8),
        Step::Gate(6, 9),
        Step::Function(Function::Tanh, 10),
        Step::Negative(11),
        Step::With(Arithmetic::Div, 3, 7.0),
        Step::Of(Arithmetic::Div, 13, 12),
        Step::Of(Arithmetic::Add, 14, 0),
    ]
}

fn a_chain_has_the_bits_of_its_steps<T: Chained + Into<f64>>() {
    for shape in [vec![3], vec![5, 7, 2], vec![2, 3, 700], vec![40, 50, 60]] {
        let count: usize = shape.iter().product();
        let dimensions = shape.len();
        let dense: Vec<T> = numbers(count, 3);
        // Seen along the first dimension alone, and turned around.
        let line: Vec<T> = numbers(shape[0], 5);
        let turned: Vec<T> = numbers(count, 7);
        let along: Vec<usize> = (0..dimensions).map(|d| usize::from(d == 0)).collect();
        let turns: Vec<usize> = (0..dimensions).map(|d| shape[..d].iter().product()).collect();
        let seen = |entries: &[T], strides: &[usize]| -> Vec<T> {
            let place = |mut index: usize| {
                let mut place = 0;
                for d in (0..dimensions).rev() {
                    place += index % shape[d] * strides[d];
                    index /= shape[d];
                }
                place
            };
            (0..count).map(|index| entries[place(index)]).collect()
        };
        let inputs = [dense, seen(&line, &along), seen(&turned, &turns)];
        let expected = step_by_step(&inputs, &steps());
        let chain = Chain::new(3, steps(), vec![4, 10, 15]);
        assert!(chain.may_replace(0, 2) && !chain.may_replace(0, 1) && chain.may_replace(1, 0));
        let given = [Input::Output(2), Input::Strided(&line, along), Input::Strided(&turned, turns)];
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let mut over = inputs[0].clone();
            let found = pool.install(|| chain.run(&shape, &given, vec![None, None, Some(&mut over)]));
            for (output, value) in found.iter().chain([&over]).zip([4, 10, 15]) {
                assert_eq!(bits(output), bits(&expected[value]), "{shape:?}, value {value}");
            }
        }
    }
}

#[test]
fn a_chain_has_the_bits_of_its_steps_in_both_types() {
    a_chain_has_the_bits_of_its_steps::<f32>();
    a_chain_has_the_bits_of_its_steps::<f64>();
}

#[test]
fn registers_are_used_again() {
    let steps: Vec<Step> = (0..20).map(|value| Step::Function(Function::Exp, value)).collect();
    assert_eq!(Chain::new(1, steps, vec![20]).width, 2);
}
