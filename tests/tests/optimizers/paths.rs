//! The path of the parameters is that of `burn-optim`.

use betty_runtime::optimizer::{AdaGrad, Adam, AdamW, Coefficient, Optimizer, RmsProp, Sgd};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdaGradConfig, AdamConfig, AdamWConfig, Optimizer as BurnOptimizer, RmsPropConfig, SgdConfig};
use burn::tensor::{DType, Device, Tensor};
use proptest::prelude::*;

use crate::{STEPS, Step, arguments, data, numbers, problem, sixteenths, value};

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

fn number(coefficient: Coefficient) -> f64 {
    coefficient.constant().expect("Burn's numbers are constants")
}

fn burn_decay(penalty: f64) -> Option<WeightDecayConfig> {
    (penalty != 0.0).then(|| WeightDecayConfig::new(penalty as f32))
}

fn burn_sgd(sgd: &Sgd) -> impl BurnOptimizer {
    let [momentum, dampening] = [sgd.momentum, sgd.dampening].map(number);
    let nesterov = sgd.nesterov;
    let momentum = (momentum != 0.0).then_some(MomentumConfig { momentum, dampening, nesterov });
    SgdConfig::new().with_momentum(momentum).with_weight_decay(burn_decay(number(sgd.weight_decay))).build()
}

fn burn_adam(adam: &Adam) -> impl BurnOptimizer {
    AdamConfig::new()
        .with_beta_1(number(adam.beta_1) as f32)
        .with_beta_2(number(adam.beta_2) as f32)
        .with_epsilon(number(adam.epsilon) as f32)
        .with_weight_decay(burn_decay(number(adam.weight_decay)))
        .build()
}

fn burn_adamw(adamw: &AdamW) -> impl BurnOptimizer {
    AdamWConfig::new()
        .with_beta_1(number(adamw.beta_1) as f32)
        .with_beta_2(number(adamw.beta_2) as f32)
        .with_epsilon(number(adamw.epsilon) as f32)
        .with_weight_decay(number(adamw.weight_decay) as f32)
        .build()
}

fn burn_rmsprop(rmsprop: &RmsProp) -> impl BurnOptimizer {
    RmsPropConfig::new()
        .with_alpha(number(rmsprop.alpha) as f32)
        .with_momentum(number(rmsprop.momentum) as f32)
        .with_epsilon(number(rmsprop.epsilon) as f32)
        .with_centered(rmsprop.centered)
        .with_weight_decay(burn_decay(number(rmsprop.weight_decay)))
        .build()
}

fn burn_adagrad(adagrad: &AdaGrad) -> impl BurnOptimizer {
    AdaGradConfig::new()
        .with_lr_decay(number(adagrad.lr_decay))
        .with_epsilon(number(adagrad.epsilon) as f32)
        .with_weight_decay(burn_decay(number(adagrad.weight_decay)))
        .build()
}

