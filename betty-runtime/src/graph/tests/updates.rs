//! Updates at indices that name an entry several times: all derivatives against differences in double precision.

use burn::tensor::{DType, Device, TensorData};

use super::super::*;
use crate::execute::{Program, Value};

const X: [f64; 8] = [1.3, -0.7, 0.9, 1.1, -1.2, 0.8, 2.0, 0.6];
const VALUES: [f64; 10] = [1.9, -1.4, 0.5, 0.3, 0.75, -0.6, 1.6, -2.0, 0.0, 1.25];
/// In the first row three values for entry 2 and two for entry 0, in the second four for entry 1.
const INDICES: [i64; 10] = [2, 0, 2, 2, 0, 1, 1, 3, 1, 1];
const TANGENT: [f64; 18] =
    [0.3, -1.0, 0.7, 0.2, -0.4, 1.1, 0.9, -0.8, 0.6, -0.1, 0.5, 1.2, -0.9, 0.4, -0.3, 0.8, 1.0, -0.2];

/// The gradient of a weighted sum of `f` and its squares, and the product of its Hessian with a tangent, both ways.
struct Derivatives {
    graph: Graph,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
}

impl Derivatives {
    fn of(update: Update) -> Self {
        let mut g = Graph::new();
        let (x, values) = (g.input(&[2, 4], DType::F64), g.input(&[2, 5], DType::F64));
        let tangents = [g.input(&[2, 4], DType::F64), g.input(&[2, 5], DType::F64)];
        let indices = g.literal(TensorData::new(INDICES.to_vec(), [2, 5]));
        let new = g.push(Op::Scatter { axis: 1, update, once: false }, &[x, indices, values]).unwrap();
        let weights = g.literal(TensorData::new(vec![0.7, -0.2, 1.1, 0.4, 0.9, -1.3, 0.6, 0.8], [2, 4]));
        let weighted = g.mul(new, weights).unwrap();
        let curved = g.mul(weighted, new).unwrap();
        let both = g.add(weighted, curved).unwrap();
        let loss = g.sum_all(both).unwrap();
        let one = g.full(&[1], DType::F64, 1.0);
        let gradient: Vec<NodeId> =
            vjp(&mut g, &[(loss, one)], &[x, values]).unwrap().into_iter().map(Option::unwrap).collect();
        let moves = [(x, tangents[0]), (values, tangents[1])];
        let moved = jvp(&mut g, &[loss], &moves).unwrap()[0].unwrap();
        let forward = jvp(&mut g, &gradient, &moves).unwrap().into_iter().map(Option::unwrap);
        let forward: Vec<NodeId> = forward.collect();
        let pairs: Vec<(NodeId, NodeId)> = gradient.iter().copied().zip(tangents).collect();
        let reverse = vjp(&mut g, &pairs, &[x, values]).unwrap().into_iter().map(Option::unwrap);
        let outputs = [vec![loss, moved], gradient, forward, reverse.collect()].concat();
        Derivatives { graph: g, inputs: [vec![x, values], tangents.to_vec()].concat(), outputs }
    }

    /// Loss, its slope along the tangent, gradient, and the product with the Hessian forward and backward.
    fn at(&self, steps: f64) -> [Vec<f64>; 5] {
        let moved =
            |from: &[f64], along: &[f64]| -> Vec<f64> { from.iter().zip(along).map(|(x, u)| x + steps * u).collect() };
        let (of_x, of_values) = TANGENT.split_at(8);
        let numbers = [moved(&X, of_x), moved(&VALUES, of_values), of_x.to_vec(), of_values.to_vec()];
        let program = Program::new(&self.graph, &self.inputs, &self.outputs, &Device::flex());
        let values = numbers.into_iter().map(|numbers| {
            let width = numbers.len() / 2;
            Value::from_data(TensorData::new(numbers, [2, width]), &Device::flex())
        });
        let found: Vec<Vec<f64>> = program.run(values, 0).iter().map(|value| value.to_vec().unwrap()).collect();
        let both = |i: usize| found[i..i + 2].concat();
        [found[0].clone(), found[1].clone(), both(2), both(4), both(6)]
    }

