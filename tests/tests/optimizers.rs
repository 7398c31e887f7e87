//! Every optimizer's graph against `burn-optim`, step after step, and its derivatives against closed forms.

use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Graph, GraphError, NodeId, vjp};
use betty_runtime::optimizer::{Adam, AdamW, Optimizer, Sgd, UpdateInputs, Updated};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, Optimizer as BurnOptimizer, SgdConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use proptest::prelude::*;

const STEPS: usize = 6;
const SHAPE: [usize; 2] = [2, 3];

/// One step as a graph: the optimizer's inputs, and what it makes of them.
struct Step {
    graph: Graph,
    parameter: NodeId,
    gradient: NodeId,
    learning_rate: NodeId,
    inputs: Vec<NodeId>,
    updated: Updated,
}

impl Step {
    fn of(optimizer: &dyn Optimizer, dtype: DType) -> Result<Self, GraphError> {
        let mut graph = Graph::new();
        let parameter = graph.input(&SHAPE, dtype);
        let gradient = graph.input(&SHAPE, dtype);
        let states: Vec<NodeId> = (0..optimizer.states()).map(|_| graph.input(&SHAPE, dtype)).collect();
        let learning_rate = graph.input(&[1], dtype);
        let scalars: Vec<NodeId> = optimizer.scalars(1).iter().map(|_| graph.input(&[1], dtype)).collect();
        let inputs = UpdateInputs { parameter, gradient, states: &states, learning_rate, scalars: &scalars };
        let updated = optimizer.update(&mut graph, &inputs)?;
        let inputs = graph.inputs().to_vec();
        Ok(Step { graph, parameter, gradient, learning_rate, inputs, updated })
    }

    fn program(&self, outputs: &[NodeId]) -> Program {
        Program::new(&self.graph, &self.inputs, outputs, &Device::flex())
    }
}

fn data(numbers: &[f64], dtype: DType) -> TensorData {
    TensorData::new(numbers.to_vec(), SHAPE).convert_dtype(dtype)
}

fn value(numbers: &[f64], dtype: DType) -> Value {
    Value::from_data(data(numbers, dtype), &Device::flex())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.to_vec().expect("flex is always readable")
}

/// The inputs of one step, in the order of [`Step::of`].
fn arguments(optimizer: &dyn Optimizer, step: usize, lr: f64, tensors: Vec<Value>) -> Vec<Value> {
    let dtype = tensors[0].dtype();
    let scalars = [lr].into_iter().chain(optimizer.scalars(step as u64));
    let scalars = scalars.map(|number| Value::scalar(number, dtype, &Device::flex()));
    tensors.into_iter().chain(scalars).collect()
}

/// The parameters after each step.
fn ours(optimizer: &dyn Optimizer, lr: f64, start: &[f64], gradients: &[Vec<f64>], dtype: DType) -> Vec<Vec<f64>> {
    let step = Step::of(optimizer, dtype).expect("the inputs fit");
    let mut outputs = vec![step.updated.parameter];
    outputs.extend(&step.updated.states);
    let program = step.program(&outputs);
    let mut kept = vec![value(start, dtype)];
    kept.resize(1 + optimizer.states(), value(&[0.0; 6], dtype));
    let mut path = Vec::new();
    for (t, gradient) in gradients.iter().enumerate() {
        kept.insert(1, value(gradient, dtype));
        kept = program.run(arguments(optimizer, t + 1, lr, kept), 0);
        path.push(numbers(&kept[0]));
    }
    path
}

/// The same from Burn.
fn burns(
    optimizer: &impl BurnOptimizer,
    lr: f64,
    start: &[f64],
    gradients: &[Vec<f64>],
    dtype: DType,
) -> Vec<Vec<f64>> {
    let device = Device::flex();
    let tensor = |numbers: &[f64]| Tensor::<2>::from_data(data(numbers, dtype), (&device, dtype));
    let mut parameter = tensor(start);
    let mut state = None;
    let mut path = Vec::new();
    for gradient in gradients {
        (parameter, state) = optimizer.step(lr, parameter, tensor(gradient), state);
        path.push(parameter.to_data().iter::<f64>().collect());
    }
    path
}

fn assert_same_path(ours: &[Vec<f64>], theirs: &[Vec<f64>], tolerance: f64, of: &dyn Optimizer) {
    for (step, (x, y)) in ours.iter().zip(theirs).enumerate() {
        for (x, y) in x.iter().zip(y) {
            let error = (x - y).abs() / y.abs().max(1.0);
            assert!(error <= tolerance, "{of:?}, step {}: {x} is not {y} ({error:e})", step + 1);
        }
    }
}

