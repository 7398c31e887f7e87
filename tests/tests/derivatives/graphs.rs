//! Random graphs: what [`Graph`] makes of an expression computes the same as the expression, and so do its derivatives.

use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Binary, Comparison, Graph, NodeId, Op, Range, Scalar, Unary, WithScalar, jvp, vjp};
use burn::tensor::{DType, Device, TensorData};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::{count, dot, host, input_like, or_zeros, random};

/// Numbers with a shape: the naive side.
#[derive(Clone, Debug)]
struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Array {
    fn build(shape: &[usize], at: impl Fn(&[usize]) -> f64) -> Self {
        let data = (0..count(shape)).map(|flat| at(&position(flat, shape))).collect();
        Array { shape: shape.to_vec(), data }
    }

    fn at(&self, index: &[usize]) -> f64 {
        self.data[index.iter().zip(&self.shape).fold(0, |flat, (&i, &size)| flat * size + i)]
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Array { shape: self.shape.clone(), data: self.data.iter().map(|&x| f(x)).collect() }
    }

    fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let data = self.data.iter().zip(&other.data).map(|(&x, &y)| f(x, y)).collect();
        Array { shape: self.shape.clone(), data }
    }
}

fn position(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for d in (0..shape.len()).rev() {
        index[d] = flat % shape[d];
        flat /= shape[d];
    }
    index
}

/// One step: which operation, on which earlier values, with which detail.
type Step = (u8, usize, usize, usize);

/// Both sides of one expression, value by value.
struct Twin {
    graph: Graph,
    values: Vec<(NodeId, Array)>,
}

const SHAPES: [[usize; 2]; 4] = [[2, 3], [3, 2], [1, 3], [2, 1]];

impl Twin {
    fn new(inputs: &[Array]) -> Self {
        let mut graph = Graph::new();
        let values = inputs.iter().map(|array| (graph.input(&array.shape, DType::F64), array.clone())).collect();
        Twin { graph, values }
    }

