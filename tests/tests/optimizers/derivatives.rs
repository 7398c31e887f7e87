//! Derivatives of steps, one and several in a row.

use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Graph, GraphError, NodeId, Op, Unary, vjp};
use betty_runtime::optimizer::{AdaGrad, Adam, AdamW, Optimizer, RmsProp, Sgd, UpdateInputs};
use burn::tensor::{DType, Device};
use proptest::prelude::*;

use crate::{SHAPE, Step, arguments, numbers, problem, sixteenths, value};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// θ′ = θ − lr·(g + μ·v′) with v′ = μ·v + g and g = gradient + w·θ, contracted with a cotangent c.
    #[test]
    fn sgd_differentiates_to_its_closed_form(
        (start, tensors, lr) in problem(),
        (momentum, weight_decay) in (sixteenths(1..16), sixteenths(0..4)),
    ) {
        let sgd = Sgd { momentum: momentum.into(), nesterov: true, weight_decay: weight_decay.into(), ..Sgd::default() };
        let [gradient, velocity, cotangent] = [&tensors[0], &tensors[1], &tensors[2]];
        let mut step = Step::of(&sgd, DType::F64)?;
        let seed = step.graph.input(&SHAPE, DType::F64);
        step.inputs.push(seed);
        let wanted = [step.learning_rate, step.gradient, step.parameter];
        let derivatives = vjp(&mut step.graph, &[(step.updated.parameter, seed)], &wanted)?;
        let outputs: Vec<NodeId> = derivatives.into_iter().flatten().collect();
        let tensors = [&start, gradient, velocity].map(|tensor| value(tensor, DType::F64));
        let mut inputs = arguments(&sgd, 2, lr, tensors.to_vec());
        inputs.push(value(cotangent, DType::F64));
        let results: Vec<Vec<f64>> = step.program(&outputs).run(inputs, 0).iter().map(numbers).collect();

        let mut by_rate = 0.0;
        for i in 0..6 {
            let g = gradient[i] + weight_decay * start[i];
            by_rate -= cotangent[i] * (g + momentum * (momentum * velocity[i] + g));
            let by_gradient = -lr * (1.0 + momentum) * cotangent[i];
            prop_assert!((results[1][i] - by_gradient).abs() < 1e-14);
            prop_assert!((results[2][i] - (cotangent[i] + weight_decay * by_gradient)).abs() < 1e-14);
        }
        prop_assert!((results[0][0] - by_rate).abs() < 1e-13);
    }
}

const GRADIENT: [f64; 6] = [0.0, 1e-12, 1e-3, -0.5, 0.0, 2.0];

/// The derivative of the first step in its gradient against `−lr·ε/(share·|g| + ε)²`, relative to `lr/(share·|g| + ε)` for
/// what is not 0 there, and that the second derivative is a number.
fn check_slopes(optimizer: &dyn Optimizer, dtype: DType, share: f64, epsilon: f64) {
    let (lr, tolerance) = (0.1, if dtype == DType::F32 { 1e-4 } else { 1e-10 });
    let mut step = Step::of(optimizer, dtype).expect("the inputs fit");
    let seed = step.graph.full(&SHAPE, dtype, 1.0);
    let derivative = vjp(&mut step.graph, &[(step.updated.parameter, seed)], &[step.gradient]);
    let derivative = derivative.expect("every operation has a derivative")[0].expect("the step depends on it");
    let second = vjp(&mut step.graph, &[(derivative, seed)], &[step.gradient]);
    let second = second.expect("every operation has a derivative")[0].expect("the slope depends on it");
    let mut tensors = vec![value(&[0.5; 6], dtype), value(&GRADIENT, dtype)];
    tensors.extend((0..optimizer.states()).map(|_| value(&[0.0; 6], dtype)));
    let results = step.program(&[derivative, second]).run(arguments(optimizer, 1, lr, tensors), 0);
    for (found, g) in numbers(&results[0]).into_iter().zip(GRADIENT) {
        let bottom = share * g.abs() + epsilon;
        let expected = -lr / bottom * (epsilon / bottom);
        let error = (found - expected).abs() / (lr / bottom);
        assert!(error < tolerance, "{optimizer:?} in {dtype:?} at {g}: {found} is not {expected}");
    }
    let second = numbers(&results[1]);
    assert!(second.iter().zip(GRADIENT).all(|(second, g)| g != 0.0 || second.is_finite()), "{optimizer:?}: {second:?}");
}