fn burn_decay(penalty: f64) -> Option<WeightDecayConfig> {
    (penalty != 0.0).then(|| WeightDecayConfig::new(penalty as f32))
}

fn burn_sgd(sgd: &Sgd) -> impl BurnOptimizer {
    let Sgd { momentum, dampening, nesterov, weight_decay } = *sgd;
    let momentum = (momentum != 0.0).then_some(MomentumConfig { momentum, dampening, nesterov });
    SgdConfig::new().with_momentum(momentum).with_weight_decay(burn_decay(weight_decay)).build()
}

fn burn_adam(adam: &Adam) -> impl BurnOptimizer {
    AdamConfig::new()
        .with_beta_1(adam.beta_1 as f32)
        .with_beta_2(adam.beta_2 as f32)
        .with_epsilon(adam.epsilon as f32)
        .with_weight_decay(burn_decay(adam.weight_decay))
        .build()
}

fn burn_adamw(adamw: &AdamW) -> impl BurnOptimizer {
    AdamWConfig::new()
        .with_beta_1(adamw.beta_1 as f32)
        .with_beta_2(adamw.beta_2 as f32)
        .with_epsilon(adamw.epsilon as f32)
        .with_weight_decay(adamw.weight_decay as f32)
        .build()
}

/// Adam as the paper writes it, in plain `f64`.
fn adam_by_hand(adam: &Adam, lr: f64, start: &[f64], gradients: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (mut parameter, mut m, mut v) = (start.to_vec(), vec![0.0; start.len()], vec![0.0; start.len()]);
    let mut path = Vec::new();
    for (t, gradient) in (1..).zip(gradients) {
        for i in 0..parameter.len() {
            let g = gradient[i] + adam.weight_decay * parameter[i];
            m[i] = adam.beta_1 * m[i] + (1.0 - adam.beta_1) * g;
            v[i] = adam.beta_2 * v[i] + (1.0 - adam.beta_2) * g * g;
            let (m, v) = (m[i] / (1.0 - adam.beta_1.powi(t)), v[i] / (1.0 - adam.beta_2.powi(t)));
            parameter[i] -= lr * m / (v.sqrt() + adam.epsilon);
        }
        path.push(parameter.clone());
    }
    path
}

/// Start, gradients of all steps, and a learning rate.
fn problem() -> impl Strategy<Value = (Vec<f64>, Vec<Vec<f64>>, f64)> {
    let numbers = || prop::collection::vec(-1.0..1.0, 6);
    (numbers(), prop::collection::vec(numbers(), STEPS), 1e-3..0.1)
}

/// Burn keeps these numbers in `f32`; sixteenths are the same in both, so that `f64` paths can agree to all digits.
fn sixteenths(range: std::ops::Range<u32>) -> impl Strategy<Value = f64> {
    range.prop_map(|n| f64::from(n) / 16.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sgd_is_burns(
        (start, gradients, lr) in problem(),
        (momentum, dampening, nesterov, weight_decay) in
            (sixteenths(0..16), sixteenths(0..16), any::<bool>(), sixteenths(0..4)),
    ) {
        let sgd = Sgd { momentum, dampening, nesterov, weight_decay };
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
            let theirs = burns(&burn_sgd(&sgd), lr, &start, &gradients, dtype);
            assert_same_path(&ours(&sgd, lr, &start, &gradients, dtype), &theirs, tolerance, &sgd);
        }
    }

    #[test]
    fn adam_is_burns_and_the_papers(
        (start, gradients, lr) in problem(),
        (beta_1, beta_2, weight_decay) in (sixteenths(0..16), sixteenths(0..16), sixteenths(0..4)),
    ) {
        let adam = Adam { beta_1, beta_2, epsilon: 2.0_f64.powi(-17), weight_decay };
        let theirs = burns(&burn_adam(&adam), lr, &start, &gradients, DType::F32);
        assert_same_path(&ours(&adam, lr, &start, &gradients, DType::F32), &theirs, 1e-6, &adam);
        // Burn computes the bias corrections in f32 whatever the type of the tensors.
        let in_f64 = ours(&adam, lr, &start, &gradients, DType::F64);
        assert_same_path(&in_f64, &burns(&burn_adam(&adam), lr, &start, &gradients, DType::F64), 1e-6, &adam);
        assert_same_path(&in_f64, &adam_by_hand(&adam, lr, &start, &gradients), 1e-12, &adam);
    }

    #[test]
    fn adamw_is_burns(
        (start, gradients, lr) in problem(),
        (beta_1, beta_2, weight_decay) in (sixteenths(0..16), sixteenths(0..16), sixteenths(0..4)),
    ) {
        let adamw = AdamW { beta_1, beta_2, epsilon: 2.0_f64.powi(-17), weight_decay };
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
            let theirs = burns(&burn_adamw(&adamw), lr, &start, &gradients, dtype);
            assert_same_path(&ours(&adamw, lr, &start, &gradients, dtype), &theirs, tolerance, &adamw);
        }
    }

    /// θ′ = θ − lr·(g + μ·v′) with v′ = μ·v + g and g = gradient + w·θ, contracted with a cotangent c.
    #[test]
    fn sgd_differentiates_to_its_closed_form(
        (start, tensors, lr) in problem(),
        (momentum, weight_decay) in (sixteenths(1..16), sixteenths(0..4)),
    ) {
        let sgd = Sgd { momentum, nesterov: true, weight_decay, ..Sgd::default() };
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

#[test]
fn default_numbers_of_burn_give_burns_path() {
    let start = [0.3, -0.7, 1.1, 0.0, -1.9, 0.5];
    let gradients: Vec<Vec<f64>> =
        (0..STEPS).map(|t| (0..6).map(|i| (1.3 * t as f64 + 0.7 * i as f64).sin()).collect()).collect();
    let adam = Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-5, weight_decay: 0.0 };
    let theirs = burns(&AdamConfig::new().build(), 1e-2, &start, &gradients, DType::F32);
    assert_same_path(&ours(&adam, 1e-2, &start, &gradients, DType::F32), &theirs, 1e-6, &adam);
    let adamw = AdamW { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-5, weight_decay: 1e-4 };
    let theirs = burns(&AdamWConfig::new().build(), 1e-2, &start, &gradients, DType::F32);
    assert_same_path(&ours(&adamw, 1e-2, &start, &gradients, DType::F32), &theirs, 1e-6, &adamw);
}