    /// Adds what a step says; what does not fit is replaced by something that does.
    fn step(&mut self, (kind, i, j, detail): Step) {
        let (x, a) = self.values[i % self.values.len()].clone();
        let same: Vec<(NodeId, Array)> =
            self.values.iter().filter(|(_, other)| other.shape == a.shape).cloned().collect();
        let (y, b) = same[j % same.len()].clone();
        let (axis, number) = (detail % 2, [0.0, 1.0, -1.0, 2.0, 0.5, -0.3][detail % 6]);
        let g = &mut self.graph;
        let (node, array) = match kind % 25 {
            0 => (g.add(x, y), a.zip(&b, |x, y| x + y)),
            1 => (g.sub(x, y), a.zip(&b, |x, y| x - y)),
            2 => (g.mul(x, y), a.zip(&b, |x, y| x * y)),
            3 => (g.add_scalar(x, number), a.map(|x| x + number)),
            4 => (g.mul_scalar(x, number), a.map(|x| x * number)),
            5 => (g.neg(x), a.map(|x| -x)),
            6 => (g.push(Op::Unary(Unary::Tanh), &[x]), a.map(f64::tanh)),
            7 => (g.sin(x), a.map(f64::sin)),
            8 => (g.sigmoid(x), a.map(|x| 1.0 / (1.0 + (-x).exp()))),
            9 => (g.pow_scalar(x, (detail % 4) as f64), a.map(|x| x.powi((detail % 4) as i32))),
            10 => {
                let axes = if detail % 3 == 2 { vec![0, 1] } else { vec![axis] };
                let mut shape = a.shape.clone();
                axes.iter().for_each(|&axis| shape[axis] = 1);
                let sum = Array::build(&shape, |index| {
                    let all = (0..a.data.len()).map(|flat| position(flat, &a.shape));
                    all.filter(|at| (0..2).all(|d| axes.contains(&d) || at[d] == index[d])).map(|at| a.at(&at)).sum()
                });
                (g.sum(x, &axes), sum)
            }
            11 => {
                let to: Vec<usize> = a.shape.iter().map(|&n| if n == 1 { 1 + detail % 3 } else { n }).collect();
                let spread = Array::build(&to, |index| {
                    a.at(&index.iter().zip(&a.shape).map(|(&i, &n)| i.min(n - 1)).collect::<Vec<_>>())
                });
                (g.expand(x, &to), spread)
            }
            12 => (g.transpose(x), Array::build(&[a.shape[1], a.shape[0]], |index| a.at(&[index[1], index[0]]))),
            13 => {
                let shape = [[a.data.len(), 1], [1, a.data.len()]][axis];
                (g.reshape(x, &shape), Array { shape: shape.to_vec(), data: a.data.clone() })
            }
            14 => {
                let transposed = g.transpose(y).unwrap();
                let product = Array::build(&[a.shape[0], b.shape[0]], |index| {
                    (0..a.shape[1]).map(|k| a.at(&[index[0], k]) * b.at(&[index[1], k])).sum()
                });
                (g.matmul(x, transposed), product)
            }
            15 => {
                let mut ranges = [Range::full(a.shape[0]), Range::full(a.shape[1])];
                let start = detail % a.shape[axis];
                ranges[axis] = Range { start, end: a.shape[axis], step: 1 + detail % 2 };
                let shape = [ranges[0].len(), ranges[1].len()];
                let part =
                    Array::build(&shape, |index| a.at(&[0, 1].map(|d| ranges[d].start + index[d] * ranges[d].step)));
                (g.slice(x, &ranges), part)
            }
            16 => {
                let mut shape = a.shape.clone();
                shape[axis] *= 2;
                let both = Array::build(&shape, |index| {
                    let mut at = index.to_vec();
                    let second = at[axis] >= a.shape[axis];
                    at[axis] %= a.shape[axis];
                    if second { b.at(&at) } else { a.at(&at) }
                });
                (g.push(Op::Concat(axis), &[x, y]), both)
            }
            17 => {
                let positive = Op::CompareScalar(Comparison::Greater, Scalar::Float(0.1));
                let mut mask = g.push(positive, &[x]).unwrap();
                if axis == 1 {
                    mask = g.push(Op::Unary(Unary::Not), &[mask]).unwrap();
                }
                let holds = move |x: f64| (x > 0.1) != (axis == 1);
                match detail % 3 {
                    0 => (g.select_where(mask, x, y), a.zip(&b, |x, y| if holds(x) { x } else { y })),
                    1 => {
                        let filled = g.full_like(y, number);
                        (g.select_where(mask, filled, y), a.zip(&b, |x, y| if holds(x) { number } else { y }))
                    }
                    _ => {
                        let filled = g.full_like(y, number);
                        (g.select_where(mask, y, filled), a.zip(&b, |x, y| if holds(x) { y } else { number }))
                    }
                }
            }
            18 => {
                let filled = g.full_like(x, number);
                let f = [Binary::Add, Binary::Sub, Binary::Mul][detail % 3];
                let inputs = if axis == 0 { [x, filled] } else { [filled, x] };
                let constant = a.map(|_| number);
                let (left, right) = if axis == 0 { (&a, &constant) } else { (&constant, &a) };
                let result = left.zip(right, |x, y| match f {
                    Binary::Add => x + y,
                    Binary::Sub => x - y,
                    _ => x * y,
                });
                (g.push(Op::Binary(f), &inputs), result)
            }
            19 => {
                let filled = g.full_like(x, 4.0);
                (g.div(x, filled), a.map(|x| x / 4.0))
            }
            20 => (g.push(Op::Flip(vec![axis]), &[x]), {
                Array::build(&a.shape, |index| {
                    let mut at = index.to_vec();
                    at[axis] = a.shape[axis] - 1 - at[axis];
                    a.at(&at)
                })
            }),
            21 => (g.push(Op::CumSum(axis), &[x]), {
                Array::build(&a.shape, |index| {
                    let mut at = index.to_vec();
                    let until = (0..=index[axis]).map(|k| {
                        at[axis] = k;
                        a.at(&at)
                    });
                    until.sum()
                })
            }),
            22 => {
                let (rows, size) = (a.shape[0], a.shape[1] as f64);
                let mean = |row: usize, f: &dyn Fn(f64) -> f64| {
                    (0..a.shape[1]).map(|k| f(a.at(&[row, k]))).sum::<f64>() / size
                };
                let means: Vec<f64> = (0..rows).map(|row| mean(row, &|x| x)).collect();
                let variances: Vec<f64> = (0..rows).map(|row| mean(row, &|x| (x - means[row]).powi(2))).collect();
                let normal = Array::build(&a.shape, |index| {
                    (a.at(index) - means[index[0]]) / (variances[index[0]] + 0.4).sqrt()
                });
                (g.push(Op::Normalize { epsilon: Scalar::Float(0.4) }, &[x]), normal)
            }
            23 => {
                // In order: the value at the place that its rank names.
                let order = g.push(Op::ArgSort { axis, descending: detail > 5 }, &[x]).unwrap();
                let sorted = Array::build(&a.shape, |index| {
                    let mut at = index.to_vec();
                    let mut lane: Vec<f64> = (0..a.shape[axis])
                        .map(|k| {
                            at[axis] = k;
                            a.at(&at)
                        })
                        .collect();
                    lane.sort_by(f64::total_cmp);
                    if detail > 5 {
                        lane.reverse();
                    }
                    lane[index[axis]]
                });
                (g.push(Op::Gather(axis), &[x, order]), sorted)
            }
            _ => (g.push(Op::WithScalar(WithScalar::ClampMin, Scalar::Float(-0.2)), &[x]), a.map(|x| x.max(-0.2))),
        };
        self.values.push((node.unwrap(), array));
    }
}