    /// Fourth-order differences of the loss and of its gradient along the tangent.
    fn differences(&self, quantity: usize) -> Vec<f64> {
        let h = 1e-3;
        let [one, back, two, back_two] = [h, -h, 2.0 * h, -2.0 * h].map(|steps| self.at(steps)[quantity].clone());
        let along = |i: usize| (8.0 * (one[i] - back[i]) - (two[i] - back_two[i])) / (12.0 * h);
        (0..one.len()).map(along).collect()
    }
}

fn close(what: &str, update: Update, found: &[f64], expected: &[f64]) {
    let far = found.iter().zip(expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    assert!(far < 1e-8, "{update:?}, {what}: {found:?} for {expected:?}");
}

#[test]
fn entries_that_are_written_several_times_have_right_derivatives() {
    for update in [Update::Assign, Update::Multiply, Update::Minimum, Update::Maximum] {
        let derivatives = Derivatives::of(update);
        let [_, slope, gradient, forward, reverse] = derivatives.at(0.0);
        let expected = derivatives.differences(0);
        close("slope", update, &slope, &expected);
        let along: f64 = gradient.iter().zip(TANGENT).map(|(g, u)| g * u).sum();
        close("gradient", update, &[along], &expected);
        let expected = derivatives.differences(2);
        close("Hessian, forward", update, &forward, &expected);
        close("Hessian, reverse", update, &reverse, &expected);
    }
}

#[test]
fn of_several_values_only_the_extreme_one_has_a_derivative() {
    // Two values for each of two entries.
    let slopes = |update: Update, values: [f64; 4]| -> Vec<f64> {
        let mut g = Graph::new();
        let (x, v) = (g.input(&[2], DType::F64), g.input(&[4], DType::F64));
        let indices = g.literal(TensorData::from([0_i64, 0, 1, 1]));
        let new = g.push(Op::Scatter { axis: 0, update, once: false }, &[x, indices, v]).unwrap();
        let cotangent = g.literal(TensorData::from([6.0, 10.0]));
        let found = vjp(&mut g, &[(new, cotangent)], &[v, x]).unwrap();
        let found: Vec<NodeId> = found.into_iter().map(Option::unwrap).collect();
        let program = Program::new(&g, &[x, v], &found, &Device::flex());
        let inputs = [TensorData::from([0.0, 5.0]), TensorData::from(values)];
        let found = program.run(inputs.map(|data| Value::from_data(data, &Device::flex())), 0);
        found.iter().flat_map(|value| value.to_vec().unwrap()).collect()
    };
    assert_eq!(slopes(Update::Maximum, [1.0, 2.0, 4.0, 7.0]), [0.0, 6.0, 0.0, 10.0, 0.0, 0.0]);
    assert_eq!(slopes(Update::Maximum, [2.0, 1.0, 4.0, 3.0]), [6.0, 0.0, 0.0, 0.0, 0.0, 10.0]);
    assert_eq!(slopes(Update::Minimum, [-1.0, -2.0, 9.0, 7.0]), [0.0, 6.0, 0.0, 0.0, 0.0, 10.0]);
    // In a tie all have derivative 1.
    assert_eq!(slopes(Update::Maximum, [2.0, 2.0, 5.0, 3.0]), [6.0, 6.0, 10.0, 0.0, 0.0, 10.0]);
    // The last one is what is left of those that replace each other.
    assert_eq!(slopes(Update::Assign, [1.0, 2.0, 4.0, 7.0]), [0.0, 6.0, 0.0, 10.0, 0.0, 0.0]);
    // 0·1·2 and 5·4·7, and two zeros.
    assert_eq!(slopes(Update::Multiply, [1.0, 2.0, 4.0, 7.0]), [0.0, 0.0, 350.0, 200.0, 12.0, 280.0]);
    assert_eq!(slopes(Update::Multiply, [0.0, 2.0, 0.0, 0.0]), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}