/// In the first step Adam moves by `lr·g/(|g| + ε)`, whose derivative is `lr·ε/(|g| + ε)²`, also where `g` is 0.
#[test]
fn adam_differentiates_at_a_zero_gradient() {
    let adam = Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-3, weight_decay: 0.0 };
    let adamw = AdamW { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-3, weight_decay: 0.1 };
    let (lr, gradient) = (0.1, [0.0, 1e-12, 1e-3, -0.5, 0.0, 2.0]);
    for (dtype, tolerance) in [(DType::F32, 1e-4), (DType::F64, 1e-10)] {
        for optimizer in [&adam as &dyn Optimizer, &adamw] {
            let mut step = Step::of(optimizer, dtype).expect("the inputs fit");
            let seed = step.graph.full(&SHAPE, dtype, 1.0);
            let derivative = vjp(&mut step.graph, &[(step.updated.parameter, seed)], &[step.gradient]);
            let derivative = derivative.expect("every operation has a derivative")[0].expect("the step depends on it");
            let tensors = [[0.5; 6], gradient, [0.0; 6], [0.0; 6]].map(|tensor| value(&tensor, dtype));
            let results = step.program(&[derivative]).run(arguments(optimizer, 1, lr, tensors.to_vec()), 0);
            for (found, g) in numbers(&results[0]).into_iter().zip(gradient) {
                let expected = -lr * 1e-3 / (g.abs() + 1e-3).powi(2);
                let error = (found - expected).abs() / (lr / (g.abs() + 1e-3));
                assert!(error < tolerance, "{optimizer:?} in {dtype:?} at {g}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let sgd = Sgd { momentum: 0.5, ..Sgd::default() };
    let mut graph = Graph::new();
    let (x, row) = (graph.input(&SHAPE, DType::F32), graph.input(&[1, 3], DType::F32));
    let one = graph.input(&[1], DType::F32);
    let fitting = UpdateInputs { parameter: x, gradient: x, states: &[x], learning_rate: one, scalars: &[] };
    assert!(sgd.update(&mut graph, &fitting).is_ok());
    let mut refused = |inputs| sgd.update(&mut graph, &inputs).expect_err("the inputs do not fit");
    let other_shape = refused(UpdateInputs { gradient: row, ..fitting });
    assert!(matches!(other_shape, GraphError::ShapeMismatch { .. }), "{other_shape}");
    let no_scalar = refused(UpdateInputs { learning_rate: x, ..fitting });
    assert!(matches!(no_scalar, GraphError::InvalidShape { .. }), "{no_scalar}");
    let no_state = refused(UpdateInputs { states: &[], ..fitting });
    assert!(matches!(no_state, GraphError::InputCount { expected: 4, found: 3, .. }), "{no_state}");
}