/// Epsilons of every size for which one over them is a number; the smallest ones are squared to 0 in single precision, and
/// the very last in double precision.
const EPSILONS: [(DType, &[f64]); 2] = [
    (DType::F32, &[1e-3, 1e-10, 1e-13, 1e-15, 1e-16, 1e-20, 1e-30]),
    (DType::F64, &[1e-3, 1e-16, 1e-30, 1e-150, 1e-170]),
];

/// In the first step Adam moves by `lr·g/(|g| + ε)`, whose derivative is `lr·ε/(|g| + ε)²`, also where `g` is 0.
#[test]
fn adam_differentiates_at_a_zero_gradient() {
    for (dtype, epsilons) in EPSILONS {
        for &epsilon in epsilons {
            let (beta_1, beta_2) = (0.9.into(), 0.999.into());
            let adam = Adam { beta_1, beta_2, epsilon: epsilon.into(), weight_decay: 0.0.into() };
            let adamw = AdamW { beta_1, beta_2, epsilon: epsilon.into(), weight_decay: 0.1.into() };
            check_slopes(&adam, dtype, 1.0, epsilon);
            check_slopes(&adamw, dtype, 1.0, epsilon);
        }
    }
}

/// In the first step RMSprop and Adagrad move by `lr·g/(s·|g| + ε)`, whose derivative is `lr·ε/(s·|g| + ε)²`, also at 0;
/// `s` is `√(1 − α)`, centred `√(α·(1 − α))`, and 1 for Adagrad.
#[test]
fn rmsprop_and_adagrad_differentiate_at_a_zero_gradient() {
    for (dtype, epsilons) in EPSILONS {
        for &epsilon in epsilons {
            let rmsprop = RmsProp {
                alpha: 0.75.into(),
                momentum: 0.5.into(),
                epsilon: epsilon.into(),
                centered: false,
                weight_decay: 0.0.into(),
            };
            let centered = RmsProp { centered: true, momentum: 0.0.into(), ..rmsprop };
            let adagrad = AdaGrad { lr_decay: 0.5.into(), epsilon: epsilon.into(), weight_decay: 0.0.into() };
            check_slopes(&rmsprop, dtype, 0.25_f64.sqrt(), epsilon);
            check_slopes(&centered, dtype, (0.75_f64 * 0.25).sqrt(), epsilon);
            check_slopes(&adagrad, dtype, 1.0, epsilon);
        }
    }
}

/// Steps on `Σ log cosh(θ − aᵢ)`, from all states at zero: the last parameters, contracted with a cotangent, as a function
/// of the first parameters and of the learning rate.
struct Unrolled {
    graph: Graph,
    inputs: Vec<NodeId>,
    contracted: NodeId,
}

const CENTER: [f64; 6] = [0.2, -1.3, 0.4, 2.0, -0.6, 0.9];
const COTANGENT: [f64; 6] = [1.0, -0.5, 0.3, 0.8, -1.2, 0.6];

