//! Gradients of small programs in double precision, against closed forms, the engine and Burn's autodiff.

use betty_runtime::{Engine, Hypergradient, Measured, Stream, multilevel};
use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// A vector in f64.
#[derive(Module, Debug)]
struct Point {
    at: Param<Tensor<1>>,
}

impl Point {
    fn new(at: &[f64], device: &Device) -> Self {
        Point { at: Param::from_tensor(vector(at, device)) }
    }
}

/// The same beside something that no loss reads.
#[derive(Module, Debug)]
struct Beside {
    unread: Param<Tensor<1>>,
    point: Point,
}

fn vector(at: &[f64], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(at.to_vec(), [at.len()]), (device, DType::F64))
}

fn entries(tensor: &Tensor<1>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// `½ Σ aᵢ (θᵢ − sᵢ λᵢ)²` with `a` from the batch, and metrics beside it.
fn follow(theta: &Point, lambda: &Point, a: Tensor<1>) -> Measured {
    let scale = vector(&[1.0, 2.0, -1.0], &a.device());
    let distance = theta.at.val() - scale * lambda.at.val();
    Measured::new((a * distance.clone().square()).sum() * 0.5).with("distance", distance.square().sum())
}

fn follow_beside(theta: &Point, lambda: &Beside, a: Tensor<1>) -> Measured {
    follow(theta, &lambda.point, a)
}

/// `½ ‖θ − b‖² + ½ ‖λ‖²`
fn reach(lambda: &Beside, theta: &Point, b: Tensor<1>) -> Tensor<1> {
    ((theta.at.val() - b).square().sum() + lambda.point.at.val().square().sum()) * 0.5
}

multilevel! {
    struct Pair;

    level lambda: Beside { lower: [theta], batch: Tensor<1>, loss: reach, optimizer: sgd(lr = 0.1) }
    level theta: Point {
        upper: [lambda], batch: Tensor<1>, loss: follow_beside, optimizer: sgd(lr = 0.1),
        hypergradient: dense(damping = 0.0),
    }
}

#[test]
fn direct_and_total_gradients_are_those_of_the_closed_form() {
    let device = Device::flex().autodiff();
    let (lambda, theta, b, a) = ([0.3, -0.2, 0.5], [1.0, 0.4, -2.0], [2.0, 1.0, 0.5], [1.0, 3.0, 0.5]);
    let beside = Beside { unread: Param::from_tensor(vector(&[1.0], &device)), point: Point::new(&lambda, &device) };
    let pair = Pair { lambda: beside, theta: Point::new(&theta, &device) };
    let data = || PairData { lambda: vector(&b, &device).into(), theta: vector(&a, &device).into() };
    let mut hypergradient = Hypergradient::new(&pair, PairConfig::default()).unwrap();

    let direct = hypergradient.direct("lambda", &pair, data()).unwrap();
    let total = hypergradient.total("lambda", &pair, data()).unwrap();
    let of = |gradient: &GradientsParams| entries(&gradient.get::<1>(pair.lambda.point.at.id).unwrap());
    // ∂C/∂λ = λ, and θ*(λ) = s·λ with Jacobian diag(s), whatever a is.
    let expected: Vec<f64> = [1.0, 2.0, -1.0].iter().zip(theta.iter().zip(b)).map(|(s, (t, b))| s * (t - b)).collect();
    for i in 0..3 {
        assert!((of(&direct.gradient)[i] - lambda[i]).abs() < 1e-14);
        assert!((of(&total.gradient)[i] - lambda[i] - expected[i]).abs() < 1e-12);
    }
    let loss: f64 = (0..3).map(|i| 0.5 * ((theta[i] - b[i]).powi(2) + lambda[i].powi(2))).sum();
    assert!((direct.loss - loss).abs() < 1e-14 && direct.loss == total.loss);
    let norm = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((direct.norm - norm(&lambda)).abs() < 1e-14);
    assert!((total.norm - norm(&of(&total.gradient))).abs() < 1e-14);
    assert!(direct.solves.is_empty());
    assert_eq!((total.solves.len(), total.solves[0].through), (1, "theta"));
    assert!(total.solves[0].products >= 3);
    // What nothing reads has no gradient, as in Burn.
    assert_eq!((direct.gradient.len(), total.gradient.len()), (1, 1));

    let below = hypergradient.direct("theta", &pair, data()).unwrap();
    let burn = follow_beside(&pair.theta, &pair.lambda, vector(&a, &device));
    let burn = GradientsParams::from_grads(burn.loss.backward(), &pair.theta);
    let (ours, burn) = (below.gradient.get::<1>(pair.theta.at.id), burn.get::<1>(pair.theta.at.id));
    for (ours, burn) in entries(&ours.unwrap()).into_iter().zip(entries(&burn.unwrap())) {
        assert!((ours - burn).abs() < 1e-14);
    }
    assert_eq!(&*below.metrics[0].0, "distance");
    // A level without any below has no other gradient than its direct one.
    let all = hypergradient.total("theta", &pair, data()).unwrap();
    assert_eq!((all.loss, all.norm), (below.loss, below.norm));
}

/// `½ ‖μ − c‖² + Σ sin(λ) μ`
fn top(mu: &Point, lambda: &Point, theta: &Point, c: Tensor<1>) -> Tensor<1> {
    let difference = mu.at.val() - c;
    (difference.square() * 0.5 + lambda.at.val().sin() * theta.at.val()).sum()
}

/// `½ ‖λ − μ‖² + Σ λ³/9 + ½ ‖θ − b‖²`
fn middle(lambda: &Point, mu: &Point, theta: &Point, b: Tensor<1>) -> Tensor<1> {
    let lambda = lambda.at.val();
    let own = (lambda.clone() - mu.at.val()).square() * 0.5 + lambda.powf_scalar(3.0) / 9.0;
    (own + (theta.at.val() - b).square() * 0.5).sum()
}

multilevel! {
    struct Chain;

    level mu: Point { lower: [lambda, theta], batch: Tensor<1>, loss: top, optimizer: sgd(lr = 0.1) }
    level lambda: Point {
        upper: [mu], lower: [theta], batch: Tensor<1>, loss: middle, optimizer: sgd(lr = 0.1),
        hypergradient: dense(damping = 0.0),
    }
    level theta: Point {
        upper: [lambda], batch: Tensor<1>, loss: follow, optimizer: sgd(lr = 0.1),
        hypergradient: dense(damping = 0.0),
    }
}

#[test]
fn three_levels_are_those_of_the_engine() {
    let device = Device::flex().autodiff();
    let chain = || Chain {
        mu: Point::new(&[0.3, 0.1, 0.7], &device),
        lambda: Point::new(&[0.2, 0.5, -0.1], &device),
        theta: Point::new(&[1.0, 0.4, -2.0], &device),
    };
    let data = || {
        let constant = |of: &[f64]| Stream::constant(vector(of, &device));
        ChainData {
            mu: constant(&[1.0, 0.0, 2.0]),
            lambda: constant(&[2.0, 1.0, 0.5]),
            theta: constant(&[1.0, 3.0, 0.5]),
        }
    };
    let mut engine = Engine::new(chain(), data(), ChainConfig::default()).unwrap();
    let all = chain();
    let mut hypergradient = Hypergradient::new(&all, ChainConfig::default()).unwrap();
    for (level, id) in [("mu", all.mu.at.id), ("lambda", all.lambda.at.id), ("theta", all.theta.at.id)] {
        let asked = engine.gradient(level).unwrap();
        let total = hypergradient.total(level, &all, data()).unwrap();
        assert_eq!((asked.loss, asked.norm), (total.loss, total.norm), "{level}");
        assert_eq!(asked.gradient.0[0].to_vec().unwrap(), entries(&total.gradient.get::<1>(id).unwrap()), "{level}");
    }
}
