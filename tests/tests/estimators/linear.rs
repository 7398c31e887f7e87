//! A lower level that moves towards `Bλ` by gradient descent, so that where its steps end is linear in `λ` and known.

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
pub(crate) use betty_tests::vectors::tensor as vector;
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// The parameters of a level.
#[derive(Module, Debug)]
pub(crate) struct Vector {
    pub(crate) x: Param<Tensor<1>>,
}

impl Vector {
    pub(crate) fn new(values: &[f64]) -> Self {
        Vector { x: Param::from_tensor(vector(values)) }
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        self.x.val().into_data().try_to_vec().unwrap()
    }
}

pub(crate) fn half_square(x: Tensor<1>) -> Tensor<1> {
    (x.clone() * x).sum().mul_scalar(0.5)
}

const RATE: f64 = 0.3;
const STEPS: i32 = 4;
pub(crate) const B: [[f64; 2]; 3] = [[1.0, -0.5], [0.3, 2.0], [-0.7, 0.4]];
pub(crate) const THETA: [f64; 3] = [0.4, -0.2, 0.9];
pub(crate) const LAMBDA: [f64; 2] = [0.6, -1.1];
pub(crate) const TARGET: [f64; 3] = [1.0, 0.5, -0.4];

/// `B`, row by row.
pub(crate) fn matrix() -> Tensor<2> {
    let data = TensorData::new(B.concat(), [3, 2]);
    Tensor::from_data(data, (&Device::flex(), DType::F64))
}

pub(crate) fn follow(theta: &Vector, lambda: &Vector, b: Tensor<2>) -> Tensor<1> {
    let driven = b.matmul(lambda.x.val().reshape([2, 1])).reshape([3]);
    half_square(theta.x.val() - driven)
}

/// `½‖θ − t‖² + ½‖λ‖²`
pub(crate) fn upper(lambda: &Vector, theta: &Vector, target: Tensor<1>) -> Tensor<1> {
    half_square(theta.x.val() - target) + half_square(lambda.x.val())
}

multilevel! {
    pub(crate) struct Linear;

    level lambda: Vector { lower: [theta], batch: Tensor<1>, loss: upper, optimizer: sgd(lr = 1e-13) }
    level theta: Vector {
        upper: [lambda], batch: Tensor<2>, loss: follow, optimizer: sgd(lr = 0.3), unroll: 4, start: initial,
        hypergradient: forward_gradient(directions = 1),
    }
}

/// What a matrix makes of `λ`.
pub(crate) fn times(lambda: &[f64]) -> Vec<f64> {
    B.iter().map(|row| row.iter().zip(lambda).map(|(b, x)| b * x).sum()).collect()
}

/// How much of the way to their target the steps go.
pub(crate) fn moved() -> f64 {
    1.0 - (1.0 - RATE).powi(STEPS)
}

/// Where the steps end.
pub(crate) fn ended() -> Vec<f64> {
    times(&LAMBDA).iter().zip(THETA).map(|(goal, start)| start + moved() * (goal - start)).collect()
}

/// `λ + m·Bᵀ(θ − t)`
pub(crate) fn exact() -> Vec<f64> {
    let gap: Vec<f64> = ended().iter().zip(TARGET).map(|(theta, t)| theta - t).collect();
    (0..2).map(|j| LAMBDA[j] + moved() * (0..3).map(|i| B[i][j] * gap[i]).sum::<f64>()).collect()
}

pub(crate) fn engine(method: &str) -> Engine<Linear> {
    engine_with(LinearConfig::from_json(&format!(r#"{{ "theta": {{ "hypergradient": {method} }} }}"#)).unwrap())
}

pub(crate) fn engine_with(config: LinearConfig) -> Engine<Linear> {
    let problem = Linear { lambda: Vector::new(&LAMBDA), theta: Vector::new(&THETA) };
    let data = LinearData { lambda: Stream::constant(vector(&TARGET)), theta: Stream::constant(matrix()) };
    Engine::new(problem, data, config).unwrap()
}

/// The estimates of many rounds at one point: an upper step is too short to leave it.
pub(crate) fn estimates(method: &str, count: usize) -> Vec<Vec<f64>> {
    let mut engine = engine(method);
    let mut round = || {
        engine.run(1).unwrap();
        engine.gradient("lambda").unwrap().gradient.to_vec().unwrap()
    };
    (0..count).map(|_| round()).collect()
}