impl Unrolled {
    fn of(optimizer: &dyn Optimizer, steps: u64) -> Result<Self, GraphError> {
        let mut graph = Graph::new();
        let (start, learning_rate) = (graph.input(&SHAPE, DType::F64), graph.input(&[1], DType::F64));
        let (center, cotangent) = (graph.input(&SHAPE, DType::F64), graph.input(&SHAPE, DType::F64));
        let inputs = vec![start, learning_rate, center, cotangent];
        let mut parameter = start;
        let mut states = vec![graph.full(&SHAPE, DType::F64, 0.0); optimizer.states()];
        for step in 1..=steps {
            let gap = graph.sub(parameter, center)?;
            let gradient = graph.push(Op::Unary(Unary::Tanh), &[gap])?;
            let scalars: Vec<NodeId> =
                optimizer.scalars(step).iter().map(|&number| graph.full(&[1], DType::F64, number)).collect();
            let inputs =
                UpdateInputs { parameter, gradient, states: &states, learning_rate, scalars: &scalars, learned: &[] };
            let updated = optimizer.update(&mut graph, &inputs)?;
            (parameter, states) = (updated.parameter, updated.states);
        }
        let contracted = graph.dot(parameter, cotangent)?;
        Ok(Unrolled { graph, inputs, contracted })
    }

    fn run(&self, outputs: &[NodeId], start: &[f64], lr: f64) -> Vec<Vec<f64>> {
        let tensor = |numbers: &[f64]| value(numbers, DType::F64);
        let rate = Value::scalar(lr, DType::F64, &Device::flex());
        let program = Program::new(&self.graph, &self.inputs, outputs, &Device::flex());
        program.run([tensor(start), rate, tensor(&CENTER), tensor(&COTANGENT)], 0).iter().map(numbers).collect()
    }
}

/// The central difference of fourth order: its error is of the order of `h⁴`.
fn difference(h: f64, f: impl Fn(f64) -> f64) -> f64 {
    (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
}

#[test]
fn every_optimizer_differentiates_to_central_differences() {
    let sgd = Sgd { momentum: 0.9.into(), dampening: 0.25.into(), nesterov: true, weight_decay: 0.1.into() };
    let adam = Adam { beta_1: 0.9.into(), beta_2: 0.99.into(), epsilon: 1e-2.into(), weight_decay: 0.1.into() };
    let adamw = AdamW { beta_1: 0.9.into(), beta_2: 0.99.into(), epsilon: 1e-2.into(), weight_decay: 0.1.into() };
    let rmsprop = RmsProp {
        alpha: 0.9.into(),
        momentum: 0.5.into(),
        epsilon: 1e-2.into(),
        centered: false,
        weight_decay: 0.1.into(),
    };
    let centered = RmsProp { centered: true, ..rmsprop };
    let adagrad = AdaGrad { lr_decay: 0.3.into(), epsilon: 1e-2.into(), weight_decay: 0.1.into() };
    let start = [0.3, -0.7, 1.1, 0.5, -1.9, 0.1];
    let (lr, h) = (0.05, 1e-4);
    for optimizer in [&Sgd::default() as &dyn Optimizer, &sgd, &adam, &adamw, &rmsprop, &centered, &adagrad] {
        for steps in [1, 3] {
            let mut unrolled = Unrolled::of(optimizer, steps).expect("the inputs fit");
            let seed = unrolled.graph.full(&[1], DType::F64, 1.0);
            let wanted = [unrolled.inputs[0], unrolled.inputs[1]];
            let derivatives = vjp(&mut unrolled.graph, &[(unrolled.contracted, seed)], &wanted);
            let derivatives = derivatives.expect("every operation has a derivative");
            let derivatives: Vec<NodeId> = derivatives.into_iter().flatten().collect();
            let found = unrolled.run(&derivatives, &start, lr);
            let at = |start: &[f64], lr: f64| unrolled.run(&[unrolled.contracted], start, lr)[0][0];
            let mut expected: Vec<f64> = (0..start.len())
                .map(|i| {
                    difference(h, |step| {
                        let mut moved = start;
                        moved[i] += step;
                        at(&moved, lr)
                    })
                })
                .collect();
            expected.push(difference(h, |step| at(&start, lr + step)));
            for (found, expected) in found.concat().into_iter().zip(expected) {
                let error = (found - expected).abs() / expected.abs().max(1.0);
                assert!(error < 1e-9, "{optimizer:?}, {steps} steps: {found} is not {expected} ({error:e})");
            }
        }
    }
}
