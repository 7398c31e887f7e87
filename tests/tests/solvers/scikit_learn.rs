//! Logistic regression against scikit-learn, whose numbers `tools/scikit-learn/reference.py` prints.

use betty_runtime::{Batch, Engine, Stream, multilevel};
use betty_tests::vectors::{parameter, values};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::closed_forms::{Vector, assert_near};

const FEATURES: usize = 4;

#[derive(Batch, Clone, Debug)]
struct Labelled {
    x: Tensor<2>,
    y: Tensor<1>,
}

/// The examples of the script.
fn data(examples: usize, shift: f64, dtype: DType) -> Labelled {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for i in (0..examples).map(|i| i as f64) {
        let feature = |j: usize| {
            let j = j as f64;
            (3.0 * i + 7.0 * j + shift).sin() + 0.3 * (0.5 * i * (j + 1.0)).cos()
        };
        let row: Vec<f64> = (0..FEATURES).map(feature).collect();
        let score: f64 = row.iter().zip([1.0, -0.5, 0.25, 0.0]).map(|(x, w)| x * w).sum();
        y.push(f64::from(u8::from(score + 0.4 * (11.0 * i + shift).sin() > 0.0)));
        x.extend(row);
    }
    let place = (&Device::flex(), dtype);
    let x = Tensor::from_data(TensorData::new(x, [examples, FEATURES]), place);
    Labelled { x, y: Tensor::from_data(TensorData::new(y, [examples]), place) }
}

#[derive(Module, Debug)]
struct Classifier {
    weights: Param<Tensor<1>>,
    intercept: Param<Tensor<1>>,
}

/// Σ log(1 + e^z) − y·z
fn losses(model: &Classifier, Labelled { x, y }: Labelled) -> Tensor<1> {
    let count = y.dims()[0];
    let logits = x.matmul(model.weights.val().reshape([FEATURES, 1])).reshape([count]) + model.intercept.val();
    ((logits.clone().exp() + 1.0).log() - y * logits).sum()
}

fn penalized(model: &Classifier, strength: &Vector, batch: Labelled) -> Tensor<1> {
    losses(model, batch) + strength.val().exp() * model.weights.val().square().sum() * 0.5
}

fn held_out(_strength: &Vector, model: &Classifier, batch: Labelled) -> Tensor<1> {
    losses(model, batch)
}

multilevel! {
    struct Logistic;

    level strength: Vector { lower: [model], batch: Labelled, loss: held_out, optimizer: sgd(lr = 1e-13) }

    level model: Classifier {
        upper: [strength], batch: Labelled, loss: penalized,
        solver: lbfgs(tolerance = 1e-10), hypergradient: cg(iterations = 10),
    }
}

/// Strength, weights with the intercept, and the slope of the held-out loss in the logarithm of the strength.
const ANSWERS: [(f64, [f64; 5], f64); 3] = [
    (
        0.1,
        [4.643460571147204, -1.0494219486161693, 0.356847598247067, 0.044368510711220735, 0.6556118418685102],
        0.13233048077765375,
    ),
    (
        1.0,
        [1.9517794929927854, 0.29933508714242696, 0.09529665783726803, -0.6068256283239175, 0.3607281085687943],
        0.30878933297451283,
    ),
    (
        10.0,
        [0.6134254388534501, 0.2820297575403621, 0.00840055869650526, -0.32861710645824227, 0.21671115798806231],
        1.1888548541261201,
    ),
];

/// Their slopes are differences of whole fits.
#[test]
fn the_answers_of_logistic_regression_and_their_slopes() {
    for (strength, expected, slope) in ANSWERS {
        let model = Classifier { weights: parameter(&[0.0; FEATURES]), intercept: parameter(&[0.0]) };
        let problem = Logistic { strength: parameter(&[strength.ln()]), model };
        let data = LogisticData {
            strength: Stream::constant(data(20, 2.0, DType::F64)),
            model: Stream::constant(data(40, 1.0, DType::F64)),
        };
        let mut engine = Engine::new(problem, data, LogisticConfig::default()).unwrap();
        engine.run(1).unwrap();
        let gradient = engine.gradient("strength").unwrap().gradient.to_vec().unwrap();
        let Classifier { weights, intercept } = &engine.problem().model;
        assert_near(&[values(weights), values(intercept)].concat(), &expected, 1e-8);
        assert_near(&gradient, &[slope], 1e-6);
    }
}

