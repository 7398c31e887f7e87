//! Hyper-cleaning inside a plain Burn loop: the loop, its optimizers and its modules stay, and ten lines ask for what it lacks.

use betty_runtime::{EngineError, Hypergradient, multilevel};
use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

type Examples = (Tensor<2>, Tensor<2>);
type Logits = Param<Tensor<1>>;

fn weighted(model: &Linear, logits: &Logits, (x, y): Examples) -> Tensor<1> {
    (sigmoid(logits.val()).unsqueeze_dim(1) * (model.forward(x) - y).square()).mean()
}

fn clean(_logits: &Logits, model: &Linear, (x, y): Examples) -> Tensor<1> {
    (model.forward(x) - y).square().mean()
}

multilevel! {
    struct Cleaning;

    level logits: Logits { lower: [model], batch: Examples, loss: clean, optimizer: sgd(lr = 5.0) }
    level model: Linear {
        upper: [logits], batch: Examples, loss: weighted, optimizer: sgd(lr = 0.2),
        hypergradient: cg(iterations = 5, damping = 1e-3),
    }
}

#[test]
fn examples_that_are_wrong_lose_their_weight() -> Result<(), EngineError> {
    let device = Device::flex().autodiff();
    // y = x, but for the last four of eight examples.
    let x: [f32; 8] = [-1.0, -0.5, 0.5, 1.0, -1.0, -0.5, 0.5, 1.0];
    let x = Tensor::<1>::from_floats(x, &device).unsqueeze_dim::<2>(1);
    let sign = Tensor::<2>::from_floats([[1.0], [1.0], [1.0], [1.0], [-1.0], [-1.0], [-1.0], [-1.0]], &device);
    let training = (x.clone(), x.clone() * sign);
    let trusted = (x.clone().slice(0..4), x.slice(0..4));
    let mut all = Cleaning {
        logits: Param::from_tensor(Tensor::zeros([8], &device)),
        model: LinearConfig::new(1, 1).init(&device),
    };
    let mut hypergradient = Hypergradient::new(&all, CleaningConfig::default())?;
    let (mut of_model, mut of_logits) = (SgdConfig::new().init(), SgdConfig::new().init());
    for _ in 0..20 {
        for _ in 0..5 {
            let loss = weighted(&all.model, &all.logits, training.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &all.model);
            all.model = of_model.step(0.2, all.model, gradients);
        }
        let data = CleaningData { logits: trusted.clone().into(), model: training.clone().into() };
        let total = hypergradient.total("logits", &all, data)?;
        all.logits = of_logits.step(5.0, all.logits, total.gradient);
    }
    let weights: Vec<f32> = sigmoid(all.logits.val()).into_data().iter().collect();
    let (right, wrong) = (&weights[..4], &weights[4..]);
    let least = right.iter().copied().fold(1.0, f32::min);
    assert!(wrong.iter().all(|weight| *weight < least), "{weights:?}");
    Ok(())
}