fn inputs() -> Vec<Array> {
    let mut rng = StdRng::seed_from_u64(17);
    SHAPES.iter().map(|shape| Array { shape: shape.to_vec(), data: random(count(shape), &mut rng) }).collect()
}

fn value(array: &Array) -> Value {
    Value::from_data(TensorData::new(array.data.clone(), array.shape.clone()), &Device::flex())
}

/// Equal up to rounding; values that grew beyond all bounds say nothing.
fn same(x: &[f64], y: &[f64]) -> bool {
    let largest = x.iter().chain(y).fold(1.0_f64, |largest, value| largest.max(value.abs()));
    !largest.is_finite() || x.iter().zip(y).all(|(x, y)| (x - y).abs() <= 1e-10 * largest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn graphs_compute_what_they_say(
        steps in prop::collection::vec((any::<u8>(), 0_usize..64, 0_usize..64, 0_usize..12), 1..24),
    ) {
        let inputs = inputs();
        let mut twin = Twin::new(&inputs);
        for step in steps {
            // Concatenation and expansion can grow without end.
            twin.step(step);
            if twin.values.last().is_some_and(|(_, array)| array.data.len() > 200) {
                twin.values.pop();
            }
        }
        let device = Device::flex();
        let leaves = twin.graph.inputs().to_vec();
        let outputs: Vec<NodeId> = twin.values.iter().map(|&(node, _)| node).collect();
        let computed = Program::new(&twin.graph, &leaves, &outputs, &device).run(inputs.iter().map(value), 0);
        for ((node, expected), computed) in twin.values.iter().zip(&computed) {
            prop_assert_eq!(&computed.shape(), &expected.shape);
            let computed = computed.to_vec().unwrap();
            prop_assert!(same(&computed, &expected.data), "{}: {:?} {:?}\n{}", node, computed, expected.data, twin.graph);
        }

        // The last value's derivatives, and those of its gradient.
        let (output, last) = twin.values.last().cloned().unwrap();
        let g = &mut twin.graph;
        let tangents: Vec<NodeId> = leaves.iter().map(|&leaf| input_like(g, leaf)).collect();
        let cotangent = g.input(&last.shape, DType::F64);
        let moves: Vec<(NodeId, NodeId)> = leaves.iter().copied().zip(tangents.iter().copied()).collect();
        let forward = jvp(g, &[output], &moves).unwrap();
        let forward = or_zeros(g, forward, &[output]);
        let gradient = vjp(g, &[(output, cotangent)], &leaves).unwrap();
        let gradient = or_zeros(g, gradient, &leaves);
        let hvp = jvp(g, &gradient, &moves).unwrap();
        let hvp = or_zeros(g, hvp, &leaves);
        let pairs: Vec<(NodeId, NodeId)> = gradient.iter().copied().zip(tangents.iter().copied()).collect();
        let reverse = vjp(g, &pairs, &leaves).unwrap();
        let reverse = or_zeros(g, reverse, &leaves);
        let mut rng = StdRng::seed_from_u64(19);
        let u: Vec<Array> =
            inputs.iter().map(|leaf| Array { shape: leaf.shape.clone(), data: random(leaf.data.len(), &mut rng) }).collect();
        let c = Array { shape: last.shape.clone(), data: random(last.data.len(), &mut rng) };
        let given = [leaves.clone(), tangents, vec![cotangent]].concat();
        let outputs = [forward, gradient, hvp, reverse].concat();
        let values = inputs.iter().chain(&u).chain([&c]).map(value);
        let answers = Program::new(g, &given, &outputs, &device).run(values, 0);
        let n = leaves.len();
        let (forward, gradient) = (host(&answers[..1]), host(&answers[1..=n]));
        let (hvp, reverse) = (host(&answers[n + 1..=2 * n]), host(&answers[2 * n + 1..]));
        let flat: Vec<f64> = u.iter().flat_map(|array| array.data.clone()).collect();
        let (left, right) = (dot(&c.data, &forward), dot(&gradient, &flat));
        let scale: f64 = 1.0 + c.data.iter().zip(&forward).map(|(x, y)| (x * y).abs()).sum::<f64>()
            + gradient.iter().zip(&flat).map(|(x, y)| (x * y).abs()).sum::<f64>();
        prop_assert!(!scale.is_finite() || (left - right).abs() <= 1e-10 * scale, "⟨c, J u⟩ = {left}, ⟨Jᵀ c, u⟩ = {right}");
        prop_assert!(same(&hvp, &reverse), "{hvp:?} {reverse:?}");
    }
}