/// In single precision as far as that goes, with a tolerance that it cannot reach: then it ends by itself.
#[test]
fn single_precision_ends_where_it_ends() {
    fn plain(model: &Classifier, batch: Labelled) -> Tensor<1> {
        losses(model, batch) + model.weights.val().square().sum() * 0.5
    }
    multilevel! {
        struct Single;
        level model: Classifier { batch: Labelled, loss: plain, solver: lbfgs(iterations = 10000, tolerance = 0.0) }
    }
    let zeros = |count: usize| Param::from_tensor(Tensor::<1>::zeros([count], &Device::flex()));
    let problem = Single { model: Classifier { weights: zeros(FEATURES), intercept: zeros(1) } };
    let data = SingleData { model: Stream::constant(data(40, 1.0, DType::F32)) };
    let mut engine = Engine::new(problem, data, SingleConfig::default()).unwrap().observe(|event| {
        if let betty_runtime::Event::Solved { iterations, gradient_norm, .. } = *event {
            assert!(iterations < 200 && gradient_norm < 1e-4, "{iterations} {gradient_norm:e}");
        }
    });
    engine.run(1).unwrap();
    let Classifier { weights, intercept } = &engine.problem().model;
    assert_near(&[values(weights), values(intercept)].concat(), &ANSWERS[1].1, 1e-5);
}

/// A tolerance that is met in double precision only: where rounding is all that is left of the gradient, the level is solved.
#[test]
fn single_precision_is_solved_as_well_as_it_can_be() {
    fn plain(model: &Classifier, batch: Labelled) -> Tensor<1> {
        losses(model, batch) + model.weights.val().square().sum() * 0.5
    }
    multilevel! {
        struct Small;
        level model: Classifier { batch: Labelled, loss: plain, solver: lbfgs(tolerance = 1e-9) }
    }
    let zeros = |count: usize| Param::from_tensor(Tensor::<1>::zeros([count], &Device::flex()));
    let problem = Small { model: Classifier { weights: zeros(FEATURES), intercept: zeros(1) } };
    let data = SmallData { model: Stream::constant(data(40, 1.0, DType::F32)) };
    let mut engine = Engine::new(problem, data, SmallConfig::default()).unwrap().observe(|event| {
        if let betty_runtime::Event::Solved { converged, gradient_norm, iterations, .. } = *event {
            assert!(converged, "{gradient_norm:e} after {iterations}");
        }
    });
    engine.run(3).unwrap();
    let Classifier { weights, intercept } = &engine.problem().model;
    assert_near(&[values(weights), values(intercept)].concat(), &ANSWERS[1].1, 1e-5);
}

/// At a kink no lower point is found either, and the gradient is as large as ever: that is no solution.
#[test]
fn a_kink_is_no_solution() {
    fn kinked(x: &Vector, corner: Tensor<1>) -> Tensor<1> {
        (x.val() - corner.clone()).abs().sum() * 2.0 + (x.val() - corner - 1.0).abs().sum()
    }
    multilevel! {
        struct Kinked;
        level x: Vector { batch: Tensor<1>, loss: kinked, solver: lbfgs(tolerance = 1e-9) }
    }
    let one = |value: f32| Tensor::<1>::full([1], value, &Device::flex());
    let data = KinkedData { x: Stream::constant(one(0.3)) };
    let mut engine = Engine::new(Kinked { x: Param::from_tensor(one(2.0)) }, data, KinkedConfig::default()).unwrap();
    engine = engine.observe(|event| {
        if let betty_runtime::Event::Solved { converged, gradient_norm, .. } = *event {
            assert!(!converged && gradient_norm >= 1.0, "{gradient_norm:e}");
        }
    });
    engine.run(1).unwrap();
}