/// Adam as the paper writes it, in plain `f64`.
fn adam_by_hand(adam: &Adam, lr: f64, start: &[f64], gradients: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Adam { beta_1, beta_2, epsilon, weight_decay } = *adam;
    let [beta_1, beta_2, epsilon, weight_decay] = [beta_1, beta_2, epsilon, weight_decay].map(number);
    let (mut parameter, mut m, mut v) = (start.to_vec(), vec![0.0; start.len()], vec![0.0; start.len()]);
    let mut path = Vec::new();
    for (t, gradient) in (1..).zip(gradients) {
        for i in 0..parameter.len() {
            let g = gradient[i] + weight_decay * parameter[i];
            m[i] = beta_1 * m[i] + (1.0 - beta_1) * g;
            v[i] = beta_2 * v[i] + (1.0 - beta_2) * g * g;
            let (m, v) = (m[i] / (1.0 - beta_1.powi(t)), v[i] / (1.0 - beta_2.powi(t)));
            parameter[i] -= lr * m / (v.sqrt() + epsilon);
        }
        path.push(parameter.clone());
    }
    path
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sgd_is_burns(
        (start, gradients, lr) in problem(),
        (momentum, dampening, nesterov, weight_decay) in
            (sixteenths(0..16), sixteenths(0..16), any::<bool>(), sixteenths(0..4)),
    ) {
        let [momentum, dampening, weight_decay] = [momentum, dampening, weight_decay].map(Coefficient::from);
        let sgd = Sgd { momentum, dampening, nesterov, weight_decay };
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
            let theirs = burns(&burn_sgd(&sgd), lr, &start, &gradients, dtype);
            assert_same_path(&ours(&sgd, lr, &start, &gradients, dtype), &theirs, tolerance, &sgd);
        }
    }

    // A β₂ near 0 forgets large gradients at once and divides their mean by the last small one: a path of steps so long that
    // rounding decides it, in which Burn's f32 bias corrections show.
    #[test]
    fn adam_is_burns_and_the_papers(
        (start, gradients, lr) in problem(),
        (beta_1, beta_2, weight_decay) in (sixteenths(0..16), sixteenths(4..16), sixteenths(0..4)),
    ) {
        let [beta_1, beta_2, weight_decay] = [beta_1, beta_2, weight_decay].map(Coefficient::from);
        let adam = Adam { beta_1, beta_2, epsilon: 2.0_f64.powi(-17).into(), weight_decay };
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
        (beta_1, beta_2, weight_decay) in (sixteenths(0..16), sixteenths(4..16), sixteenths(0..4)),
    ) {
        let [beta_1, beta_2, weight_decay] = [beta_1, beta_2, weight_decay].map(Coefficient::from);
        let adamw = AdamW { beta_1, beta_2, epsilon: 2.0_f64.powi(-17).into(), weight_decay };
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
            let theirs = burns(&burn_adamw(&adamw), lr, &start, &gradients, dtype);
            assert_same_path(&ours(&adamw, lr, &start, &gradients, dtype), &theirs, tolerance, &adamw);
        }
    }

    #[test]
    fn rmsprop_is_burns(
        (start, gradients, lr) in problem(),
        (alpha, momentum, centered, weight_decay) in
            (sixteenths(0..16), sixteenths(0..16), any::<bool>(), sixteenths(0..4)),
    ) {
        // A centred spread loses digits where gradients hardly vary: an ε of 2⁻⁷ keeps f32 from making noise of them.
        let [alpha, momentum, weight_decay] = [alpha, momentum, weight_decay].map(Coefficient::from);
        let rmsprop = RmsProp { alpha, momentum, epsilon: 2.0_f64.powi(-7).into(), centered, weight_decay };
        for (dtype, tolerance) in [(DType::F32, 1e-4), (DType::F64, 1e-12)] {
            let theirs = burns(&burn_rmsprop(&rmsprop), lr, &start, &gradients, dtype);
            assert_same_path(&ours(&rmsprop, lr, &start, &gradients, dtype), &theirs, tolerance, &rmsprop);
        }
    }

    #[test]
    fn adagrad_is_burns((start, gradients, lr) in problem(), (lr_decay, weight_decay) in (0.0..2.0, sixteenths(0..4))) {
        let [lr_decay, weight_decay] = [lr_decay, weight_decay].map(Coefficient::from);
        let adagrad = AdaGrad { lr_decay, epsilon: 2.0_f64.powi(-17).into(), weight_decay };
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
            let theirs = burns(&burn_adagrad(&adagrad), lr, &start, &gradients, dtype);
            assert_same_path(&ours(&adagrad, lr, &start, &gradients, dtype), &theirs, tolerance, &adagrad);
        }
    }
}

#[test]
fn default_numbers_of_burn_give_burns_path() {
    let start = [0.3, -0.7, 1.1, 0.0, -1.9, 0.5];
    let gradients: Vec<Vec<f64>> =
        (0..STEPS).map(|t| (0..6).map(|i| (1.3 * t as f64 + 0.7 * i as f64).sin()).collect()).collect();
    let adam = Adam { beta_1: 0.9.into(), beta_2: 0.999.into(), epsilon: 1e-5.into(), weight_decay: 0.0.into() };
    let theirs = burns(&AdamConfig::new().build(), 1e-2, &start, &gradients, DType::F32);
    assert_same_path(&ours(&adam, 1e-2, &start, &gradients, DType::F32), &theirs, 1e-6, &adam);
    let adamw = AdamW { beta_1: 0.9.into(), beta_2: 0.999.into(), epsilon: 1e-5.into(), weight_decay: 1e-4.into() };
    let theirs = burns(&AdamWConfig::new().build(), 1e-2, &start, &gradients, DType::F32);
    assert_same_path(&ours(&adamw, 1e-2, &start, &gradients, DType::F32), &theirs, 1e-6, &adamw);
    let rmsprop = RmsProp {
        alpha: 0.99.into(),
        momentum: 0.9.into(),
        epsilon: 1e-5.into(),
        centered: false,
        weight_decay: 0.0.into(),
    };
    let theirs = burns(&RmsPropConfig::new().build(), 1e-2, &start, &gradients, DType::F32);
    assert_same_path(&ours(&rmsprop, 1e-2, &start, &gradients, DType::F32), &theirs, 1e-6, &rmsprop);
    let adagrad = AdaGrad { lr_decay: 0.0.into(), epsilon: 1e-5.into(), weight_decay: 0.0.into() };
    let theirs = burns(&AdaGradConfig::new().build(), 1e-2, &start, &gradients, DType::F32);
    assert_same_path(&ours(&adagrad, 1e-2, &start, &gradients, DType::F32), &theirs, 1e-6, &adagrad);
}
